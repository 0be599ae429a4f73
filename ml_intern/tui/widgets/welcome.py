"""What an empty conversation shows: what can be asked, what is set up, and how to mend what is missing."""

from __future__ import annotations

from typing import NamedTuple

from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive
from textual.widget import Widget

from ml_intern.tui.keys.keymap import keymap_of
from ml_intern.tui.state import SessionState
from ml_intern.tui.widgets.text import clean, fit, fit_path

EXAMPLES = (
    "fine-tune SmolLM3 on notes.jsonl and tell me if it got better",
    "why does my eval loss go up after epoch 2? the log is in train.log",
    "find a small intent data set, look at its rows and write a baseline",
)
PRACTICE = (
    "The practice session does one small piece of real work on this machine: it plans, looks at a data set, writes a "
    "training script, asks before it runs it, reads the accuracy and improves it once. No key, no network, no cost."
)
QUESTION = "Ask for machine-learning work in plain words:"
LABEL_CELLS = 13


class Row(NamedTuple):
    """A line of the greeting, or more where it does not fit: then the text goes on below its beginning."""

    lead: Content
    text: Content

    def lines(self, width: int) -> list[Content]:
        """It in at most `width` cells."""
        indent = self.lead.cell_length
        first, *more = self.text.wrap(max(1, width - indent)) or [self.text]
        return [Content.assemble(self.lead, first), *(Content.assemble(" " * indent, line) for line in more)]


BLANK = Row(Content(""), Content(""))


class Welcome(Widget):
    """Greets. Takes the place of the chat until something is said."""

    rows: reactive[tuple[Row, ...]] = reactive(())

    def show(self, state: SessionState, *, practice: bool, suggestion: str = "", found: tuple[str, ...] = ()) -> None:
        """Says what is known so far.

        Args:
            state: The session; not ready while the agent is being built.
            practice: This is, or will be, the practice session.
            suggestion: A prompt that is sent by pressing the key that sends.
            found: Models of servers on this machine.
        """
        rows: list[Row] = []
        if practice:
            rows += [_sentence(PRACTICE), BLANK, _suggested(self._key, suggestion), BLANK]
        else:
            rows += [_sentence(QUESTION), *map(_example, EXAMPLES), BLANK]
        rows += _missing(state, found, self._key) if state.model_problem else []
        rows += _settings(state, practice)
        before = self._height()
        self.rows = tuple(rows)
        if self._height() != before:
            self.refresh(layout=True)

    @property
    def _key(self) -> str:
        return keymap_of(self).shown("prompt.send")

    def _height(self) -> int:
        return len(self._lines(self.content_size.width))

    def _lines(self, width: int) -> list[Content]:
        return [line for row in self.rows for line in row.lines(max(1, width))]

    def get_content_height(self, _container: Size, _viewport: Size, width: int) -> int:
        """As many lines as the text takes."""
        return len(self._lines(width))

    def render(self) -> Content:
        """The text at the present width."""
        return Content("\n").join(self._lines(self.content_size.width))


def _sentence(text: str) -> Row:
    return Row(Content(""), Content(text))


def _suggested(key: str, text: str) -> Row:
    return Row(Content.styled(f"{key} ", "$accent bold"), Content(text or "…"))


def _example(text: str) -> Row:
    return Row(Content.styled("  ▸ ", "$accent"), Content.styled(text, "$foreground-muted"))


def _settings(state: SessionState, practice: bool) -> list[Row]:
    if not state.ready:  # as many rows as there will be, so that nothing moves
        return [_row(name, "…", "") for name in ("model", "mode", "directory")]
    model = [] if state.model_problem else [_row("model", state.model, "" if practice else "/model")]
    return [*model, _row("mode", state.mode, "/mode"), _row("directory", fit_path(clean(state.workdir), 60), "")]


def _row(name: str, value: str, mend: str) -> Row:
    text = Content.assemble(value, (f"   {mend}" if mend else "", "$foreground-muted"))
    return Row(Content.styled(f"{name:<{LABEL_CELLS}}", "$foreground-muted"), text)


def _missing(state: SessionState, found: tuple[str, ...], key: str) -> list[Row]:
    """Why nothing can be sent yet, and the ways out, the nearest first."""
    ways = [_way(key, f"use {fit(model, 50)}, found on this machine") for model in found[:1]]
    ways += [
        _way("/sign-in" if found else key, "paste a Hugging Face token or a provider's key; it is checked first"),
        _way("/practice", "try the practice session: no key, no network, about 30 seconds"),
        _way("/model", "choose another model" + (", all servers found here included" if found else "")),
    ]
    return [Row(Content.styled("✗ ", "$error"), Content(clean(state.model_problem))), *ways, BLANK]


def _way(key: str, does: str) -> Row:
    return Row(Content.assemble("  ", (f"{key:<{LABEL_CELLS - 2}}", "$accent")), Content(does))

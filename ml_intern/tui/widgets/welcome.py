"""What an empty conversation shows: what can be asked, what is set up, and how to mend what is missing."""

from __future__ import annotations

from textual.content import Content
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
SENTENCES = frozenset({PRACTICE, QUESTION})
LABEL_CELLS = 12


class Welcome(Widget):
    """Greets. Takes the place of the chat until something is said."""

    lines: reactive[tuple[Content, ...]] = reactive(())

    def show(self, state: SessionState, *, practice: bool, suggestion: str = "", found: tuple[str, ...] = ()) -> None:
        """Says what is known so far.

        Args:
            state: The session; not ready while the agent is being built.
            practice: This is, or will be, the practice session.
            suggestion: A prompt that is sent by pressing the key that sends.
            found: Models of servers on this machine.
        """
        rows: list[Content] = []
        if practice:
            rows += [Content(PRACTICE), Content(""), _suggested(self._key, suggestion), Content("")]
        else:
            rows += [Content(QUESTION), *map(_example, EXAMPLES), Content("")]
        rows += _missing(state, found, self._key) if state.model_problem else []
        rows += _settings(state, practice)
        before = self._height()
        self.lines = tuple(rows)
        if self._height() != before:
            self.refresh(layout=True)

    @property
    def _key(self) -> str:
        return keymap_of(self).shown("prompt.send")

    def _height(self) -> int:
        return sum(len(row.wrap(max(1, self.content_size.width))) for row in self.lines)

    def render(self) -> Content:
        """The text; what is too long for one row is cut, except sentences."""
        width, wrapped = self.content_size.width, ("✗ ", f"{self._key} ")
        return Content("\n").join(
            row if row.plain in SENTENCES or row.plain.startswith(wrapped) else row.truncate(width, ellipsis=True)
            for row in self.lines
        )


def _suggested(key: str, text: str) -> Content:
    return Content.assemble((f"{key} ", "$accent bold"), text or "…")


def _example(text: str) -> Content:
    return Content.assemble(("  ▸ ", "$accent"), (text, "$foreground-muted"))


def _settings(state: SessionState, practice: bool) -> list[Content]:
    if not state.ready:  # as many rows as there will be, so that nothing moves
        return [_row(name, "…", "") for name in ("model", "mode", "directory")]
    model = [] if state.model_problem else [_row("model", state.model, "" if practice else "/model")]
    return [*model, _row("mode", state.mode, "/mode"), _row("directory", fit_path(clean(state.workdir), 60), "")]


def _row(name: str, value: str, mend: str) -> Content:
    return Content.assemble(
        (f"{name:<{LABEL_CELLS}}", "$foreground-muted"), value, (f"   {mend}" if mend else "", "$foreground-muted")
    )


def _missing(state: SessionState, found: tuple[str, ...], key: str) -> list[Content]:
    """Why nothing can be sent yet, and the ways out, the nearest first."""
    ways = [_way(key, f"use {fit(model, 50)}, found on this machine") for model in found[:1]]
    ways += [
        _way("/sign-in" if found else key, "paste a Hugging Face token or a provider's key; it is checked first"),
        _way("/practice", "try the practice session: no key, no network, about 30 seconds"),
        _way("/model", "choose another model" + (", all servers found here included" if found else "")),
    ]
    return [
        Content.assemble(("✗ ", "$error"), clean(state.model_problem)),
        *ways,
        Content(""),
    ]


def _way(key: str, does: str) -> Content:
    return Content.assemble("  ", (f"{key:<{LABEL_CELLS - 2}}", "$accent"), does)

"""What was sent while the agent worked and waits for its turn."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from ml_intern.tui.entries import Entry
from ml_intern.tui.keys.keymap import Keymap, keymap_of
from ml_intern.tui.widgets.key_bar import effective
from ml_intern.tui.widgets.line import Part, line
from ml_intern.tui.widgets.text import one_line

SHOWN = 3
TOLD_SHOWN = 2


class QueueView(Widget):
    """Lists the queued prompts, one line each, with the keys that take them back."""

    entries: reactive[tuple[Entry, ...]] = reactive((), layout=True)
    told: reactive[tuple[Entry, ...]] = reactive((), layout=True)
    """What the running turn was told and has not heard yet."""
    held = reactive(False)
    """Whether they wait for the person, since the turn before did not end well."""
    place: reactive[int | None] = reactive(None)
    """Where the one that is being edited belongs; None when none is."""
    steers = reactive(False)
    """Whether a turn runs that could be told at once."""
    writing = reactive(False)
    """Whether the prompt holds text, so that only some keys are meant for the queue."""

    def watch_entries(self) -> None:
        """Takes no room while there is nothing to show."""
        self._show_or_hide()

    def watch_told(self) -> None:
        """The same."""
        self._show_or_hide()

    def watch_place(self) -> None:
        """The same."""
        self._show_or_hide()
        self.refresh(layout=True)

    def _show_or_hide(self) -> None:
        self.display = bool(self.entries or self.told) or self.place is not None

    def take_keymap(self, _keymap: Keymap) -> None:
        """Shows the keys that count now."""
        self.refresh()

    def render(self) -> Content:
        """What was told, then what waits."""
        width = self.content_size.width
        return Content("\n").join([*self._told_rows(width), *self._waiting_rows(width)])

    def _told_rows(self, width: int) -> list[Content]:
        when = Part(
            "heard at its next step" if self.steers else "goes with the next prompt", "$foreground-muted", rank=8
        )
        texts = [_in_a_line(entry) for entry in self.told[-TOLD_SHOWN:]]
        return [line([Part("told", "$success"), Part(text, flexible=True, rank=9)], [when], width) for text in texts]

    def _waiting_rows(self, width: int) -> list[Content]:
        """The newest few, or those around the one that is being edited; the last line carries the keys."""
        texts = self._texts
        last = max(0, len(texts) - SHOWN)
        first = last if self.place is None else max(0, min(self.place - 1, last))
        shown = texts[first : first + SHOWN]
        keys = [*self._after(last - first), *self._keys()]
        rows = [self._row(text, width, keys if at == len(shown) - 1 else []) for at, text in enumerate(shown)]
        if first:
            rows[0] = line([self._label, Part(f"{first + 1} more before these", "$foreground-muted")], [], width)
        return rows

    @property
    def _label(self) -> Part:
        return Part("held" if self.held else "queued", "$warning")

    @property
    def _texts(self) -> list[str]:
        """What is listed; an empty text stands for the one that is being edited."""
        texts = [_in_a_line(entry) for entry in self.entries]
        if self.place is not None:
            texts.insert(self.place, "")
        return texts

    def _row(self, text: str, width: int, keys: list[Part]) -> Content:
        said = Part(text, flexible=True, rank=9) if text else Part("this one is being edited", "$accent", rank=9)
        return line([self._label, said], keys, width)

    def _after(self, hidden: int) -> list[Part]:
        return [Part(f"{hidden} more after these", "$foreground-muted", rank=10)] if hidden else []

    def _keys(self) -> list[Part]:
        if self.place is not None:
            hints = [("{queue.before}", "before"), ("{queue.after}", "after")]
        elif self.writing:
            hints = [("{queue.before}", "edit")]
        else:
            hints = [("{prompt.older}", "edit"), ("{prompt.drop}", "remove")]
            hints += [("{prompt.steer}", "tell it now")] if self.steers else []
            hints = [("{prompt.send}", "send"), *hints] if self.held else hints
        shown = effective(hints, keymap_of(self))
        return [Part(key, tail=does, rank=1 + number) for number, (key, does) in enumerate(shown)]

    def get_content_height(self, *_args: object) -> int:
        """One line for each prompt shown."""
        told = min(TOLD_SHOWN, len(self.told))
        return told + min(SHOWN, len(self.entries) + (self.place is not None))


def _in_a_line(entry: Entry) -> str:
    with_it = " ".join(f"[{thing.mark} {one_line(thing.title)}]" for thing in entry.things)
    return " ".join(filter(None, [one_line(entry.text), with_it]))

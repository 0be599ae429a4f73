"""The line that says which pane is shown where there is room for only one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

GAP = 3


class PaneTabs(Widget):
    """One numbered tab for each pane; a note beside a name tells what goes on in a pane that is not shown.

    Args:
        names: The panes, in the order of their numbers.
    """

    active = reactive("")
    notes: reactive[tuple[tuple[str, str], ...]] = reactive(())

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, names: Sequence[str], *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._names = tuple(names)
        self.active = self._names[0]

    def show_names(self, names: Sequence[str]) -> None:
        """Shows other tabs."""
        if tuple(names) != self._names:
            self._names = tuple(names)
            self.refresh()

    def note(self, name: str, text: str) -> None:
        """Puts a short note beside a name; an empty one removes it."""
        self.notes = tuple(sorted({**dict(self.notes), name: text}.items()))

    def render(self) -> Content:
        """The tabs; the active one is underlined as well as coloured."""
        return Content(" " * GAP).join(self._tabs())

    def _tabs(self) -> list[Content]:
        """All tabs. Where notes do not fit they are left out from the right, that of the active one last."""
        notes = dict(self.notes)
        for name in (*reversed([name for name in self._names if name != self.active]), self.active, ""):
            tabs = [self._tab(number, name, notes.get(name, "")) for number, name in enumerate(self._names, 1)]
            if sum(tab.cell_length for tab in tabs) + GAP * (len(tabs) - 1) <= self.content_size.width:
                break
            notes.pop(name, None)
        return tabs

    def _tab(self, number: int, name: str, note: str) -> Content:
        active = name == self.active
        return Content.assemble(
            (f"{number} ", "$accent" if active else "$foreground-muted"),
            (name, "bold underline" if active else "$foreground-muted"),
            (f" {note}" if note else "", "$foreground-muted"),
        )

    def jump_cells(self) -> list[tuple[int, Callable[[], None]]]:
        """The tabs by the column each begins at."""
        found: list[tuple[int, Callable[[], None]]] = []
        start = 0
        for name, tab in zip(self._names, self._tabs(), strict=True):
            found.append((start, partial(self._choose, name)))
            start += tab.cell_length + GAP
        return found

    def _choose(self, name: str) -> None:
        self.post_message(self.Chosen(name))

    def on_click(self, event: events.Click) -> None:
        """A click chooses the tab under the pointer."""
        start = 0
        for name, tab in zip(self._names, self._tabs(), strict=True):
            end = start + tab.cell_length
            if start <= event.x < end + 2:
                self.post_message(self.Chosen(name))
                return
            start = end + GAP

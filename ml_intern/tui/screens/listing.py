"""A screen with a long list in groups, which is narrowed down by typing, and what the chosen row is about below it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets._input import Input
from textual.widgets._option_list import Option, OptionList
from textual.widgets._static import Static

from ml_intern.tui.keys.keymap import bind, keymap_of
from ml_intern.tui.widgets.backdrop import Backdrop
from ml_intern.tui.widgets.key_bar import Hint, KeyBar


@dataclass(frozen=True, slots=True)
class Entry:
    """A row.

    Attributes:
        id: What it stands for; empty for the heading of a group.
        draw: Makes the row for a width.
        words: What is searched.
        name: What it is called; a row that is called as was typed is chosen first.
    """

    id: str
    draw: Callable[[int], Content]
    words: str = ""
    name: str = ""


class _Row(Option):
    """A row of the list that knows its entry."""

    def __init__(self, entry: Entry, width: int) -> None:
        super().__init__(entry.draw(width), disabled=not entry.id)
        self.entry = entry


class ListingScreen(Backdrop[None]):
    """Shows entries. A screen on top of it says which, and what is done with one.

    Args:
        words: What to begin with in the filter.
    """

    AUTO_FOCUS = "#listing-list"
    NAME: ClassVar[str] = ""
    EMPTY: ClassVar[str] = ""
    """What is said where there is nothing to list."""
    HINTS: ClassVar[tuple[Hint, ...]] = ()
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "back"),
        bind("find", "filter"),
        bind("picker.up", "move('cursor_up')"),
        bind("picker.down", "move('cursor_down')"),
        bind("picker.page_up", "move('page_up')"),
        bind("picker.page_down", "move('page_down')"),
    ]

    def __init__(self, words: str = "") -> None:
        super().__init__()
        self._words = words

    def compose(self) -> ComposeResult:
        """Name and filter, list, what the row is about, keys."""
        with Horizontal(id="listing-head"):
            yield Static(f"{self.NAME}  ⌕", id="listing-title", markup=False)
            yield Input(self._words, id="listing-filter", placeholder="type to search", compact=True)
            yield Static(id="listing-count", markup=False)
        yield OptionList(id="listing-list", compact=True, markup=False)
        yield Static(id="listing-none", markup=False)
        yield Static(id="listing-detail", markup=False)
        yield KeyBar(self.HINTS, id="listing-keys")

    def on_mount(self) -> None:
        """Begins at the top."""
        self._list = self.query_one(OptionList)
        self._filter = self.query_one(Input)
        self.refresh_entries()

    def on_resize(self) -> None:
        """The columns are laid out for the present width."""
        if self.is_mounted:
            self.call_after_refresh(self.refresh_entries)

    # ----------------------------------------------------------------------------------- what a screen fills in

    def entries(self) -> Sequence[Entry]:
        """All rows, each group behind its heading."""
        raise NotImplementedError

    def detail(self, entry_id: str) -> Content:
        """What the chosen row is about."""
        raise NotImplementedError

    def choose(self, entry_id: str) -> None:
        """Does with a row what it is there for."""
        raise NotImplementedError

    # -------------------------------------------------------------------------------------------------- showing

    @property
    def chosen(self) -> str:
        """Id of the row under the cursor, or empty."""
        index = self._list.highlighted
        row = self._list.get_option_at_index(index) if index is not None else None
        return row.entry.id if isinstance(row, _Row) else ""

    def refresh_entries(self) -> None:
        """Shows the rows as they are now; the cursor stays on its row."""
        typed = self._filter.value.strip()
        kept, width = self.chosen, max(20, self._list.scrollable_content_region.width or self.size.width)
        shown = fitting(self.entries(), self._filter.value)
        self._list.clear_options()
        self._list.add_options([_Row(entry, width) for entry in shown])
        ids = [entry.id for entry in shown]
        first = next((number for number, name in enumerate(ids) if name), None)
        called = next((number for number, entry in enumerate(shown) if _is_called(entry, typed)), first)
        self._list.highlighted = ids.index(kept) if kept and kept in ids and not typed else called
        self._list.display = first is not None
        none = self.query_one("#listing-none", Static)
        none.display = first is None
        none.update("Nothing fits." if typed else keymap_of(self).tell(self.EMPTY))
        self.query_one("#listing-count", Static).update(f"{sum(map(bool, ids))}")
        self._show_detail()

    @on(OptionList.OptionHighlighted)
    def _move(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        if not any(isinstance(row, _Row) and row.entry.id for row in self._list.options[: event.option_index]):
            self._list.scroll_home(animate=False)  # the heading above is seen too
        self._show_detail()

    def _show_detail(self) -> None:
        chosen = self.chosen
        self.query_one("#listing-detail", Static).update(self.detail(chosen) if chosen else "")

    # ----------------------------------------------------------------------------------------------------- keys

    @on(Input.Changed)
    def _narrow_down(self, event: Input.Changed) -> None:
        event.stop()
        self.refresh_entries()

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    def _choose(self, event: Input.Submitted | OptionList.OptionSelected) -> None:
        event.stop()
        if chosen := self.chosen:
            self.choose(chosen)

    def on_key(self, event: events.Key) -> None:
        """Typing goes to the filter, wherever the focus is."""
        if event.is_printable and event.character and event.key not in self.active_bindings:
            event.stop()
            self._filter.focus()
            self._filter.insert_text_at_cursor(event.character)

    def action_move(self, how: str) -> None:
        """Moves in the list, whatever has the focus."""
        getattr(self._list, f"action_{how}")()

    def action_filter(self) -> None:
        """To the filter."""
        self._filter.focus()

    def action_back(self) -> None:
        """Takes the filter back, then leaves."""
        if self._filter.value:
            self._filter.value = ""
            self._list.focus()
        else:
            self.dismiss(None)


def _is_called(entry: Entry, typed: str) -> bool:
    return bool(entry.id and typed) and (entry.id == typed or typed.lower() in entry.name.lower())


def fitting(entries: Sequence[Entry], typed: str) -> list[Entry]:
    """The entries in which each word occurs, with the headings of their groups."""
    words = typed.lower().split()
    shown: list[Entry] = []
    heading: Entry | None = None
    for entry in entries:
        if not entry.id:
            heading = entry
        elif all(word in entry.words.lower() for word in words):
            if heading is not None:
                shown.append(heading)
                heading = None
            shown.append(entry)
    return shown

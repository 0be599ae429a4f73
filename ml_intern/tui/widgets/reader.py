"""A virtual list whose text can be marked, selected and copied."""

from __future__ import annotations

from typing import NamedTuple, Unpack

from textual import events
from textual.geometry import Offset
from textual.reactive import var
from textual.selection import Selection

from ml_intern.sessions.needle import Needle, needle_of
from ml_intern.tui.messages import FollowLink
from ml_intern.tui.widgets import ink
from ml_intern.tui.widgets.finder import Place, places_in
from ml_intern.tui.widgets.lines import Line, copied
from ml_intern.tui.widgets.links import Link, links_of
from ml_intern.tui.widgets.pieces import BELOW, ROW_BITS, Match, Names, PieceT, Row
from ml_intern.tui.widgets.text import graphemes
from ml_intern.tui.widgets.virtual import VirtualList

MARKED_PIECES = 200
"""Of so many pieces it is remembered where a text stands in them."""


class _Marked(NamedTuple):
    """Where a text stands in a piece, as long as both stay the same."""

    lines: list[Line]
    needle: Needle
    places: dict[int, list[Place]]


class Reader(VirtualList[PieceT]):
    """Lets a person find, mark and take along what a list shows."""

    ALLOW_SELECT = True
    DEFAULT_CSS = ""

    needle: var[str] = var("")
    """Text to be marked wherever it is visible; empty for none."""
    current: var[Match | None] = var(None)
    """The occurrence of it that stands out from the others."""

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self._marked: dict[int, _Marked] = {}

    def spans(self, row: Line, serial: int, number: int) -> list[ink.Span]:
        """What is laid over a visible line for the moment."""
        found: list[ink.Span] = []
        if self.needle and number != BELOW:
            found += self._marks(row, serial, number)
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(serial << ROW_BITS | number)) is not None:
            start, end = span
            found.append((max(start, row.lead), len(row.plain) if end < 0 else end, "selection"))
        return found

    def _marks(self, row: Line, serial: int, number: int) -> list[ink.Span]:
        places = self.places_of(serial)
        nth = self.current.nth if self.current is not None and self.current.serial == serial else -1
        if nth >= 0 and not any(place.nth == nth for found in places.values() for place in found):
            # What was found is cut off or arranged otherwise at this width: its line stands out instead.
            return [(row.lead, len(row.plain), "found")] if number == self._text_from(serial) else []
        return [(place.start, place.end, "found" if place.nth == nth else "match") for place in places.get(number, ())]

    def places_of(self, serial: int) -> dict[int, list[Place]]:
        """Where the text that is marked stands in a piece, by number of the line."""
        lines, needle = self.lines_at(self.index_of(serial)), needle_of(self.needle)
        known = self._marked.get(serial)
        if known is None or known.lines is not lines or known.needle is not needle:
            if len(self._marked) > MARKED_PIECES:
                self._marked.clear()
            first = self._text_from(serial)
            places = {number + first: found for number, found in places_in(lines[first:], needle).items()}
            known = self._marked[serial] = _Marked(lines, needle, places)
        return known.places

    def _text_from(self, serial: int) -> int:
        """Number of the first line that is the piece's own."""
        slot = self._slots[self.index_of(serial)]
        return slot.gap + slot.header

    def watch_needle(self) -> None:
        """Marks anew."""
        self.settle_soon()

    def watch_current(self) -> None:
        """Another one stands out."""
        self.settle_soon()

    def show_match(self, match: Match) -> None:
        """Brings an occurrence into view and lets it stand out."""
        self.current = match
        places = self.places_of(match.serial)
        number = next((at for at, found in places.items() if any(place.nth == match.nth for place in found)), None)
        self.show_line(match.serial, self._text_from(match.serial) if number is None else number)

    def show_line(self, serial: int, number: int) -> None:
        """Scrolls to a line, unless it is in view already."""
        self.settle()
        if not any(row.serial == serial and row.number == number for row in self._rows[:-1]):
            self.show(serial, number, margin=self.view.height // 3)

    def show_newest(self, text: str, *, within: int) -> None:
        """Marks a text and goes to the last piece that holds it, if it is one of the last ones.

        Args:
            text: What to look for.
            within: How many pieces, from the end, are looked at.
        """
        self.needle = text
        for slot in reversed(self._slots[-within:]):
            if self.places_of(slot.serial):
                self.show_match(Match(slot.serial, 0))
                return

    def selection_updated(self, selection: Selection | None) -> None:  # noqa: ARG002 - Textual's signature
        """Repaints the rows whose selection changed."""
        self.settle_soon()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text as it was written: without decoration, wrapped lines in one."""
        if not self._slots:
            return None
        first, start_row, start_x = self._end_of(selection.start, (0, 0, 0))
        last, end_row, end_x = self._end_of(selection.end, (len(self._slots) - 1, BELOW, None))
        parts: list[str] = []
        for index in range(first, last + 1):
            begin = start_row if index == first else 0
            end = end_row if index == last else BELOW
            lines = self.lines_at(index)[begin : end + 1]
            whole = end >= begin + len(lines)
            parts.append(copied(lines, start_x if index == first else None, None if index < last or whole else end_x))
            self._cache.trim(())
        return "\n".join(parts).strip("\n"), "\n"

    def _end_of(self, offset: Offset | None, default: tuple[int, int, int | None]) -> tuple[int, int, int | None]:
        """An end of a selection as index of a piece, line and character."""
        if offset is None:
            return default
        at = self.place_of(offset.y >> ROW_BITS)
        return min(at, len(self._slots) - 1), offset.y & BELOW, offset.x

    def row_at(self, y: int) -> Row | None:
        """What is shown at a row of the widget."""
        row = self._rows[y] if 0 <= y < len(self._rows) else None
        return row if row is not None and row.number != BELOW else None

    def on_click(self, event: events.Click) -> None:
        """Two clicks select a word, three a whole piece; a link opens."""
        row = self.row_at(event.y)
        if row is None or self.text_selection is not None or self._piece_or_none(row.serial) is None:
            return  # the end of a selecting drag is a click too
        if event.chain == 1 and (target := event.style.meta.get(ink.LINK)):
            links = links_of(self.lines_at(self.index_of(row.serial)))
            shown = next((link for link in links if link.target == target), Link("", target))
            self.post_message(FollowLink(shown.text, shown.target))
        elif event.chain == 2:
            self._select(row, *_word_at(row.line, event.x))
            event.prevent_default()
        elif event.chain == 3:
            last = len(self.lines_at(self.index_of(row.serial))) - 1
            base = row.serial << ROW_BITS
            self.screen.selections = {self: Selection(Offset(0, base), Offset(BELOW, base | last))}
            event.prevent_default()

    def _select(self, row: Row, start: int, end: int) -> None:
        y = row.serial << ROW_BITS | row.number
        self.screen.selections = {self: Selection(Offset(start, y), Offset(end, y))}


def _word_at(row: Line, x: int) -> tuple[int, int]:
    """The range of characters of the word at a cell."""
    text, column, at = row.plain, 0, 0
    for start, _end, size in graphemes(text):
        at = start
        column += size
        if column > x:
            break
    start = end = at
    while start > row.lead and not text[start - 1].isspace():
        start -= 1
    while end < len(text) and not text[end].isspace():
        end += 1
    return start, end

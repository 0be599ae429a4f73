"""A virtual list whose text can be searched, selected and copied."""

from __future__ import annotations

from textual import events
from textual.geometry import Offset
from textual.reactive import var
from textual.selection import Selection

from ml_intern.tui.widgets import ink
from ml_intern.tui.widgets.lines import Line, copied
from ml_intern.tui.widgets.pieces import BELOW, ROW_BITS, Match, PieceT, Row
from ml_intern.tui.widgets.text import graphemes
from ml_intern.tui.widgets.virtual import VirtualList


class Reader(VirtualList[PieceT]):
    """Lets a person find, mark and take along what a list shows."""

    ALLOW_SELECT = True
    DEFAULT_CSS = ""

    needle: var[str] = var("")
    """Text to be marked wherever it is visible; empty for none."""

    def spans(self, row: Line, serial: int, number: int) -> list[ink.Span]:
        """What is laid over a visible line for the moment."""
        found: list[ink.Span] = []
        if self.needle:
            text, needle = row.plain.casefold(), self.needle.casefold()
            at = text.find(needle)
            while at >= 0:
                found.append((at, at + len(needle), "match"))
                at = text.find(needle, at + len(needle))
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(serial << ROW_BITS | number)) is not None:
            start, end = span
            found.append((max(start, row.lead), len(row.plain) if end < 0 else end, "selection"))
        return found

    def watch_needle(self) -> None:
        """Marks anew."""
        self.settle_soon()

    def find(self, text: str) -> list[Match]:
        """Every occurrence of a text, in order, whatever its case."""
        needle = text.casefold()
        if not needle:
            return []
        return [
            Match(slot.serial, nth) for slot in self._slots for nth in range(slot.piece.plain.casefold().count(needle))
        ]

    def show_match(self, match: Match, text: str) -> None:
        """Scrolls to an occurrence and marks the text everywhere.

        Markup is not part of what is shown, and wrapping may part a match; then the nearest one before it is shown.
        """
        needle, seen, best = text.casefold(), 0, 0
        for number, row in enumerate(self.lines_at(self.index_of(match.serial))):
            found = row.plain.casefold().count(needle)
            if found:
                best, seen = number, seen + found
            if seen > match.nth:
                break
        self.needle = text
        self.show(match.serial, best, margin=self.view.height // 3)

    def show_newest(self, text: str, *, within: int) -> None:
        """Scrolls to the last piece that holds a text, if it is one of the last ones.

        Args:
            text: What to look for, whatever its case.
            within: How many pieces, from the end, are looked at.
        """
        needle = text.casefold()
        for slot in reversed(self._slots[-within:]):
            if needle in slot.piece.plain.casefold():
                self.show_match(Match(slot.serial, 0), text)
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
        if row is None or self.text_selection is not None:
            return  # the end of a selecting drag is a click too
        if event.chain == 1 and event.style.link:
            self.app.open_url(event.style.link)
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

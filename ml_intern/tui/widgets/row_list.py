"""Any number of one-line rows with a cursor. A row is drawn when it is seen, so many rows cost as much as a few."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.reactive import var

from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.widgets.lines import Line, Run
from ml_intern.tui.widgets.pieces import BELOW, JumpRow
from ml_intern.tui.widgets.virtual import VirtualList

CHUNK = 16
"""Rows of one piece. They are drawn together, so a few more than are seen."""

Draw = Callable[[int, int], Line]
"""Makes the row of a number for a width."""


class RowChunk:
    """Some successive rows.

    Args:
        owner: The list, which makes them.
        start: Number of the first.
        end: Number after the last.
    """

    __slots__ = ("end", "owner", "start")
    plain = ""

    def __init__(self, owner: RowList, start: int, end: int) -> None:
        self.owner = owner
        self.start = start
        self.end = end

    def estimate(self, _width: int) -> int:
        """A line each."""
        return self.end - self.start

    def render(self, width: int) -> list[Line]:
        """The rows."""
        return [self.owner.draw(number, width) for number in range(self.start, self.end)]


class RowList(VirtualList[RowChunk]):
    """Shows rows, one of them under the cursor.

    Attributes:
        draw: Makes the row of a number for a width.
    """

    DEFAULT_CSS = ""
    HELP = "A list. {list.up} and {list.down} move, {list.open} opens what is marked."
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("list.up", "cursor(-1)"),
        bind("list.down", "cursor(1)"),
        bind("list.first", "cursor(-10000000)"),
        bind("list.last", "cursor(10000000)"),
        bind("list.page_up", "page(-1)"),
        bind("list.page_down", "page(1)"),
        bind("list.open", "open"),
    ]

    cursor: var[int] = var(0)
    """Number of the row under the cursor."""

    draw: Draw

    class Moved(Message):
        """Another row is under the cursor."""

    class Opened(Message):
        """The person wants what the row under the cursor stands for."""

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self._slots[-1].piece.end if self._slots else 0

    def show_rows(self, count: int, draw: Draw, cursor: int) -> None:
        """Shows other rows, or the same ones anew.

        Args:
            count: How many.
            draw: Makes the row of a number for a width.
            cursor: Number of the row that is under the cursor.
        """
        self.draw = draw
        whole = min(count, self.count) // CHUNK
        self.cut(whole)
        for start in range(whole * CHUNK, count, CHUNK):
            self.add(RowChunk(self, start, min(count, start + CHUNK)))
        for serial in self._cache.serials:
            self.rerender(serial)
        self.cursor = max(0, min(cursor, count - 1))
        self._show_cursor()

    def _measure(self) -> int:
        # Each row is one line high, so none needs to be drawn to know where the others are.
        return max(0, min(round(self.scroll_y), self._heights.total - self.view.height))

    def dress(self, row: Line, serial: int, number: int) -> Line:
        """The row under the cursor stands out."""
        if self.piece(serial).start + number != self.cursor:
            return row
        runs = tuple(Run(text, f"{ink} cursor".strip(), link) for text, ink, link in row.runs)
        return row._replace(runs=runs, fill="cursor")

    def watch_cursor(self) -> None:
        """Repaints and tells of it."""
        self.settle_soon()
        self.post_message(self.Moved())

    def action_cursor(self, step: int) -> None:
        """Moves the cursor."""
        self.cursor = max(0, min(self.cursor + step, self.count - 1))
        self._show_cursor()

    def action_page(self, step: int) -> None:
        """Moves the cursor by what is seen at once."""
        self.action_cursor(step * max(1, self.view.height - 1))

    def _show_cursor(self) -> None:
        top, height = round(self.scroll_y), self.view.height
        if self.cursor < top:
            self._scroll_list_to(self.cursor)
        elif height and self.cursor >= top + height:
            self._scroll_list_to(self.cursor - height + 1)

    def _scroll_list_to(self, top: int) -> None:
        # Rows that were just added have no place yet; after settling they have.
        self.settle()
        self.scroll_to(y=top, animate=False)

    def action_open(self) -> None:
        """Asks for what the row stands for."""
        if self.count:
            self.post_message(self.Opened())

    def jump_rows(self) -> list[JumpRow]:
        """The rows in view; jumping to one opens it."""
        rows = [(y, row) for y, row in enumerate(self._rows) if row.number != BELOW]
        return [(y, partial(self._jump, self.piece(row.serial).start + row.number)) for y, row in rows]

    def _jump(self, number: int) -> None:
        if number < self.count:
            self.focus()
            self.cursor = number
            self.action_open()

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor; on the row under it, it opens."""
        row = self._rows[event.y] if 0 <= event.y < len(self._rows) else None
        if row is None or row.number == BELOW or not self.count:
            return
        number = self.piece(row.serial).start + row.number
        if number == self.cursor:
            self.action_open()
        else:
            self.cursor = number

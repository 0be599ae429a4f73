"""A table of cells with a cursor on one of them. Columns that do not fit are reached by moving on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Unpack

from textual import events
from textual.binding import BindingType
from textual.reactive import var

from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.widgets.dataset_text import short_cell
from ml_intern.tui.widgets.lines import Line, Run
from ml_intern.tui.widgets.pieces import Names
from ml_intern.tui.widgets.row_list import RowList
from ml_intern.tui.widgets.tables import GAP, fitted
from ml_intern.tui.widgets.text import cells, fit, one_line

LEAST_CELLS = 14
"""A column is not shown narrower than this, unless it needs no more."""
MOST_CELLS = 300
LOOKED_AT = 50
"""Rows that the widths of columns are told by."""


class CellTable(RowList):
    """Shows rows of cells under headings (see `heading`)."""

    DEFAULT_CSS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("dataset.column_before", "column(-1)"),
        bind("dataset.column_after", "column(1)"),
    ]

    column: var[int] = var(0)
    """Number of the column that the cursor is in."""

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self._names: Sequence[str] = ()
        self._numeric: Sequence[bool] = ()
        self._cells: Sequence[Sequence[str | None]] = ()
        self._natural: list[int] = []
        self._first = 0

    def show_cells(self, names: Sequence[str], numeric: Sequence[bool], rows: Sequence[Sequence[str | None]]) -> None:
        """Shows other rows, from the beginning.

        Args:
            names: Headings.
            numeric: Which columns hold numbers; these are aligned to the right.
            rows: The cells.
        """
        self._names, self._numeric, self._cells = names, numeric, rows
        self._natural = [self._width_of(number) for number in range(len(names))]
        self._first = 0
        self.column = 0
        self.show_rows(len(rows), self._draw, 0)

    @property
    def cell(self) -> str | None:
        """What the cursor is on."""
        return self._cells[self.cursor][self.column] if self._cells and self._names else None

    def _width_of(self, number: int) -> int:
        shown = (cells(self._short(row, number)[0]) for row in self._cells[:LOOKED_AT])
        return max(1, min(MOST_CELLS, max(cells(one_line(self._names[number], 80)), *shown, 1)))

    def _short(self, row: Sequence[str | None], number: int) -> tuple[str, str]:
        return short_cell(row[number], numeric=self._numeric[number])

    # ------------------------------------------------------------------------------------------------- the layout

    def _gutter(self) -> int:
        return len(str(len(self._cells))) + GAP

    def _layout(self, width: int) -> list[tuple[int, int]]:
        """Number and width of each column that is shown, the chosen one among them."""
        room = max(1, width - self._gutter() - GAP)  # at the right end stands whether there are more
        self._first = min(self._first, self.column)
        while True:
            last, used = self._first, -GAP
            while last < len(self._natural):
                used += GAP + min(self._natural[last], LEAST_CELLS)
                if used > room and last > self._first:
                    break
                last += 1
            if self.column < last or self._first >= self.column:
                break
            self._first += 1
        shown = range(self._first, last)
        widths = fitted([self._natural[number] for number in shown], max(1, room - GAP * (len(shown) - 1)))
        return list(zip(shown, widths, strict=True))

    def heading(self) -> Line:
        """The names of the columns that are shown, where they are."""
        if not self._names or not self.view.width:
            return Line()
        layout = self._layout(self.view.width)
        more = "‹" if layout[0][0] else ""
        runs = [Run(f"{more:<{self._gutter()}}", "faint")]
        for number, width in layout:
            name = self._placed(fit(one_line(self._names[number], 80), width), number, width)
            runs += [Run(name, "accent strong" if number == self.column else "muted"), Run(" " * GAP)]
        if layout[-1][0] < len(self._names) - 1:
            runs[-1] = Run(" ›", "faint")
        return Line(tuple(runs))

    def _placed(self, text: str, number: int, width: int) -> str:
        space = " " * (width - cells(text))
        return space + text if self._numeric[number] else text + space

    def _draw(self, number: int, width: int) -> Line:
        gutter = self._gutter()
        runs = [Run(f"{number + 1:>{gutter - GAP}}" + " " * GAP, "gutter")]
        for column, wide in self._layout(width):
            text, ink = self._short(self._cells[number], column)
            chosen = " strong" if column == self.column else ""
            runs += [Run(self._placed(fit(text, wide), column, wide), f"{ink}{chosen}".strip()), Run(" " * GAP)]
        return Line(tuple(runs[:-1]))

    # --------------------------------------------------------------------------------------------------- the cursor

    def action_column(self, step: int) -> None:
        """Moves to another column."""
        self.column = max(0, min(self.column + step, len(self._names) - 1))

    def watch_column(self) -> None:
        """Draws anew: the columns that are shown may be others."""
        if self.count:
            self.show_rows(self.count, self._draw, self.cursor)
            self.post_message(self.Moved())

    def on_click(self, event: events.Click) -> None:
        """A click chooses row and column; on the chosen cell it opens."""
        if self._names and self.view.width:
            at = self._gutter()
            for number, width in self._layout(self.view.width):
                if at <= event.x < at + width + GAP and number != self.column:
                    self.column = number
                    event.prevent_default()
                    break
                at += width + GAP
        super().on_click(event)

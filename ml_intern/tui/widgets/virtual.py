"""A scrolling list of pieces of text that costs what is visible, however long it is.

Pieces are rendered when they come into view and kept, per width, in a bounded cache. Until then their heights are
estimates; a height that turns out different is corrected without moving what the reader looks at. A change repaints the
rows that differ and nothing else, and never causes a layout: the scroll bar's column is always reserved.
"""

from __future__ import annotations

from typing import Any, Unpack

from textual.geometry import Region, Size
from textual.reactive import var
from textual.strip import Strip
from textual.widget import Widget

from ml_intern.tui.widgets import ink
from ml_intern.tui.widgets.lines import BLANK, Line
from ml_intern.tui.widgets.piece_list import PieceList
from ml_intern.tui.widgets.pieces import BELOW, ROW_BITS, Names, PieceT, Rendered, Row, Slot, Snapshot
from ml_intern.tui.widgets.thin_bar import ThinBar


class VirtualList(PieceList[PieceT], can_focus=True):
    """Shows pieces one below the other. Give it no border and no padding: its container has those."""

    DEFAULT_CSS = """
    VirtualList { overflow-x: hidden; overflow-y: scroll; scrollbar-size-vertical: 1; height: 1fr; width: 1fr; }
    """

    following: var[bool] = var(False)
    """Whether the view stays at the end while the list grows."""
    held: bool
    """The view stays where it is even at the end, because the reader looks at something there."""

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self._inks: ink.Inks | None = None
        self._rows: list[Row] = []
        self._rows_size = Size(0, 0)
        self._stale = False
        self._hidden = False
        self._thumb: tuple[int, int] = (-1, -1)
        self.held = False
        self._reading: tuple[int, int] | None = None  # piece at the top, characters of it further up

    def restore(self, kept: Snapshot[PieceT]) -> None:
        """Puts the list back, and shows its end."""
        super().restore(kept)
        self._reading = None
        self.follow()

    # ---------------------------------------------------------------------------------------------- for subclasses

    def render_slot(self, slot: Slot[PieceT], width: int) -> list[Line]:
        """Lines of a place: the piece's own and what the list adds to them."""
        return [BLANK] * slot.gap + slot.piece.render(width)

    def dress(self, row: Line, serial: int, number: int) -> Line:  # noqa: ARG002 - for subclasses
        """A visible line as it looks for the moment: the same, unless overridden."""
        return row

    def spans(self, row: Line, serial: int, number: int) -> list[ink.Span]:  # noqa: ARG002 - for subclasses
        """What is laid over a visible line for the moment: nothing, unless overridden."""
        return []

    def overlay(self, rows: list[Row]) -> None:
        """Changes rows that are about to be shown. Does nothing unless overridden."""

    # ------------------------------------------------------------------------------------------------- measuring

    def _estimate(self, slot: Slot[PieceT]) -> int:
        # The width of the last arrangement: to ask for the present one costs more than to be wrong about a line.
        return slot.gap + slot.header + max(1, slot.piece.estimate(self._rows_size.width or 80))

    def lines_at(self, index: int) -> list[Line]:
        """The lines of a place at the present width, rendered if need be."""
        return self._lines_at(index, self.view.width)

    def _lines_at(self, index: int, width: int) -> list[Line]:
        """The same for many places: to ask for the width costs more than to find lines that are kept."""
        slot = self._slots[index]
        kept = self._cache.get(slot.serial)
        if kept is None or kept.width != width:
            kept = Rendered(self.render_slot(slot, width), width)
            self._cache.put(slot.serial, kept)
            self._heights.set(index, len(kept.lines))
        return kept.lines

    def _measure(self) -> int:
        """Makes the heights around the view exact and returns its first row."""
        height = self.view.height
        if not self._slots:
            return 0
        if self.following:
            self._measure_up(len(self._slots) - 1, 2 * height)
            return max(0, self._heights.total - height)
        index, offset = self._heights.locate(round(self.scroll_y))
        offset = self._same_place(index, offset)
        self._measure_down(index, offset + 2 * height)
        self._measure_up(index - 1, height)
        return min(self._heights.before(index) + offset, max(0, self._heights.total - height))

    def _measure_up(self, index: int, rows: int) -> None:
        width = self.view.width
        while index >= 0 and rows > 0:
            rows -= len(self._lines_at(index, width))
            index -= 1

    def _measure_down(self, index: int, rows: int) -> None:
        width = self.view.width
        while index < len(self._slots) and rows > 0:
            rows -= len(self._lines_at(index, width))
            index += 1

    def _same_place(self, index: int, offset: int) -> int:
        """Where the line at `offset` of a piece is after it was rendered anew: the line with the same text.

        What is looked for is remembered until the reader moves, so that going back to a width goes back to the line.
        """
        serial = self._slots[index].serial
        kept = self._cache.get(serial)
        estimated = self._heights[index]
        if kept is not None and kept.width == self.view.width:
            return offset
        earlier = kept.lines if kept is not None else None
        lines = self.lines_at(index)
        if earlier is None:
            return offset * len(lines) // max(1, estimated)
        if offset == 0:
            return 0
        if self._reading is None or self._reading[0] != serial:
            self._reading = serial, sum(row.letters for row in earlier[:offset])
        passed = self._reading[1]
        for number, row in enumerate(lines):
            passed -= row.letters
            if passed < 0:
                return number
        return max(0, min(offset, len(lines) - 1))

    # -------------------------------------------------------------------------------------------------- showing

    def settle_soon(self) -> None:
        """Brings the view up to date once the present message has been handled."""
        if not self._stale:
            self._stale = True
            if self.is_running:
                self.call_next(self._settle_if_stale)

    def _settle_if_stale(self) -> None:
        if self._stale:
            self.settle()

    def settle(self) -> int:
        """Brings the view up to date now: measures, places, and has the rows repainted that changed.

        Returns:
            How many rows those are.
        """
        before = self._rows if self._rows_size == self.view else None
        if not self._arrange():
            return 0
        if before is None or len(before) != len(self._rows):
            self.refresh()
            return len(self._rows)
        changed = [
            Region(0, y, max(old.used, new.used), 1)
            for y, (old, new) in enumerate(zip(before, self._rows, strict=True))
            if old.strip is not new.strip and old.strip != new.strip
        ]
        if changed:
            self.refresh(*[region for region in changed if region.width])
        return len(changed)

    def _arrange(self) -> bool:
        """Computes the visible rows. Returns False when there is nothing to compute them for."""
        self._stale = False
        if self._hidden or not self.view or not self.is_attached:
            self._stale = self._hidden
            return False
        if self._inks is None or not self._inks.current:
            self._restyle()
        top = self._measure()
        self._place(top)
        self._rows = self._visible_rows(top)
        self.overlay(self._rows)
        self._rows_size = self.view
        self._cache.trim({row.serial for row in self._rows})
        return True

    def _restyle(self) -> None:
        self._inks = ink.Inks(self)
        self._cache.forget_strips()

    def _place(self, top: int) -> None:
        """Sets the scroll position and the extent without a layout, and without the watchers of a reader's moves."""
        total, height = self._heights.total, self.view.height
        extent = Size(self.view.width, total if total > height else 0)
        if self.virtual_size != extent:
            self.set_reactive(Widget.virtual_size, extent)
        if self.scroll_y != top:
            self.set_reactive(Widget.scroll_y, top)
        if self.scroll_target_y != top:
            self.set_reactive(Widget.scroll_target_y, top)
        self._move_thumb(extent.height, height, top)

    def _move_thumb(self, total: int, height: int, top: int) -> None:
        """Repaints the scroll bar only when its thumb moves by half a cell: it is tall, and costs bytes."""
        if not self.show_vertical_scrollbar:
            return
        thumb = (2 * top * height // total, 2 * height * height // total) if total else (0, 0)
        if thumb != self._thumb or self.is_vertical_scrollbar_grabbed:
            self._thumb = thumb
            self.vertical_scrollbar.place(total, height, top)

    def _visible_rows(self, top: int) -> list[Row]:
        rows: list[Row] = []
        width, height = self.view
        if self._slots:
            index, offset = self._heights.locate(top)
            while index < len(self._slots) and len(rows) < height:
                lines = self._lines_at(index, width)
                serial = self._slots[index].serial
                seen = range(offset, min(len(lines), offset + height - len(rows)))
                rows += [self._row(serial, number, width) for number in seen]
                index, offset = index + 1, 0
        if len(rows) < height:
            # What lies below the end belongs to the end, so that a selection can begin there.
            serial = self._slots[-1].serial if self._slots else 0
            blank = ink.paint(BLANK, width, self.inks)
            rows += [Row(*blank, BLANK, serial, BELOW)] * (height - len(rows))
        return rows

    def heads(self) -> list[tuple[int, int]]:
        """The first line in view of each piece that shows anything there: its row on the screen, and its serial."""
        found: dict[int, int] = {}
        for y, row in enumerate(self._rows):
            if row.number != BELOW and row.serial not in found and row.line.plain.strip():
                found[row.serial] = y
        return [(y, serial) for serial, y in found.items()]

    @property
    def vertical_scrollbar(self) -> ThinBar:
        """The scroll bar, made when it is needed first."""
        if not isinstance(self._vertical_scrollbar, ThinBar):
            self._vertical_scrollbar = ThinBar()
            self._vertical_scrollbar.display = False
            self.app._start_widget(self, self._vertical_scrollbar)
        return self._vertical_scrollbar

    @property
    def view(self) -> Size:
        """What is seen of the list: the widget's size without the scroll bar."""
        return Size(max(0, self.size.width - self.scrollbar_size_vertical), self.size.height)

    @property
    def inks(self) -> ink.Inks:
        """The styles in use."""
        if self._inks is None:
            self._inks = ink.Inks(self)
        return self._inks

    def _row(self, serial: int, number: int, width: int) -> Row:
        kept = self._cache[serial]
        row = self.dress(kept.lines[number], serial, number)
        spans = self.spans(row, serial, number)
        if spans or row is not kept.lines[number]:
            return Row(*ink.paint(row, width, self.inks, spans), row, serial, number)
        painted = kept.strips[number]
        if painted is None:
            painted = kept.strips[number] = ink.paint(row, width, self.inks)
        return Row(*painted, row, serial, number)

    def render_lines(self, crop: Region) -> list[Strip]:
        """The rows as they were arranged. Bypasses Textual's style cache: that would make a new strip of every row."""
        if self._rows_size != self.view or self._inks is None or not self._inks.current:
            self._arrange()
        strips = [row.strip for row in self._rows[crop.y : crop.bottom]]
        if len(strips) < crop.height:
            strips += [Strip.blank(self.view.width, self.inks.base)] * (crop.height - len(strips))
        _, background = self.background_colors
        for line_filter in self.get_line_filters():
            strips = [strip.apply_filter(line_filter, background) for strip in strips]
        if crop.column_span != (0, self.view.width):
            strips = [strip.crop(*crop.column_span) for strip in strips]
        return strips

    def render_line(self, y: int) -> Strip:
        """A row with the offsets by which the screen finds out what a mouse selects."""
        if not 0 <= y < len(self._rows):
            return Strip.blank(self.view.width, self.rich_style)
        row = self._rows[y]
        return row.strip.apply_offsets(0, row.serial << ROW_BITS | row.number)

    # ------------------------------------------------------------------------------------------- the reader's moves

    def _scroll_to(self, x: float | None = None, y: float | None = None, **options: Any) -> bool:
        # At once: an animation would move through heights that are still being corrected.
        return super()._scroll_to(x, y, **{**options, "animate": False})

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Runs when the reader moves the view (the list itself moves it without watchers)."""
        if round(old_value) == round(new_value):
            return
        self._reading = None
        self.following = new_value >= self.max_scroll_y
        self._settle_and_attach()
        self._thumb = (-1, -1)
        self._move_thumb(self.virtual_size.height, self.view.height, round(self.scroll_y))

    def _settle_and_attach(self) -> None:
        """Settles; a view that turns out to be at the end stays there."""
        self.settle()
        if not self.following and not self.held and self.scroll_y >= self.max_scroll_y:
            self.following = True

    def follow(self) -> None:
        """Goes to the end and stays there."""
        self.following = True
        self.settle_soon()

    def action_scroll_end(self) -> None:
        """The End key."""
        self.follow()

    def show(self, serial: int, number: int = 0, *, margin: int = 0) -> None:
        """Scrolls so that a line of a piece is near the top.

        Args:
            serial: Which piece.
            number: Which of its lines.
            margin: How many rows above it stay visible.
        """
        index = self.index_of(serial)
        self._reading = None
        self.following = False
        if self.view and not self._hidden:
            self._measure_up(index, self.view.height)
            self._measure_down(index, 2 * self.view.height + number)
            self._place(max(0, self._heights.before(index) + number - margin))
        self._settle_and_attach()

    def on_resize(self) -> None:
        """Wraps anew; the first visible text keeps its place."""
        self.settle()

    def on_show(self) -> None:
        """Catches up with what happened out of sight."""
        self._hidden = False
        self.settle()

    def on_hide(self) -> None:
        """Out of sight, nothing is rendered."""
        self._hidden = True

    def notify_style_update(self) -> None:
        """The theme or a style sheet changed."""
        super().notify_style_update()
        self._inks = None
        self.settle_soon()

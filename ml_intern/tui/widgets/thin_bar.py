"""A scroll bar that repaints the cells its thumb has left or reached, and no others."""

from __future__ import annotations

from typing import Self

from rich.color import Color
from rich.segment import Segment
from textual.geometry import Region
from textual.scrollbar import ScrollBar, ScrollBarRender
from textual.strip import Strip

_DEFAULT = Color.default()


class ThinBar(ScrollBar):
    """Shows which part of a list is seen. It looks like Textual's own and costs less.

    Textual repaints the whole bar, by way of a console and a cache of styles, whenever anything about it changes. That
    takes longer than the rows of a list, and a bar goes over the wire cell by cell, each with its position.
    """

    def __init__(self) -> None:
        super().__init__(vertical=True, name="vertical")
        self._seen = (0, 0, 0)
        self._painted: list[Segment] = []

    def place(self, total: int, window: int, top: int) -> None:
        """Shows that `window` of `total` rows are seen, from the row `top` on.

        What Textual sets with every layout serves for dragging and is not shown: it comes behind the rows of the list.
        """
        self._seen = (total, window, top)
        self.set_reactive(ScrollBar.window_virtual_size, total)
        self.set_reactive(ScrollBar.window_size, window)
        self.set_reactive(ScrollBar.position, top)
        self.refresh()

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """Has the cells painted that have changed. Textual asks for all of them with every layout."""
        before, self._painted = self._painted, self._cells()
        if not regions and repaint and not layout and len(before) == len(self._painted):
            cells = enumerate(zip(before, self._painted, strict=True))
            regions = tuple(Region(0, y, 1, 1) for y, (old, new) in cells if old != new)
            repaint = bool(regions)
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def _cells(self) -> list[Segment]:
        if not self.size or not isinstance(look := self.render(), ScrollBarRender):
            return []
        style, height = self.app.console.get_style(look.style), self.size.height
        total, window, top = self._seen
        bar = look.render_bar(
            size=height,
            virtual_size=total,
            window_size=window if window < total else 0,
            position=top,
            back_color=style.bgcolor or _DEFAULT,
            bar_color=style.color or _DEFAULT,
        )
        return list(bar.segments)[:height]  # near the end it is drawn one too long

    def render_lines(self, crop: Region) -> list[Strip]:
        """A strip for each cell; few of them differ."""
        cells = self._cells()[crop.y : crop.bottom]
        strips = {cell: Strip([cell], 1) for cell in cells}
        _, background = self.background_colors
        for line_filter in self.get_line_filters():
            strips = {cell: strip.apply_filter(line_filter, background) for cell, strip in strips.items()}
        return [strips[cell] for cell in cells]

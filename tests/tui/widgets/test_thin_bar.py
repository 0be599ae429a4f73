from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.geometry import Region
from textual.scrollbar import ScrollBar
from textual.strip import Strip

from ml_intern.tui.widgets.thin_bar import ThinBar
from tests.tui.widgets.support import Host

HEIGHT = 20
PLACES = (
    (100, HEIGHT, 0),
    (100, HEIGHT, 3),
    (100, HEIGHT, 80),
    (21, HEIGHT, 1),
    (5_000, HEIGHT, 2_345),
    (10, HEIGHT, 0),
)
"""Rows in all, rows seen, the first of them."""


class Bars(Horizontal):
    DEFAULT_CSS = "Bars { height: 20; } Bars > * { width: 1; height: 100%; }"

    def compose(self) -> ComposeResult:
        yield ThinBar()
        yield ScrollBar(thickness=1)


class Noted(ThinBar):
    """Notes which cells are to be painted anew."""

    def __init__(self) -> None:
        super().__init__()
        self.refreshed: list[Region] = []

    def _set_dirty(self, *regions: Region) -> None:
        self.refreshed += regions or [self.size.region]
        super()._set_dirty(*regions)


class NotedBar(Bars):
    def compose(self) -> ComposeResult:
        yield Noted()


def looks(strips: list[Strip]) -> list[tuple[str, object, object]]:
    """Of each cell the glyph, the colour that fills it, and what a press of the mouse does."""
    styled = [(cell.text, cell.style) for strip in strips for cell in strip]
    assert len(styled) == HEIGHT
    return [(text, style.color if style.reverse else style.bgcolor, style.meta) for text, style in styled if style]


async def test_it_looks_and_acts_like_that_of_textual() -> None:
    async with Host(Bars()).run_test(size=(10, HEIGHT)) as pilot:
        thin, own = pilot.app.query_one(ThinBar), pilot.app.query(ScrollBar).last()
        whole = Region(0, 0, 1, HEIGHT)
        for total, window, top in PLACES:
            thin.place(total, window, top)
            own.window_virtual_size, own.window_size, own.position = total, window, top
            await pilot.pause()
            assert looks(thin.render_lines(whole)) == looks(own.render_lines(whole))


async def test_only_the_ends_of_a_thumb_that_moves_are_painted() -> None:
    async with Host(NotedBar()).run_test(size=(10, HEIGHT)) as pilot:
        bar = pilot.app.query_one(Noted)
        bar.place(100, HEIGHT, 40)
        bar.refreshed.clear()
        bar.place(101, HEIGHT, 45)
        assert 0 < len(bar.refreshed) <= 3
        bar.refreshed.clear()
        bar.place(101, HEIGHT, 45)
        bar.refresh()  # as Textual does with every layout
        assert not bar.refreshed

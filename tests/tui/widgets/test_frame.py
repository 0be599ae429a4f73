from __future__ import annotations

from typing import Any, Self

from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.geometry import Region

from ml_intern.tui.widgets.frame import entitle


class Box(Vertical):
    DEFAULT_CSS = "Box { border: solid red; padding: 1 2; }"
    repaints = 0
    painted: tuple[Region, ...] = ()

    def refresh(self, *regions: Any, **options: Any) -> Self:
        self.repaints += 1
        self.painted += regions
        return super().refresh(*regions, **options)


class Shown(App[None]):
    def compose(self) -> ComposeResult:
        yield Box()


async def test_a_title_that_stays_repaints_nothing_and_is_no_markup() -> None:
    async with Shown().run_test() as pilot:
        box = pilot.app.query_one(Box)
        before = box.repaints
        entitle(box, "calls · [red]2", "more [x]")
        assert box.repaints == before + 2
        for _ in range(3):
            entitle(box, "calls · [red]2", "more [x]")
            entitle(box, subtitle="more [x]")
        assert box.repaints == before + 2
        entitle(box, subtitle="")
        assert box.repaints == before + 3
        assert (str(box._border_title), box.border_subtitle) == ("calls · [red]2", None)


async def test_a_new_title_paints_its_row_of_the_border_and_nothing_inside() -> None:
    async with Shown().run_test(size=(40, 10)) as pilot:
        box = pilot.app.query_one(Box)
        await pilot.pause()
        box.painted = tuple[Region, ...]()
        entitle(box, "3 calls", "page 2")
        rows = [region.translate(box.content_offset) for region in box.painted]
        assert rows == [Region(0, 0, 40, 1), Region(0, 9, 40, 1)]
        await pilot.pause()
        seen = pilot.app.export_screenshot().replace("&#160;", " ")
        assert "3 calls" in seen
        assert "page 2" in seen


async def test_a_title_is_taken_before_there_is_a_size() -> None:
    box = Box()
    entitle(box, "3\tcalls [x]", "page")
    assert (str(box._border_title), str(box._border_subtitle)) == ("3   calls [x]", "page")

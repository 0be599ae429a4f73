from __future__ import annotations

from typing import Any, Self

from textual.app import App, ComposeResult
from textual.containers import Vertical

from ml_intern.tui.widgets.frame import entitle


class Box(Vertical):
    repaints = 0

    def refresh(self, *regions: Any, **options: Any) -> Self:
        self.repaints += 1
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

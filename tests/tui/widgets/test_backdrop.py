from __future__ import annotations

import asyncio
from typing import Any

from rich.console import RenderableType
from textual._compositor import LayoutUpdate
from textual.app import App, ComposeResult
from textual.screen import Screen
from textual.widgets import Static

from ml_intern.tui.modals.confirm import Confirm
from ml_intern.tui.widgets.backdrop import Backdrop


class Below(Backdrop[None]):
    def compose(self) -> ComposeResult:
        yield Static("a clock", id="clock")
        yield Static("something else")


class Bench(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.whole_screens = 0
        self.paintings = 0

    def get_default_screen(self) -> Screen[None]:
        return Below()

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        self.paintings += renderable is not None
        self.whole_screens += isinstance(renderable, LayoutUpdate)
        super()._display(screen, renderable)


async def test_what_changes_below_a_dialog_does_not_repaint_the_terminal() -> None:
    app = Bench()
    async with app.run_test() as pilot:
        below = app.screen
        await app.push_screen(Confirm("leave", "Really?", "leave"))
        below.refresh()  # once everything, as a change of theme does
        await pilot.pause()
        app.whole_screens = app.paintings = 0
        for tick in range(5):
            below.query_one("#clock", Static).update(f"{tick} s", layout=False)
            await pilot.pause()
        assert app.paintings >= 5
        assert app.whole_screens == 0


async def test_a_screen_knows_how_wide_it_is_before_its_first_frame() -> None:
    app = Bench()
    app.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-medium"), (140, "-wide")]
    async with app.run_test(size=(60, 20)) as pilot:
        dialog = Confirm("leave", "Really?", "leave")
        opened = app.push_screen(dialog)
        assert dialog.has_class("-narrow")
        await opened
        await pilot.resize_terminal(160, 45)
        assert dialog.has_class("-wide")
        assert not dialog.has_class("-narrow")


async def test_what_a_key_has_asked_for_is_painted_before_the_next_tick() -> None:
    app = Bench()
    async with app.run_test() as pilot:
        await pilot.pause()
        assert isinstance(app.screen, Below)
        clock = app.screen.query_one("#clock", Static)
        app.paintings = 0
        for found in range(5):  # right after a painting Textual's clock takes its time
            app.screen.expect_change(clock)
            clock.update(f"{found} found", layout=False)
            for _ in range(20):
                await asyncio.sleep(0)  # turns of the loop, which take no time
        assert app.paintings == 5

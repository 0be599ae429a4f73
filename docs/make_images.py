"""Makes the pictures of the documentation from the running app: `uv run python docs/make_images.py`.

The app runs the practice session in a terminal of its own size; each picture is what it shows at that moment.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from ml_intern.options import DEMO_MODEL, Options
from ml_intern.tui.app import MLInternApp
from ml_intern.tui.modals.approvals import ApprovalDialog
from ml_intern.tui.screens.jobs import JobsScreen
from ml_intern.tui.screens.review import ReviewScreen
from ml_intern.tui.screens.sessions import SessionsScreen

IMAGES = Path(__file__).parent / "images"
WAIT_S = 60.0


async def until(holds: Callable[[], bool]) -> None:
    """Waits until the app has come to a point."""
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - what it waits for is on a screen, which sends no event
            await asyncio.sleep(0.05)


def keep(app: MLInternApp, name: str) -> None:
    """Writes what the app shows as `images/NAME.svg`, without the places of this machine."""
    svg = app.export_screenshot(title="ml-intern")
    svg = re.sub(r"/[^\s<&;]*?/practice/[\w.-]+", "~/practice", svg)
    # The export names each picture's classes at random; fixed names keep the files comparable.
    svg = re.sub(r"terminal-\d+", f"terminal-{name}", svg)
    (IMAGES / f"{name}.svg").write_text(svg, encoding="utf-8")
    print(f"images/{name}.svg")  # noqa: T201 - the script's own output


async def practice(theme: str, size: tuple[int, int], names: tuple[str, str, str], *, tour: bool = False) -> None:
    """One practice session: a picture at the start, at the first approval, and at the end; then other screens."""
    app = MLInternApp(Options(demo=True, model=DEMO_MODEL, theme=theme))
    async with app.run_test(size=size) as pilot:
        state = app.main_screen.state
        await until(lambda: state.ready)
        await pilot.pause()
        keep(app, names[0])
        await pilot.press("enter")
        await until(lambda: isinstance(app.screen, ApprovalDialog))
        await pilot.pause(1.0)  # the dialog's moment of grace
        keep(app, names[1])
        while True:
            await pilot.press("a")
            await until(lambda: not isinstance(app.screen, ApprovalDialog))
            await until(lambda: isinstance(app.screen, ApprovalDialog) or not state.running)
            if not state.running:
                break
            await pilot.pause(1.0)
        await pilot.pause()
        keep(app, names[2])
        if tour:
            await screens(app, pilot)


async def screens(app: MLInternApp, pilot: Pilot[None]) -> None:
    """Pictures of the screens about what has been done."""
    await pilot.press("f3")
    await until(lambda: isinstance(app.screen, JobsScreen))
    await pilot.pause(2.0)  # the log is read once the cursor has rested on a job
    keep(app, "jobs")
    await pilot.press("escape", "f2")
    await until(lambda: isinstance(app.screen, SessionsScreen))
    await pilot.pause(1.0)
    keep(app, "sessions")
    await pilot.press("enter")
    await until(lambda: isinstance(app.screen, ReviewScreen))
    await pilot.pause(1.0)
    await pilot.press("p", "a")
    await pilot.pause(1.0)
    keep(app, "review")


def main() -> None:
    """Makes all pictures."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ["ML_INTERN_HOME"] = home
        asyncio.run(practice("", (150, 40), ("start", "approval", "main"), tour=True))
        asyncio.run(practice("", (80, 24), ("start-narrow", "approval-narrow", "main-narrow")))


if __name__ == "__main__":
    main()

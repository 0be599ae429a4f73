"""Makes the pictures of the documentation from the running app: `uv run python -m docs.make_images [NAME...]`.

Nothing in them is drawn by hand. Most come from the practice session. Those about money come from the real agent, which
works with a scripted model and rents from the stand-in Hub of the tests. Times and ids differ from run to run.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from docs.drawing import keep, scrubbed, write
from docs.rented import rented
from ml_intern.core.llm.practice import SUGGESTION
from ml_intern.options import DEMO_MODEL, Options
from tests.tui.stage import Stage, WatchedApp, on_stage

WIDE, MEDIUM, NARROW = (150, 40), (110, 32), (60, 24)
TOUR = Path(__file__).parent / "tour.md"
PATIENCE_S = 60.0
CALLS_SINCE_EDIT = 4
"""The practice session ends with a job, a step of the plan, a file that is read, and the plan's end."""


@asynccontextmanager
async def practice(size: tuple[int, int], theme: str = "ml-intern-dark") -> AsyncIterator[Stage]:
    """A person in front of a practice session that has not begun."""
    app = WatchedApp(Options(demo=True, model=DEMO_MODEL, theme=theme))
    async with on_stage(app, size) as stage:
        await stage.until(lambda: app.main_screen.state.ready, "the session to be ready", PATIENCE_S)
        await stage.pilot.pause()
        yield stage


async def to_approval(stage: Stage, prompt: str = "") -> None:
    """Sends a prompt, or the suggested one, and goes on until the first job is asked about."""
    await stage.enter(prompt)
    await stage.sees("why asked", timeout=PATIENCE_S)
    await stage.pilot.pause(1.0)  # the dialog's moment of grace


async def to_the_end(stage: Stage) -> None:
    """Approves both jobs, and waits for the report."""
    for _ in range(2):
        await to_next(stage)


async def to_next(stage: Stage) -> None:
    """Approves a job, and waits for the next one or the report."""
    state = stage.app.main_screen.state
    await stage.press("a")
    await stage.sees_no_more("why asked")
    await stage.until(lambda: "why asked" in stage.screen or not state.running, "the job to end", PATIENCE_S)
    await stage.pilot.pause(1.0)


async def shown(stage: Stage, name: str, *texts: str) -> None:
    """Waits until these texts are to be seen and nothing moves, and keeps the picture."""
    await stage.sees(*texts, timeout=PATIENCE_S)
    await stage.pilot.pause(1.0)  # what is told by and by: logs, previews
    keep(stage.app, name)


async def whole_session() -> None:
    """The practice session from its first frame to its report, and the screens about what was done."""
    async with practice(WIDE) as stage:
        await shown(stage, "start", "sends the suggested prompt")
        await to_approval(stage)
        await to_the_end(stage)
        await shown(stage, "main", "The improved classifier")
        await call_in_full(stage)
        await screens(stage)


async def call_in_full(stage: Stage) -> None:
    """The change that was made between the two runs, old and new side by side."""
    await stage.press("ctrl+o", *["left"] * CALLS_SINCE_EDIT)
    await shown(stage, "diff", "edit", "train.py")
    await stage.press("escape")


async def screens(stage: Stage) -> None:
    """The screens that one opens beside the work."""
    await stage.press("f3")
    await shown(stage, "jobs", "accuracy=")
    await stage.press("escape")
    await stage.enter("/dataset data.csv")
    await stage.sees("topic", timeout=PATIENCE_S)
    await stage.press("down")
    await shown(stage, "dataset", "mean")
    await stage.press("escape")
    await stage.enter("/review")
    await stage.sees("event", timeout=PATIENCE_S)
    await stage.press("home", "a")
    await shown(stage, "review", "approval asked")
    await stage.press("escape", "f5")
    await shown(stage, "settings", "settings")
    await stage.press("escape")
    await stage.enter("/keys")
    await shown(stage, "keys", "the main screen")


async def narrow() -> None:
    """The same work in 60 columns, where the panes become tabs."""
    async with practice(NARROW) as stage:
        await to_approval(stage, "Train a classifier on data.csv, with 10 epochs")
        await to_the_end(stage)
        await shown(stage, "main-narrow", "/model")


def themed(name: str, prompt: str) -> Callable[[], Coroutine[Any, Any, None]]:
    """The first half of the session in another theme."""

    async def scene() -> None:
        async with practice(MEDIUM, f"ml-intern-{name}") as stage:
            await to_approval(stage, prompt)
            await to_next(stage)
            await to_next(stage)
            await shown(stage, f"main-{name}", "/model")

    return scene


async def plain() -> None:
    """The practice session line by line, without a screen, to its first approval."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "ml_intern", "--plain", "--demo")
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    assert process.stdin is not None
    assert process.stdout is not None
    told = await until(process.stdout, "really reaches.\n")
    process.stdin.write(f"{SUGGESTION}\n".encode())
    told += f"{SUGGESTION}\n" + await until(process.stdout, "end the turn.\n")
    process.stdin.close()
    await process.wait()
    write("plain.txt", scrubbed(told))
    quote(scrubbed(told).splitlines())


def quote(told: list[str]) -> None:
    """Puts the question about the job into the tour, without the script."""
    begin = next(number for number, line in enumerate(told) if line.startswith("tool hf_jobs"))
    end = next(number for number, line in enumerate(told) if line.startswith("check passed: stopped"))
    block = "\n".join(("```text", *told[begin : end + 1], "…", told[-1], "```"))
    tour = TOUR.read_text(encoding="utf-8")
    TOUR.write_text(re.sub(r"```text\n.*?```", lambda _: block, tour, flags=re.DOTALL), encoding="utf-8")


async def until(stream: asyncio.StreamReader, end: str) -> str:
    """What is told up to some words."""
    async with asyncio.timeout(PATIENCE_S):
        return (await stream.readuntil(end.encode())).decode()


SCENES: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
    "narrow": narrow,
    "light": themed("light", "How good does a small classifier get on data.csv? Use 20 epochs."),
    "contrast": themed("contrast", "Classify the messages in data.csv, 30 epochs, and show me what it gets wrong"),
    "session": whole_session,
    "plain": plain,
    "rented": rented,
}
"""In this order: the list of sessions in the last one shows those before."""


def main() -> None:
    """Makes the scenes that were named, or all."""
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(HOME=home, ML_INTERN_HOME=str(Path(home, "home")))
        os.chdir(home)
        for name in sys.argv[1:] or SCENES:
            asyncio.run(SCENES[name]())


if __name__ == "__main__":
    main()

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from ml_intern.core.protocol import ApprovalRequired, ContextUsage, Processing
from tests.tui.playback import PlayedAgent, played_app
from tests.tui.price_list import price_list
from tests.tui.stage import Stage, WatchedApp
from tests.tui.test_artifacts import Shelf, made
from tests.tui.test_hardware import rented
from tests.tui.test_spend import call, job, past, running

Compare = Callable[..., bool]
Act = Callable[[Stage, PlayedAgent], Awaitable[None]]
SIZES = pytest.mark.parametrize("size", [(60, 20), (100, 30), (160, 45)], ids=["narrow", "medium", "wide"])


def picture(app: WatchedApp, agents: list[PlayedAgent], act: Act) -> Callable[[Pilot[None]], Any]:
    async def prepare(pilot: Pilot[None]) -> None:
        stage = Stage(app, pilot)
        await stage.sees("claude-opus")
        await act(stage, agents[0])
        await pilot.pause()

    return prepare


async def settled(stage: Stage, size: tuple[int, int]) -> None:
    """The dialog has its width, and what is beside it is painted."""
    await stage.sees("why asked")
    if size[0] < 100:
        await stage.until(lambda: stage.screen.startswith("╭"), "the dialog to take the whole width")
    else:
        await stage.until(lambda: stage.screen.split("\n")[-1].startswith(" wait"), "the screen behind it")


@SIZES
def test_approval_of_a_job(snap_compare: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    app, agents = played_app(tmp_path, jobs=price_list())

    async def act(stage: Stage, agent: PlayedAgent) -> None:
        agent.events.play(Processing(), ApprovalRequired(tools=(rented(),), count=1, spent_usd=1.42, cap_usd=10.0))
        await settled(stage, size)

    assert snap_compare(app, terminal_size=size, run_before=picture(app, agents, act))


@SIZES
def test_hardware(snap_compare: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    app, agents = played_app(tmp_path, jobs=price_list())

    async def act(stage: Stage, agent: PlayedAgent) -> None:
        agent.events.play(Processing(), ApprovalRequired(tools=(rented(),), count=1, spent_usd=1.42, cap_usd=10.0))
        await settled(stage, size)
        await stage.press("h")
        await stage.sees("✗ too small")

    assert snap_compare(app, terminal_size=size, run_before=picture(app, agents, act))


@SIZES
@pytest.mark.parametrize("tab", ["1", "2"], ids=["session", "days"])
def test_spend(snap_compare: Compare, tmp_path: Path, size: tuple[int, int], tab: str) -> None:
    app, agents = played_app(tmp_path)
    for day in range(1, 31):
        past(tmp_path, f"run-{day:02}", f"2025-12-{day:02}", call(day * (day % 4) / 10))

    async def act(stage: Stage, agent: PlayedAgent) -> None:
        agent.events.play(
            call(0.30),
            call(0.12, state="measured"),
            job("66f1", 2.0),
            running("66f1", 2.0, 2.0),
            ContextUsage(tokens=1, window=10, cost_usd=0.42, cap_usd=10.0, promised_usd=2.0),
        )
        await stage.pilot.pause()
        await stage.press("f4", "2")
        await stage.sees("2025-12-29")
        await stage.until(lambda: "reading the logs" not in stage.screen, "the logs to be read")
        await stage.press(tab)

    assert snap_compare(app, terminal_size=size, run_before=picture(app, agents, act))


@SIZES
def test_artifacts(snap_compare: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    app, agents = played_app(tmp_path, artifacts=Shelf("ada/notes"))

    async def act(stage: Stage, agent: PlayedAgent) -> None:
        agent.events.play(made(), made("ada/notes", "dataset", private=True), made("ada/board", "space", "found"))
        await stage.enter("/artifacts")
        await stage.sees("✓ created")

    assert snap_compare(app, terminal_size=size, run_before=picture(app, agents, act))

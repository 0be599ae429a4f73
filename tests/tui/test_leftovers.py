from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.jobs import JobsError
from ml_intern.core.protocol import Leftover, LeftoversEvent, Processing
from tests.tui.playback import PlayedAgent, played_app
from tests.tui.stage import Stage, on_stage


def left(name: str = "66f1", **more: Any) -> Leftover:
    facts = {
        "backend": "hub", "kind": "job", "id": name, "flavor": "a10g-small", "stage": "RUNNING",
        "since": "2026-01-01T10:00:00+00:00", "usd_per_hour": 1.0, "cost_usd": 2.0, "title": "sft run",
    }  # fmt: skip
    return Leftover.model_validate({**facts, **more})


BOX = left("box", kind="sandbox", flavor="t4-small", usd_per_hour=0.4, cost_usd=0.1, title="")


class Ending:
    """Remembers what was ended."""

    def __init__(self, fault: str = "") -> None:
        self.ended: list[str] = []
        self._fault = fault

    async def __call__(self, item: Leftover) -> None:
        if self._fault:
            raise JobsError(self._fault)
        self.ended.append(item.id)


@asynccontextmanager
async def started(
    directory: Path, ending: Ending, size: tuple[int, int] = (100, 30)
) -> AsyncIterator[tuple[Stage, PlayedAgent]]:
    app, agents = played_app(directory, end_leftover=ending)
    async with on_stage(app, size) as stage:
        await stage.sees("Ask for machine-learning work", "claude-opus")
        yield stage, agents[0]


async def test_what_was_left_running_is_told_with_its_price_and_kept_unless_said_otherwise(tmp_path: Path) -> None:
    ending = Ending()
    async with started(tmp_path, ending) as (stage, agent):
        agent.events.play(LeftoversEvent(items=(left(), left("66f2"), BOX)))
        await stage.sees("2 jobs and 1 sandbox of earlier sessions still run: $2.40/h, $4.10 so far.")
        await stage.sees("○ keep job 66f1 · a10g-small · $1.00/h · $2.00 so far · 2 h ago · sft run")
        await stage.sees("Enter keeps everything.")
        await stage.press("enter")
        await stage.sees_no_more("left running")
        assert ending.ended == []


async def test_each_is_kept_or_ended_as_marked(tmp_path: Path) -> None:
    ending = Ending()
    async with started(tmp_path, ending) as (stage, agent):
        agent.events.play(LeftoversEvent(items=(left(), left("66f2"), BOX)))
        await stage.sees("left running")
        await stage.press("down", "space", "down", "space", "space", "up", "up")
        await stage.sees("✗ end  job 66f2", "○ keep sandbox box", "Enter ends 1 of 3.")
        await stage.press("enter")
        await stage.sees("Ended 1 thing of earlier sessions.")
        assert ending.ended == ["66f2"]


async def test_ending_all_spares_what_another_machine_may_use(tmp_path: Path) -> None:
    ending = Ending()
    async with started(tmp_path, ending) as (stage, agent):
        agent.events.play(LeftoversEvent(items=(left(), left("66f2", here=False))))
        await stage.sees("another machine")
        await stage.press("a")
        await stage.sees("Enter ends 1 of 2.")
        await stage.press("down", "space")
        await stage.sees("1 of them may still be in use on another machine.")
        await stage.press("space", "enter")
        await stage.sees("Ended 1 thing")
        assert ending.ended == ["66f1"]


async def test_later_asks_again_on_demand(tmp_path: Path) -> None:
    async with started(tmp_path, Ending()) as (stage, agent):
        agent.events.play(LeftoversEvent(items=(left(),)))
        await stage.sees("1 job of earlier sessions still runs")
        await stage.press("escape")
        await stage.sees_no_more("left running")
        await stage.enter("/leftovers")
        await stage.sees("1 job of earlier sessions still runs")


async def test_what_cannot_be_ended_says_why(tmp_path: Path) -> None:
    async with started(tmp_path, Ending("The job 66f1 could not be ended: it is another's.")) as (stage, agent):
        agent.events.play(LeftoversEvent(items=(left(),)))
        await stage.sees("left running")
        await stage.press("a", "enter")
        await stage.sees("The job 66f1 could not be ended")


@pytest.mark.parametrize("busy", ["typing", "turn", "elsewhere"])
async def test_nobody_is_disturbed_who_types_or_waits_for_a_turn_or_is_elsewhere(tmp_path: Path, busy: str) -> None:
    async with started(tmp_path, Ending()) as (stage, agent):
        if busy == "typing":
            await stage.type("train")
        elif busy == "elsewhere":
            await stage.press("f1")
            await stage.sees("help")
        else:
            agent.events.play(Processing())
            await stage.sees("working")
        agent.events.play(LeftoversEvent(items=(left(),)))
        await stage.pilot.pause()
        assert "left running" not in stage.screen


async def test_what_is_told_again_is_not_asked_again(tmp_path: Path) -> None:
    async with started(tmp_path, Ending()) as (stage, agent):
        agent.events.play(LeftoversEvent(items=(left(), BOX)))
        await stage.sees("left running")
        await stage.press("escape")
        agent.events.play(LeftoversEvent(items=(BOX,)))
        await stage.pilot.pause()
        assert "left running" not in stage.screen


async def test_without_leftovers_the_command_says_so(tmp_path: Path) -> None:
    async with started(tmp_path, Ending()) as (stage, _):
        await stage.enter("/leftovers")
        await stage.sees("Nothing of earlier sessions runs")


async def test_odd_ones_are_told_as_they_are(tmp_path: Path) -> None:
    odd = {
        "still runs: free of charge.": left(usd_per_hour=0.0, cost_usd=0.0, backend="local"),
        "still runs: at an unknown price.": left(usd_per_hour=None, cost_usd=None),
        "[bold]x[/bold]": left(since="soon", title="[bold]x[/bold]"),
    }
    async with started(tmp_path, Ending(), size=(120, 20)) as (stage, agent):
        for number, (said, item) in enumerate(odd.items()):
            agent.events.play(LeftoversEvent(items=(item,)))
            if number:  # by itself the question is asked once
                await stage.enter("/leftovers")
            await stage.sees(said)
            await stage.press("escape")
            await stage.sees_no_more(said)


async def test_marks_names_prices_and_keys_are_seen_at_every_size(tmp_path: Path) -> None:
    async with started(tmp_path, Ending()) as (stage, agent):
        agent.events.play(LeftoversEvent(items=(left(), BOX)))
        for size in ((60, 20), (80, 24), (160, 45)):
            await stage.resize(*size)
            await stage.sees(
                "○ keep job 66f1 · a10g-small · $1.00/h",
                "○ keep sandbox box",
                "space or 1-9 keep or end",
                "esc later",
            )

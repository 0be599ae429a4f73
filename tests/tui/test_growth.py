from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from ml_intern.core.protocol import (
    AssistantMessage,
    Processing,
    ToolCallEvent,
    ToolOutput,
    ToolStateChange,
    UserMessage,
)
from ml_intern.tui.widgets.tool_list import ToolList
from ml_intern.tui.widgets.transcript import Transcript
from tests.support.counting import counted_calls
from tests.tui.playback import PlayedAgent, played_app
from tests.tui.stage import Stage, settled

ANSWER = "The run on **two cards** ended after {0} minutes.\n\n- first\n- second\n\n| a | b |\n|---|---|\n| 1 | 2 |"
SPARE = 1.1
"""Work differs a little from one time to the next; what depends on the length of a session shows many times over."""


@asynccontextmanager
async def session(directory: Path) -> AsyncIterator[tuple[Stage, PlayedAgent]]:
    app, agents = played_app(directory)
    async with app.run_test(size=(120, 40)) as pilot:
        stage = Stage(app, pilot)
        await stage.until(lambda: bool(agents) and app.main_screen.state.ready)
        yield stage, agents[0]


async def work_of(deed: Callable[[], Awaitable[None]], inside: str = "") -> int:
    """Calls of functions that something takes, the least of some times: timers fall into the others."""
    found = []
    for _ in range(6):
        with counted_calls(inside=inside) as counted:
            await deed()
        found.append(counted.total)
    return min(found)


async def test_a_key_is_as_much_work_with_two_thousand_messages_as_with_a_hundred(tmp_path: Path) -> None:
    async with session(tmp_path) as (stage, agent):

        async def said(number: int) -> None:
            transcript = stage.app.query_one(Transcript)
            for at in range((number - len(transcript)) // 2):
                agent.events.play(UserMessage(content=f"{at}?"), AssistantMessage(content=ANSWER.format(at)))
            await stage.until(lambda: len(transcript) == number)
            await settled(stage.pilot)

        async def key() -> None:
            await stage.press("x")

        await said(100)
        few = await work_of(key)
        await stage.press("ctrl+u")
        await said(2_000)
        assert await work_of(key) < few * SPARE


async def test_a_tool_turn_is_as_much_work_after_a_thousand_as_after_a_hundred(tmp_path: Path) -> None:
    async with session(tmp_path) as (stage, agent):
        done = 0

        async def calls(number: int) -> None:
            nonlocal done
            for _ in range(number):
                done += 1
                name, arguments = f"c{done}", {"command": f"echo {done}"}
                agent.events.play(ToolCallEvent(tool="bash", arguments=arguments, tool_call_id=name))
                agent.events.play(ToolStateChange(tool="bash", tool_call_id=name, state="running"))
                agent.events.play(ToolOutput(tool="bash", tool_call_id=name, output="ok", success=True))
            await stage.until(is_shown)
            await settled(stage.pilot)

        def is_shown() -> bool:
            entry = stage.app.main_screen.query_one(ToolList).entry(f"c{done}")
            return entry is not None and entry.state == "completed"

        agent.events.play(UserMessage(content="Work."), Processing())
        await calls(100)
        few = await work_of(lambda: calls(1), "ml_intern/")
        await calls(1_000)
        assert await work_of(lambda: calls(1), "ml_intern/") < few * SPARE

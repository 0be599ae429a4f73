from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

from ml_intern.core.protocol import (
    AssistantChunk,
    AssistantMessage,
    EventBase,
    Interrupt,
    Notice,
    Processing,
    SubagentEvent,
    SubagentState,
    ToolLog,
    UserInput,
)
from ml_intern.options import Options
from ml_intern.tui import messages
from ml_intern.tui.bridge import NESTED_S, Bridge
from tests.tui.playback import PlayedAgent, played_app


class Listener:
    """Takes the bridge's messages in place of a screen."""

    def __init__(self) -> None:
        self.messages: list[messages.AgentMessage] = []
        self._arrived = asyncio.Event()

    def take(self, message: messages.AgentMessage) -> None:
        self.messages.append(message)
        self._arrived.set()

    async def until(self, kind: type[messages.AgentMessage]) -> messages.AgentMessage:
        async with asyncio.timeout(5):
            while True:
                for message in self.messages:
                    if isinstance(message, kind):
                        return message
                self._arrived.clear()
                await self._arrived.wait()


async def served(
    directory: Path, *, faults: tuple[Exception, ...] = ()
) -> tuple[Bridge, Listener, PlayedAgent, asyncio.Task[None]]:
    app, agents = played_app(directory, faults=faults)
    listener = Listener()
    bridge = Bridge(listener.take, Options(), app._agent.connect)
    serving = asyncio.create_task(bridge.serve())
    await listener.until(messages.SessionChanged)
    return bridge, listener, agents[0], serving


async def test_pieces_of_a_reply_are_passed_on_at_once_and_in_their_place(tmp_path: Path) -> None:
    bridge, listener, agent, serving = await served(tmp_path)
    start = len(listener.messages)
    agent.events.play(ToolLog(tool="bash", log="one", tool_call_id="a"), AssistantChunk(content="hm", kind="reasoning"))
    agent.events.play(AssistantChunk(content="he"), AssistantChunk(content="llo"))
    told = listener.messages[start:]  # they come gathered; a second wait would be seen
    assert isinstance(told[0], messages.ToolLogged)
    replies = [message for message in told if isinstance(message, messages.ReplyText)]
    assert [(reply.kind, reply.text) for reply in replies] == [("reasoning", "hm"), ("text", "he"), ("text", "llo")]
    agent.events.play(AssistantMessage(content="hello"))
    await listener.until(messages.ReplyWhole)
    await bridge.close()
    await serving


async def test_log_lines_are_gathered_per_call_and_keep_their_place_between_other_events(tmp_path: Path) -> None:
    bridge, listener, agent, serving = await served(tmp_path)
    start = len(listener.messages)
    agent.events.play(
        ToolLog(tool="bash", log="one", tool_call_id="a"),
        ToolLog(tool="bash", log="two", tool_call_id="a"),
        ToolLog(tool="bash", log="other", tool_call_id="b"),
        Notice(text="between"),
        ToolLog(tool="bash", log="three", tool_call_id="a"),
        Processing(),
    )
    await listener.until(messages.TurnStarted)
    told = [
        (message.tool_call_id, message.text) if isinstance(message, messages.ToolLogged) else type(message)
        for message in listener.messages[start:]
    ]
    assert told == [
        ("a", "one\ntwo\n"),
        ("b", "other\n"),
        messages.Noticed,
        ("a", "three\n"),
        messages.TurnStarted,
    ]
    await bridge.close()
    await serving


async def test_sub_agents_are_shown_less_often_than_what_is_read_along_but_never_after_it(tmp_path: Path) -> None:
    bridge, listener, agent, serving = await served(tmp_path)
    await asyncio.sleep(2 * NESTED_S)  # so that the next event is the first after a pause
    start, began = len(listener.messages), asyncio.get_running_loop().time()
    shown: list[float] = []
    agent.events.play(SubagentState(agent_id="r1", label="research: moss", model="m", state="running"))
    while asyncio.get_running_loop().time() - began < 5 * NESTED_S:
        nested = ToolLog(tool="read", log="line", tool_call_id="n1")
        agent.events.play(SubagentEvent(agent_id="r1", event=nested), ToolLog(tool="x", log="l", tool_call_id="r1"))
        before = len(listener.messages)
        await asyncio.sleep(0.005)
        if len(listener.messages) > before:
            shown.append(asyncio.get_running_loop().time() - began)
    assert 2 <= len(shown) <= 7
    agent.events.play(SubagentEvent(agent_id="r1", event=ToolLog(tool="read", log="last", tool_call_id="n1")))
    agent.events.play(AssistantChunk(content="read along"))
    await listener.until(messages.ReplyText)
    kinds = [type(message) for message in listener.messages[start:]]
    assert kinds[0] is messages.SubagentMoved
    assert kinds[-2:] == [messages.ToolLogged, messages.ReplyText]
    await bridge.close()
    await serving


async def test_operations_are_made_from_their_names_and_refused_without_an_agent(tmp_path: Path) -> None:
    bridge, _, agent, serving = await served(tmp_path)
    assert bridge.send("user_input", text="hi")
    assert bridge.send("interrupt")
    assert agent.operations == [UserInput(text="hi"), Interrupt()]
    await bridge.close()
    await serving
    assert not bridge.send("interrupt")


async def test_a_fault_of_the_agent_is_told_in_words(tmp_path: Path) -> None:
    _, listener, _, serving = await served(tmp_path, faults=(RuntimeError("cable pulled"),))
    message = cast("messages.AgentLost", await listener.until(messages.AgentLost))
    assert "RuntimeError: cable pulled" in message.text
    await serving


async def test_events_nobody_shows_are_dropped(tmp_path: Path) -> None:
    bridge, listener, agent, serving = await served(tmp_path)
    before = len(listener.messages)

    class Foreign(EventBase):
        type: str = "from_the_future"

    agent.events.play(Foreign())
    assert len(listener.messages) == before
    await bridge.close()
    await serving

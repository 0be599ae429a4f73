"""The calls of a reply while the model still writes them."""

from __future__ import annotations

import io
import json
from pathlib import Path

from ml_intern.core.drafts import Drafts
from ml_intern.core.events import EventStream
from ml_intern.core.protocol import (
    EVENT,
    DraftCall,
    EventBase,
    Interrupt,
    Interrupted,
    Notice,
    ToolCallEvent,
    ToolDrafts,
    UserInput,
)
from ml_intern.core.redact import Redactor
from ml_intern.headless.output import StreamJSONOutput
from ml_intern.headless.streams import Stream
from tests.support.harness import Harness, tool
from tests.support.llm_script import Gate, call, text, tools
from tests.support.llm_server import ScriptedLLM

SCRIPT = "\n".join(f"print({number})" for number in range(400))


def watch(agent: Harness) -> list[EventBase]:
    heard: list[EventBase] = []
    agent.agent.events.subscribe(heard.append, passing=True)
    return heard


def states(heard: list[EventBase]) -> list[tuple[DraftCall, ...]]:
    return [event.calls for event in heard if isinstance(event, ToolDrafts)]


async def test_a_call_is_told_while_it_is_written_and_is_no_draft_once_it_is_whole(tmp_path: Path) -> None:
    written = tools(call("write", {"path": "train.py", "content": SCRIPT}), pieces=60).paced(0.01)
    printed = io.BytesIO()
    output = StreamJSONOutput(Stream(io.TextIOWrapper(printed)), Redactor.from_env({}))
    async with ScriptedLLM(written, text("ok")) as server, Harness(server, tmp_path) as agent:
        heard = watch(agent)
        agent.agent.events.subscribe(output.event)
        await agent.prompt()
        (path,) = (tmp_path / "home" / "sessions").rglob("*.jsonl")
        logged = path.read_text()
    told = states(heard)
    assert all(len(calls) <= 1 for calls in told)
    counts = [calls[0].lines.get("content", 0) for calls in told if calls]
    assert counts == sorted(counts)
    assert 0 < counts[-1] <= 400
    assert len(set(counts)) > 2
    last = [calls[0] for calls in told if calls][-1]
    assert (last.tool, last.arguments["path"]) == ("write", "train.py")
    assert last.arguments["content"] == SCRIPT[:400]
    assert last.tail in SCRIPT
    assert len(last.tail) == 400
    assert told[-1] == ()
    order = [type(event) for event in heard if isinstance(event, ToolDrafts | ToolCallEvent)]
    assert order.index(ToolCallEvent) == len(order) - 1
    seconds = (len(counts) - 1) * 0.1
    assert seconds <= 60 * 0.01 * 5 + 1  # ten a second, however many pieces there are
    assert "tool_drafts" not in logged + printed.getvalue().decode()


async def test_a_draft_that_breaks_off_is_taken_back(tmp_path: Path) -> None:
    gate = Gate()
    half = tools(call("bash", {"command": "make all"}), pieces=4)
    script = (half.cut_after(3), half.stall_after(3, gate))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path) as agent:
        heard = watch(agent)
        agent.submit(UserInput(text="go"))
        await gate.reached()
        await agent.until(lambda event: isinstance(event, Notice))
        assert () in states(heard)
        agent.submit(Interrupt())
        await agent.until(lambda event: isinstance(event, Interrupted))
        assert states(heard)[-1] == ()


async def test_calls_side_by_side_are_told_together_in_their_order(tmp_path: Path) -> None:
    hello = tool("hello", lambda _params, _context: "hi")
    both = tools(call("hello", {}), call("bash", {"command": "true", "timeout": 5}))
    async with ScriptedLLM(both, text("ok")) as server, Harness(server, tmp_path, tools=[hello]) as agent:
        heard = watch(agent)
        await agent.prompt()
    assert [draft.tool for draft in states(heard)[0]] == ["hello"]


async def test_replies_that_are_not_streamed_have_no_drafts(tmp_path: Path) -> None:
    once = tools(call("bash", {"command": "true"}))
    async with ScriptedLLM(once, text("ok")) as server, Harness(server, tmp_path, stream=False) as agent:
        heard = watch(agent)
        await agent.prompt()
    assert states(heard) == []


async def test_no_secret_is_told_although_it_comes_in_pieces() -> None:
    secret = "hf_" + "Zq7" * 12
    told: list[tuple[DraftCall, ...]] = []
    drafts = Drafts(Redactor.from_env({"MY_TOKEN": "correct-horse-battery"}), told.append, every_s=0.0)
    written = json.dumps(
        {"command": f"export HF_TOKEN={secret}; echo correct-horse-battery", "env": {"TOKEN": secret}, "n": 1}
    )
    drafts.name(0, "bash")
    for letter in written:
        drafts.arguments(0, letter)
    seen = json.dumps([[draft.model_dump() for draft in calls] for calls in told])
    assert "export HF_TOKEN=" in seen
    for hidden in (secret, "Zq7Zq7", "correct-horse"):
        assert hidden not in seen, hidden
    assert told[-1][0].arguments["n"] == 1


async def test_hostile_arguments_are_bounded() -> None:
    told: list[tuple[DraftCall, ...]] = []
    drafts = Drafts(Redactor.from_env({}), told.append, every_s=0.0)
    many = "{" + ", ".join(f'"key{number}": "x", "n{number}": {"[" * 300}' for number in range(50)) + "}"
    for index in range(60):
        drafts.name(index, "tool")
        drafts.arguments(index, many)
    for index in range(0, 60, 15):
        drafts.arguments(index, '"a": "' + "\\n" * 100_000)
    assert len(told[-1]) == 32
    assert all(len(draft.arguments) <= 48 for draft in told[-1])
    assert len(json.dumps([draft.model_dump() for draft in told[-1]])) < 2_000_000
    drafts.end()
    assert told[-1] == ()


def test_what_is_told_in_passing_reaches_only_who_asks_and_has_no_number() -> None:
    stream, usual, curious = EventStream("s"), list[EventBase](), list[EventBase]()
    stream.mention(ToolDrafts())
    stream.subscribe(usual.append)
    leave = stream.subscribe(curious.append, passing=True)
    stream.emit(Notice(text="one"))
    stream.mention(ToolDrafts(calls=(DraftCall(tool="bash"),)))
    stream.emit(Notice(text="two"))
    leave()
    stream.mention(ToolDrafts())
    assert [event.seq for event in usual] == [1, 2]
    assert [(event.seq, event.session_id) for event in curious] == [(1, "s"), (0, "s"), (2, "s")]
    assert EVENT.validate_json(curious[1].model_dump_json()) == curious[1]

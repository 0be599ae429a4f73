"""Replies as they stream in: told in order, before anything else, and without the secrets that a model repeats."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

from ml_intern.core.places import find_places
from ml_intern.core.protocol import (
    AssistantChunk,
    AssistantMessage,
    AssistantStreamEnd,
    EventBase,
    HistoryRecord,
    Interrupt,
    Interrupted,
    LLMCall,
    Notice,
    ToolCallEvent,
    TurnComplete,
    UserInput,
)
from ml_intern.core.redact import Redactor
from ml_intern.core.settings import Settings
from ml_intern.headless.output import StreamJSONOutput
from ml_intern.headless.streams import Stream
from ml_intern.run import Run
from ml_intern.sessions.log import read_session
from ml_intern.wiring import assemble
from tests.core.test_redact import CAUGHT, PRIVATE_KEY
from tests.support.harness import FAST, MODEL, Harness, tool
from tests.support.llm_script import Gate, Step, call, raw, reasoning, text, tools
from tests.support.llm_server import ScriptedLLM

ENV = {"MY_SERVICE_TOKEN": "correct-horse-battery", "HF_TOKEN": "hf_" + "Zq7" * 12, "DB_PASSWORD": "tr0ub4 dor&3"}


def chunks(events: list[EventBase], kind: str = "text") -> str:
    return "".join(event.content for event in events if isinstance(event, AssistantChunk) and event.kind == kind)


def with_secrets(server: ScriptedLLM, directory: Path) -> Harness:
    wired = assemble(
        Run(
            Settings(model_name=MODEL, mode="yolo", llm=FAST),
            places=find_places({"ML_INTERN_HOME": str(directory / "home")}),
            workspace=directory,
            env={"LOCAL_LLM_BASE_URL": server.url, "PATH": "/usr/bin:/bin", "HOME": str(directory), **ENV},
        )
    )
    return Harness.around(wired, server)


async def test_no_secret_that_a_model_repeats_is_told_logged_or_printed(tmp_path: Path) -> None:
    secrets = [*ENV.values(), *(secret for _, secret in CAUGHT if len(secret) > 6), "MIIEabc+/MIIEabc"]
    said = "\n".join([*(f"It is {value}." for value in ENV.values()), *(f"{text} " for text, _ in CAUGHT), PRIVATE_KEY])
    reply = raw(*({"reasoning_content": letter} for letter in said), *({"content": letter} for letter in said))
    printed = io.BytesIO()
    output = StreamJSONOutput(Stream(io.TextIOWrapper(printed)), Redactor.from_env(ENV))
    async with ScriptedLLM(reply, text("ok")) as server, with_secrets(server, tmp_path) as agent:
        agent.agent.events.subscribe(output.event)
        events = await agent.prompt()
        await agent.prompt()
        assert agent.request(2).messages[2]["content"] == said  # the model sees what it has said
    shown = [event for event in agent.events if not isinstance(event, HistoryRecord)]
    (log,) = (tmp_path / "home" / "sessions").rglob("*.jsonl")
    everywhere = {
        "the events": json.dumps([event.model_dump() for event in shown], ensure_ascii=False),
        "the text": chunks(events),
        "the thoughts": chunks(events, "reasoning"),
        "the log": log.read_text(),
        "the pieces in the log": "".join(
            str(event.get("content")) for event in read_session(log, pieces=True) if event["type"] == "assistant_chunk"
        ),
        "standard output": printed.getvalue().decode(),
    }
    for place, seen in everywhere.items():
        assert [secret for secret in secrets if secret in seen] == [], place
    whole = agent.all(AssistantMessage)[0]
    assert (whole.content, whole.reasoning) == (chunks(events), chunks(events, "reasoning"))
    assert whole.content == Redactor.from_env(ENV).text(said)
    assert agent.all(TurnComplete)[0].final_response == whole.content


async def test_pieces_come_to_the_whole_reply_and_before_whatever_follows(tmp_path: Path) -> None:
    words = [f"word {number} " for number in range(50)]
    script = raw(
        *({"reasoning_content": f"thought {number} "} for number in range(20)),
        *({"content": word} for word in words),
        {"tool_calls": [{**call("ping", id="c1"), "index": 0}]},
        finish="tool_calls",
    )
    own = [tool("ping", lambda *_: "pong")]
    async with ScriptedLLM(script, text("done, all of it", 9)) as server, Harness(server, tmp_path, tools=own) as agent:
        events = await agent.prompt()
    first, second = agent.all(AssistantMessage)
    whole = events.index(first)
    assert chunks(events[:whole]) == first.content == "".join(words)
    assert chunks(events[:whole], "reasoning") == first.reasoning
    assert chunks(events[whole:]) == second.content
    kinds = [event.kind for event in events[:whole] if isinstance(event, AssistantChunk)]
    assert kinds == sorted(kinds)
    ends = [number for number, event in enumerate(events) if isinstance(event, AssistantStreamEnd)]
    called = next(number for number, event in enumerate(events) if isinstance(event, ToolCallEvent))
    assert ends[0] < whole < called < ends[1]
    assert not any(isinstance(event, AssistantChunk) for event in events[ends[0] : called])
    sequence = [event.seq for event in agent.events]
    assert sequence == sorted(set(sequence))


async def test_words_do_not_wait_for_a_call_that_is_still_being_written(tmp_path: Path) -> None:
    gate = Gate()
    script = tools(call("ping", id="c1"), content="I look at https://host").stall_after(2, gate)
    own = [tool("ping", lambda *_: "pong")]
    async with ScriptedLLM(script, text("ok")) as server, Harness(server, tmp_path, tools=own) as agent:
        agent.submit(UserInput(text="go"))
        await agent.until(lambda _: chunks(agent.events) == "I look at https://host")
        assert not agent.all(AssistantStreamEnd)
        gate.release()
        await agent.ended()


async def test_an_interrupt_tells_the_rest_first_and_keeps_what_was_said(tmp_path: Path) -> None:
    script = (text("Half of it is sk", 3).stall_after(3), text("b"))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path) as agent:
        agent.submit(UserInput(text="go"))
        await agent.until(lambda event: isinstance(event, AssistantChunk))
        await agent.until(lambda _: chunks(agent.events) == "Half of it is ")
        mark = len(agent.events)
        agent.submit(Interrupt())
        assert isinstance(await agent.ended(mark), Interrupted)
        rest = [event for event in agent.events[mark:] if isinstance(event, (AssistantChunk, AssistantStreamEnd))]
        assert [type(event) for event in rest] == [AssistantChunk, AssistantStreamEnd]
        assert agent.last(AssistantMessage).content == chunks(agent.events) == "Half of it is sk"


async def test_a_reply_that_breaks_off_is_told_to_its_end_and_taken_back(tmp_path: Path) -> None:
    def cut() -> Step:
        return (reasoning("Well", 2) + text("The first half", 5)).cut_after(5)

    async with ScriptedLLM(cut(), text("whole", 2)) as server, Harness(server, tmp_path) as agent:
        events = await agent.prompt()
    end = next(number for number, event in enumerate(events) if isinstance(event, AssistantStreamEnd))
    assert events[end].discarded  # type: ignore[attr-defined]  # just looked
    assert chunks(events[:end]) == "The first"
    assert chunks(events[:end], "reasoning") == "Well"
    assert chunks(events[end:]) == "whole"


async def test_a_fast_reply_makes_few_events_and_each_is_in_the_log_before_it_is_shown(tmp_path: Path) -> None:
    seen: list[bool] = []

    def look(event: EventBase) -> None:
        if isinstance(event, AssistantChunk):
            (log,) = (tmp_path / "home" / "sessions").rglob("*.jsonl")
            last = json.loads(log.read_bytes().splitlines()[-1])
            seen.append(last == json.loads(event.model_dump_json()))

    async with ScriptedLLM(text("word " * 2_000, 2_000)) as server, Harness(server, tmp_path) as agent:
        agent.agent.events.subscribe(look)
        started = asyncio.get_running_loop().time()
        events = await agent.prompt()
        took = asyncio.get_running_loop().time() - started
    assert 1 <= len(seen) <= 30 * took + 3
    assert all(seen)
    assert chunks(events) == "word " * 2_000
    assert agent.last(LLMCall).finish_reason == "stop"


async def test_an_answer_that_a_content_filter_cut_short_is_told_so(tmp_path: Path) -> None:
    async with (
        ScriptedLLM(text("The first half").finish("content_filter")) as server,
        Harness(server, tmp_path) as agent,
    ):
        await agent.prompt()
        assert agent.last(TurnComplete).final_response == "The first half"
        assert "content filter" in agent.last(Notice).text

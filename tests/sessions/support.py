"""Session logs for tests, written the way a run writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ml_intern.core.display import JobCard
from ml_intern.core.events import EventStream
from ml_intern.core.protocol import (
    AssistantMessage,
    EventBase,
    HistoryRecord,
    LLMCall,
    Processing,
    Ready,
    ToolCallEvent,
    ToolOutput,
    TurnComplete,
    UserMessage,
)
from ml_intern.core.redact import Redactor
from ml_intern.sessions.log import SessionLog

CANARY = "hf_" + "Zq7" * 12


def record(path: Path, session_id: str, *events: EventBase, directory: str = "/data/project") -> Path:
    """Writes a log into a sessions directory and returns it."""
    stream = EventStream(session_id)
    log = SessionLog(path, Redactor(), "1.2.3", lambda _: None)
    stream.subscribe(log)
    stream.emit(Ready(tool_count=3, model="vllm/qwen3", workdir=directory))
    for event in events:
        stream.emit(event)
    log.close()
    assert log.path is not None
    return log.path


def prompt(text: str) -> list[EventBase]:
    """A prompt as it enters a conversation."""
    message = {"role": "user", "content": text}
    return [HistoryRecord(op="append", messages=(message,)), UserMessage(content=text), Processing()]


def call(call_id: str, tool: str, arguments: str, shown: dict[str, object], *, text: str = "") -> list[EventBase]:
    """A reply with one call."""
    made = {"id": call_id, "type": "function", "function": {"name": tool, "arguments": arguments}}
    message = {"role": "assistant", "content": text, "tool_calls": [made], "reasoning": "let me see"}
    return [
        spent(),
        HistoryRecord(op="append", messages=(message,)),
        AssistantMessage(content=text, reasoning="let me see"),
        ToolCallEvent(tool=tool, arguments=shown, tool_call_id=call_id),
    ]


def output(call_id: str, tool: str, text: str, *, success: bool = True, stage: str = "") -> list[EventBase]:
    """What came of a call."""
    display = (JobCard(job_id="j", backend="local", stage=stage),) if stage else ()
    message = {"role": "tool", "content": text, "tool_call_id": call_id, "name": tool}
    return [
        ToolOutput(tool=tool, tool_call_id=call_id, output=text, success=success, display=display),
        HistoryRecord(op="append", messages=(message,)),
    ]


def answer(text: str) -> list[EventBase]:
    """A last reply and the end of the turn."""
    message = {"role": "assistant", "content": text}
    return [
        spent(),
        HistoryRecord(op="append", messages=(message,)),
        AssistantMessage(content=text),
        TurnComplete(reason="completed", final_response=text, iterations=2, cost_usd=0.5, tokens=30),
    ]


def spent(dollars: float = 0.25) -> LLMCall:
    """A reply on the bill."""
    return LLMCall(
        model="vllm/qwen3",
        kind="main",
        cost_usd=dollars,
        prompt_tokens=100,
        completion_tokens=7,
        cached_tokens=40,
        latency_ms=3,
        finish_reason="stop",
    )


def whole_session(said: str = "Train a classifier") -> list[EventBase]:
    """A turn with a call that works, one that fails, and an answer."""
    return [
        *prompt(said),
        *call("c1", "bash", '{"command": "python train.py"}', {"command": "python train.py"}, text="I run it."),
        *output("c1", "bash", "loss 0.31 <script>alert(1)</script>"),
        *call("c2", "bash", '{"command": "false"}', {"command": "false"}),
        *output("c2", "bash", "exit code 1", success=False),
        *answer("Accuracy is **0.93**. ![x](http://tracker.example/p.png) [y](javascript:alert)"),
    ]


ODD: tuple[object, ...] = (None, -1, [], {}, ["x"], {"a": []}, True, 10**30, float("inf"), "\ud800", [[{}]])


def with_odd_values(value: object) -> Iterator[object]:
    """The value with each of its parts in turn, itself included, replaced by something that does not belong there."""
    yield from ODD
    if isinstance(value, dict):
        for key, part in value.items():
            yield from ({**value, key: odd} for odd in with_odd_values(part))
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield from ([*value[:place], odd, *value[place + 1 :]] for odd in with_odd_values(part))

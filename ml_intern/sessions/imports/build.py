"""Makes the events of a session from the messages of a foreign trace."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ml_intern.core.context.messages import Message, ToolCall
from ml_intern.core.protocol import (
    AssistantMessage,
    EventBase,
    HistoryRecord,
    Interrupted,
    LLMCall,
    Processing,
    SessionMeta,
    SessionStarted,
    ToolCallEvent,
    ToolOutput,
    TurnComplete,
    UserMessage,
    utc_now,
)
from ml_intern.sessions.log import SCHEMA_VERSION
from ml_intern.sessions.summary import milliseconds, number, string, whole


@dataclass(slots=True)
class Said:
    """A message of a trace.

    Attributes:
        message: The message.
        time: When, ISO 8601; empty when the trace does not tell.
        ok: Of a tool result, whether the call succeeded.
        model: Of a reply, its model.
        prompt_tokens: Of a reply, tokens of its request, cached ones included.
        completion_tokens: Of a reply, its tokens.
        cached_tokens: Of a reply, cached tokens of its request.
        cost_usd: Of a reply, its price; None when nobody knows.
    """

    message: Message
    time: str = ""
    ok: bool = True
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float | None = None


@dataclass(slots=True)
class Trace:
    """A foreign trace.

    Attributes:
        source: Name of the program it comes from.
        id: Its id there.
        directory: Where it worked.
        model: Model at the beginning.
        version: Version of the program.
        title: Its name, or empty.
        messages: Its messages, without system prompts.
        left_out: Entries that make no sense.
    """

    source: str
    id: str = ""
    directory: str = ""
    model: str = ""
    version: str = ""
    title: str = ""
    messages: list[Said] = field(default_factory=list)
    left_out: int = 0


def call(call_id: Any, name: Any, arguments: Any) -> ToolCall:
    """A call of a trace; its arguments may be an object or any text."""
    if isinstance(arguments, str):
        arguments = _object(arguments) or {"input": arguments}
    return ToolCall(string(call_id), string(name) or "unknown", json.dumps(arguments or {}))


def text_of(content: Any) -> str:
    """The text of a message whose content is a text or a list of blocks. An image is only named."""
    if isinstance(content, str):
        return content
    texts = map(_text_of_block, content if isinstance(content, list) else ())
    return "\n".join(text for text in texts if text)


def _text_of_block(block: Any) -> str:
    if not isinstance(block, dict):
        return string(block)
    return string(block.get("text")) or ("[image]" if "image" in string(block.get("type")) else "")


def events_of(trace: Trace) -> list[dict[str, Any]]:
    """The events, as plain objects in order; each has a time."""
    time = next((iso(said.time) for said in trace.messages if milliseconds(said.time)), utc_now())
    version = f"{trace.source} {trace.version}".strip()
    head = SessionStarted(schema_version=SCHEMA_VERSION, directory=trace.directory, model=trace.model, version=version)
    origin = f"imported from {trace.source}"
    if trace.left_out:
        origin += f", {trace.left_out:,} of its entries could not be read"
    events: list[EventBase] = [head, SessionMeta(title=trace.title or None, origin=origin)]
    found = [{**event.model_dump(mode="json"), "time": time} for event in events]
    for said, group in _told(trace.messages):
        time = iso(said.time) or time
        found.extend({**event.model_dump(mode="json"), "time": time} for event in group)
    for seq, event in enumerate(found):
        event["seq"] = seq
        event.pop("session_id")
    return found


def _told(messages: Iterable[Said]) -> Iterator[tuple[Said, list[EventBase]]]:
    names: dict[str, str] = {}
    turn = _Turn()
    last: Said | None = None
    for said in messages:
        message = said.message
        if message.is_prompt and last is not None:
            yield last, turn.end()
        group: list[EventBase] = [HistoryRecord(op="append", messages=(message.record(),))]
        if message.is_prompt:
            turn = _Turn(begun=True)
            group += [UserMessage(content=message.content), Processing()]
        elif message.role == "assistant":
            names.update((made.id, made.name) for made in message.tool_calls)
            group = [*turn.reply(said), *group, *_shown(message)]
        elif message.role == "tool":
            call_id = message.tool_call_id or ""
            tool = message.name or names.get(call_id, "unknown")
            group = [ToolOutput(tool=tool, tool_call_id=call_id, output=message.content, success=said.ok), *group]
            turn.answer = ""
        yield said, group
        last = said
    if last is not None:
        yield last, turn.end()


def _shown(message: Message) -> Iterator[EventBase]:
    if message.content or message.reasoning:
        yield AssistantMessage(content=message.content, reasoning=message.reasoning)
    for made in message.tool_calls:
        yield ToolCallEvent(tool=made.name, arguments=_object(made.arguments) or {}, tool_call_id=made.id)


@dataclass(slots=True)
class _Turn:
    begun: bool = False
    answer: str = ""
    replies: int = 0
    tokens: int = 0
    cost: float = 0.0

    def reply(self, said: Said) -> Iterator[EventBase]:
        self.answer = "" if said.message.tool_calls else said.message.content
        self.replies += 1
        self.tokens += said.prompt_tokens + said.completion_tokens
        self.cost += said.cost_usd or 0.0
        if said.prompt_tokens or said.completion_tokens:
            yield LLMCall(
                model=said.model,
                kind="main",
                cost_usd=said.cost_usd,
                prompt_tokens=said.prompt_tokens,
                completion_tokens=said.completion_tokens,
                cached_tokens=said.cached_tokens,
                latency_ms=0,
            )

    def end(self) -> list[EventBase]:
        """What a trace does not tell: that a turn ended. One without a last word was cut off."""
        if not self.begun:
            return []
        if not self.answer:
            return [Interrupted()]
        return [
            TurnComplete(
                reason="completed",
                final_response=self.answer,
                iterations=self.replies,
                cost_usd=self.cost,
                tokens=self.tokens,
            )
        ]


def usage(said: Said, counts: Any, *, cached_apart: bool) -> None:
    """Takes token counts over into a message.

    Args:
        said: A reply.
        counts: An object with counts under the usual names.
        cached_apart: Whether cached tokens are not among the tokens of the prompt.
    """
    if not isinstance(counts, dict):
        return
    prompt = whole(counts.get("input_tokens")) or whole(counts.get("prompt_tokens"))
    written = whole(counts.get("cache_creation_input_tokens"))
    said.cached_tokens = whole(counts.get("cache_read_input_tokens")) or whole(counts.get("cached_input_tokens"))
    said.prompt_tokens = prompt + (said.cached_tokens + written if cached_apart else 0)
    said.completion_tokens = whole(counts.get("output_tokens")) or whole(counts.get("completion_tokens"))
    price = counts.get("cost_usd")
    said.cost_usd = None if price is None else number(price)


def iso(time: str) -> str:
    """A time in the form of our logs; empty when it is none."""
    if not (ms := milliseconds(time)):
        return ""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None

"""Replies for the scripted model server: what it says, in which pieces, and how it fails.

A step answers one request. Steps are immutable; every method gives a changed copy, so that a script reads as a list:

    text("Working on it", pieces=5)
    reasoning("hm") + tools(call("bash", {"command": "true"}))
    text("cut here").cut_after(chunks=1)
    error(429, "slow down", headers={"Retry-After": "1"})
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Delta = dict[str, Any]
CutStyle = Literal["close", "reset", "end"]


class Gate:
    """Holds a reply at one point until a test releases it. Safe to use from any thread and any event loop."""

    def __init__(self) -> None:
        self._reached: Future[None] = Future()
        self._released: Future[None] = Future()

    def release(self) -> None:
        """Lets the reply go on."""
        if not self._released.done():
            self._released.set_result(None)

    async def reached(self, timeout: float = 5.0) -> None:
        """Waits until a reply is held here."""
        await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._reached)), timeout)

    def wait_until_reached(self, timeout: float = 5.0) -> None:
        """The same for code without an event loop."""
        self._reached.result(timeout)

    async def hold(self) -> None:
        """Called by the server: reports the arrival and waits for the release."""
        if not self._reached.done():
            self._reached.set_result(None)
        await asyncio.shield(asyncio.wrap_future(self._released))


@dataclass(frozen=True)
class Cut:
    """Ends the connection at this point.

    `close` closes the socket in the middle of the body, `reset` aborts it, `end` ends the body in good order, so that
    only the missing finish reason tells that the reply is not whole.
    """

    how: CutStyle = "close"


@dataclass(frozen=True)
class Pause:
    """Says nothing for so many seconds: the pace of a model."""

    seconds: float


@dataclass(frozen=True)
class Raw:
    """Bytes sent as they are, in place of an event."""

    data: bytes


Item = Delta | Gate | Cut | Pause | Raw
"""One thing a streamed reply does: send a chunk (as a dict), wait, cut, or send raw bytes."""


@dataclass(frozen=True)
class Step:
    """The answer to one request.

    Attributes:
        status: HTTP status.
        headers: Extra response headers.
        body: Body of an answer that is not a chat completion (an error); text, or an object sent as JSON.
        deltas: Deltas of the reply, one chunk each.
        finish_reason: Sent in a chunk of its own after the deltas; None sends none.
        usage_figures: Token counts; None sends none; the default is estimated from the text.
        done: Whether the stream ends with `[DONE]`.
        inserts: `(k, item)`: what happens after k chunks.
        before: Holds the answer before its first byte.
        cut_bytes: Cut the connection after this many bytes of the body.
        write_size: Send the body in writes of this many bytes.
        model: Model name in the reply; empty repeats the request's.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | dict[str, Any] | None = None
    deltas: tuple[Delta, ...] = ()
    finish_reason: str | None = "stop"
    usage_figures: dict[str, Any] | Literal["estimate"] | None = "estimate"
    done: bool = True
    inserts: tuple[tuple[int, Item], ...] = ()
    before: Gate | None = None
    cut_bytes: tuple[int, CutStyle] | None = None
    write_size: int | None = None
    model: str = ""

    def __add__(self, other: Step) -> Step:
        """Both steps' deltas in one reply; the second one's finish reason and usage hold."""
        shifted = tuple((position + len(self.deltas), item) for position, item in other.inserts)
        return replace(other, deltas=self.deltas + other.deltas, inserts=self.inserts + shifted)

    def finish(self, reason: str | None) -> Step:
        """Ends with this finish reason; None sends none at all."""
        return replace(self, finish_reason=reason)

    def usage(self, prompt: int, completion: int, cached: int = 0, **extra: Any) -> Step:
        """Reports these token counts; `extra` goes into the usage object as it is."""
        figures: dict[str, Any] = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            **extra,
        }
        if cached:
            figures["prompt_tokens_details"] = {"cached_tokens": cached}
        return replace(self, usage_figures=figures)

    def no_usage(self) -> Step:
        """Reports no token counts."""
        return replace(self, usage_figures=None)

    def no_done(self) -> Step:
        """Ends the stream without `[DONE]`."""
        return replace(self, done=False)

    def insert(self, after: int, item: Item) -> Step:
        """Does something after that many chunks."""
        return replace(self, inserts=(*self.inserts, (after, item)))

    def hold(self, gate: Gate) -> Step:
        """Stays silent, headers included, until the gate is released."""
        return replace(self, before=gate)

    def stall_after(self, chunks: int, gate: Gate | None = None) -> Step:
        """Falls silent after that many chunks until the gate is released (for ever without one)."""
        return self.insert(chunks, gate or Gate())

    def paced(self, seconds: float) -> Step:
        """Waits so long before each of its pieces, as a model does that thinks while it writes."""
        pauses = tuple((position, Pause(seconds)) for position in range(len(self.deltas)))
        return replace(self, inserts=(*pauses, *self.inserts))

    def cut_after(self, chunks: int | None = None, *, size: int | None = None, how: CutStyle = "close") -> Step:
        """Cuts the connection after that many chunks, or after `size` bytes of the body."""
        if size is not None:
            return replace(self, cut_bytes=(size, how))
        return self.insert(chunks or 0, Cut(how))

    def malformed_chunk(self, after: int) -> Step:
        """Sends an event that is not JSON after that many chunks."""
        return self.insert(after, Raw(b'data: {"choices": [{"delta"\n\n'))

    def error_after(self, chunks: int, message: str, **fields: Any) -> Step:
        """Sends an error object inside the running 200 stream."""
        return self.insert(chunks, {"error": {"message": message, **fields}})

    def in_writes_of(self, size: int) -> Step:
        """Sends the body in small writes, so that they end anywhere, even within a character."""
        return replace(self, write_size=size)

    def as_model(self, name: str) -> Step:
        """Claims that this model answered."""
        return replace(self, model=name)


# -------------------------------------------------------------------------------------------------------- helpers


def text(content: str, pieces: int = 1) -> Step:
    """An answer in that many pieces of about the same size."""
    return Step(deltas=tuple({"content": piece} for piece in split(content, pieces)))


def reasoning(content: str, pieces: int = 1, key: str = "reasoning_content") -> Step:
    """Reasoning text under the key some provider uses; add the answer to it."""
    return Step(deltas=tuple({key: piece} for piece in split(content, pieces)))


_ids = itertools.count(1)


def call(name: str, arguments: Mapping[str, Any] | str | None = None, id: str | None = None) -> Delta:  # noqa: A002
    """A tool call; arguments given as text are sent as they are."""
    written = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    return {
        "id": id or f"call_{next(_ids):04d}",
        "type": "function",
        "function": {"name": name, "arguments": written},
    }


def tools(*calls: Delta, content: str = "", pieces: int = 1) -> Step:
    """A reply that calls tools, after some text if given; each call's arguments come in that many pieces."""
    deltas: list[Delta] = [{"content": content}] if content else []
    for index, wanted in enumerate(calls):
        parts = split(wanted["function"]["arguments"], pieces)
        head = {**wanted, "index": index, "function": {"name": wanted["function"]["name"], "arguments": parts[0]}}
        deltas.append({"tool_calls": [head]})
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": part}}]} for part in parts[1:]]
    return Step(deltas=tuple(deltas), finish_reason="tool_calls")


def raw(*deltas: Delta, finish: str | None = "stop") -> Step:
    """A reply of exactly these deltas."""
    return Step(deltas=deltas, finish_reason=finish)


def error(status: int, message: str | dict[str, Any] = "", headers: Mapping[str, str] | None = None) -> Step:
    """An HTTP error. A text is the whole body; a dict is sent as `{"error": dict}`."""
    body = message if isinstance(message, str) else {"error": message}
    return Step(status=status, body=body, headers=headers or {})


def silent_before_headers(gate: Gate | None = None) -> Step:
    """No byte at all until the gate is released (for ever without one), then a short answer."""
    return text("at last").hold(gate or Gate())


def split(content: str, pieces: int) -> list[str]:
    """The text in `pieces` parts, at least one, none empty unless the text is."""
    size = max(1, -(-len(content) // max(1, pieces)))
    return [content[start : start + size] for start in range(0, len(content), size)] or [""]


# ------------------------------------------------------------------------------------------------------ rendering


def stream_items(step: Step, model: str, include_usage: bool, estimate: dict[str, Any]) -> list[Item]:
    """What the server does to stream the step, in order, the final `[DONE]` included."""
    chunks = [chunk({"role": "assistant", **delta} if n == 0 else delta, model) for n, delta in enumerate(step.deltas)]
    if step.finish_reason is not None:
        chunks.append(chunk({}, model, step.finish_reason))
    items: list[Item] = []
    for position, sent in enumerate(chunks):
        items += [item for after, item in step.inserts if after == position]
        items.append(sent)
    items += [item for after, item in step.inserts if after >= len(chunks)]
    usage = estimate if step.usage_figures == "estimate" else step.usage_figures
    if include_usage and usage is not None:
        items.append({**chunk(None, model), "usage": usage})
    if step.done:
        items.append(Raw(b"data: [DONE]\n\n"))
    return items


def chunk(delta: Delta | None, model: str, finish_reason: str | None = None) -> Delta:
    """One `chat.completion.chunk`; without a delta its choices are empty."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": choices}


def completion(step: Step, model: str, estimate: dict[str, Any]) -> dict[str, Any]:
    """The step as one `chat.completion` object."""
    usage = estimate if step.usage_figures == "estimate" else step.usage_figures
    answer: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": merge(step.deltas), "finish_reason": step.finish_reason}],
    }
    return answer if usage is None else {**answer, "usage": usage}


def merge(deltas: Sequence[Delta]) -> dict[str, Any]:
    """One assistant message out of deltas, for requests that want no stream."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    calls: dict[int, dict[str, Any]] = {}
    for delta in deltas:
        for key, value in delta.items():
            if key == "tool_calls":
                for part in value:
                    _merge_call(calls, part)
            elif isinstance(value, str):
                message[key] = (message.get(key) or "") + value
            else:
                message[key] = value
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    return message


def _merge_call(calls: dict[int, dict[str, Any]], part: Delta) -> None:
    empty = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
    known = calls.setdefault(part.get("index") or 0, empty)
    function = part.get("function") or {}
    known["id"] = part.get("id") or known["id"]
    known["function"]["name"] = function.get("name") or known["function"]["name"]
    known["function"]["arguments"] += function.get("arguments") or ""

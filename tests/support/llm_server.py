"""A scripted language model behind real HTTP on loopback: the OpenAI chat wire, streaming and not.

    async with ScriptedLLM(text("hello"), error(500)) as server:
        ...  # point a client at server.url
        await server.wait_for_requests(2)

The server runs in a thread of its own, so it serves a test's event loop, code without one, and other processes alike.
One step of the script answers one chat request; a step may be a function of the request's body and its number (from 1),
and such a function at the end of the script answers all further requests.
`python -m tests.support.llm_server script.json` serves a script from the command line (see `step_from_json`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from tests.support.llm_script import (
    Cut,
    CutStyle,
    Gate,
    Item,
    Pause,
    Raw,
    Step,
    call,
    completion,
    error,
    raw,
    reasoning,
    silent_before_headers,
    stream_items,
    text,
    tools,
)

__all__ = [
    "Cut",
    "Gate",
    "Raw",
    "Received",
    "ScriptedLLM",
    "Step",
    "call",
    "error",
    "raw",
    "reasoning",
    "silent_before_headers",
    "text",
    "tools",
]

Policy = Callable[[dict[str, Any], int], Step]
"""Gives the step for a request's body and its number (from 1)."""
Handler = Callable[["Received"], Step]


class _HangUpError(Exception):
    """The connection was cut on purpose."""


@dataclass
class Received:
    """One request as it arrived.

    Attributes:
        body: The parsed JSON body, `{}` without one.
        headers: By lower-case name.
        at: `time.monotonic()` when the whole request had arrived.
        client: The client's port: the same for all requests over one connection.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float
    client: int
    _closed: Future[None] = field(default_factory=Future, repr=False)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation that was sent."""
        messages: list[dict[str, Any]] = self.body.get("messages", [])
        return messages

    @property
    def is_closed(self) -> bool:
        """Whether the client has closed the connection of this request."""
        return self._closed.done()

    async def closed(self, timeout: float = 5.0) -> None:
        """Waits until the client has closed the connection of this request."""
        await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._closed)), timeout)

    def note_closed(self) -> None:
        """Called by the server."""
        self._closed.set_result(None)

    def wait_until_closed(self, timeout: float = 5.0) -> None:
        """The same for code without an event loop."""
        self._closed.result(timeout)


class ScriptedLLM:
    """The server; a context manager, with or without `async`.

    Attributes:
        requests: Chat requests in order of arrival.
        others: All other requests (`GET /v1/models`, unknown paths).
        violations: What was wrong with the histories that were sent, and requests beyond the script's end.
        models: What `GET /v1/models` lists, as model objects.
        handlers: `(method, path)` -> function that answers other paths.
    """

    def __init__(
        self, *script: Step | Policy, repeat_last: bool = False, models: list[dict[str, Any]] | None = None
    ) -> None:
        self.requests: list[Received] = []
        self.others: list[Received] = []
        self.violations: list[str] = []
        self.models = models if models is not None else [{"id": "scripted", "object": "model"}]
        self.handlers: dict[tuple[str, str], Handler] = {}
        self._script: list[Step | Policy] = list(script)
        self._repeat_last = repeat_last
        self._lock = threading.Lock()
        self._waiters: list[tuple[int, Future[None]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._port = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started: Future[None] = Future()

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:port`."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """The base URL a client is given: the origin with `/v1`."""
        return f"{self.origin}/v1"

    def then(self, *steps: Step | Policy) -> Self:
        """Adds steps to the script."""
        with self._lock:
            self._script += steps
        return self

    async def wait_for_requests(self, count: int, timeout: float = 5.0) -> None:
        """Waits until that many chat requests have arrived since the start."""
        await asyncio.wait_for(asyncio.wrap_future(self._waiter(count)), timeout)

    def wait_until_requests(self, count: int, timeout: float = 5.0) -> None:
        """The same for code without an event loop."""
        self._waiter(count).result(timeout)

    def _waiter(self, count: int) -> Future[None]:
        waiter: Future[None] = Future()
        with self._lock:
            if len(self.requests) >= count:
                waiter.set_result(None)
            else:
                self._waiters.append((count, waiter))
        return waiter

    # ------------------------------------------------------------------------------------------ starting and stopping

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the server and cuts its connections; nothing listens there any more. May be called again."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as problem:
            if self._started.done():
                raise
            self._started.set_exception(problem)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        connections: set[asyncio.Task[None]] = set()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(_Connection(self, reader, writer).serve())
            connections.add(task)
            task.add_done_callback(connections.discard)

        server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=2**26)
        self._port = server.sockets[0].getsockname()[1]
        self._started.set_result(None)
        await self._stop.wait()
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    # ------------------------------------------------------------------------------------------------------- answering

    def answer(self, request: Received) -> Step:
        """The step for a request; notes the request and what is wrong with it."""
        path = request.path.partition("?")[0]
        if handler := self.handlers.get((request.method, path)):
            self.others.append(request)
            return handler(request)
        if request.method == "POST" and path.endswith("/chat/completions"):
            return self._next_step(request)
        self.others.append(request)
        if request.method == "GET" and path.endswith("/models"):
            return Step(body={"object": "list", "data": self.models})
        return error(404, {"message": f"no such path: {path}"})

    def _next_step(self, request: Received) -> Step:
        with self._lock:
            self.requests.append(request)
            number = len(self.requests)
            reached = [waiter for waiter in self._waiters if waiter[0] <= number]
            self._waiters = [waiter for waiter in self._waiters if waiter[0] > number]
            beyond = number > len(self._script)
            step = self._script[min(number, len(self._script)) - 1] if self._script else None
        self.violations += [f"request {number}: {problem}" for problem in history_problems(request.messages)]
        for _, waiter in reached:
            if waiter.set_running_or_notify_cancel():
                waiter.set_result(None)
        if callable(step):
            return step(request.body, number)
        if step is None or (beyond and not self._repeat_last):
            self.violations.append(f"request {number}: the script has no step for it")
            return error(400, {"message": f"the script has no step for request {number}"})
        return step


def history_problems(messages: list[dict[str, Any]]) -> list[str]:
    """What a strict provider would refuse in these messages. A lone user message (a probe) needs no system message."""
    problems = []
    alone = len(messages) == 1 and messages[0].get("role") == "user"
    if not alone and (not messages or messages[0].get("role") != "system"):
        problems.append("the first message is not the system message")
    open_calls: list[str] = []
    for position, message in enumerate(messages):
        where = f"message {position}"
        if message.get("role") == "tool":
            if message.get("tool_call_id") not in open_calls:
                problems.append(f"{where} answers no open call: {message.get('tool_call_id')!r}")
            else:
                open_calls.remove(message["tool_call_id"])
            continue
        problems += [f"{where} comes before the result of call {missing!r}" for missing in open_calls]
        open_calls = [wanted.get("id") for wanted in message.get("tool_calls") or ()]
        problems += [f"{where}: {problem}" for problem in _message_problems(message)]
    return problems + [f"call {missing!r} has no result" for missing in open_calls]


def _message_problems(message: dict[str, Any]) -> list[str]:
    problems = []
    calls = message.get("tool_calls") or []
    if message.get("role") not in {"system", "developer", "user", "assistant"}:
        problems.append(f"unknown role {message.get('role')!r}")
    if not message.get("content") and not calls:
        problems.append("neither content nor tool calls")
    identifiers = [wanted.get("id") for wanted in calls]
    if len(set(identifiers)) < len(identifiers) or not all(identifiers):
        problems.append(f"call ids missing or not unique: {identifiers}")
    for wanted in calls:
        try:
            valid = isinstance(json.loads(wanted["function"]["arguments"]), dict)
        except (ValueError, TypeError, KeyError):
            valid = False
        if not valid:
            problems.append(f"arguments of call {wanted.get('id')!r} are no JSON object")
    return problems


class _Connection:
    """One keep-alive connection."""

    def __init__(self, server: ScriptedLLM, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._client: int = writer.get_extra_info("peername")[1]

    async def serve(self) -> None:
        try:
            first = await self._read_first()
            while first:
                request = await self._read_request(first)
                # Reading on while the answer is sent is the one way to notice that the client went away.
                following = asyncio.ensure_future(self._read_first())
                following.add_done_callback(partial(_note_end, request))
                try:
                    await self._respond(request)
                    first = await following
                finally:
                    following.cancel()
        except (_HangUpError, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writer.close()

    async def _read_first(self) -> bytes:
        try:
            return await self._reader.read(1)
        except ConnectionError:
            return b""

    async def _read_request(self, first: bytes) -> Received:
        head = (first + await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request_line, *lines = head.strip().split("\r\n")
        method, path, _ = request_line.split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        return Received(method, path, headers, self._parse(body), time.monotonic(), self._client)

    def _parse(self, body: bytes) -> dict[str, Any]:
        try:
            parsed = json.loads(body or b"{}")
        except ValueError:
            parsed = None
        if isinstance(parsed, dict):
            return parsed
        self._server.violations.append(f"a request body is no JSON object: {body[:80]!r}")
        return {}

    async def _respond(self, request: Received) -> None:
        step = self._server.answer(request)
        if step.before:
            await step.before.hold()
        if step.body is not None or step.status != 200:
            await self._send_whole(step, step.body or "")
            return
        model = step.model or str(request.body.get("model", ""))
        estimate = _estimate(step, request.body)
        if not request.body.get("stream"):
            await self._send_unstreamed(step, completion(step, model, estimate))
            return
        wants_usage = bool((request.body.get("stream_options") or {}).get("include_usage"))
        await self._send_stream(step, stream_items(step, model, wants_usage, estimate))

    async def _send_whole(self, step: Step, body: str | dict[str, Any]) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        kind = "text/plain" if isinstance(body, str) else "application/json"
        self._send_head(step, {"Content-Type": kind, "Content-Length": str(len(data))})
        self._writer.write(data)
        await self._writer.drain()

    async def _send_unstreamed(self, step: Step, answer: dict[str, Any]) -> None:
        for _, item in step.inserts:
            if isinstance(item, Gate):
                await item.hold()
            elif isinstance(item, Cut):
                self._send_head(step, {"Content-Type": "application/json", "Content-Length": "100000"})
                self._writer.write(json.dumps(answer).encode()[:20])
                await self._cut(item.how)
        await self._send_whole(step, answer)

    async def _send_stream(self, step: Step, items: list[Item]) -> None:
        self._send_head(step, {"Content-Type": "text/event-stream; charset=utf-8", "Transfer-Encoding": "chunked"})
        left = step.cut_bytes[0] if step.cut_bytes else None
        for item in items:
            if isinstance(item, Gate):
                await self._writer.drain()
                await item.hold()
                continue
            if isinstance(item, Pause):
                await self._writer.drain()
                await asyncio.sleep(item.seconds)
                continue
            if isinstance(item, Cut):
                await self._cut(item.how)
            data = item.data if isinstance(item, Raw) else _event(item)
            if left is not None:
                data, left = data[:left], left - len(data)
            await self._send_chunk(data, step.write_size)
            if left is not None and left <= 0 and step.cut_bytes:
                await self._cut(step.cut_bytes[1])
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    def _send_head(self, step: Step, headers: Mapping[str, str]) -> None:
        lines = [
            f"HTTP/1.1 {step.status} Scripted",
            *(f"{name}: {value}" for name, value in {**headers, **step.headers}.items()),
        ]
        self._writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def _send_chunk(self, data: bytes, write_size: int | None) -> None:
        size = write_size or max(1, len(data))
        for start in range(0, len(data), size):
            part = data[start : start + size]
            self._writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            await self._writer.drain()

    async def _cut(self, how: CutStyle) -> NoReturn:
        if how == "end":
            self._writer.write(b"0\r\n\r\n")
            await self._writer.drain()
        elif how == "reset":
            connection: socket.socket = self._writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._writer.transport.abort()
        raise _HangUpError


def _note_end(request: Received, done: asyncio.Future[bytes]) -> None:
    ended = done.cancelled() or done.exception() is not None or not done.result()
    if ended and not request.is_closed:
        request.note_closed()


def _event(payload: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\n\n"


def _estimate(step: Step, body: dict[str, Any]) -> dict[str, Any]:
    prompt = max(1, len(json.dumps(body.get("messages", []))) // 4)
    reply = max(1, len(json.dumps(step.deltas)) // 8)
    return {"prompt_tokens": prompt, "completion_tokens": reply, "total_tokens": prompt + reply}


# --------------------------------------------------------------------------------------------------- command line


def step_from_json(record: dict[str, Any]) -> Step:
    """One step of a script file.

    `{"text": "hi", "pieces": 3}`, `{"tools": [{"name": "bash", "arguments": {…}}], "text": "…"}`, or
    `{"error": 500, "message": "boom", "headers": {…}}`.
    """
    if "error" in record:
        return error(record["error"], record.get("message", ""), record.get("headers"))
    pieces = record.get("pieces", 1)
    if "tools" in record:
        calls = [call(wanted["name"], wanted.get("arguments")) for wanted in record["tools"]]
        return tools(*calls, content=record.get("text", ""), pieces=pieces)
    return text(record["text"], pieces)


def main(arguments: list[str]) -> Coroutine[Any, Any, None]:
    """Serves a script file until the process is ended; the first line of output is the base URL."""
    parser = argparse.ArgumentParser(description="Serve a scripted language model on loopback.")
    parser.add_argument("script", type=Path, help="JSON file: a list of steps; the last one repeats")
    steps = [step_from_json(record) for record in json.loads(parser.parse_args(arguments).script.read_text())]

    async def serve() -> None:
        async with ScriptedLLM(*steps, repeat_last=True) as server:
            print(server.url, flush=True)  # noqa: T201 - whoever started the process reads it
            await asyncio.Event().wait()

    return serve()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))

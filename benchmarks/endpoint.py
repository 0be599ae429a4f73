"""A model server that follows a script, in a process of its own, and tells when requests came and replies ended.

A prompt names the script: `bench NAME hello`, `bench NAME stream CHUNKS [CHUNKS_A_SECOND]`, `bench NAME tools TURNS`,
or `bench NAME research TURNS CHUNKS_A_SECOND`, which sends eight researchers with the script `study` of that many
turns, in conversations NAMEa to NAMEh. Each conversation ends with the text `end.NAME`.
"""

from __future__ import annotations

import asyncio
import html
import itertools
import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.wires import Reply, chat_events, newest_prompt, responses_events, shell_call

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = re.compile(r"bench (\w+) (hello|stream|tools|research|study)(?: (\d+))?(?: (\d+))?")
RESEARCHERS = "abcdefgh"
STUDY_CHUNKS = 30
"""Words that the first researcher says before each of its calls; each further one says a few more."""
PAGE_PARAGRAPHS = 300
WIRES = {"/chat/completions": chat_events, "/responses": responses_events}
MODELS = {
    "object": "list",
    "data": [{"id": "bench", "object": "model", "max_model_len": 1_000_000}],
}

PARAGRAPHS = (
    "### Step {n}: what the data holds\n\n",
    "Of **18,422** rows 97 are empty and 1,204 are longer than `max_length`, so a filter goes before the tokenizer. ",
    "With packing the share of useful tokens in a batch rises from 0.58 to 0.96, which halves the cost of epochs.\n\n",
    "- read the split as a stream\n- keep rows of at most 2,048 tokens\n- shuffle with a *fixed* seed\n\n",
    "```python\nrows = load_dataset('me/notes', streaming=True)\n\nfor row in rows.take({n}):\n    check(row)\n```\n\n",
    "| run | rate | loss |\n|---|---|---|\n| r{n} | 1e-4 | 1.204 |\n| s{n} | 3e-4 | 1.187 |\n\n",
    "1. start the job\n2. follow its log\n3. compare with the [card](https://example.org/card)\n\n",
)


def words(number: int) -> list[str]:
    """Markdown in that many pieces of about one word."""
    texts = (paragraph.replace("{n}", str(n)) for n, paragraph in enumerate(itertools.cycle(PARAGRAPHS)))
    pieces = itertools.chain.from_iterable(re.findall(r"\s*\S+\s*", text) for text in texts)
    return list(itertools.islice(pieces, number))


# --------------------------------------------------------------------------------------------------- the measuring side


@dataclass
class Exchange:
    """One request and its reply. Times are seconds of the monotonic clock, which is the same in all processes.

    Attributes:
        received: The last byte of the request was there.
        size: Bytes of its body.
        first: The reply's first byte went out.
        ended: The reply's last byte went out; None as long as it runs.
    """

    received: float
    size: int
    first: float
    ended: float | None = None


class Endpoint:
    """Starts the server and hears from it."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "benchmarks.endpoint"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self._exchanges: dict[str, list[Exchange]] = {}
        self._news = threading.Condition()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # it leaves when its standard input ends

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    def exchanges(self, name: str) -> list[Exchange]:
        """What happened so far in the conversation of this name, in order."""
        with self._news:
            return list(self._exchanges.get(name, []))

    def wait_for(self, name: str, *, requests: int = 1, ended: bool = False, timeout: float) -> list[Exchange]:
        """Waits for that many requests, or for the end of that many replies. Returns what came until the timeout."""

        def enough() -> bool:
            return (
                sum(not ended or exchange.ended is not None for exchange in self._exchanges.get(name, ())) >= requests
            )

        with self._news:
            self._news.wait_for(enough, timeout)
        return self.exchanges(name)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            news = json.loads(line)
            with self._news:
                exchanges = self._exchanges.setdefault(news["name"], [])
                if "ended" in news:
                    exchanges[news["number"]].ended = news["ended"]
                else:
                    exchanges.append(Exchange(news["received"], news["size"], news["first"]))
                self._news.notify_all()


# -------------------------------------------------------------------------------------------------------- the server


class _Server:
    def __init__(self) -> None:
        self._requests: Counter[str] = Counter()
        self._url = ""

    async def serve(self) -> None:
        """Prints its port, then news, until its standard input ends."""
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=1 << 24)
        port = server.sockets[0].getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        print(port, flush=True)
        await asyncio.to_thread(sys.stdin.read)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := (await reader.readline()).strip():
                method, target, _ = line.decode().split(" ", 2)
                body = await _read_body(reader)
                await self._answer(method, target, body, time.monotonic(), writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left, as interrupted clients do
        finally:
            writer.close()

    async def _answer(
        self, method: str, target: str, body: bytes, received: float, writer: asyncio.StreamWriter
    ) -> None:
        wire = next((events for path, events in WIRES.items() if target.endswith(path)), None)
        if target.startswith("/pages/"):
            _write(writer, "200 OK", "text/html", article(target).encode())
            return
        if method != "POST" or wire is None:
            found = target.partition("?")[0].endswith("/models")
            _write_json(writer, "200 OK" if found else "404 Not Found", MODELS if found else {"error": "not here"})
            return
        request = json.loads(body)
        script = SCRIPT.search(newest_prompt(request, "bench "))
        if script is None or not request.get("tools"):  # a side task such as a title
            await _send(writer, wire(Reply("aside", ["ok"])), 0)
            return
        name, _, _, rate = script.groups()
        number = self._requests[name]
        self._requests[name] += 1
        reply = _reply(script, number, request["tools"], self._url)
        _tell(name=name, received=received, size=len(body), first=time.monotonic())
        await _send(writer, wire(reply), 0 if script[2] == "research" else int(rate or 0))
        _tell(name=name, number=number, ended=time.monotonic())


def _reply(script: re.Match[str], number: int, tools: list[dict[str, Any]], url: str) -> Reply:
    name, kind, amount, rate = script.groups()
    serial, end = f"{name}_{number}", f"\n\nend.{name}"
    call = shell_call(tools, f"true {number}") if kind in ("tools", "study") and number < int(amount) else None
    if kind == "study" and call:
        said = words(STUDY_CHUNKS + 4 * RESEARCHERS.index(name[-1]))  # so that they do not go in step
        page = ("web_fetch", {"url": f"{url}/pages/{name}/{number}"})
        return Reply(serial, said, [page if number % 2 == 0 else call])
    if call:
        return Reply(serial, calls=[call])
    if kind == "research" and not number:
        tasks = (f"bench {name}{letter} study {amount} {rate}" for letter in RESEARCHERS)
        return Reply(serial, calls=[("research", {"task": task}) for task in tasks])
    if kind == "stream":
        return Reply(serial, [*words(int(amount)), end])
    return Reply(serial, ["All", " of", " it", " is", " done.", end])


def article(name: str) -> str:
    """A page of the web of about 60 KB, each a different one."""
    text = "".join(words(PAGE_PARAGRAPHS * 20)).split("\n\n")
    body = "".join(f"<p>{html.escape(part)} <a href='/pages/{number}'>more</a></p>" for number, part in enumerate(text))
    menu = "".join(f"<li><a href='/pages/{number}'>page {number}</a></li>" for number in range(100))
    head = f"<head><title>{name}</title></head>"
    return f"<html>{head}<body><nav><ul>{menu}</ul></nav><article>{body}</article></body></html>"


async def _read_body(reader: asyncio.StreamReader) -> bytes:
    size, chunked = 0, False
    while line := (await reader.readline()).strip().lower():
        key, _, value = line.partition(b":")
        if key == b"content-length":
            size = int(value)
        chunked = chunked or (key == b"transfer-encoding" and b"chunked" in value)
    if not chunked:
        return await reader.readexactly(size)
    parts = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        parts.append((await reader.readexactly(size + 2))[:size])
    await reader.readline()
    return b"".join(parts)


async def _send(writer: asyncio.StreamWriter, events: Iterator[bytes], rate: int) -> None:
    """Streams the events, each in a write of its own: at that many a second, or as fast as the client reads."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    start = time.monotonic()
    for number, event in enumerate(events):
        if rate:
            await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
        writer.write(b"%x\r\n%s\r\n" % (len(event), event))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def _write_json(writer: asyncio.StreamWriter, status: str, answer: dict[str, Any]) -> None:
    _write(writer, status, "application/json", json.dumps(answer).encode())


def _write(writer: asyncio.StreamWriter, status: str, kind: str, data: bytes) -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)


def _tell(**news: Any) -> None:
    print(json.dumps(news), flush=True)


if __name__ == "__main__":
    asyncio.run(_Server().serve())

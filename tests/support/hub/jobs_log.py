"""Logs: written as the events that the Hub sends, so that replaying one is copying a file."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

CHUNK = 1 << 16
END = b"\n\n"
POLL_S = 0.02


class LogWriter:
    """Appends output to a log, a line an event. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        self._rest = b""
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rest:
            self.write(b"\n")
        self._file.close()

    def write(self, output: bytes) -> None:
        """Logs the lines that are complete; the rest waits for its end."""
        with self._lock:
            *lines, self._rest = (self._rest + output).split(b"\n")
            if not lines:
                return
            ending = f', "timestamp": "{timestamp()}"}}\n\n'.encode()
            events = [
                b'data: {"data": ' + json.dumps(line.removesuffix(b"\r").decode(errors="replace")).encode() + ending
                for line in lines
            ]
            self._file.write(b"".join(events))
            self._file.flush()

    def copy(self, stream: BinaryIO) -> None:
        """Logs a stream to its end."""
        pending: list[bytes] = []
        while chunk := os.read(stream.fileno(), CHUNK):
            pending.append(chunk)
            if b"\n" in chunk:  # joining only then keeps a line of many megabytes from costing their square
                self.write(b"".join(pending))
                pending.clear()
        self.write(b"".join(pending))


def timestamp() -> str:
    """Now, as the Hub writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def read_log(path: Path) -> list[str]:
    """All lines, without the one that says that the job started."""
    if not path.exists():
        return []
    events = path.read_bytes().split(END)[:-1]
    lines = [str(json.loads(event.removeprefix(b"data: "))["data"]) for event in events]
    return [line for line in lines if not line.startswith("===== Job started")]


def tail_offset(path: Path, count: int) -> int:
    """Where the last `count` events begin, in bytes."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        position = end = file.seek(0, os.SEEK_END)
        seen, held = 0, b""
        while position > 0 and seen <= count:
            position = max(0, position - CHUNK)
            file.seek(position)
            held = file.read(min(CHUNK, end - position)) + held
            end = position
            seen = held.count(END)
        if seen <= count:
            return position if seen == count else 0
        for _ in range(seen - count):
            cut = held.index(END) + len(END)
            position, held = position + cut, held[cut:]
        return position


async def follow(path: Path, start: int, finished: Callable[[], bool], *, keep_alive_s: float) -> AsyncIterator[bytes]:
    """Whole events from byte `start` on, as they are written, until `finished`; comments where nothing comes."""
    position, held, quiet = start, b"", 0.0
    while True:
        over = finished()  # asked before reading: what was written until then is still read
        chunk = _read(path, position)
        if chunk:
            position, quiet = position + len(chunk), 0.0
            whole, separator, rest = (held + chunk).rpartition(END)
            held = rest
            if separator:
                yield whole + separator
        elif over:
            return
        else:
            await asyncio.sleep(POLL_S)
            quiet += POLL_S
            if quiet >= keep_alive_s:
                quiet = 0.0
                yield b": keep-alive\n\n"


def _read(path: Path, position: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(position)
            return file.read(CHUNK * 4)
    except FileNotFoundError:
        return b""

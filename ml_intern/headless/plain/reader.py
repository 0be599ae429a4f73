"""Lines that a person types, read in a thread, one at a time and only when the next one is wanted."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Typed:
    """A line, or the end of all lines.

    Attributes:
        text: None at the end.
        at: When it came, in seconds that only go forward.
    """

    text: str | None
    at: float


class Reader:
    """Reads standard input. Between two lines it leaves the terminal alone, so that an editor can have it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[Typed] = asyncio.Queue()
        self._wanted = threading.Semaphore(0)
        self._waiting = False
        self._over = False
        with contextlib.suppress(ImportError):  # not everywhere; with it, lines can be edited and called back
            import readline  # noqa: F401 - `input` uses it once it is imported
        threading.Thread(target=self._read, name="lines", daemon=True).start()

    async def line(self) -> Typed:
        """The next line."""
        if self._over:
            return Typed(None, time.monotonic())
        if not self._waiting:
            self._waiting = True
            self._wanted.release()
        typed = await self._lines.get()
        self._waiting = False
        self._over = typed.text is None
        return typed

    def _read(self) -> None:
        ended = False
        while not ended:
            self._wanted.acquire()
            try:
                text: str | None = input()
            except (EOFError, OSError, ValueError):  # the end, or nothing to read from
                text = None
            except UnicodeDecodeError:
                text = ""
            ended = text is None
            with contextlib.suppress(RuntimeError):  # the loop is gone: so is whoever wanted the line
                self._loop.call_soon_threadsafe(self._lines.put_nowait, Typed(text, time.monotonic()))


def is_terminal() -> bool:
    """Whether a person types at a terminal."""
    return bool(sys.stdin and sys.stdin.isatty())

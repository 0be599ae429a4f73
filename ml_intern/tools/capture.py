"""Output of a running command: read in a thread, bounded in memory, whole on disk, offered live in small portions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from ml_intern.core.tools.output import HEAD_SHARE
from ml_intern.tools.terminal_text import TerminalText

log = logging.getLogger(__name__)

SPILL_LIMIT_CHARS = 2**32
"""More than this is not kept on disk either: a command that prints without end must not fill it."""

_READ_BYTES = 65_536
_LIVE_CHARS = 8_000
_LIVE_LINES = 40


class BoundedText:
    """A text of any length: its beginning and end in memory, and the whole of it in a file once it grows too long.

    Args:
        limit: Characters kept in memory.
        spill: The file; it is made only when it is needed.

    Attributes:
        place: Where whoever reads the text finds the file; empty when they cannot.
    """

    def __init__(self, limit: int, spill: Path) -> None:
        self.total = 0
        self._limit = limit
        self._head_limit = int(limit * HEAD_SHARE)
        self._tail_limit = limit - self._head_limit
        self._head = ""
        self._tail: deque[str] = deque()
        self._tail_length = 0
        self._path = spill
        self.place = str(spill)
        self._file: TextIO | None = None
        self._kept = 0
        self._failed = False

    def add(self, text: str) -> None:
        """Appends."""
        if not text:
            return
        self.total += len(text)
        if self.total > self._limit:
            self.keep_whole()
        self._spill(text)
        if room := self._head_limit - len(self._head):
            self._head += text[:room]
            text = text[room:]
        if text:
            self._tail.append(text)
            self._tail_length += len(text)
        while self._tail and self._tail_length - len(self._tail[0]) >= self._limit:
            self._tail_length -= len(self._tail.popleft())

    def keep_whole(self) -> None:
        """From now on everything goes to the file too; all that came before is still in memory and goes first."""
        if self._file is not None or self._kept or self._failed:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._file = os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="")
        except OSError as error:
            self._give_up(error)
            return
        self._spill(self._head + "".join(self._tail))

    def text(self) -> str:
        """The whole text, or its beginning and end with a line between them that says what is missing."""
        tail = "".join(self._tail)
        if self.total <= self._limit:
            return self._head + tail
        marker = f"[… {self.total - self._limit:,} of {self.total:,} characters left out here.{self._whereabouts()} …]"
        return f"{self._head}\n\n{marker}\n\n{tail[-self._tail_limit :]}"

    @property
    def path(self) -> Path | None:
        """The file, if it was made."""
        return self._path if self._kept or self._file is not None else None

    def close(self) -> None:
        """Nothing more comes."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk has been reported when it was met
                self._file.close()
            self._file = None

    def _spill(self, text: str) -> None:
        if self._file is None:
            return
        try:
            self._file.write(text)
            self._file.flush()  # the agent may read the file while a background process still writes
        except OSError as error:
            self._give_up(error)
            return
        self._kept += len(text)
        if self._kept >= SPILL_LIMIT_CHARS:
            self.close()

    def _give_up(self, error: OSError) -> None:
        log.warning("long output could not be kept in %s: %s", self._path, error)
        self._failed = True
        self.close()

    def _whereabouts(self) -> str:
        if not self._kept or not self.place:
            return " It could not be kept on disk."
        part = "all of it is" if self._kept >= self.total else f"the first {self._kept:,} are"
        return f" The command has run; {part} in {self.place}: page through it with read."


class LiveText:
    """What was printed since the last look, in portions a screen can follow: of a flood only the end is kept."""

    def __init__(self) -> None:
        self._text = ""
        self._skipped = 0
        self.partial = ""

    def add(self, text: str) -> None:
        """Appends complete lines (or a piece of a very long one)."""
        self._text += text
        if len(self._text) > 2 * _LIVE_CHARS:
            cut = len(self._text) - _LIVE_CHARS
            cut = self._text.find("\n", cut) + 1 or cut
            self._skipped += self._text.count("\n", 0, cut)
            self._text = self._text[cut:]

    def take(self) -> str:
        """The lines since the last call, empty when there are none."""
        if not self._text:
            return ""
        lines = self._text.removesuffix("\n").split("\n")
        skipped = self._skipped + max(0, len(lines) - _LIVE_LINES)
        lines = lines[-_LIVE_LINES:]
        self._text, self._skipped = "", 0
        return "\n".join([f"… {skipped:,} more lines", *lines] if skipped else lines)


class CommandOutput:
    """Output of a command from wherever it comes, taken in by one thread and looked at by another.

    Args:
        limit: Characters kept in memory.
        spill: Where longer output is kept whole.
        notify: Called from the taking thread when there is something new to show, or the end.
    """

    def __init__(self, limit: int, spill: Path, notify: Callable[[], None]) -> None:
        self._kept = BoundedText(limit, spill)
        self._live = LiveText()
        self._notify = notify
        self._lock = threading.Lock()
        self._ended = threading.Event()

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return self._ended.is_set()

    def take_live(self) -> tuple[str, str]:
        """The lines since the last call, and the line that has not ended yet."""
        with self._lock:
            return self._live.take(), self._live.partial

    def keep_whole(self) -> None:
        """Makes sure that what is still to come can be found in the file."""
        with self._lock:
            self._kept.keep_whole()

    def result(self) -> tuple[str, Path | None]:
        """What was printed, within the limit, and the file that holds all of it, if there is one."""
        with self._lock:
            partial = "" if self.ended else self._live.partial[-_LIVE_CHARS:]
            return self._kept.text() + partial, self._kept.path

    def moved(self, place: str) -> None:
        """The file is to be found elsewhere by whoever reads the result; nowhere, when `place` is empty."""
        with self._lock:
            self._kept.place = place

    def _take(self, text: str, partial: str) -> None:
        with self._lock:
            self._kept.add(text)
            self._live.add(text)
            self._live.partial = partial
        self._notify()

    def _end(self, rest: str) -> None:
        self._take(rest, "")
        with self._lock:
            self._kept.close()
        self._ended.set()
        self._notify()


class PiecesCapture(CommandOutput):
    """Takes the output of a command as pieces of text, from several streams that are interleaved line by line."""

    def __init__(self, limit: int, spill: Path, notify: Callable[[], None]) -> None:
        super().__init__(limit, spill, notify)
        self._streams: dict[str, TerminalText] = {}

    def feed(self, stream: str, data: str) -> None:
        """Takes the next piece of a stream."""
        terminal = self._streams.setdefault(stream, TerminalText())
        self._take(terminal.feed(data.encode("utf-8", "replace")), terminal.partial)

    def finish(self) -> None:
        """Nothing more comes."""
        self._end("".join(terminal.finish() for terminal in self._streams.values()))


class OutputCapture(CommandOutput):
    """Reads one end of a pipe until everybody has closed the other one.

    A background process may hold the pipe long after the command has ended. It is read on, so that the process is
    not stopped by a broken pipe, and what it prints goes to the file.
    """

    def __init__(self, limit: int, spill: Path, notify: Callable[[], None]) -> None:
        super().__init__(limit, spill, notify)
        self._received = 0

    def start(self, descriptor: int) -> None:
        """Begins to read; the descriptor is closed at the end."""
        threading.Thread(target=self._read, args=(descriptor,), name="command-output", daemon=True).start()

    async def drain(self, patience_s: float = 0.5) -> None:
        """Waits until all that was written so far has been read: the end, or a moment in which nothing comes."""
        deadline = time.monotonic() + patience_s
        pause = 0.001
        quiet_since, received = time.monotonic(), self._received
        while not self.ended and time.monotonic() < deadline:
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.02)
            if self._received != received:
                quiet_since, received = time.monotonic(), self._received
            elif time.monotonic() - quiet_since > 0.06:
                return

    def _read(self, descriptor: int) -> None:
        terminal = TerminalText()
        try:
            while data := os.read(descriptor, _READ_BYTES):
                self._take(terminal.feed(data), terminal.partial)
                self._received += len(data)
        except OSError as error:
            log.warning("output of a command could not be read to its end: %s", error)
        finally:
            os.close(descriptor)
            self._end(terminal.finish())

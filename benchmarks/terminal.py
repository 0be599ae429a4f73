"""Runs a program on a pseudo-terminal: a stamp on every read, and a screen that is worked out only when asked for.

A thread reads, so that the program never waits for us, and answers what programs ask of a terminal at start. The
emulation is slow; it runs in the caller's thread, on reads that already carry their time.
"""

from __future__ import annotations

import collections
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import pyte

from benchmarks.procfs import kill_tree

COLUMNS, LINES = 120, 40

# What an xterm of today answers: attributes, versions, cursor, modes (2026: synchronised output), keys, colours.
ANSWERS: tuple[tuple[re.Pattern[bytes], bytes], ...] = tuple(
    (re.compile(question), answer)
    for question, answer in (
        (rb"\x1b\[0?c", b"\x1b[?62;22c"),
        (rb"\x1b\[>0?c", b"\x1b[>1;10;0c"),
        (rb"\x1b\[>0?q", b"\x1bP>|bench 1\x1b\\\\"),
        (rb"\x1b\[6n", b"\x1b[1;1R"),
        (rb"\x1b\[5n", b"\x1b[0n"),
        (rb"\x1b\[\?2026\$p", b"\x1b[?2026;2$y"),
        (rb"\x1b\[\?(?!2026)(\d+)\$p", b"\x1b[?\\1;0$y"),
        (rb"\x1b\[\?u", b"\x1b[?0u"),
        (rb"\x1b\]10;\?(?:\x07|\x1b\\)", b"\x1b]10;rgb:eeee/eeee/eeee\x1b\\\\"),
        (rb"\x1b\]11;\?(?:\x07|\x1b\\)", b"\x1b]11;rgb:1111/1111/1111\x1b\\\\"),
    )
)
# Colours, strings and private sequences change no text; the emulator would be slow on some and wrong on others.
NO_TEXT = re.compile(
    rb"\x1b\[[0-9;:]*m|\x1b\[[<=>][0-9;:]*[ -/]*[@-~]|\x1b\[\??[0-9;]*\$p|\x1b[PX^_\]][^\x07\x1b]*(?:\x07|\x1b\\)"
)
UNFINISHED = re.compile(rb"\x1b(?:[PX^_\]][^\x07\x1b]*\x1b?|\[[0-?]*[ -/]*)?\Z")


class Screen:
    """What a person would see."""

    def __init__(self) -> None:
        self._emulator = pyte.Screen(COLUMNS, LINES)
        self._stream = pyte.ByteStream(self._emulator)
        self._lines = [""] * LINES
        self.text = ""

    def feed(self, data: bytes) -> None:
        """Takes what the program wrote, whole sequences only."""
        self._stream.feed(NO_TEXT.sub(b"", data))
        dirty, buffer = self._emulator.dirty, self._emulator.buffer
        for number in dirty:
            row = buffer[number]
            self._lines[number] = "".join(row[column].data for column in range(COLUMNS)).rstrip()
        dirty.clear()
        self.text = "\n".join(self._lines)


class Terminal:
    """A program on a terminal of 120 by 40.

    Args:
        command: The program and its arguments.
        env: Its whole environment.
        cwd: Its working directory.

    Attributes:
        started: When it was started, in seconds of the monotonic clock, as all times here.
        painted: Bytes it has written so far.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        self._fd, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        attributes = termios.tcgetattr(inner)
        attributes[3] &= ~termios.ECHO  # what shows was painted by the program
        termios.tcsetattr(inner, termios.TCSANOW, attributes)
        sys.setswitchinterval(0.001)  # the reader must get its turn while the screen is being worked out
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            command,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env=env,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=_adopt,
        )
        os.close(inner)
        self.painted = 0
        self.screen = Screen()
        self._reads: collections.deque[tuple[float, bytes]] = collections.deque()
        self._arrived = threading.Event()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The program's process."""
        return self._process.pid

    def send(self, text: str) -> float:
        """Types the text. Returns when."""
        moment = time.monotonic()
        os.write(self._fd, text.encode())
        return moment

    def wait_for(self, holds: Callable[[str], bool], timeout: float) -> float | None:
        """Waits until something holds for the text of the screen.

        Returns:
            The time of the read that made it hold; None after `timeout` seconds, or when the program has ended.
        """
        deadline = time.monotonic() + timeout
        if holds(self.screen.text):
            return time.monotonic()
        while True:
            while self._reads:
                moment, data = self._reads.popleft()
                self.screen.feed(data)
                if holds(self.screen.text):
                    return moment
            if time.monotonic() >= deadline or (self._ended and not self._reads):
                return None
            self._arrived.clear()
            if not self._reads:
                self._arrived.wait(max(0.0, deadline - time.monotonic()))

    def wait_for_bytes(self, holds: Callable[[bytes], bool], timeout: float) -> float | None:
        """Waits for a read for which something holds. The screen is not worked out: it stays as it was.

        Returns:
            The time of that read; None after `timeout` seconds, or when the program has ended.
        """
        deadline = time.monotonic() + timeout
        while True:
            while self._reads:
                moment, data = self._reads.popleft()
                if holds(data):
                    return moment
            if time.monotonic() >= deadline or self._ended:
                return None
            self._arrived.clear()
            if not self._reads:
                self._arrived.wait(max(0.0, deadline - time.monotonic()))

    def skip(self, quiet: float = 0.3, timeout: float = 30.0) -> bytes:
        """Waits until nothing has been painted for `quiet` seconds, and gives what was painted until then."""
        gathered: list[bytes] = []
        deadline = time.monotonic() + timeout

        def take(data: bytes) -> bool:
            gathered.append(data)
            return True

        while time.monotonic() < deadline and self.wait_for_bytes(take, quiet):
            pass
        return b"".join(gathered)

    def watch(self, seconds: float) -> None:
        """Keeps the screen up to date for a while."""
        self.wait_for(lambda _text: False, seconds)

    def settle(self, quiet: float = 0.4, timeout: float = 5.0) -> None:
        """Waits until nothing has been painted for `quiet` seconds."""
        deadline = time.monotonic() + timeout
        before = -1
        while before != self.painted and time.monotonic() < deadline:
            before = self.painted
            self.watch(quiet)

    def close(self) -> None:
        """Ends the program and all it has started."""
        kill_tree(self.pid)
        self._process.wait()
        self._reader.join(1.0)
        os.close(self._fd)

    def _read(self) -> None:
        rest = b""
        while True:
            try:
                data = os.read(self._fd, 1 << 16)
            except OSError:  # how a pseudo-terminal says that nobody writes to it any more
                break
            moment = time.monotonic()
            if not data:
                break
            self.painted += len(data)
            data = rest + data
            cut = match.start() if (match := UNFINISHED.search(data)) else len(data)
            data, rest = data[:cut], data[cut:]
            self._reads.append((moment, data))
            self._arrived.set()
            self._answer(data)
        self._ended = True
        self._arrived.set()

    def _answer(self, data: bytes) -> None:
        found = [(match.start(), match.expand(answer)) for asked, answer in ANSWERS for match in asked.finditer(data)]
        for _, answer in sorted(found):  # in the order of the questions: the last one often marks the end of the others
            os.write(self._fd, answer)


def _adopt() -> None:
    """Makes standard input the terminal of the new session. Runs in the child."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)

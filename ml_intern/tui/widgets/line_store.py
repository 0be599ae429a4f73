"""The lines of a log on disk: any number of them in little memory, read back from anywhere in a moment."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Callable, Iterable
from itertools import pairwise
from threading import Lock
from typing import BinaryIO, cast

from ml_intern.sessions.needle import Needle
from ml_intern.tui.widgets.text import ELLIPSIS, clean_output

MAX_LINE_CHARS = 4_000
MAX_BYTES = 256_000_000
"""When the file is larger, the older half of its lines is dropped."""
FINDS_AT_MOST = 50_000
_SEARCH_LINES = 4_096
_COPY_BYTES = 4_000_000


class LineStore:
    """Keeps lines in a nameless temporary file that nobody else can read; memory holds eight bytes for each.

    Lines are numbered from 0. Numbers stay the same; those below `first` are dropped. It may be read in one thread
    while another appends.

    Args:
        max_bytes: When to drop the older half.

    Attributes:
        first: Number of the oldest line that is kept.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.first = 0
        self._max_bytes = max_bytes
        self._ends = array("Q", (0,))  # where each line ends in the file; the first number is where it begins
        self._file = _open()
        self._lock = Lock()

    def __len__(self) -> int:
        """How many lines there were, the dropped ones included."""
        return self.first + len(self._ends) - 1

    def append(self, lines: Iterable[str]) -> None:
        """Adds lines, made safe to show and cut to a sensible length."""
        parts = [_safe(text).encode("utf-8", "replace") for text in lines]
        with self._lock:
            if self._file.closed:
                return
            begin = end = self._ends[-1]
            self._file.seek(begin)
            self._file.write(b"".join(parts))
            for data in parts:
                end += len(data)
                self._ends.append(end)
            if end > self._max_bytes:
                self._drop_older_half()

    def read(self, start: int, end: int) -> list[str]:
        """The lines from `start` to before `end`, as far as they are kept. Reads the file once."""
        with self._lock:
            start, end = max(start, self.first) - self.first, min(end - self.first, len(self._ends) - 1)
            if start >= end or self._file.closed:
                return []
            ends = self._ends[start : end + 1]
            data = self._at(ends[0], ends[-1])
        return [data[left - ends[0] : right - ends[0]].decode() for left, right in pairwise(ends)]

    def search(self, text: str, stopped: Callable[[], bool] = lambda: False) -> list[int]:
        """Numbers of the lines that contain a text (see `Needle`). Blocks: call it in a thread."""
        needle = Needle(text)
        found: list[int] = []
        for start in range(self.first, len(self), _SEARCH_LINES):
            if stopped() or len(found) >= FINDS_AT_MOST:
                break
            lines = self.read(start, start + _SEARCH_LINES)
            found += [start + at for at, line in enumerate(lines) if needle.within(line)]
        return found

    def write_to(self, file: BinaryIO) -> None:
        """Writes all lines that are kept, a newline after each. Blocks: call it in a thread."""
        for start in range(self.first, len(self), _SEARCH_LINES):
            file.writelines(line.encode() + b"\n" for line in self.read(start, start + _SEARCH_LINES))

    def close(self) -> None:
        """Gives the disk space back. Nothing is kept and nothing is taken any more."""
        with self._lock:
            self._file.close()

    def _at(self, begin: int, end: int) -> bytes:
        self._file.seek(begin)
        return self._file.read(end - begin)

    def _drop_older_half(self) -> None:
        dropped = (len(self._ends) - 1) // 2
        begin, end = self._ends[dropped], self._ends[-1]
        younger = _open()
        for at in range(begin, end, _COPY_BYTES):
            younger.write(self._at(at, min(at + _COPY_BYTES, end)))
        old, self._file = self._file, younger
        self._ends = array("Q", (place - begin for place in self._ends[dropped:]))
        self.first += dropped
        old.close()


def _open() -> BinaryIO:
    return cast("BinaryIO", tempfile.TemporaryFile())


def _safe(text: str) -> str:
    more = len(text) - MAX_LINE_CHARS
    shown = clean_output(text if more <= 0 else text[:MAX_LINE_CHARS]).replace("\n", " ")
    return shown if more <= 0 else f"{shown}{ELLIPSIS} ({more:,} more characters)"

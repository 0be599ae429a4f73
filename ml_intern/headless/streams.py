"""Standard output and standard error of a run without a screen."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TextIO


class Stream:
    """A text stream that may be closed on the other side at any time; then it falls silent and says so once."""

    def __init__(self, stream: TextIO | None, on_closed: Callable[[], None] = lambda: None) -> None:
        self._stream = stream
        self._on_closed = on_closed
        self.closed = stream is None

    def write_line(self, text: str) -> None:
        """Writes a line and flushes it."""
        if self.closed or self._stream is None:
            return
        try:
            # As bytes: an encoding that the terminal's locale cannot express must not stop a run.
            self._stream.buffer.write(text.encode("utf-8", "replace") + b"\n")
            self._stream.buffer.flush()
        except (OSError, ValueError):  # a broken pipe, or closed from our own side
            self.closed = True
            self._on_closed()

    def dim(self, text: str) -> str:
        """The text in a fainter shade, where there is a terminal to show it."""
        if self.closed or self._stream is None or not self._stream.isatty() or os.environ.get("NO_COLOR"):
            return text
        return f"\x1b[2m{text}\x1b[22m"


def standard_output(on_closed: Callable[[], None]) -> Stream:
    """The stream that carries the answer and nothing else."""
    return Stream(sys.stdout, on_closed)


def standard_error() -> Stream:
    """The stream for people: progress, notices, errors."""
    return Stream(sys.stderr)

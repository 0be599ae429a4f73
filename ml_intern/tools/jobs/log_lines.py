"""Lines of a log file: read as they grow, or from the end; cleaned of what only a terminal understands."""

from __future__ import annotations

from pathlib import Path

from ml_intern.tools.terminal_text import clean

MAX_LINE_CHARS = 4000
CHUNK_BYTES = 65_536
_TAIL_BYTES = 1_048_576


def clean_line(raw: bytes) -> str:
    """One line as text: without control sequences, a redrawn progress bar as it last looked, capped."""
    return clean_text(raw.decode("utf-8", errors="replace"))


def clean_text(line: str) -> str:
    """The same for a line that is text already."""
    text = clean(line.rstrip("\r"))
    if len(text) > MAX_LINE_CHARS:
        return f"{text[:MAX_LINE_CHARS]}… ({len(text) - MAX_LINE_CHARS:,} more characters)"
    return text


class GrowingLog:
    """Reads whole lines of a file that somebody else still writes. Not thread-safe: one reader, one call at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    def read(self) -> list[str]:
        """Lines that became complete since the last call, from at most `CHUNK_BYTES`; empty when there are none."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                chunk = file.read(CHUNK_BYTES)
        except FileNotFoundError:  # not begun yet
            return []
        self._offset += len(chunk)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > CHUNK_BYTES:
            # A line without an end, a progress bar as a rule: how it looks now is what matters.
            self._rest = self._rest[-2 * MAX_LINE_CHARS :]
        return [clean_line(line) for line in lines]

    def at_end(self) -> bool:
        """Whether everything written so far has been read."""
        try:
            return self._path.stat().st_size <= self._offset
        except FileNotFoundError:
            return True

    def rest(self) -> list[str]:
        """The last line, if it was never ended. For when nobody writes any more."""
        rest, self._rest = self._rest, b""
        return [clean_line(rest)] if rest else []


def last_lines(path: Path, count: int) -> tuple[str, ...]:
    """The last lines of a file, reading no more than its last megabyte."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            start = max(0, size - _TAIL_BYTES)
            file.seek(start)
            lines = file.read(_TAIL_BYTES).split(b"\n")
    except FileNotFoundError:
        return ()
    if start:
        del lines[0]  # begun before the part that was read
    if lines and not lines[-1]:
        del lines[-1]
    return tuple(clean_line(line) for line in lines[-count:]) if count > 0 else ()

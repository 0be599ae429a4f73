"""Writes the log of a local job: all that its program prints, within a limit and however full the disk is.

Used by the runner, and so made of the standard library alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from pathlib import Path

_CHUNK = 65_536
_CHUNKS_AT_ONCE = 64
_TAIL = 65_536

# Two ways in which uv draws a chain of causes.
_UV_ERROR = re.compile(r"error: |\s+× ")
_UV_GOES_ON = re.compile(r"\s|hint: ")
_UV_ORNAMENT = re.compile(r"^error: |^\s*(?:cause: |[×│├╰─▶]+\s*)+")


class JobLog:
    """Carries output from a pipe into a file. Beyond the limit only the end is kept: that is where errors are.

    Args:
        path: The file.
        limit: Bytes it may have.

    Attributes:
        reading: The end of the pipe that output comes out of.
        writing: The end for the program; closed by `started`.
        tail: The last bytes of the output.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        self.tail = b""
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._limit = limit
        self._room = max(0, limit - _TAIL)
        self._dropped = 0
        self._full_disk = False
        self._open = True

    def started(self) -> None:
        """Leaves the writing end to the program alone."""
        os.close(self.writing)

    @property
    def is_open(self) -> bool:
        """Whether anybody can still write."""
        return self._open

    def carry(self) -> None:
        """Takes what is there now, without waiting."""
        for _ in range(_CHUNKS_AT_ONCE):
            try:
                chunk = os.read(self.reading, _CHUNK)
            except BlockingIOError:
                return
            if not chunk:
                self._open = False
                return
            self._keep(chunk)

    def close(self) -> str:
        """Takes the rest. Returns a sentence about what is missing, or nothing."""
        self.carry()
        os.close(self.reading)
        if self._dropped:
            end = self.tail[-min(self._dropped, _TAIL) :]
            lost = self._dropped - len(end)
            if lost:
                end = end.partition(b"\n")[2] or end  # begins with a whole line
            with contextlib.suppress(OSError):
                self._write_all(f"\n… {lost:,} bytes are not kept here; the end:\n".encode() + end)
        os.close(self._file)
        if self._full_disk:
            return "The disk was full: a part of its log is missing."
        return f"Its log is longer than {_size(self._limit)}: a part of it is not kept." if self._dropped else ""

    def _keep(self, chunk: bytes) -> None:
        self.tail = (self.tail + chunk)[-_TAIL:]
        fits = chunk[: self._room]
        if len(fits) < len(chunk):
            fits = fits[: fits.rfind(b"\n") + 1]  # ends with a whole line
            self._room = len(fits)
        try:
            self._write_all(fits)
        except OSError as error:
            # The job goes on: what it computes is worth more than what it prints.
            self._full_disk = error.errno in {errno.ENOSPC, errno.EDQUOT}
            self._room = 0
            fits = b""
        self._room -= len(fits)
        self._dropped += len(chunk) - len(fits)

    def _write_all(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._file, data) :]


def last_bytes(path: Path) -> bytes:
    """The end of a log; nothing where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            return file.read(_TAIL)
    except OSError:
        return b""


def uv_failure(tail: bytes) -> str:
    """Why uv could not make the environment of a script, as one sentence; empty when that was not the trouble.

    Args:
        tail: The end of the log.
    """
    lines = re.sub(r"\x1b\[[0-9;]*m", "", tail.decode("utf-8", errors="replace")).splitlines()
    begin = next((at for at in reversed(range(len(lines))) if _UV_ERROR.match(lines[at])), None)
    # It is the last thing in the log: nothing of the script comes after it.
    if begin is None or any(line and not _UV_GOES_ON.match(line) for line in lines[begin + 1 :]):
        return ""
    first, *causes = (_UV_ORNAMENT.sub("", line).strip() for line in lines[begin:] if not line.startswith("hint: "))
    told = ": ".join(filter(None, (first.rstrip(":"), " ".join(filter(None, causes)))))
    return f"uv could not prepare it: {told[:600]}"


def _size(count: int) -> str:
    return f"{count / 1e6:.0f} MB" if count >= 1_000_000 else f"{count / 1e3:.0f} kB"

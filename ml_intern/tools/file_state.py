"""What a session knows of files: which it has read and as what, and how they were before it first changed them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import shutil
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ml_intern.core.protocol import utc_now
from ml_intern.tools.text_files import MAX_EDIT_BYTES, FileError

log = logging.getLogger(__name__)

_MAX_SNAPSHOT_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """By what a file is known again: its content where that is small enough to look at, else its time and size."""

    modified_ns: int
    size: int
    digest: str = ""

    @classmethod
    def of(cls, file: BinaryIO) -> Fingerprint:
        """The fingerprint of an open file; its position is at the beginning afterwards."""
        state = os.fstat(file.fileno())
        digest = _digest(file) if state.st_size <= MAX_EDIT_BYTES else ""
        file.seek(0)
        return cls(state.st_mtime_ns, state.st_size, digest)

    @classmethod
    def at(cls, path: Path) -> Fingerprint:
        """The fingerprint of the file at a path."""
        with path.open("rb") as file:
            return cls.of(file)

    def same_file(self, other: Fingerprint) -> bool:
        """Whether nothing has changed between the two."""
        if self.digest and other.digest:
            return self.digest == other.digest
        return (self.modified_ns, self.size) == (other.modified_ns, other.size)


def _digest(file: BinaryIO) -> str:
    digest = hashlib.blake2b(digest_size=16)
    while block := file.read(2**20):
        digest.update(block)
    return digest.hexdigest()


class ReadFiles:
    """Files this session has seen, so that nothing is overwritten unseen. Paths have their links followed."""

    def __init__(self) -> None:
        self._seen: dict[Path, Fingerprint] = {}
        self._locks: dict[Path, asyncio.Lock] = {}

    def lock(self, path: Path) -> asyncio.Lock:
        """Held by whoever changes the file: one path can be written in many ways."""
        return self._locks.setdefault(path, asyncio.Lock())

    def remember(self, path: Path, fingerprint: Fingerprint) -> None:
        """The session has seen the file like this."""
        self._seen[path] = fingerprint

    def require_fresh(self, path: Path) -> None:
        """Checks that an existing file is as the session last saw it.

        Raises:
            FileError: It was not read in this session, or has changed since.
        """
        seen = self._seen.get(path)
        if seen is None:
            raise FileError(f"{path} has not been read in this session. Read it first, so that nothing is lost unseen.")
        try:
            now = Fingerprint.at(path)
        except OSError as error:
            raise FileError(f"{path} cannot be read: {error.strerror or error}.") from error
        if not seen.same_file(now):
            raise FileError(f"{path} has changed on disk since it was read. Read it again, then make the change.")


class FileSnapshots:
    """Files as they were before the session first changed them, kept beside the session's other long texts.

    `index.jsonl` in the directory has one object a line: `time`, `path`, `snapshot` (a file name in the directory; null
    when the file did not exist or is too large to keep), `existed`, `mode`.
    """

    def __init__(self) -> None:
        self._kept: set[Path] = set()

    def keep(self, path: Path, directory: Path) -> None:
        """Keeps the file unless that was done before. A snapshot that fails does not stand in the way of the change."""
        if path in self._kept:
            return
        self._kept.add(path)
        try:
            self._keep(path, directory)
        except OSError as error:
            log.warning("no snapshot of %s could be kept: %s", path, error)

    @staticmethod
    def _keep(path: Path, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        state = path.stat() if path.exists() else None
        name = None
        if state is not None and state.st_size <= _MAX_SNAPSHOT_BYTES:
            name = f"{time.time_ns()}-{path.name[:80]}"
            with path.open("rb") as source, os.fdopen(_private(directory / name), "wb") as target:
                shutil.copyfileobj(source, target)
        mode = stat.S_IMODE(state.st_mode) if state is not None else None
        entry = {"time": utc_now(), "path": str(path), "snapshot": name, "existed": state is not None, "mode": mode}
        with os.fdopen(_private(directory / "index.jsonl", os.O_APPEND), "a", encoding="utf-8") as index:
            index.write(json.dumps(entry) + "\n")


def _private(path: Path, flags: int = 0) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600)

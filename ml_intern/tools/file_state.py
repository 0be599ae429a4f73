"""What a session knows of files: which it has read, and as what."""

from __future__ import annotations

import asyncio
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO

from ml_intern.tools.text_files import MAX_EDIT_BYTES, FileError


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

    @classmethod
    def of_content(cls, data: bytes) -> Fingerprint:
        """The fingerprint of a file by its content alone."""
        return cls(0, len(data), hashlib.blake2b(data, digest_size=16).hexdigest())

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
        self._seen: dict[PurePath, Fingerprint] = {}
        self._locks: dict[PurePath, asyncio.Lock] = {}

    def lock(self, path: PurePath) -> asyncio.Lock:
        """Held by whoever changes the file: one path can be written in many ways."""
        return self._locks.setdefault(path, asyncio.Lock())

    def remember(self, path: PurePath, fingerprint: Fingerprint) -> None:
        """The session has seen the file like this."""
        self._seen[path] = fingerprint

    def require_fresh(self, path: Path) -> None:
        """Checks that an existing file is as the session last saw it.

        Raises:
            FileError: It was not read in this session, or has changed since.
        """
        seen = self._require_seen(path)
        try:
            now = Fingerprint.at(path)
        except OSError as error:
            raise FileError(f"{path} cannot be read: {error.strerror or error}.") from error
        _require_same(path, seen, now)

    def require_same(self, path: PurePath, now: Fingerprint) -> None:
        """The same for a file that is not on this machine, as it is now.

        Raises:
            FileError: It was not read in this session, or has changed since.
        """
        _require_same(path, self._require_seen(path), now)

    def _require_seen(self, path: PurePath) -> Fingerprint:
        seen = self._seen.get(path)
        if seen is None:
            raise FileError(f"{path} has not been read in this session. Read it first, so that nothing is lost unseen.")
        return seen


def _require_same(path: PurePath, seen: Fingerprint, now: Fingerprint) -> None:
    if not seen.same_file(now):
        raise FileError(f"{path} has changed on disk since it was read. Read it again, then make the change.")

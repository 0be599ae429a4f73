"""Finds the logs of a sessions directory by what the file system knows, without opening one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TRASH = "trash"


@dataclass(frozen=True, slots=True)
class SessionFile:
    """A log, as the file system knows it.

    Attributes:
        path: Where it is.
        size: Bytes.
        modified: Time of the last change, in nanoseconds since 1970.
    """

    path: Path
    size: int
    modified: int


def logs_in(directory: Path) -> Iterator[SessionFile]:
    """The logs under a sessions directory (or its trash), in no order."""
    for year in _entries(directory):
        if not year.name.isdecimal():
            continue
        for month in _entries(Path(year.path)):
            for entry in _entries(Path(month.path)) if month.name.isdecimal() else ():
                if entry.name.endswith(".jsonl") and entry.is_file():
                    about = entry.stat()
                    yield SessionFile(Path(entry.path), about.st_size, about.st_mtime_ns)


def sessions_by_prefix(directory: Path, prefix: str) -> list[Path]:
    """Logs of sessions whose id begins like this, the one written last first. A whole id fits that session alone."""
    found = [file for file in logs_in(directory) if file.path.stem.startswith(prefix)]
    exact = [file for file in found if file.path.stem == prefix]
    return [file.path for file in sorted(exact or found, key=lambda file: file.modified, reverse=True)]


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []

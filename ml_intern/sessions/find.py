"""Finds the logs of a sessions directory by what the file system knows, without opening one."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

log = logging.getLogger(__name__)

TRASH = "trash"
ENDING = ".jsonl"
_RESTS_NS = 7 * 86_400 * 10**9
"""A log that nobody has written for so long is not likely to be written any more."""
_TICK_NS = 2 * 10**9
"""File systems tell the time of a change no more exactly than this."""


class SessionFile(NamedTuple):
    """A log, as the file system knows it.

    Attributes:
        place: Where it is. A text, since thousands of paths take longer to make than to list.
        size: Bytes.
        modified: Time of the last change, in nanoseconds since 1970.
    """

    place: str
    size: int
    modified: int

    @property
    def path(self) -> Path:
        """Where it is."""
        return Path(self.place)

    @property
    def id(self) -> str:
        """Id of the session."""
        return self.place[self.place.rfind(os.sep) + 1 : -len(ENDING)]


def logs_in(directory: Path) -> Iterator[SessionFile]:
    """The logs under a sessions directory (or its trash), in no order."""
    for month in _months(directory):
        yield from _logs_of(month)


class Lookout:
    """Looks for the logs of a directory again and again, and closely only where something is likely to have changed.

    A log that was written lately may be written again, and a month with a new or a lost log shows it by its own time.
    Only a log that rests for long and is gone on with escapes a fleeting look.

    Args:
        directory: Where session logs live.
        clock: Nanoseconds since 1970.
    """

    def __init__(self, directory: Path, clock: Callable[[], int] = time.time_ns) -> None:
        self._directory = directory
        self._clock = clock
        self._seen: dict[str, _Month] = {}

    def look(self, *, closely: bool = True) -> dict[str, SessionFile]:
        """The logs by session.

        Args:
            closely: Every one is looked at.
        """
        before, now, found = self._seen, self._clock(), {}
        for path in _months(self._directory):
            try:
                changed = os.stat(path).st_mtime_ns  # noqa: PTH116 - thousands of paths take longer to make than this
            except OSError:
                continue
            month = None if closely else before.get(path)
            if month is None or month.changed != changed:
                # What has changed just now may change again without showing it.
                month = _Month(changed if now - changed > _TICK_NS else -1, {log.id: log for log in _logs_of(path)})
            else:
                month = _Month(changed, {name: _again(log, now) for name, log in month.logs.items()})
            found[path] = month
        self._seen = found
        return {name: log for month in found.values() for name, log in month.logs.items()}


class _Month(NamedTuple):
    changed: int
    logs: dict[str, SessionFile]


def _again(log: SessionFile, now: int) -> SessionFile:
    if now - log.modified > _RESTS_NS:
        return log
    try:
        about = os.stat(log.place)  # noqa: PTH116 - the same
    except OSError:
        return log  # its month shows it at the next look
    return SessionFile(log.place, about.st_size, about.st_mtime_ns)


def _months(directory: Path) -> Iterator[str]:
    for year in _entries(directory):
        if year.name.isdecimal():
            yield from (month.path for month in _readable_entries(year.path) if month.name.isdecimal())


def _logs_of(month: str) -> Iterator[SessionFile]:
    for entry in _readable_entries(month):
        if entry.name.endswith(ENDING) and (about := _stat(entry)) is not None and S_ISREG(about.st_mode):
            yield SessionFile(entry.path, about.st_size, about.st_mtime_ns)


def sessions_by_prefix(directory: Path, prefix: str) -> list[Path]:
    """Logs of sessions whose id begins like this, the one written last first. A whole id fits that session alone."""
    found = [file for file in logs_in(directory) if file.id.startswith(prefix)]
    exact = [file for file in found if file.id == prefix]
    return [file.path for file in sorted(exact or found, key=lambda file: file.modified, reverse=True)]


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat()
    except OSError:  # it has just been thrown away, or leads nowhere
        return None


def _readable_entries(directory: str) -> list[os.DirEntry[str]]:
    """What is in a year or a month: where one of them cannot be read, the others still can."""
    try:
        return _entries(directory)
    except OSError as error:
        log.warning("sessions in %s cannot be read: %s", directory, error)
        return []


def _entries(directory: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []

"""One writer for a session: a lock on its log that ends with the process, however the process ends."""

from __future__ import annotations

import errno
import logging
import os
import sys
import time
from pathlib import Path

log = logging.getLogger(__name__)

_ATTEMPTS = 4
_PAUSE_S = 0.01
"""Whoever only asks whether a log is in use holds the lock for a moment; so one refusal does not count."""


class SessionInUseError(OSError):
    """Another process writes this session."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EBUSY, "another ml-intern is writing it", str(path))


class SessionChangedError(OSError):
    """Another process has written this session since it was read."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EBUSY, "another ml-intern has just gone on with it", str(path))


class SessionLock:
    """The right to write one log. Readers need none."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    @classmethod
    def take(cls, path: Path) -> SessionLock:
        """Takes the lock of an existing log.

        Raises:
            SessionInUseError: Someone else has it.
            OSError: The log cannot be opened.
        """
        handle = os.open(path, os.O_RDONLY)
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE_S)
            if _try_lock(handle, path):
                return cls(handle)
        os.close(handle)
        raise SessionInUseError(path)

    def release(self) -> None:
        """Gives it back. Once: the number of the file may be another one's by then."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)


def in_use(path: Path) -> bool:
    """Whether some process, this one included, writes a log at the moment."""
    try:
        SessionLock.take(path).release()
    except SessionInUseError:
        return True
    except OSError:
        return False
    return False


if sys.platform == "win32":

    def _try_lock(_handle: int, _path: Path) -> bool:
        """Locks of this system would shut readers out as well; there is none."""
        return True

else:
    import fcntl

    def _try_lock(handle: int, path: Path) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:  # a file system without locks: better to save without one than not at all
            log.warning("%s cannot be locked: %s", path, error)
        return True

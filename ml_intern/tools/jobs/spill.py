"""The whole log of a job that runs elsewhere, kept in a file of this machine as its lines come."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)


class SpilledLog:
    """Writes lines to a file that only the person can read. A disk that is full does not stand in the way of the job.

    Args:
        directory: Where it goes; made on first use.
        name: Of the job.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._path = directory / f"job-{re.sub(r'[^A-Za-z0-9_.-]', '_', name)[:80]}.log"
        self._file: IO[str] | None = None
        self._failed = False

    @property
    def path(self) -> str:
        """Where the lines are, or empty when they are nowhere."""
        return "" if self._failed else str(self._path)

    def add(self, line: str) -> None:
        """Writes a line."""
        if self._failed:
            return
        try:
            if self._file is None:
                self._file = self._open()
            self._file.write(line + "\n")
        except OSError as error:
            self._give_up(error)

    def flush(self) -> None:
        """Makes everything so far readable for others."""
        if self._file is not None:
            try:
                self._file.flush()
            except OSError as error:
                self._give_up(error)

    def close(self) -> None:
        """Ends the file."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> IO[str]:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        return os.fdopen(number, "w", encoding="utf-8", errors="replace", newline="\n")

    def _give_up(self, error: OSError) -> None:
        log.warning("the log of a job could not be kept in %s: %s", self._path, error)
        self._failed = True

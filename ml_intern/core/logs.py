"""The program's own log file: what people need when something broke, without their secrets."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path

LOG_FILE = "ml-intern.log"
MAX_BYTES = 2_000_000
BACKUPS = 3


def start_logging(directory: Path, redact: Callable[[str], str], *, debug: bool = False) -> None:
    """Sends log records to a file, and nothing of them to the terminal.

    Calling it again moves the log there. The file is made with the first record.

    Args:
        directory: Where the file goes; made when needed, for this user alone.
        redact: Takes secrets out of each record.
        debug: Also write every request and reply.
    """
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _LogFile)]:
        root.removeHandler(handler)
        handler.close()
    handler = _LogFile(directory / LOG_FILE)
    handler.setFormatter(_Redacting(redact))
    root.addHandler(handler)
    logging.getLogger("ml_intern").setLevel(logging.DEBUG if debug else logging.INFO)
    logging.captureWarnings(True)


class _Redacting(logging.Formatter):
    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s")
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))


class _LogFile(RotatingFileHandler):
    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=MAX_BYTES, backupCount=BACKUPS, encoding="utf-8", errors="replace", delay=True)

    def _open(self) -> io.TextIOWrapper:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return io.TextIOWrapper(io.FileIO(handle, "a"), encoding="utf-8", errors="replace", write_through=True)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        """A log that cannot be written must neither stop the program nor write over its screen."""

"""A fault of the app itself: the details go to the log file, one sentence to the terminal."""

from __future__ import annotations

import logging
import os

log = logging.getLogger(__name__)


def record_fault(error: BaseException | None) -> str:
    """Writes the traceback to the log file, without secrets, and returns what to tell the person."""
    from ml_intern.core.logs import LOG_FILE, start_logging
    from ml_intern.core.places import find_places
    from ml_intern.core.redact import Redactor

    directory = find_places().logs
    if not logging.getLogger().handlers:  # nothing was built yet
        start_logging(directory, Redactor.from_env(os.environ).text)
    log.critical("the app broke", exc_info=error)
    kind = type(error).__name__ if error is not None else "unknown"
    details = f"{directory / LOG_FILE} has the details."
    return f"ml-intern: a fault of the app itself ended it ({kind}). The conversation is saved; {details}"

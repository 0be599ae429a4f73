"""What a server tells about a call while it runs, at a rate that a screen and a session log can take."""

from __future__ import annotations

import time
from collections.abc import Callable

from ml_intern.tools.terminal_text import clean

_MIN_PAUSE_S = 0.1
_MAX_MESSAGES = 300
_MAX_CHARS = 1000


class CallLog:
    """The progress and the messages of one call.

    Args:
        show: Takes lines.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._shown_at = float("-inf")
        self._messages = 0

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        """Shows how far the call is; what comes too quickly is left out, but never the end."""
        now = time.monotonic()
        if now - self._shown_at < _MIN_PAUSE_S and progress != total:
            return
        self._shown_at = now
        far = f"{progress:g}" + (f" of {total:g}" if total else "")
        self._line(f"{far}: {message}" if message else far)

    def message(self, level: str, text: str) -> None:
        """Shows a message of the server."""
        self._messages += 1
        if self._messages < _MAX_MESSAGES:
            self._line(text if level in {"info", "debug"} else f"{level}: {text}")
        elif self._messages == _MAX_MESSAGES:
            self._line("Further messages of this call are in the log file.")

    def _line(self, text: str) -> None:
        self._show(clean(text[:_MAX_CHARS]))

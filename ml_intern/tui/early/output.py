"""What is written to the terminal beside the app: its title, and whatever it is when the terminal may be gone."""

from __future__ import annotations

import contextlib

from ml_intern.options import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, TextIO

SAVE_TITLE = "\x1b[22;0t"
RESTORE_TITLE = "\x1b[23;0t"


def title_sequence(text: str) -> str:
    """What sets the terminal's title. Control characters in the text are dropped."""
    return f"\x1b]0;{''.join(char for char in text if char.isprintable())}\x07"


class Forgiving:
    """A text stream that may go away: what is written after that is dropped.

    Textual writes in a thread of its own and waits for it; if a vanished terminal ended that thread, the app would wait
    for ever, with its children still at work.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes, or drops the text."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flushes, if there is still something to flush to."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

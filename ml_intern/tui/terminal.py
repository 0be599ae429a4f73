"""The terminal around the app: its title, and a first frame that is there before anything is imported."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
from typing import Any

ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J"
LEAVE = "\x1b[?1049l\x1b[?25h"
SAVE_TITLE = "\x1b[22;0t"
RESTORE_TITLE = "\x1b[23;0t"


def title_sequence(text: str) -> str:
    """What sets the terminal's title. Control characters in the text are dropped."""
    return f"\x1b]0;{''.join(char for char in text if char.isprintable())}\x07"


class FirstFrame:
    """Shows where the prompt will be while the app is being imported, and keeps early keys from being echoed.

    What is typed meanwhile waits in the terminal's own buffer until the app reads it. `close` gives the terminal back
    as it was, whatever happened in between.
    """

    def __init__(self) -> None:
        self._attributes: list[Any] | None = None
        self._open = False

    def show(self) -> None:
        """Paints, if this is a terminal."""
        if not (sys.__stdin__ and sys.__stderr__ and sys.__stdin__.isatty() and sys.__stderr__.isatty()):
            return
        self._quiet()
        self._open = True
        atexit.register(self.close)
        lines = shutil.get_terminal_size().lines
        frame = f"\x1b[1;2H\x1b[1mml-intern\x1b[0m\x1b[2m  starting …\x1b[0m\x1b[{max(1, lines - 1)};2H›"
        sys.__stderr__.write(SAVE_TITLE + title_sequence("ml-intern") + ENTER + frame)
        sys.__stderr__.flush()

    def close(self) -> None:
        """Gives the terminal back."""
        if not self._open:
            return
        self._open = False
        atexit.unregister(self.close)
        if self._attributes is not None:
            import termios

            termios.tcsetattr(sys.__stdin__.fileno(), termios.TCSANOW, self._attributes)  # type: ignore[union-attr]  # checked in show
        if sys.__stderr__:
            sys.__stderr__.write(LEAVE + RESTORE_TITLE)
            sys.__stderr__.flush()

    def _quiet(self) -> None:
        """No echo, no line editing, Enter stays Enter."""
        if os.name != "posix" or sys.__stdin__ is None:
            return
        import termios

        descriptor = sys.__stdin__.fileno()
        self._attributes = termios.tcgetattr(descriptor)
        attributes = termios.tcgetattr(descriptor)
        attributes[0] &= ~termios.ICRNL
        attributes[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(descriptor, termios.TCSANOW, attributes)

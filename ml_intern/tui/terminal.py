"""The terminal around the app: its title, and a first frame that is there before anything is imported."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import sys
from typing import Any, TextIO, TypeVar

ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J"
LEAVE = "\x1b[?1049l\x1b[?25h"
SAVE_TITLE = "\x1b[22;0t"
RESTORE_TITLE = "\x1b[23;0t"


def title_sequence(text: str) -> str:
    """What sets the terminal's title. Control characters in the text are dropped."""
    return f"\x1b]0;{''.join(char for char in text if char.isprintable())}\x07"


def has_terminal() -> bool:
    """Whether keys come from a terminal that is still there."""
    if os.name != "posix" or "TEXTUAL_DRIVER" in os.environ:  # there, a page in a browser is the terminal
        return True
    import termios

    try:
        termios.tcgetattr(sys.__stdin__.fileno())  # type: ignore[union-attr]  # None is one of the errors below
    except (AttributeError, OSError, ValueError, termios.error):
        return False
    return True


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


DriverT = TypeVar("DriverT", bound=type)


def outliving(driver: DriverT) -> DriverT:
    """A Textual driver class whose output is `Forgiving`."""

    class Outliving(driver):  # type: ignore[valid-type, misc]  # the base is known at run time only
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            if (stream := getattr(self, "_file", None)) is not None:
                self._file = Forgiving(stream)

    return Outliving  # type: ignore[return-value]  # a subclass of what came in


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
        if self._attributes is not None and sys.__stdin__:
            import termios

            with contextlib.suppress(OSError, ValueError, termios.error):  # the terminal may be gone
                termios.tcsetattr(sys.__stdin__.fileno(), termios.TCSANOW, self._attributes)
        if sys.__stderr__:
            output = Forgiving(sys.__stderr__)
            output.write(LEAVE + RESTORE_TITLE)
            output.flush()

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

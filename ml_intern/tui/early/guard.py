"""A tiny parent of the app, which gives the terminal back when the app cannot do so itself.

Whoever is killed (`kill -9`, no memory left) leaves the terminal in the state of a full-screen program: no echo, no
cursor, every move of the mouse a burst of characters. So the app runs in a child process, forked before anything is
imported; the parent waits, passes signals on, and restores the terminal when the child did not end by itself. Where
there is no `fork`, the app runs as it is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable

from ml_intern.options import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

RESTORE = (
    "\x1b[<u"  # keys as usual
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l"  # no reports of the mouse,
    "\x1b[?1004l\x1b[?2004l\x1b[?2048l"  # of the focus, of pastes, of the size
    "\x1b[?2026l\x1b[?7h\x1b[?1049l\x1b[?25h\x1b[0m\x1b[23;0t"
)
"""Ends every mode that the app or Textual switches on."""

SIGNALLED = 128
"""Added to the number of a signal, as shells do, it is the exit code of what the signal ended."""
_PASSED_ON = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
_FOR_THE_APP = ("SIGINT", "SIGQUIT", "SIGTSTP", "SIGTTIN", "SIGTTOU")
"""The terminal sends these to both; the app decides."""


_guard = 0


def guarded(run: Callable[[], int]) -> int:
    """Runs an app and returns its exit code. In the child process it returns as well: leave at once with the code."""
    global _guard  # a process has one parent
    attributes = _terminal()
    if attributes is None:
        return run()
    parent = os.getpid()
    child = os.fork()
    if child:
        return _Guard(child, attributes).wait()
    _guard = parent
    return run()


def is_orphaned() -> bool:
    """Whether this is a guarded app whose parent is gone: whoever started it waits for it no longer."""
    return _guard != 0 and os.getppid() != _guard


def _terminal() -> list[Any] | None:
    """How the terminal is set; None where nobody can, or need, look after it."""
    if not hasattr(os, "fork") or "TEXTUAL_DRIVER" in os.environ or sys.__stdin__ is None:
        return None
    import termios

    try:
        return termios.tcgetattr(sys.__stdin__.fileno())
    except (OSError, ValueError, termios.error):
        return None


class _Guard:
    """Waits for the app.

    Args:
        child: Its process.
        attributes: How the terminal was set before.
    """

    def __init__(self, child: int, attributes: list[Any]) -> None:
        self._child = child
        self._attributes = attributes

    def wait(self) -> int:
        """Returns the exit code, once there is one."""
        for name in _FOR_THE_APP:
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        for name in _PASSED_ON:
            signal.signal(getattr(signal, name), self._pass_on)
        while True:
            _, status = os.waitpid(self._child, os.WUNTRACED)
            if os.WIFSTOPPED(status):
                self._stop_too()
            elif os.WIFSIGNALED(status):
                return self._killed_by(os.WTERMSIG(status))
            else:
                return os.WEXITSTATUS(status)

    def _pass_on(self, number: int, _frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child, number)

    def _stop_too(self) -> None:
        """The app was suspended: the shell must see this process stop. It continues both."""
        os.kill(os.getpid(), signal.SIGSTOP)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child, signal.SIGCONT)

    def _killed_by(self, number: int) -> int:
        import termios

        if sys.__stdin__ is not None:
            with contextlib.suppress(OSError, ValueError, termios.error):  # the terminal may be gone
                # What the mouse has sent since the app died is dropped, or the shell would take it for typing.
                termios.tcsetattr(sys.__stdin__.fileno(), termios.TCSAFLUSH, self._attributes)
        name = signal.Signals(number).name
        text = f"ml-intern was ended by {name}. The conversation is saved: `ml-intern --continue` goes on with it."
        if sys.__stderr__ is not None:
            with contextlib.suppress(OSError, ValueError):
                sys.__stderr__.write(f"{RESTORE}{text}\n")
                sys.__stderr__.flush()
        return SIGNALLED + number

"""The terminal around the app: whether it is there, and what becomes of the app when it goes away."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from ml_intern.tui.early.output import Forgiving


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


DriverT = TypeVar("DriverT", bound=type)


def outliving(driver: DriverT, on_key: Callable[[str], None]) -> DriverT:
    """A Textual driver class whose output is `Forgiving`, and whose input survives bytes that are no text.

    Args:
        driver: The class it is made of.
        on_key: Called with each key in the thread that reads them, whatever the app is doing.
    """

    class Outliving(driver):  # type: ignore[valid-type, misc]  # the base is known at run time only
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            if (stream := getattr(self, "_file", None)) is not None:
                self._file = Forgiving(stream)

        def run_input_thread(self) -> None:
            """Reads on after what was no UTF-8: an old kind of mouse report, say, from a terminal attached anew."""
            while True:
                try:
                    super().run_input_thread()
                except UnicodeDecodeError as error:
                    import logging  # not before the first frame

                    logging.getLogger(__name__).warning("the terminal sent what is no text: %r", error.object[:80])
                else:
                    return

        def process_message(self, message: Any) -> None:
            """Runs in the thread that reads keys."""
            if key := getattr(message, "key", ""):
                on_key(key)
            super().process_message(message)

    return Outliving  # type: ignore[return-value]  # a subclass of what came in

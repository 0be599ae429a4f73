"""The terminal around the app: whether it is there, and what becomes of the app when it goes away."""

from __future__ import annotations

import os
import sys
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


def outliving(driver: DriverT) -> DriverT:
    """A Textual driver class whose output is `Forgiving`."""

    class Outliving(driver):  # type: ignore[valid-type, misc]  # the base is known at run time only
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            if (stream := getattr(self, "_file", None)) is not None:
                self._file = Forgiving(stream)

    return Outliving  # type: ignore[return-value]  # a subclass of what came in

"""Whether the terminal is light or dark, asked while the app is being imported, so that nothing waits for it."""

from __future__ import annotations

import os
import re
import select
import sys
import time
from dataclasses import dataclass

ASK = "\x1b]11;?\x1b\\\x1b[c"
"""For the colour of the background, and for what every terminal answers: the first is told by then, if at all."""
PATIENCE_S = 0.2
"""How long to wait for the answer beyond the import."""

_COLOUR = re.compile(r"\x1b\]11;([^\x07\x1b]*)(?:\x07|\x1b\\)")
_LEVELS = re.compile(r"rgba?:([0-9a-f]+)/([0-9a-f]+)/([0-9a-f]+)|#([0-9a-f]{3,12})", re.IGNORECASE)
_DEVICE = re.compile(r"\x1b\[\?[\d;]*c")
_LIGHT_NUMBERS = frozenset({"7", "9", "10", "11", "12", "13", "14", "15"})


@dataclass(frozen=True, slots=True)
class TerminalAtStart:
    """What is known of the terminal before the app talks to it.

    Attributes:
        light: Its background is light.
        typed: What was typed while it was asked.
    """

    light: bool = False
    typed: str = ""


class BackgroundQuery:
    """Asks, and later reads the answer. What was typed in between is handed on."""

    def __init__(self) -> None:
        self._asked = False

    def ask(self) -> None:
        """Asks, if there is a terminal whose keys are not echoed."""
        if (
            os.name == "posix"
            and sys.__stdin__
            and sys.__stderr__
            and sys.__stdin__.isatty()
            and sys.__stderr__.isatty()
        ):
            sys.__stderr__.write(ASK)
            sys.__stderr__.flush()
            self._asked = True

    def answer(self, patience_s: float = PATIENCE_S) -> TerminalAtStart:
        """What the terminal has said by now, or says before the patience ends."""
        received = b""
        if self._asked and sys.__stdin__:
            descriptor, deadline = sys.__stdin__.fileno(), time.monotonic() + patience_s
            while not _DEVICE.search(received.decode("utf-8", "replace")):
                left = deadline - time.monotonic()
                ready, _, _ = select.select([descriptor], [], [], max(0.0, left))
                if not ready or not (piece := os.read(descriptor, 4096)):
                    break
                received += piece
        return understood(received.decode("utf-8", "replace"), os.environ.get("COLORFGBG", ""))


def understood(received: str, colorfgbg: str) -> TerminalAtStart:
    """What the terminal's words mean.

    Args:
        received: All that came from it.
        colorfgbg: The variable of that name, in which some terminals say their colours by number.
    """
    typed = _DEVICE.sub("", _COLOUR.sub("", received))
    told = _COLOUR.search(received)
    if told and (levels := _LEVELS.match(told[1])):
        return TerminalAtStart(_is_light(levels), typed)
    return TerminalAtStart(colorfgbg.rpartition(";")[2] in _LIGHT_NUMBERS, typed)


def _is_light(levels: re.Match[str]) -> bool:
    """Whether a colour as X names it (`rgb:ffff/ffff/ffff`, `#ffffff`) is nearer to white than to black."""
    *parts, digits = levels.groups()
    if digits:
        size = len(digits) // 3
        parts = [digits[start : start + size] for start in (0, size, 2 * size)]
    red, green, blue = (int(part, 16) / float(16 ** len(part) - 1) for part in parts)
    return bool(0.299 * red + 0.587 * green + 0.114 * blue > 0.5)

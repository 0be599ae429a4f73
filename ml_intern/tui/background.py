"""Whether the terminal is light or dark: how it is asked, and what its answer means."""

from __future__ import annotations

import re

ASK = "\x1b]11;?\x1b\\\x1b[c"
"""For the colour of the background, and for what every terminal answers: the first is told by then, if at all."""

_COLOUR = re.compile(rb"\x1b\]11;([^\x07\x1b]*)(?:\x07|\x1b\\)")
_LEVELS = re.compile(rb"rgba?:([0-9a-f]+)/([0-9a-f]+)/([0-9a-f]+)|#([0-9a-f]{3,12})", re.IGNORECASE)
_DEVICE = re.compile(rb"\x1b\[\?[\d;]*c")
_LIGHT_NUMBERS = frozenset({"7", "9", "10", "11", "12", "13", "14", "15"})


def is_answered(received: bytes) -> bool:
    """Whether the terminal has said all that it will say."""
    return _DEVICE.search(received) is not None


def without_answers(received: bytes) -> bytes:
    """What came from the person."""
    return _DEVICE.sub(b"", _COLOUR.sub(b"", received))


def is_light(received: bytes, colorfgbg: str) -> bool:
    """What the terminal's words mean.

    Args:
        received: All that came from it.
        colorfgbg: The variable of that name, in which some terminals say their colours by number.
    """
    told = _COLOUR.search(received)
    if told and (levels := _LEVELS.match(told[1])):
        return _is_bright(levels)
    return colorfgbg.rpartition(";")[2] in _LIGHT_NUMBERS


def _is_bright(levels: re.Match[bytes]) -> bool:
    """Whether a colour as X names it (`rgb:ffff/ffff/ffff`, `#ffffff`) is nearer to white than to black."""
    *parts, digits = levels.groups()
    if digits:
        size = len(digits) // 3
        parts = [digits[start : start + size] for start in (0, size, 2 * size)]
    red, green, blue = (int(part, 16) / float(16 ** len(part) - 1) for part in parts)
    return bool(0.299 * red + 0.587 * green + 0.114 * blue > 0.5)

"""What terminals send for Alt together with digits and Enter, read as that."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Any, cast

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS


@dataclass(frozen=True, slots=True)
class Named:
    """A key as Textual's table of sequences wants it.

    Attributes:
        value: The key's name.
    """

    value: str


def read_alt() -> None:
    """Has an escape before a digit or a carriage return read as that key with Alt.

    Most terminals send this, and so does tmux. Textual takes it for what a keyboard of a Mac has there and types `¡` or
    `™`, though a terminal that means these sends them as they are; Alt+Enter would send what should get another line.
    """
    sequences = cast("dict[str, Any]", ANSI_SEQUENCES_KEYS)
    for digit in string.digits:
        sequences[f"\x1b{digit}"] = (Named(f"alt+{digit}"),)
    sequences["\x1b\r"] = (Named("alt+enter"),)

"""Texts on their way out of the app: to the terminal's clipboard, or into a file where that does not take them."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path

LARGEST = 74_994
"""Bytes that the smallest limit among common terminals lets through, before they are encoded."""
CHUNK = 240
"""Longest piece that GNU screen passes on at once."""
WITHOUT = frozenset({"dumb", "linux"})
"""Terminals that have no clipboard."""
FILE = "copied.txt"


def passed_on(sequence: str, env: Mapping[str, str]) -> str:
    """A control sequence for the terminal itself, wrapped for the multiplexer in between, if there is one."""
    if env.get("TMUX"):
        return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    if env.get("STY") or env.get("TERM", "").startswith("screen"):
        return "".join(f"\x1bP{sequence[at : at + CHUNK]}\x1b\\" for at in range(0, len(sequence), CHUNK))
    return sequence


def clipboard_sequence(text: str, env: Mapping[str, str]) -> str:
    """What puts a text on the terminal's clipboard (OSC 52); empty when the terminal would not take it."""
    data = text.encode("utf-8", "replace")
    if len(data) > LARGEST or env.get("TERM", "") in WITHOUT:
        return ""
    sequence = f"\x1b]52;c;{base64.b64encode(data).decode('ascii')}\x07"
    # tmux takes either the plain or the wrapped one, as it is configured; twice the same does no harm.
    return sequence + passed_on(sequence, env) if env.get("TMUX") else passed_on(sequence, env)


def keep_in_file(text: str, directory: Path) -> Path:
    """Writes a text to a file only its owner can read, in place of the one before.

    Raises:
        OSError: It could not be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / FILE
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
        file.write(text)
    return path

"""Output of programs as plain text, piece by piece: what was meant for a terminal is left out.

Colours, links and cursor movements go, a progress bar that redraws itself becomes its last state, and bytes that are
no UTF-8 become replacement characters.
"""

from __future__ import annotations

import codecs
import re

_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"  # titles, links, images
    r"|\x1b[ -/]*[0-~]"
)
_OVERSTRUCK = re.compile(r"[^\x08\n]\x08")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_OPEN_ESCAPE = re.compile(r"\x1b[^\n]{0,256}\Z")

MAX_LINE_CHARS = 65_536
"""A line that grows longer without an end is handed on in pieces of this size."""


def clean(text: str) -> str:
    """A whole text without control sequences and control characters, except tabs and ends of lines."""
    text = text.replace("\r\n", "\n")
    if "\r" in text:
        text = "\n".join(_last_state(line) for line in text.split("\n"))
    return _plain(text)


def _last_state(line: str) -> str:
    return line.rstrip("\r").rpartition("\r")[2]


def _plain(text: str) -> str:
    if "\x08" in text:
        text = _OVERSTRUCK.sub("", text)
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


class TerminalText:
    """Turns the bytes of a running program into clean text; sequences may be split anywhere between two pieces."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self._line = ""

    @property
    def partial(self) -> str:
        """The line that has not ended yet as it looks now: a prompt, or a progress bar."""
        return _plain(_last_state(self._line))

    def feed(self, data: bytes) -> str:
        """Takes more bytes; returns the text that is complete: whole lines, and pieces of a very long one."""
        whole, newline, rest = (self._line + self._decode(data)).rpartition("\n")
        ready = clean(whole) + "\n" if newline else ""
        rest = self._fold(rest)
        if len(rest) > MAX_LINE_CHARS:
            held = _OPEN_ESCAPE.search(rest)
            cut = held.start() if held else len(rest)
            ready += _plain(rest[:cut])
            rest = rest[cut:]
        self._line = rest
        return ready

    def finish(self) -> str:
        """The rest, when nothing more comes."""
        rest = clean(self._line + self._decode(b"", final=True))
        self._line = ""
        return rest

    @staticmethod
    def _fold(line: str) -> str:
        """Keeps only the last state of a line that returns to its beginning; a return at the very end may be a CRLF."""
        body = line.rstrip("\r")
        return body.rpartition("\r")[2] + line[len(body) :]

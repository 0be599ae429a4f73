"""Keys as bytes: kept in their order for the app, and read as far as they are simple."""

from __future__ import annotations

import codecs
import re

from ml_intern.tui.early.draft import Draft

ESCAPE_S = 0.1
"""An escape that is alone for this long was a key, and not the beginning of a sequence. As long as Textual waits."""

_ESC = "\x1b"
_PASTE_BEGINS, _PASTE_ENDS = "\x1b[200~", "\x1b[201~"
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|[\]PX^_].*?(?:\x07|\x1b\\)|[^\[\]OPX^_\x1b])", re.DOTALL)
_REPORT = re.compile(r"\x1b(?:\[[IO]|\[<.*[Mm]|\[\?.*|\[\d+;\d+R|[\]PX^_].*)", re.DOTALL)
"""What terminals say by themselves: focus, mouse, answers. Nothing of it changes a prompt."""
_KEYS = {
    "\r": "enter",
    "\n": "ctrl+j",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x15": "ctrl+u",
    "\x17": "ctrl+w",
    "\x04": "ctrl+d",
}


class EarlyKeys:
    """What was read from the terminal before the app could.

    Args:
        draft: Follows the keys.

    Attributes:
        pieces: All bytes in their order. A new piece begins where an escape before it was a key of its own.
    """

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.pieces = [b""]
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._pasting = False
        self._taken_at = 0.0

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return sum(map(len, self.pieces))

    @property
    def within(self) -> str:
        """What the bytes end in the middle of: a `paste`, a `character`, a `sequence`, or nothing."""
        if self._pasting:
            return "paste"
        if self._decoder.getstate()[0]:
            return "character"
        return "sequence" if self._rest else ""

    def take(self, data: bytes, now: float) -> None:
        """Takes in what was read at a moment, in seconds of a clock that only goes forward."""
        if self.within == "sequence" and now - self._taken_at >= ESCAPE_S:
            self._rest = ""
            self.draft.certain = False
            self.pieces.append(b"")
        self._taken_at = now
        self.pieces[-1] += data
        self._rest += self._decoder.decode(data)
        while self._rest and (length := self._next()):
            self._rest = self._rest[length:]

    def _next(self) -> int:
        """Carries out what comes next. Returns its length, or 0 while it is incomplete."""
        if self._pasting:
            return self._end_paste()
        if self._rest[0] != _ESC:
            self._press(self._rest[0])
            return 1
        if self._rest[:2] == _ESC * 2:  # the first one was a key of its own
            self._press(_ESC)
            return 1
        found = _SEQUENCE.match(self._rest)
        if found is None:
            return 0
        if found.group() == _PASTE_BEGINS:
            self._pasting = True
        elif not _REPORT.fullmatch(found.group()):
            self._press(found.group())
        return found.end()

    def _end_paste(self) -> int:
        end = self._rest.find(_PASTE_ENDS)
        if end < 0:
            return 0
        self._pasting = False
        self.draft.paste(self._rest[:end])
        return end + len(_PASTE_ENDS)

    def _press(self, sequence: str) -> None:
        if sequence >= " " and len(sequence) == 1 and sequence != "\x7f":
            if sequence.isprintable():  # the prompt takes no others
                self.draft.press(sequence, sequence)
        else:
            self.draft.press(_KEYS.get(sequence, sequence), None)

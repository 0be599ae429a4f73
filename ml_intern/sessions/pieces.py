"""Pieces of replies in a log: of no more use once a reply is whole, and all there is of one that never became whole."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ml_intern.core.context.messages import Message
from ml_intern.core.protocol import AssistantMessage, EventBase, HistoryRecord
from ml_intern.sessions import kinds
from ml_intern.sessions.summary import string

PIECE = kinds.PIECE.encode()
_NAME = b'"%s"' % PIECE
_AS_WE_WRITE_IT = b'"type":%s' % _NAME

HEAD_BYTES = 256
"""So many bytes of a line are looked at for what kind of event it is."""

_TYPE = re.compile(rb'"type"\s{0,4}:\s{0,4}"([a-z_]+)"')
_WHOLE = b'"partial":false}\n'
_PARTIAL = re.compile(rb'"partial"\s{0,4}:\s{0,4}true')
_DISCARDED = re.compile(rb'"discarded"\s{0,4}:\s{0,4}true')
# Quotes inside a text are escaped, so none of these can match within one.

NEXT = frozenset(kind.encode() for kind in kinds.NEXT)


def replaces_pieces(kind: bytes, line: bytes) -> bool:
    """Whether a line makes the pieces before it superfluous: the whole reply, or the end of one that does not count."""
    if kind == b"assistant_message":  # of what was interrupted, the pieces also hold the thoughts
        return line.endswith(_WHOLE) or _PARTIAL.search(line) is None
    return kind == kinds.STREAM_END.encode() and _DISCARDED.search(line) is not None


def _is_readable(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def kind_of(line: bytes) -> bytes:
    """The type of the event in a line, without parsing it; empty when it is not near the beginning."""
    found = _TYPE.search(line, 0, HEAD_BYTES)
    return found[1] if found else b""


def without_superfluous(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a log without pieces of replies that became whole or were taken back."""
    held: list[bytes] = []  # from the first piece of a reply on
    others: list[bytes] = []  # and those of them that are no pieces
    for line in lines:
        if is_piece(line):
            held.append(line)
        elif not held:
            yield line
        else:
            held.append(line)
            others.append(line)
            kind = kind_of(line)
            superfluous = replaces_pieces(kind, line) and _is_readable(line)
            if superfluous or kind in NEXT or kind == b"assistant_message":
                yield from others if superfluous else held
                held.clear()
                others.clear()
    yield from held


def is_piece(line: bytes) -> bool:
    """Whether a line holds a piece of a reply."""
    if line.find(_NAME, 0, HEAD_BYTES) < 0:
        return False
    return line.find(_AS_WE_WRITE_IT, 0, HEAD_BYTES) >= 0 or kind_of(line) == PIECE


@dataclass(slots=True)
class OpenReply:
    """The reply within which a log ends, as far as it had come; false when there is none.

    Attributes:
        paid: Whether it is on the bill.
    """

    paid: bool = False
    _texts: list[str] = field(default_factory=list)
    _thoughts: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether anything of a reply has come."""
        return bool(self._texts or self._thoughts)

    @property
    def text(self) -> str:
        """What it said."""
        return "".join(self._texts)

    @property
    def heard(self) -> str:
        """All that came, thoughts too."""
        return "".join((*self._thoughts, *self._texts))

    def take(self, event: Mapping[str, Any]) -> None:
        """Follows the session by one event."""
        kind = event.get("type")
        if kind == kinds.PIECE:
            (self._thoughts if event.get("kind") == "reasoning" else self._texts).append(string(event.get("content")))
        elif not self:
            return
        elif kind == "llm_call":
            self.paid = self.paid or event.get("kind") == "main"
        elif kind == "session_meta":  # a copy: the original pays
            self.paid = self.paid or bool(event.get("origin"))
        elif kind in kinds.ENDED or (kind == kinds.STREAM_END and event.get("discarded") is True):
            self._texts.clear()
            self._thoughts.clear()
            self.paid = False

    def left(self) -> Iterator[EventBase]:
        """What an interrupt leaves of such a reply: for the model, and for people."""
        if self.text.strip():
            yield HistoryRecord(op="append", messages=(Message("assistant", self.text).record(),))
        if self.text:
            yield AssistantMessage(content=self.text, partial=True)

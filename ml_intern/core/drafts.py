"""The calls of a reply while the model still writes them, told a few times a second to whoever looks on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from ml_intern.core.llm.partial_json import ObjectReader
from ml_intern.core.protocol import DraftCall
from ml_intern.core.redact import Redactor
from ml_intern.core.stream_text import Sieve

TELL_S = 0.1
"""Calls are told this far apart at least."""
HEAD = 400
"""Characters of a text argument that are told as its beginning,"""
TAIL = 400
"""and of one with several lines, as its end."""
MOST_RAW = 4_000
"""Longer values of other kinds are not told."""
MOST_CALLS = 32
MOST_ARGUMENTS = 24


class Drafts:
    """Takes the pieces of the calls of one reply after another and tells how far they have come.

    The cost of a piece is that of its own length, however long the argument it belongs to.

    Args:
        redactor: Knows secrets; what may be the beginning of one waits until it can be judged.
        tell: Takes the calls of the reply as they stand; none when they are not being written any more.
        every_s: Seconds between two times that it is told.
    """

    def __init__(
        self, redactor: Redactor, tell: Callable[[tuple[DraftCall, ...]], object], every_s: float = TELL_S
    ) -> None:
        self._redactor = redactor
        self._tell = tell
        self._every_s = every_s
        self._calls: dict[int, _Draft] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._told_at = float("-inf")

    def name(self, index: int, piece: str) -> None:
        """A piece of a call's name."""
        if draft := self._draft(index):
            draft.name += piece
            self._soon()

    def arguments(self, index: int, piece: str) -> None:
        """A piece of a call's arguments."""
        if draft := self._draft(index):
            draft.reader.feed(piece)
            self._soon()

    def end(self) -> None:
        """The reply is whole, or void."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._calls:
            self._calls = {}
            self._tell(())

    def _draft(self, index: int) -> _Draft | None:
        if index not in self._calls and len(self._calls) < MOST_CALLS:
            self._calls[index] = _Draft(self._redactor)
        return self._calls.get(index)

    def _soon(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._told_at >= self._every_s:
            self._tell_now()
        elif self._timer is None:
            self._timer = loop.call_at(self._told_at + self._every_s, self._tell_now)

    def _tell_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._told_at = asyncio.get_running_loop().time()
        self._tell(tuple(draft.shown() for _, draft in sorted(self._calls.items()) if draft.name))


class _Draft:
    """One call that is being written."""

    def __init__(self, redactor: Redactor) -> None:
        self.name = ""
        self.reader = ObjectReader(self)
        self._redactor = redactor
        self._texts: dict[str, _Text] = {}
        self._others: dict[str, str] = {}
        self._last = ""  # the text that is being written

    def text(self, key: str, piece: str) -> None:
        """A piece of a text argument."""
        if key not in self._texts:
            if len(self._texts) >= MOST_ARGUMENTS:
                return
            self._texts[key] = _Text(Sieve(self._redactor))
        if key != self._last:
            if before := self._texts.get(self._last):
                before.take_in(whole=True)
            self._last = key
        self._texts[key].sieve.add(piece)

    def other(self, key: str, piece: str) -> None:
        """A piece of an argument that is no text."""
        if key in self._others or len(self._others) < MOST_ARGUMENTS:
            self._others[key] = (self._others.get(key, "") + piece)[: MOST_RAW + 1]

    def shown(self) -> DraftCall:
        """How far it has come."""
        for text in self._texts.values():
            text.take_in()
        arguments: dict[str, Any] = {key: text.head for key, text in self._texts.items()}
        arguments |= {key: value for key, raw in self._others.items() if (value := _value(raw)) is not None}
        lines = {key: text.lines for key, text in self._texts.items() if text.lines > 1}
        return DraftCall(
            tool=self.name,
            arguments=self._redactor.data(arguments),
            lines=lines,
            tail=self._texts[self._last].tail if self._last in lines else "",
        )


def _value(raw: str) -> Any:
    """A value that is no text, once it is whole: what may be in half of it cannot be judged."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


class _Text:
    """A text argument as far as it may be told: how it begins, how it ends so far, how many lines it has."""

    def __init__(self, sieve: Sieve) -> None:
        self.sieve = sieve
        self.head = self.tail = ""
        self._breaks = 0

    def take_in(self, *, whole: bool = False) -> None:
        """Takes what can be told by now."""
        piece = self.sieve.release(whole=whole)
        if piece:
            self.head += piece[: HEAD - len(self.head)]
            self.tail = (self.tail + piece)[-TAIL:]
            self._breaks += piece.count("\n")

    @property
    def lines(self) -> int:
        """How many lines there are so far."""
        return self._breaks + (not self.tail.endswith("\n"))

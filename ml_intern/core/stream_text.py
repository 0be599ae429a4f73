"""Between the pieces in which a model writes and the events that tell of them: gathers, and takes secrets out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

from ml_intern.core.redact import Redactor
from ml_intern.core.unsettled import needed_from, settled

GATHER_S = 0.033
"""Pieces that come faster than this are told together. The first one after a pause is told at once."""

Kind = Literal["text", "reasoning"]


class StreamText:
    """Takes the pieces of one reply after another and tells them in fewer ones, without secrets.

    What may be the beginning of a secret waits until it can be judged. Joined, the pieces are what the redactor makes
    of the whole text.

    Args:
        redactor: Knows secrets.
        tell: Takes a piece and its kind.
    """

    def __init__(self, redactor: Redactor, tell: Callable[[Kind, str], object]) -> None:
        self._redactor = redactor
        self._tell = tell
        self._timer: asyncio.TimerHandle | None = None
        self._kind: Kind = "text"
        self._looked_at = float("-inf")
        self._sieves: dict[Kind, Sieve] = {}
        self._forget()

    def take(self, kind: Kind, piece: str) -> None:
        """Takes a piece. What it completes is told now or, if something was told just before, in a moment."""
        if kind != self._kind:
            self.flush()
            self._kind = kind
        self._sieves[kind].add(piece)
        loop = asyncio.get_running_loop()
        if loop.time() - self._looked_at >= GATHER_S:
            self._go_on()
        elif self._timer is None:
            self._timer = loop.call_at(self._looked_at + GATHER_S, self._go_on)

    def flush(self) -> None:
        """Tells all there is, since something else is told next."""
        self._release(whole=True)

    def end(self) -> None:
        """Tells the rest of a reply."""
        self.flush()
        self._forget()

    def _forget(self) -> None:
        self._kind = "text"
        self._looked_at = float("-inf")
        self._sieves = {"text": Sieve(self._redactor), "reasoning": Sieve(self._redactor)}

    def _go_on(self) -> None:
        self._release(whole=False)

    def _release(self, *, whole: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        piece = self._sieves[self._kind].release(whole=whole)
        if piece or not whole:
            self._looked_at = asyncio.get_running_loop().time()
        if piece:
            self._tell(self._kind, piece)


class Sieve:
    """Lets a text that is still being written through without secrets, as far as it can be judged.

    Args:
        redactor: Knows secrets.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._new: list[str] = []
        self._waiting = ""  # the end of what came: a secret that is known may have begun in it
        self._text = ""  # the rest without those, from where it is needed to judge what follows the told part
        self._end = 0  # of that part in it
        self._told = ""  # what became of that part

    def add(self, piece: str) -> None:
        """Takes the next piece."""
        self._new.append(piece)

    def release(self, *, whole: bool) -> str:
        """What can be told by now and was not yet.

        Args:
            whole: Nothing more is waited for: all of it.
        """
        if not (self._new or (whole and (self._waiting or self._end < len(self._text)))):
            return ""
        self._take_in(whole=whole)
        end = len(self._text) if whole else settled(self._text, goes_on=bool(self._waiting))
        if end <= self._end:
            return ""
        clean = self._redactor.text(self._text[:end])
        # What is known by now may have changed the judgement on what was told; that cannot be taken back.
        fresh = clean[_common(self._told, clean) :]
        self._end, self._told = end, clean
        self._move_on()
        return fresh

    def _take_in(self, *, whole: bool) -> None:
        came = self._waiting + "".join(self._new)
        self._new.clear()
        if whole:
            known, self._waiting = self._redactor.without_known(came), ""
        else:
            known, self._waiting = self._redactor.known_apart(came)
        self._text += known

    def _move_on(self) -> None:
        if begin := needed_from(self._text, self._end):
            self._text, self._end = self._text[begin:], self._end - begin
            self._told = self._redactor.text(self._text[: self._end])


def _common(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    if other.startswith(one):
        return len(one)
    differing = (at for at, (ours, theirs) in enumerate(zip(one, other, strict=False)) if ours != theirs)
    return next(differing, len(other))

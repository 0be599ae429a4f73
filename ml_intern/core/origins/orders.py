"""Passages of a text that speak to the agent, and places where one tells its reader to do something."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from ml_intern.core.origins.flat import lower
from ml_intern.core.origins.marks import ADVISES, DEEDS, HIDING, MARKS, URGES
from ml_intern.core.origins.pieces import LATIN_WORD, WORD, find_whole

BEFORE, AFTER = 300, 1_000
"""Characters around a mark that belong to its order: what is to be done mostly follows."""
CLOSE = 200
"""Characters around a mark within which a deed belongs to it."""
_ADVICE_CHARS = 120
_SENTENCE_END = re.compile(r"[.!?] |[。！？]")
_MOST_MARKS = 40
_LONGEST_HIDDEN = 1_200
_MOST_PLACES = 5
_GAPLESS = "\u2e80"
"""Scripts from here on put no gaps between words."""


@dataclass(frozen=True)
class Order:
    """A passage that gives orders.

    Attributes:
        text: The passage, in the form of `flat`.
        marks: Where in it the turns of phrase stand that give it away.
    """

    text: str
    marks: tuple[int, ...]

    @cached_property
    def small(self) -> str:
        """The passage in small letters."""
        return lower(self.text)

    @cached_property
    def words(self) -> frozenset[str]:
        """Its words in Latin letters."""
        return frozenset(LATIN_WORD.findall(self.small))

    @cached_property
    def core(self) -> str:
        """What stands close to its marks, in small letters."""
        around = (self.small[max(0, at - CLOSE) : at + 2 * CLOSE] for at in self.marks[:_MOST_MARKS])
        return "\n".join(around)

    @cached_property
    def core_words(self) -> frozenset[str]:
        """The words that stand close to its marks."""
        return frozenset((*WORD.findall(self.core), *LATIN_WORD.findall(self.core)))

    def mark_before(self, at: int, near: int) -> int:
        """The mark that what stands at a place belongs to: the first one that is near before it, else the last one."""
        before = [mark for mark in self.marks if mark <= at]
        return next((mark for mark in before if at - mark <= near), before[-1] if before else self.marks[0])


def orders_in(text: str, small: str) -> tuple[Order, ...]:
    """The orders in a text; those that overlap are one.

    Args:
        text: In the form of `flat`.
        small: The same in small letters.
    """
    stretches: list[tuple[int, int, list[int]]] = []
    for first, last, at in sorted((*_marked(small), *_hidden(small))):
        if stretches and first <= stretches[-1][1]:
            start, end, marks = stretches[-1]
            stretches[-1] = (start, max(end, last), [*marks, at] if len(marks) < _MOST_MARKS else marks)
        else:
            stretches.append((first, last, [at]))
    return tuple(Order(text[start:end], tuple(at - start for at in marks)) for start, end, marks in stretches)


def advice_about(small: str, piece: str) -> tuple[int, int] | None:
    """The sentence that tells its reader to do something with a piece: where it begins, and where the piece stands.

    Args:
        small: The text in small letters.
        piece: What may stand in it.
    """
    at = -1
    for _ in range(_MOST_PLACES):
        at = find_whole(small, piece, at + 1)
        if at < 0:
            break
        before = _SENTENCE_END.split(small[max(0, at - _ADVICE_CHARS) : at])[-1]
        if ADVISES.search(before):
            return at - len(before), at
    return None


def _marked(small: str) -> Iterator[tuple[int, int, int]]:
    """Stretches around the marks, each with the place of its mark."""
    for stem in _present(small, MARKS):
        at = small.find(stem)
        while at >= 0:
            if not _is_within_word(small, at) and (end := _end_of_mark(small, stem, at)):
                yield max(0, at - BEFORE), min(len(small), end + AFTER), at
            at = small.find(stem, at + len(stem))


def _end_of_mark(small: str, stem: str, at: int) -> int:
    """Where the turn of phrase that begins here ends; 0 when it is none."""
    for mark in MARKS[stem]:
        match = mark.pattern.match(small, at)
        if match and (mark.alone or DEEDS.search(small, max(0, at - CLOSE), match.end() + CLOSE)):
            return match.end()
    return 0


def _present(small: str, stems: Iterable[str]) -> list[str]:
    """Those stems that stand in a text. As bytes they are found several times as fast, in whatever script."""
    encoded = small.encode("utf-8", "surrogatepass")
    ascii_only = small.isascii()
    return [stem for stem in stems if not (ascii_only and not stem.isascii()) and stem.encode() in encoded]


def _is_within_word(small: str, at: int) -> bool:
    """Whether a stem is only the end of another word. Scripts without gaps between words are left out."""
    return at > 0 and small[at - 1].isalnum() and small[at] < _GAPLESS


def _hidden(small: str) -> Iterator[tuple[int, int, int]]:
    """Stretches that a page does not show, and that want something done."""
    for stem in _present(small, HIDING):
        opening, closing = HIDING[stem]
        at = small.find(stem)
        while at >= 0:
            if match := opening.match(small, at):
                end = small.find(closing, match.end(), match.end() + _LONGEST_HIDDEN)
                end = end if end >= 0 else min(len(small), match.end() + _LONGEST_HIDDEN)
                if URGES.search(small, match.end(), end):
                    yield at, end, at
            at = small.find(stem, at + len(stem))

"""Finding a text in lines and in long lists of pieces: the nearest first, in slices that leave time for the rest."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Generic, NamedTuple

from ml_intern.sessions.needle import Needle
from ml_intern.tui.widgets.lines import Line
from ml_intern.tui.widgets.pieces import Match, PieceT, Slot

MOST_IN_PIECE = 10_000
"""Occurrences that are told apart in one piece."""


class Place(NamedTuple):
    """A part of an occurrence on one line.

    Attributes:
        nth: Which occurrence, counted from 0 over all the lines.
        start: Its first character of the line.
        end: The one after its last.
    """

    nth: int
    start: int
    end: int


def flat(lines: Sequence[Line]) -> tuple[str, list[int]]:
    """The text of lines without decoration and wrapping, and where in it each line begins."""
    parts: list[str] = []
    starts: list[int] = []
    size = 0
    for row in lines:
        starts.append(size)
        text = row.plain[row.lead :] + row.join
        parts.append(text)
        size += len(text)
    return "".join(parts), starts


def places_in(lines: Sequence[Line], needle: Needle) -> dict[int, list[Place]]:
    """Where a text stands on lines, by number of the line. An occurrence that was wrapped has a part on each line."""
    text, starts = flat(lines)
    found: dict[int, list[Place]] = {}
    for nth, (begin, end) in enumerate(islice(needle.places(text), MOST_IN_PIECE)):
        number = bisect_right(starts, begin) - 1
        while number < len(lines) and starts[number] < end:
            lead, shown = lines[number].lead, len(lines[number].plain)
            start = max(begin - starts[number], 0) + lead
            stop = min(end - starts[number] + lead, shown)
            if start < stop:
                found.setdefault(number, []).append(Place(nth, start, stop))
            number += 1
    return found


class Finder(Generic[PieceT]):
    """Counts a text in the pieces of a list and keeps count while the list changes.

    Args:
        count: How often the text is in a piece.
        backwards: What stands above the beginning is looked at first, and is nearer than what stands below.

    Attributes:
        needle: What is looked for.
        total: Occurrences found so far.
        first: The one nearest to the beginning; None while none is known.
        done: Every piece has been looked at.
    """

    def __init__(self, count: Callable[[PieceT, Needle], int], *, backwards: bool) -> None:
        self._count = count
        self._backwards = backwards
        self.begin(Needle(""), 0)

    def begin(self, needle: Needle, serial: int) -> None:
        """Looks for another text, from a piece on."""
        self.needle = needle
        self.total = 0
        self.first: Match | None = None
        self._counts: dict[int, int] = {}
        self._serials: list[int] = []  # pieces with occurrences, in order
        self._changed: set[int] = set()
        self._above, self._below = serial, serial
        if self._backwards:
            self._below += 1
        else:
            self._above -= 1
        self.done = not needle

    # ------------------------------------------------------------------------------------------- the list changes

    def changed(self, serial: int) -> None:
        """A piece is new, or has become another."""
        if self.needle:
            self._changed.add(serial)
            self.done = False

    def gone(self, serial: int) -> None:
        """This piece and all after it are no longer there."""
        at = bisect_left(self._serials, serial)
        for dropped in self._serials[at:]:
            self.total -= self._counts.pop(dropped)
        del self._serials[at:]
        if self.first is not None and self.first.serial >= serial:
            self.first = None
        self._changed = {other for other in self._changed if other < serial}

    # ---------------------------------------------------------------------------------------------------- looking

    def look(self, slots: Sequence[Slot[PieceT]], seconds: float) -> bool:
        """Goes on looking for a while.

        Args:
            slots: The list as it is now.
            seconds: How long; one piece is looked at in any case.

        Returns:
            Whether there is nothing left to look at.
        """
        until = time.perf_counter() + seconds
        while not self.done:
            slot = self._next(slots)
            if slot is None:
                self.done = True
            else:
                self._take(slot)
                if time.perf_counter() > until:
                    break
        return self.done

    def _next(self, slots: Sequence[Slot[PieceT]]) -> Slot[PieceT] | None:
        for above in (self._backwards, not self._backwards):
            at = _place(slots, self._above + 1) - 1 if above else _place(slots, self._below)
            if 0 <= at < len(slots):
                if above:
                    self._above = slots[at].serial - 1
                else:
                    self._below = slots[at].serial + 1
                return slots[at]
        while self._changed:
            serial = self._changed.pop()
            at = _place(slots, serial)
            if at < len(slots) and slots[at].serial == serial:
                return slots[at]
        return None

    def _take(self, slot: Slot[PieceT]) -> None:
        serial, before = slot.serial, self._counts.get(slot.serial, 0)
        number = self._count(slot.piece, self.needle)
        self.total += number - before
        if number:
            self._counts[serial] = number
            if not before:
                insort(self._serials, serial)
            if self.first is None:
                self.first = Match(serial, number - 1 if self._backwards else 0)
        elif before:
            del self._counts[serial]
            del self._serials[bisect_left(self._serials, serial)]

    # ---------------------------------------------------------------------------------------------- going through

    def number_of(self, match: Match) -> int:
        """Which of all known occurrences it is, counted from 1."""
        at = bisect_left(self._serials, match.serial)
        return sum(self._counts[serial] for serial in self._serials[:at]) + match.nth + 1

    def after(self, match: Match | None, step: int) -> Match | None:
        """The next (or previous) known occurrence, around the ends; None when there is none."""
        if not self._serials:
            return None
        if match is None:
            return self.first or Match(self._serials[-1], self._counts[self._serials[-1]] - 1)
        nth = match.nth + (1 if step > 0 else -1)
        if 0 <= nth < self._counts.get(match.serial, 0):
            return Match(match.serial, nth)
        at = bisect_right(self._serials, match.serial) if step > 0 else bisect_left(self._serials, match.serial) - 1
        serial = self._serials[at % len(self._serials)]
        return Match(serial, 0 if step > 0 else self._counts[serial] - 1)


def _place(slots: Sequence[Slot[PieceT]], serial: int) -> int:
    return bisect_left(slots, serial, key=lambda slot: slot.serial)

"""A list in which a text is looked for while it is being typed, however long the list is and while it grows."""

from __future__ import annotations

import asyncio
from typing import ClassVar, NamedTuple, Unpack

from textual.binding import BindingType
from textual.message import Message
from textual.timer import Timer
from textual.worker import Worker

from ml_intern.sessions.needle import Needle, needle_of
from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.widgets.finder import MOST_IN_PIECE, Finder
from ml_intern.tui.widgets.pieces import Match, Names, PieceT, Snapshot
from ml_intern.tui.widgets.reader import Reader
from ml_intern.tui.widgets.text import clean

FIRST_S = 0.008
"""How long is looked at once when another letter was typed,"""
SLICE_S = 0.010
"""and how long without a pause while the rest is looked at."""
PAUSE_S = 0.004
AGAIN_S = 0.15
"""Pause between two looks at what changes meanwhile."""
NOTHING = "nothing found"


class Found(NamedTuple):
    """How far a search has come.

    Attributes:
        number: Which occurrence stands out, counted from 1; 0 for none.
        total: How many are known.
        done: There are no others.
    """

    number: int = 0
    total: int = 0
    done: bool = True

    @property
    def text(self) -> str:
        """In a few words."""
        if not self.done:
            return f"{self.total:,} so far" if self.total else "searching …"
        if not self.total:
            return NOTHING
        return f"{self.number:,} of {self.total:,}" if self.number else f"{self.total:,} found"


class Searchable(Reader[PieceT]):
    """Finds a text in its pieces. The nearest occurrence is shown at once, the others are counted in slices."""

    DEFAULT_CSS = ""
    BACKWARDS: ClassVar[bool] = False
    """The nearest one is looked for upwards first: what matters is at the end."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("find.next", "search_next(1)"),
        bind("find.before", "search_next(-1)"),
        bind("find.end", "leave_search"),
    ]

    class Searched(Message):
        """The search has come further."""

        def __init__(self, found: Found) -> None:
            super().__init__()
            self.found = found

    class SearchLeft(Message):
        """The person does not want to go on to other finds."""

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self._finder: Finder[PieceT] = Finder(self.occurrences, backwards=self.BACKWARDS)
        self._left_at: _Left | None = None  # where the reader was when the search began
        self._unfolded: int | None = None
        self._fresh = False  # nothing was shown yet of what was asked for last
        self._looking: Worker[None] | None = None
        self._again: Timer | None = None
        self._told: Found | None = None

    # ---------------------------------------------------------------------------------------------- for subclasses

    def occurrences(self, piece: PieceT, needle: Needle) -> int:
        """How often a text is in a piece, as the piece is read. No more than `MOST_IN_PIECE` are counted."""
        return how_often(needle, clean(text)) if needle.within(text := piece.plain) else 0

    def unfold(self, serial: int) -> bool:  # noqa: ARG002 - for subclasses
        """Opens a piece that hides a part of its text. False when it hides nothing."""
        return False

    def fold(self, serial: int) -> None:
        """Closes a piece that was opened."""

    # -------------------------------------------------------------------------------------------------- the search

    @property
    def searching(self) -> bool:
        """Whether a text is looked for."""
        return bool(self.needle) and self._left_at is not None

    @property
    def found(self) -> Found:
        """How far the search has come."""
        finder = self._finder
        number = finder.number_of(self.current) if self.current is not None else 0
        return Found(number, finder.total, finder.done)

    def search(self, text: str) -> None:
        """Looks for a text from where the reader was when the search began; the nearest occurrence comes into view."""
        if self._left_at is None:
            self._left_at = self._here()
        self._stop_looking()
        self.needle, self.current = text, None
        self.held, self._fresh, self._told = False, True, None
        needle = needle_of(text)
        self._finder.begin(needle, self._left_at.nearest)
        if not needle:
            self._go_back()
        elif not self._look(FIRST_S):
            self._looking = self.run_worker(self._look_on(), name="searching", exit_on_error=False)

    def search_next(self, step: int = 1) -> None:
        """Goes to the next (or previous) occurrence, around the ends."""
        if (match := self._finder.after(self.current, step)) is not None:
            self._go_to(match)
            self._tell()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The keys of a search are others while there is none."""
        del parameters
        return self.searching if action in {"search_next", "leave_search"} else True

    def action_search_next(self, step: int) -> None:
        """Goes to another find."""
        self.search_next(step)

    def action_leave_search(self) -> None:
        """Has the search ended; the view stays."""
        self.post_message(self.SearchLeft())

    def end_search(self, *, back: bool = False) -> None:
        """Marks nothing any more.

        Args:
            back: Shows what the reader saw when the search began; otherwise the view stays.
        """
        self._stop_looking()
        if back:
            self._go_back()
        self._finder.begin(Needle(""), 0)
        self._left_at, self._unfolded = None, None
        self.needle, self.current = "", None
        self.held = False
        if not back and self.view:
            self._settle_and_attach()

    def _here(self) -> _Left:
        """What the reader sees: where to come back to, and what is nearest."""
        if not self._slots:
            return _Left(True, 0, 0, 0)
        self.settle()
        index, offset = self._heights.locate(round(self.scroll_y))
        first = self._slots[index].serial
        last = max((row.serial for row in self._rows), default=first)
        return _Left(self.following, first, offset, last if self.BACKWARDS else first)

    def _go_back(self) -> None:
        self._refold(None)
        left = self._left_at
        if left is None:
            return
        at = self.place_of(left.serial)
        if left.following:
            self.follow()
        elif at < len(self._slots):
            self.show(self._slots[at].serial, left.offset)

    # -------------------------------------------------------------------------------------------------- in slices

    def _look(self, seconds: float) -> bool:
        """Looks for a while, and shows the nearest occurrence once it is known. True when all is looked at."""
        done = self._finder.look(self._slots, seconds)
        if self._fresh and self._finder.first is not None:
            self._fresh = False
            self._go_to(self._finder.first)
        elif self._fresh and done:
            self._fresh = False
            self._go_back()
        self._tell()
        return done

    async def _look_on(self) -> None:
        done = False
        while not done:
            await asyncio.sleep(PAUSE_S)
            done = self._look(SLICE_S)

    def _stop_looking(self) -> None:
        for task in (self._looking, self._again):
            if isinstance(task, Worker):
                task.cancel()
            elif task is not None:
                task.stop()
        self._looking = self._again = None

    def _look_again_soon(self) -> None:
        """Something has changed: it is looked at with whatever changes until then."""
        if self._again is None and self.searching and self.is_running:
            self._again = self.set_timer(AGAIN_S, self._look_again)

    def _look_again(self) -> None:
        self._again = None
        if self.searching and (self._looking is None or self._looking.is_finished) and not self._look(SLICE_S):
            self._looking = self.run_worker(self._look_on(), name="searching", exit_on_error=False)

    def _tell(self) -> None:
        if (found := self.found) != self._told:
            self._told = found
            self.post_message(self.Searched(found))

    # ------------------------------------------------------------------------------------------------ going there

    def _go_to(self, match: Match) -> None:
        self._refold(match.serial)
        self.following, self.held = False, True
        self.current = match
        if not self._shows(match) and self.unfold(match.serial):
            self._unfolded = match.serial
        self.show_match(match)

    def _shows(self, match: Match) -> bool:
        return any(place.nth == match.nth for found in self.places_of(match.serial).values() for place in found)

    def _refold(self, but: int | None) -> None:
        """Closes what the search has opened, unless the reader is there."""
        if self._unfolded is not None and self._unfolded != but:
            at = self.place_of(self._unfolded)
            if at < len(self._slots) and self._slots[at].serial == self._unfolded:
                self.fold(self._unfolded)
            self._unfolded = None

    # ------------------------------------------------------------------------------------------- the list changes

    def add(self, piece: PieceT, *, gap: int = 0, header: bool = False) -> int:
        """Puts a piece at the end and returns its serial."""
        serial = super().add(piece, gap=gap, header=header)
        self._changed(serial)
        return serial

    def rerender(self, serial: int) -> None:
        """Has a piece rendered again because its content changed."""
        super().rerender(serial)
        self._changed(serial)

    def cut(self, index: int) -> None:
        """Removes the pieces from an index on."""
        if index < len(self._slots):
            serial = self._slots[index].serial
            self._finder.gone(serial)
            if self.current is not None and self.current.serial >= serial:
                self.current = None
            self._look_again_soon()
        super().cut(index)

    def take_out(self, serial: int) -> None:
        """Takes one piece out of the list."""
        later = [slot.serial for slot in self._slots[self.index_of(serial) + 1 :]]
        super().take_out(serial)
        for other in later:
            self._changed(other)

    def restore(self, kept: Snapshot[PieceT]) -> None:
        """Puts the list back, and shows its end."""
        self.end_search()
        super().restore(kept)

    def _changed(self, serial: int) -> None:
        if self._finder.needle:
            self._finder.changed(serial)
            self._look_again_soon()


class _Left(NamedTuple):
    """Where a search began.

    Attributes:
        following: The view stayed at the end.
        serial: The piece at the top,
        offset: and its first line in view.
        nearest: The piece from which on is looked.
    """

    following: bool
    serial: int
    offset: int
    nearest: int


def how_often(needle: Needle, text: str) -> int:
    """Occurrences in a text."""
    return min(needle.count(text), MOST_IN_PIECE)

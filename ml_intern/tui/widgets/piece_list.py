"""Pieces of text in an order that can change, with what is known of how high each is and how it looks.

A list of them is shown by `virtual.py`, which says what a change means for what is seen.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Generic, Unpack

from textual.scroll_view import ScrollView

from ml_intern.tui.widgets.heights import Heights
from ml_intern.tui.widgets.pieces import Names, PieceT, RenderCache, Slot, Snapshot

KEPT_LINES = 3_000
"""How many rendered lines a list keeps."""


class PieceList(ScrollView, Generic[PieceT]):
    """Pieces one below the other. Each is named by a serial for as long as it is in the list."""

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self._slots: list[Slot[PieceT]] = []
        self._heights = Heights()
        self._next_serial = 1
        self._cache = RenderCache(KEPT_LINES)

    # ---------------------------------------------------------------------------------------------- for subclasses

    def settle_soon(self) -> None:
        """Brings what is seen up to date once the present message has been handled."""
        raise NotImplementedError

    def _estimate(self, slot: Slot[PieceT]) -> int:
        """About how many rows a piece takes in its place."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------- the list

    def __len__(self) -> int:
        return len(self._slots)

    def __bool__(self) -> bool:
        return True  # a widget is a thing, not a collection, wherever its truth is asked for

    def add(self, piece: PieceT, *, gap: int = 0, header: bool = False) -> int:
        """Puts a piece at the end and returns its serial."""
        slot = Slot(self._next_serial, piece, gap, header)
        self._next_serial += 1
        self._slots.append(slot)
        self._heights.append(self._estimate(slot))
        self.settle_soon()
        return slot.serial

    def replace(self, serial: int, piece: PieceT) -> None:
        """Puts another piece in a place."""
        self._slots[self.index_of(serial)].piece = piece
        self.rerender(serial)

    def rerender(self, serial: int) -> None:
        """Has a piece rendered again because its content changed."""
        self._cache.expire(serial)
        self.settle_soon()

    def cut(self, index: int) -> None:
        """Removes the pieces from an index on."""
        for slot in self._slots[index:]:
            self._cache.drop(slot.serial)
        del self._slots[index:]
        self._heights.truncate(index)
        self.settle_soon()

    def take_out(self, serial: int) -> None:
        """Takes one piece out of the list."""
        index = self.index_of(serial)
        later = self._slots[index + 1 :]
        heights = [self._heights[at] for at in range(index + 1, len(self._slots))]
        self._slots = self._slots[: index + 1]
        self.cut(index)
        self._slots += later
        for height in heights:
            self._heights.append(height)

    def index_of(self, serial: int) -> int:
        """Where the piece is now.

        Raises:
            KeyError: It is not in the list (any more).
        """
        at = self.place_of(serial)
        if at == len(self._slots) or self._slots[at].serial != serial:
            raise KeyError(serial)
        return at

    def place_of(self, serial: int) -> int:
        """Where a piece is, or would be if it were still in the list."""
        return bisect_left(self._slots, serial, key=lambda slot: slot.serial)

    def piece(self, serial: int) -> PieceT:
        """The piece in a place."""
        return self._slots[self.index_of(serial)].piece

    @property
    def pieces(self) -> list[PieceT]:
        """All pieces, in order."""
        return [slot.piece for slot in self._slots]

    def snapshot(self) -> Snapshot[PieceT]:
        """The list as it is, to come back to. Costs two references a piece; pieces that change by themselves go on."""
        pieces = [slot.piece for slot in self._slots]
        return Snapshot(self._slots.copy(), pieces, self._heights.copy(), self._next_serial)

    def restore(self, kept: Snapshot[PieceT]) -> None:
        """Puts the list back. What looks as it did is not rendered again."""
        before = {serial: self._piece_or_none(serial) for serial in self._cache.serials}
        self._slots, self._heights, self._next_serial = kept.slots.copy(), kept.heights.copy(), kept.next_serial
        for slot, piece in zip(self._slots, kept.pieces, strict=True):
            slot.piece = piece
        for serial, piece_before in before.items():
            if piece_before is None or self._piece_or_none(serial) is not piece_before:
                self._cache.drop(serial)

    def _piece_or_none(self, serial: int) -> PieceT | None:
        at = self.place_of(serial)
        return self._slots[at].piece if at < len(self._slots) and self._slots[at].serial == serial else None

"""What a virtual list is made of: pieces, their places, and how they were rendered."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container
from typing import Generic, NamedTuple, Protocol, TypedDict, TypeVar

from textual.strip import Strip

from ml_intern.tui.widgets.heights import Heights
from ml_intern.tui.widgets.lines import Line

ROW_BITS = 24
"""A line is named by the serial of its piece and its number there, together in one integer that orders lines."""
BELOW = (1 << ROW_BITS) - 1
"""Number of the rows below the end of the list."""


JumpRow = tuple[int, Callable[[], None]]
"""A row in view by its distance from the top, and what jumping to it does."""


class Names(TypedDict, total=False):
    """What every widget may be called."""

    name: str | None
    id: str | None
    classes: str | None


class Piece(Protocol):
    """Something that can be shown as lines."""

    @property
    def plain(self) -> str:
        """Its text, for search."""

    def estimate(self, width: int, /) -> int:
        """About how many lines it has at a width. Must be quick."""

    def render(self, width: int, /) -> list[Line]:
        """Its lines at a width."""


PieceT = TypeVar("PieceT", bound=Piece)


class Slot(Generic[PieceT]):
    """A piece's place in the list. Serials only ever rise, so that they order places and name them for good."""

    __slots__ = ("gap", "header", "piece", "serial")

    def __init__(self, serial: int, piece: PieceT, gap: int = 0, header: bool = False) -> None:
        self.serial = serial
        self.piece = piece
        self.gap = gap
        self.header = header


class Snapshot(NamedTuple, Generic[PieceT]):
    """A list as it was at some time: its places, what stood in each, their heights, and the serial that came next."""

    slots: list[Slot[PieceT]]
    pieces: list[PieceT]
    heights: Heights
    next_serial: int


class Match(NamedTuple):
    """Where a text was found: the piece, and which of the piece's occurrences it is."""

    serial: int
    nth: int


class Row(NamedTuple):
    """A row as it is on the screen."""

    strip: Strip
    used: int
    line: Line
    serial: int
    number: int


class Rendered:
    """A piece's lines at a width, and the rows painted of them so far."""

    __slots__ = ("lines", "strips", "width")

    def __init__(self, lines: list[Line], width: int) -> None:
        self.lines = lines
        self.strips: list[tuple[Strip, int] | None] = [None] * len(lines)
        self.width = width

    def keep_strips_of(self, earlier: Rendered) -> None:
        """Takes over the painted rows of lines that are the same as before, if they were painted for this width."""
        painted = next((strip for strip in earlier.strips if strip is not None), None)
        if painted is None or painted[0].cell_length != self.width:
            return
        for number, (old, new) in enumerate(zip(earlier.lines, self.lines, strict=False)):
            if old is new or old == new:
                self.strips[number] = earlier.strips[number]


class RenderCache:
    """Rendered pieces by serial, the longest unused ones forgotten first.

    Args:
        limit: How many lines to keep.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[int, Rendered] = OrderedDict()
        self._lines = 0

    def __getitem__(self, serial: int) -> Rendered:
        return self._kept[serial]

    def get(self, serial: int) -> Rendered | None:
        """What is kept of a piece, for whatever width."""
        found = self._kept.get(serial)
        if found is not None:
            self._kept.move_to_end(serial)
        return found

    def put(self, serial: int, rendered: Rendered) -> None:
        """Keeps a piece. Rows painted earlier are used again where they are the same."""
        earlier = self._kept.get(serial)
        if earlier is not None:
            rendered.keep_strips_of(earlier)
        self.drop(serial)
        self._kept[serial] = rendered
        self._lines += len(rendered.lines)

    @property
    def serials(self) -> list[int]:
        """The pieces of which something is kept."""
        return list(self._kept)

    def drop(self, serial: int) -> None:
        """Forgets a piece."""
        found = self._kept.pop(serial, None)
        self._lines -= len(found.lines) if found else 0

    def expire(self, serial: int) -> None:
        """Has a piece rendered again; its lines are kept to find the reader's place."""
        if serial in self._kept:
            self._kept[serial].width = 0

    def forget_strips(self) -> None:
        """Has everything painted again."""
        for rendered in self._kept.values():
            rendered.strips = [None] * len(rendered.lines)

    def trim(self, shown: Container[int]) -> None:
        """Forgets what was not used for longest, down to the limit or to what is shown."""
        while self._lines > self._limit and len(self._kept) > 1:
            serial = next(iter(self._kept))
            if serial in shown:
                return
            self.drop(serial)

"""One line of text put together from parts, which gives up the least important ones first when there is no room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from textual.content import Content

from ml_intern.tui.widgets.text import cells, clean, fit


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a line.

    Attributes:
        text: Shown as it is.
        style: A style that theme variables may be part of, for example `$accent bold`.
        rank: 0 stays to the last; higher ranks are given up first.
        short: A shorter form, tried before the part is dropped.
        short_rank: When the shorter form is taken, if that is earlier than `rank` says.
        flexible: May be cut with an ellipsis instead of being dropped.
        tail: Follows in a muted style, for example what a key does.
    """

    text: str
    style: str = ""
    rank: int = 0
    short: str = ""
    short_rank: int = 0
    flexible: bool = False
    tail: str = ""

    @property
    def order(self) -> int:
        """The part with the highest is the next to give something up."""
        return max(self.rank, self.short_rank) if self.short else self.rank

    @property
    def width(self) -> int:
        """Width on the screen."""
        return cells(self.text) + (1 + cells(self.tail) if self.tail else 0)


MIN_FLEXIBLE_CELLS = 8
MIN_GAP_CELLS = 2


def whole_seconds(seconds: float) -> str:
    """A running time that is looked at while it counts: `12 s`, `1 m 8 s`, `2 h 5 m`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} m {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} m"


def line(left: Sequence[Part], right: Sequence[Part], width: int, separator: str = "  ") -> Content:
    """Left parts, a gap, right parts, within `width` cells."""
    sides = [[_shown(part) for part in side if part.text] for side in (left, right)]
    while (excess := _width(sides, separator) - width) > 0 and _give_up(sides, excess):
        pass
    left_text, right_text = (_join(side, separator) for side in sides)
    if not right_text:
        return left_text
    gap = width - left_text.cell_length - right_text.cell_length
    return Content.assemble(left_text, " " * max(0, gap), right_text)


def _shown(part: Part) -> Part:
    """The part with nothing in it that a terminal could act on."""
    if part.text.isprintable() and part.short.isprintable():
        return part
    return replace(part, text=clean(part.text).replace("\n", " "), short=clean(part.short).replace("\n", " "))


def _join(parts: Sequence[Part], separator: str) -> Content:
    pieces: list[tuple[str, str]] = []
    for part in parts:
        if pieces:
            pieces.append((separator, "$foreground-muted"))
        pieces.append((part.text, part.style))
        if part.tail:
            pieces.append((f" {part.tail}", "$foreground-muted"))
    return Content.assemble(*pieces)


def _width(sides: list[list[Part]], separator: str) -> int:
    gaps = [max(0, len(side) - 1) * cells(separator) for side in sides]
    between = MIN_GAP_CELLS if all(sides) else 0
    return sum(part.width for side in sides for part in side) + sum(gaps) + between


def _give_up(sides: list[list[Part]], excess: int) -> bool:
    """Makes the line shorter by one step. False when there is nothing left to give up."""
    candidates = [(part.order, number, index) for number, side in enumerate(sides) for index, part in enumerate(side)]
    if not candidates:
        return False
    _, number, index = max(candidates)
    side, part = sides[number], sides[number][index]
    if part.flexible and part.width - excess >= MIN_FLEXIBLE_CELLS:
        side[index] = replace(part, text=fit(part.text, part.width - excess), flexible=False)
    elif part.short and part.short != part.text:
        side[index] = replace(part, text=part.short, short="")
    elif part.rank == 0:
        return False
    else:
        del side[index]
    return True

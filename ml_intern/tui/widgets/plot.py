"""Curves in braille: two points across and four down in every cell; in plain characters where there is no braille."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import cache
from math import isfinite, log10
from typing import NamedTuple

from ml_intern.tui.widgets.lines import Line, Run, line, wrap
from ml_intern.tui.widgets.text import cells, one_line

ROWS = 8
"""Rows of the plot, without its axis."""

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_INKS = ("series1", "series2", "series3", "series4")
_SIGNS = ("━━", "╍╍", "┅┅", "┉┉")
_CHARS = "*+o#x"
_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.-=^"

Points = Sequence[tuple[float, float]]


class Frame(NamedTuple):
    """The part of the plane that is shown."""

    left: float
    right: float
    bottom: float
    top: float


class _Series(NamedTuple):
    name: str
    xs: list[float]
    ys: list[float]


class Look(NamedTuple):
    """How curves are drawn.

    Attributes:
        log: The y axis is logarithmic; points that are not above zero are left out.
        letters: The first character of each name marks the end of its curve.
        axis: What the x values count, for the axis.
        legend: Whether names and last values stand below.
        braille: Whether the terminal can show braille.
    """

    log: bool = False
    letters: bool = False
    axis: str = ""
    legend: bool = True
    braille: bool = True


@cache
def default_look() -> Look:
    """The look for this terminal. The console of Linux has no braille, and neither has a terminal without UTF-8."""
    charset = next(filter(None, (os.environ.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))), "UTF-8")
    has_utf8 = "utf8" in charset.lower().replace("-", "") or charset in ("C", "POSIX")
    return Look(braille=has_utf8 and os.environ.get("TERM") != "linux")


def plot_lines(series: Mapping[str, Points], width: int, rows: int = ROWS, look: Look | None = None) -> list[Line]:
    """Draws named series of points.

    However many points fall on a column, their lowest and highest are drawn: no spike is lost. Of several series, each
    after the first is drawn with gaps (or in other characters), so that they can be told apart without colour.

    Args:
        series: Points by name. Points that are not finite are left out.
        width: Cells that a line may take.
        rows: Height of the plot.
        look: How it is drawn.
    """
    look = look or default_look()
    cleaned = [_cleaned(name, points, log=look.log) for name, points in series.items()]
    shown = [one for one in cleaned if one.xs]
    if not shown:
        return [line("no points yet" if not look.log else "no points above zero", "muted")]
    frame = _frame(shown)
    labels = _labels(frame, rows, log=look.log)
    margin = max(map(cells, labels)) + 1
    across = max(4, width - margin)
    grid = _Grid(across, rows, braille=look.braille)
    for number, one in enumerate(shown):
        grid.draw(_columns(one, frame, grid.columns), frame, number)
    if look.letters:
        for number, one in enumerate(shown):
            grid.mark(one, frame, number)
    lines = [
        Line((Run(f"{label:>{margin - 1}} ", "axis"), *grid.runs(number)), margin)
        for number, label in enumerate(labels)
    ]
    return [*lines, _axis(frame, margin, across, look.axis), *(_legend(shown, width, look) if look.legend else ())]


def sparkline(points: Points, width: int, look: Look | None = None) -> str:
    """The course of a curve in one row of at most `width` cells."""
    bars = _BARS if (look or default_look()).braille else _ASCII_BARS
    one = _cleaned("", points)
    if not one.xs or width < 1:
        return ""
    frame = _frame([one])
    columns = _columns(one, frame, min(width, len(one.xs)))
    scale = (len(bars) - 1) / (frame.top - frame.bottom)
    return "".join(bars[round(((low + high) / 2 - frame.bottom) * scale)] for _, low, high in columns)


def _cleaned(name: str, points: Points, *, log: bool = False) -> _Series:
    if log:
        points = [(x, log10(y)) for x, y in points if y > 0 and isfinite(y)]
    xs, ys = [x for x, _y in points], [y for _x, y in points]
    if not (isfinite(sum(xs)) and isfinite(sum(ys))):
        kept = [(x, y) for x, y in points if isfinite(x) and isfinite(y)]
        xs, ys = [x for x, _y in kept], [y for _x, y in kept]
    if xs != sorted(xs):
        order = sorted(range(len(xs)), key=xs.__getitem__)
        xs, ys = [xs[at] for at in order], [ys[at] for at in order]
    return _Series(one_line(name, 40), xs, ys)


def _frame(shown: Sequence[_Series]) -> Frame:
    left, right = min(one.xs[0] for one in shown), max(one.xs[-1] for one in shown)
    bottom, top = min(min(one.ys) for one in shown), max(max(one.ys) for one in shown)
    if right == left:
        left, right = left - 0.5, right + 0.5
    if top == bottom:
        space = abs(top) * 0.1 or 0.5
        bottom, top = bottom - space, top + space
    return Frame(left, right, bottom, top)


_Column = tuple[int, float, float]  # column of dots, lowest and highest value in it


def _columns(one: _Series, frame: Frame, dots: int) -> list[_Column]:
    """The range of values in each column that has points. Costs a search per column, and C speed per point."""
    xs, ys = one.xs, one.ys
    step = (frame.right - frame.left) / dots
    found: list[_Column] = []
    start = 0
    for column in range(dots):
        edge = frame.left + (column + 1) * step
        end = bisect_left(xs, edge, start) if column < dots - 1 else len(xs)
        if end > start:
            part = ys[start:end]
            found.append((column, min(part), max(part)))
            start = end
    return found


class _Grid:
    """The dots of a plot."""

    def __init__(self, across: int, rows: int, *, braille: bool = True) -> None:
        self._braille = braille
        self._wide, self._high = (2, 4) if braille else (1, 1)
        self.columns = self._wide * across
        self.dots = self._high * rows
        self._bits = [[0] * across for _ in range(rows)]
        self._owner = [[0] * across for _ in range(rows)]
        self._marks: dict[tuple[int, int], tuple[str, int]] = {}

    def mark(self, one: _Series, frame: Frame, number: int) -> None:
        """Puts the letter of a series at its end, and below or above it where another one's is already."""
        column = round((one.xs[-1] - frame.left) / (frame.right - frame.left) * (self.columns - 1)) // self._wide
        row = round((frame.top - one.ys[-1]) / (frame.top - frame.bottom) * (self.dots - 1)) // self._high
        for at in sorted(range(len(self._bits)), key=lambda other: abs(other - row)):
            if (at, column) not in self._marks:
                self._marks[at, column] = one.name[:1], number
                return

    def draw(self, columns: Sequence[_Column], frame: Frame, number: int) -> None:
        """Draws the ranges of one series and what connects them."""
        scale = (self.dots - 1) / (frame.top - frame.bottom)
        before: tuple[int, int, int] | None = None
        for column, low, high in columns:
            bottom, top = round((frame.top - low) * scale), round((frame.top - high) * scale)
            if before is not None:
                self._connect(before, (column, bottom, top), number)
            self._bar(column, top, bottom, number)
            before = (column, bottom, top)

    def _connect(self, before: tuple[int, int, int], after: tuple[int, int, int], number: int) -> None:
        """Bridges the gap between two columns."""
        start, end = before[0], after[0]
        first, last = (before[1] + before[2]) / 2, (after[1] + after[2]) / 2
        for column in range(start + 1, end):
            y = round(first + (last - first) * (column - start) / (end - start))
            self._bar(column, y, y, number)
        if end == start + 1 and (after[2] > before[1] or after[1] < before[2]):
            near = before[1] if after[2] > before[1] else before[2]
            middle = (near + (after[2] if after[2] > before[1] else after[1])) // 2
            self._bar(start, min(near, middle), max(near, middle), number)
            self._bar(end, min(middle, after[2]), max(middle, after[1]), number)

    def _bar(self, column: int, top: int, bottom: int, number: int) -> None:
        if number and self._braille and column % (2 * number + 2) == 0:
            return
        wide, high = self._wide, self._high
        for y in range(max(0, top), min(self.dots - 1, bottom) + 1):
            self._bits[y // high][column // wide] |= _DOTS[column % wide][y % high]
            self._owner[y // high][column // wide] = number

    def runs(self, row: int) -> list[Run]:
        """One row of cells."""
        runs: list[Run] = []
        for column, (bits, owner) in enumerate(zip(self._bits[row], self._owner[row], strict=True)):
            char, ink = self._cell(row, column, bits, owner)
            if runs and runs[-1].ink == ink:
                runs[-1] = Run(runs[-1].text + char, ink)
            else:
                runs.append(Run(char, ink))
        return runs

    def _cell(self, row: int, column: int, bits: int, owner: int) -> tuple[str, str]:
        if mark := self._marks.get((row, column)):
            return mark[0], f"strong {_ink(mark[1])}"
        if not bits:
            return " ", ""
        return chr(0x2800 + bits) if self._braille else _CHARS[owner % len(_CHARS)], _ink(owner)


def _ink(number: int) -> str:
    return _INKS[number % len(_INKS)]


def _labels(frame: Frame, rows: int, *, log: bool) -> list[str]:
    """What stands left of each row: the ends of the axis, and its middle where there is room."""
    labels = [""] * rows
    places = {0: frame.top, rows - 1: frame.bottom}
    if rows >= 9:
        places[rows // 2] = frame.top - (frame.top - frame.bottom) * (rows // 2) / (rows - 1)
    for row, value in places.items():
        labels[row] = _number(10**value if log else value, digits=3 if row not in (0, rows - 1) else 4)
    return labels


def _axis(frame: Frame, margin: int, across: int, name: str) -> Line:
    left, right = _number(frame.left), _number(frame.right)
    room = across - cells(left) - cells(right)
    middle = f"{name:^{room}}" if 0 < cells(name) + 2 <= room else " " * max(1, room)
    return line(" " * margin + left + middle + right, "axis")


def _legend(shown: Sequence[_Series], width: int, look: Look) -> list[Line]:
    """Every series with its last value."""
    runs: list[Run] = []
    for number, one in enumerate(shown):
        sign = _SIGNS[number % len(_SIGNS)] if look.braille else _CHARS[number % len(_CHARS)] * 2
        last = _number(10 ** one.ys[-1] if look.log else one.ys[-1])
        runs += [Run(f"{sign} ", _ink(number)), Run(f"{one.name} "), Run(f"{last} @ {_number(one.xs[-1])}   ", "muted")]
    return wrap(runs, width)


def _number(value: float, digits: int = 4) -> str:
    """A number as short as it can be told."""
    if value == round(value) and abs(value) < 1e9:
        return f"{round(value):,}"
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"

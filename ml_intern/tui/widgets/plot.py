"""Curves in braille: two points across and four down in every cell."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import NamedTuple

from ml_intern.tui.widgets.lines import Line, Run, line, wrap
from ml_intern.tui.widgets.text import cells, one_line

ROWS = 8
"""Rows of the plot, without its axis."""

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_INKS = ("series1", "series2", "series3", "series4")
_SIGNS = ("━━", "╍╍", "┅┅", "┉┉")

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


def plot_lines(series: Mapping[str, Points], width: int, rows: int = ROWS) -> list[Line]:
    """Draws named series of points.

    However many points fall on a column, their lowest and highest are drawn: no spike is lost. Of several series, each
    after the first is drawn with gaps, so that they can be told apart without colour.

    Args:
        series: Points by name. Points that are not finite are left out.
        width: Cells that a line may take.
        rows: Height of the plot.
    """
    cleaned = [_cleaned(name, points) for name, points in series.items()]
    shown = [one for one in cleaned if one.xs]
    if not shown:
        return [line("no points yet", "muted")]
    frame = _frame(shown)
    labels = [_number(frame.top), _number(frame.bottom)]
    margin = max(map(cells, labels)) + 1
    across = max(4, width - margin)
    grid = _Grid(across, rows)
    for number, one in enumerate(shown):
        grid.draw(_columns(one, frame, 2 * across), frame, number)
    lines = []
    for number in range(rows):
        label = labels[0] if number == 0 else labels[1] if number == rows - 1 else ""
        lines.append(Line((Run(f"{label:>{margin - 1}} ", "axis"), *grid.runs(number)), margin))
    return [*lines, _axis(frame, margin, across), *_legend(shown, width)]


def _cleaned(name: str, points: Points) -> _Series:
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

    def __init__(self, across: int, rows: int) -> None:
        self.dots = 4 * rows
        self._bits = [[0] * across for _ in range(rows)]
        self._owner = [[0] * across for _ in range(rows)]

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
        if number and column % (2 * number + 2) == 0:
            return
        for y in range(max(0, top), min(self.dots - 1, bottom) + 1):
            self._bits[y // 4][column // 2] |= _DOTS[column % 2][y % 4]
            self._owner[y // 4][column // 2] = number

    def runs(self, row: int) -> list[Run]:
        """One row of cells."""
        runs: list[Run] = []
        for bits, owner in zip(self._bits[row], self._owner[row], strict=True):
            char, ink = (chr(0x2800 + bits), _INKS[owner % len(_INKS)]) if bits else (" ", "")
            if runs and runs[-1].ink == ink:
                runs[-1] = Run(runs[-1].text + char, ink)
            else:
                runs.append(Run(char, ink))
        return runs


def _axis(frame: Frame, margin: int, across: int) -> Line:
    left, right = _number(frame.left), _number(frame.right)
    space = max(1, across - cells(left) - cells(right))
    return line(" " * margin + left + " " * space + right, "axis")


def _legend(shown: Sequence[_Series], width: int) -> list[Line]:
    """Every series with its last value."""
    runs: list[Run] = []
    for number, one in enumerate(shown):
        sign = Run(f"{_SIGNS[number % len(_SIGNS)]} ", _INKS[number % len(_INKS)])
        runs += [sign, Run(f"{one.name} "), Run(f"{_number(one.ys[-1])} @ {_number(one.xs[-1])}   ", "muted")]
    return wrap(runs, width)


def _number(value: float) -> str:
    """A number as short as it can be told."""
    if value == round(value) and abs(value) < 1e9:
        return f"{round(value):,}"
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.4g}"

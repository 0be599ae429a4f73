"""Figures of a training while it runs: curves of bounded size, final values, and signs of trouble.

A job's log goes in line by line. However many points come, a curve keeps its first and last, its spikes, and at most
`CURVE_POINTS` points.
"""

from __future__ import annotations

import re
from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from math import inf, isfinite, isnan
from typing import Literal

from ml_intern.core.metric_lines import Figures, read_figures, role

CURVE_POINTS = 4096
"""Most points that a curve keeps."""
MAX_CURVES = 48
"""Further names are not followed."""

Axis = Literal["step", "epoch", "count"]
Family = Literal["loss", "eval", "learning rate", "grad norm", "other"]
_ORDER: dict[Family, int] = {"loss": 0, "eval": 1, "learning rate": 2, "grad norm": 3, "other": 4}

_WINDOW = 5
_LEAST_RISE = 0.1
_EVAL = re.compile(r"(?:^|[_/.])(?:eval|val|valid|validation|test|dev)(?:$|[_/.])")
_LOSS = re.compile(r"(?:^|[_/.])(?:loss|nll)$")
_GRAD = re.compile(r"grad(?:ient)?_norm$|^grad$")


class Curve:
    """Points of one figure, in the order they came.

    Beyond the limit neighbouring points are merged: of each group the lowest and the highest stay.

    Args:
        name: What the log calls it.
        axis: What its x values count.
        limit: Most points to keep; a multiple of 4.

    Attributes:
        count: How many points there were.
        last: The newest point.
    """

    def __init__(self, name: str, axis: Axis = "step", limit: int = CURVE_POINTS) -> None:
        self.name = name
        self.axis = axis
        self.count = 0
        self.last: tuple[float, float] | None = None
        self._limit = limit
        self._xs = array("d")
        self._ys = array("d")
        self._group = 1  # how many points one stored pair stands for; 1: nothing is merged yet
        self._low = self._high = (0.0, 0.0)  # of the group that still grows
        self._in_open = 0

    def add(self, x: float, y: float) -> None:
        """Takes a point; both must be finite. Takes constant time on average."""
        self.count += 1
        self.last = point = (x, y)
        if self._group == 1:
            self._store(point)
            return
        if not self._in_open:
            self._low = self._high = point
        elif y < self._low[1]:
            self._low = point
        elif y > self._high[1]:
            self._high = point
        self._in_open += 1
        if self._in_open == self._group:
            for one in self._open():
                self._store(one)
            self._in_open = 0

    def points(self) -> list[tuple[float, float]]:
        """What is kept, the newest point always included."""
        kept = [*zip(self._xs, self._ys, strict=True), *self._open()]
        if self.last is not None and kept[-1:] != [self.last]:
            kept.append(self.last)
        return kept

    def _open(self) -> list[tuple[float, float]]:
        if not self._in_open:
            return []
        return [self._low] if self._low == self._high else sorted((self._low, self._high))

    def _store(self, point: tuple[float, float]) -> None:
        self._xs.append(point[0])
        self._ys.append(point[1])
        if len(self._xs) >= self._limit:
            self._merge()

    def _merge(self) -> None:
        points = thinned(list(zip(self._xs, self._ys, strict=True)), len(self._xs) // 2)
        self._xs = array("d", (x for x, _ in points))
        self._ys = array("d", (y for _, y in points))
        self._group = 4 if self._group == 1 else self._group * 2


def thinned(points: Sequence[tuple[float, float]], limit: int) -> list[tuple[float, float]]:
    """At most about `limit` of these points: of each group of neighbours the lowest and the highest."""
    if len(points) <= limit:
        return list(points)
    size = -(-len(points) * 2 // max(2, limit))
    return [point for at in range(0, len(points), size) for point in _extremes(points[at : at + size])]


def _extremes(group: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The lowest and the highest point, in the order they came."""
    if len(group) < 2:
        return list(group)
    low = min(range(len(group)), key=lambda at: group[at][1])
    high = max(range(len(group)), key=lambda at: group[at][1])
    return [group[at] for at in sorted({low, high})]


class _Watch:
    """Looks for trouble in one figure."""

    __slots__ = ("best", "first", "last_bad", "recent", "sign", "since", "times")

    def __init__(self) -> None:
        self.recent: deque[float] = deque(maxlen=_WINDOW)
        self.first: float | None = None
        self.best = inf
        self.since: float | None = None
        self.last_bad: float | None = None
        self.sign = "NaN"
        self.times = 0

    def take(self, x: float, y: float) -> None:
        if not isfinite(y):
            self.times += 1
            self.last_bad = x
            self.sign = "NaN" if isnan(y) else "inf"
            self.since = x if self.since is None else self.since
            return
        self.since = None
        self.recent.append(y)
        if len(self.recent) == _WINDOW:
            mean = sum(self.recent) / _WINDOW
            self.first = mean if self.first is None else self.first
            self.best = min(self.best, mean)

    @property
    def rising(self) -> tuple[float, float] | None:
        """The best mean there was and the present one, when every recent value lies far above the best."""
        if self.first is None:
            return None
        far = self.best + max(_LEAST_RISE, 0.5 * abs(self.best), 0.2 * (self.first - self.best))
        return (self.best, sum(self.recent) / len(self.recent)) if min(self.recent) > far else None


class TrainingMetrics:
    """Reads a training log as it grows.

    Attributes:
        curves: By name, in the order they appeared.
        summary: What the run said about itself at its end.
        step: The newest step, if steps are told.
        epoch: The newest epoch, if epochs are told.
        version: Rises with everything that was read.
    """

    def __init__(self) -> None:
        self.curves: dict[str, Curve] = {}
        self.summary: dict[str, float] = {}
        self.step: float | None = None
        self.epoch: float | None = None
        self.version = 0
        self._watches: dict[str, _Watch] = {}

    def feed(self, line: str) -> bool:
        """Takes one line; tells whether it held figures."""
        figures = read_figures(line)
        if figures is None:
            return False
        self.take(figures)
        return True

    def feed_all(self, lines: Iterable[str]) -> bool:
        """Takes lines; tells whether any held figures."""
        before = self.version
        for line in lines:
            self.feed(line)
        return self.version != before

    def take(self, figures: Figures) -> None:
        """Takes the figures of a line, or of any other source."""
        self.version += 1
        if figures.step is not None:
            self.step = figures.step
        if figures.epoch is not None:
            self.epoch = figures.epoch
        if figures.final:
            self.summary.update({name: value for name, value in figures.values.items() if isfinite(value)})
            return
        for name, value in figures.values.items():
            curve = self.curves.get(name) or self._begin(name)
            if curve is None:
                continue
            x = self.step if curve.axis == "step" else self.epoch if curve.axis == "epoch" else None
            if x is None:
                x = curve.count + 1.0
            if (watch := self._watches.get(name)) is not None:
                watch.take(x, value)
            if isfinite(value):
                curve.add(x, value)

    def _begin(self, name: str) -> Curve | None:
        if len(self.curves) >= MAX_CURVES:
            return None
        axis: Axis = "step" if self.step is not None else "epoch" if self.epoch is not None else "count"
        curve = self.curves[name] = Curve(name, axis)
        if family(name) in ("loss", "grad norm"):
            self._watches[name] = _Watch()
        return curve

    # ----------------------------------------------------------------------------------------------- what it means

    @property
    def warning(self) -> str:
        """What is wrong with the run right now, in a few words; empty while nothing is."""
        for name, watch in self._watches.items():
            if watch.since is not None:
                what = "" if _LOSS.search(name) else f" ({name})"
                return f"{watch.sign} since {self._place(name, watch.since)}{what}"
        for name, watch in self._watches.items():
            if family(name) == "loss" and (rise := watch.rising):
                return f"{name} is rising: {_short(rise[0])} → {_short(rise[1])}"
        for name, watch in self._watches.items():
            if watch.last_bad is not None:
                times = "once" if watch.times == 1 else f"{watch.times} times"
                return f"{name} was {watch.sign} {times}, last at {self._place(name, watch.last_bad)}"
        return ""

    @property
    def failing(self) -> bool:
        """Whether the newest loss or gradient norm is no number, or the loss runs away."""
        return any(
            watch.since is not None or (family(name) == "loss" and watch.rising is not None)
            for name, watch in self._watches.items()
        )

    def _place(self, name: str, x: float) -> str:
        axis = self.curves[name].axis
        return f"{'point' if axis == 'count' else axis} {_short(x)}"

    @property
    def main(self) -> Curve | None:
        """The curve to show where there is room for one: the loss, else the first result there is."""
        known = sorted((one for one in self.curves.values() if one.count), key=lambda one: _ORDER[family(one.name)])
        return next((curve for curve in known if role(curve.name) == "result"), known[0] if known else None)

    def charts(self) -> dict[str, list[Curve]]:
        """What to draw, by name: the losses of training and evaluation together, every other figure for itself."""
        known = sorted((one for one in self.curves.values() if one.count), key=lambda one: _ORDER[family(one.name)])
        losses = [curve for curve in known if _LOSS.search(curve.name.lower())]
        charts = {"loss": [curve for curve in losses if curve.axis == losses[0].axis]} if losses else {}
        drawn = {curve.name for curve in charts.get("loss", ())}
        return {**charts, **{curve.name: [curve] for curve in known if curve.name not in drawn}}

    def final_values(self) -> dict[str, float]:
        """The newest value of every curve and what the run said at its end."""
        last = {name: curve.last[1] for name, curve in self.curves.items() if curve.last is not None}
        return {**last, **self.summary}

    def series(self, limit: int = 400) -> dict[str, tuple[tuple[float, float], ...]]:
        """The first chart as series for a `CurveBlock`, thinned; empty when there is nothing to draw."""
        first = next(iter(self.charts().values()), [])
        return {curve.name: tuple(thinned(curve.points(), limit)) for curve in first[:4] if curve.count > 1}


def family(name: str) -> Family:
    """Which plot a figure belongs to."""
    lower = name.lower()
    if _EVAL.search(lower):
        return "eval"
    if _LOSS.search(lower):
        return "loss"
    if role(name) == "rate":
        return "learning rate"
    return "grad norm" if _GRAD.search(lower) else "other"


def _short(value: float) -> str:
    return f"{round(value):,}" if value == round(value) and abs(value) < 1e9 else f"{value:.4g}"

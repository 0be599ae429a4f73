"""The curves of a run, one chart at a time: the losses together, every other figure for itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content

from ml_intern.tui.widgets.lines import Line, line
from ml_intern.tui.widgets.painted import Painted
from ml_intern.tui.widgets.plot import default_look, plot_lines
from ml_intern.tui.widgets.text import one_line

if TYPE_CHECKING:
    from ml_intern.core.metrics import Curve

LEAST_ROWS = 2


class Charts(Vertical):
    """Shows charts by name. Which one is shown, and on what scale, stays when the figures grow."""

    def __init__(self, *, letters: bool = False, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._letters = letters
        self._log = False
        self._name = ""
        self._charts: Mapping[str, Sequence[tuple[str, Curve]]] = {}
        self._seen: tuple[object, ...] = ()
        self._painted = Painted()

    def compose(self) -> ComposeResult:
        """The plot."""
        yield self._painted

    @property
    def names(self) -> list[str]:
        """The charts there are."""
        return list(self._charts)

    def show(self, charts: Mapping[str, Sequence[Curve]]) -> None:
        """Shows the curves of one run."""
        self.show_named({name: [(curve.name, curve) for curve in curves] for name, curves in charts.items()})

    def show_named(self, charts: Mapping[str, Sequence[tuple[str, Curve]]]) -> None:
        """Shows curves under names of their own, for example those of several runs."""
        self._charts = charts
        self.display = bool(charts)
        seen = tuple((id(curve), curve.count) for curves in charts.values() for _, curve in curves)
        if seen != self._seen:
            self._seen = seen
            self._paint()

    def step(self, step: int) -> None:
        """Shows the next or previous chart."""
        names = self.names
        if names:
            at = names.index(self._name) if self._name in names else 0
            self._name = names[(at + step) % len(names)]
            self._paint()

    def toggle_log(self) -> None:
        """Changes between a plain and a logarithmic axis."""
        self._log = not self._log
        self._paint()

    def _paint(self) -> None:
        names = self.names
        if not names:
            return
        name = self._name if self._name in names else names[0]
        at = f" · {names.index(name) + 1} of {len(names)}" if len(names) > 1 else ""
        scale = " · log scale" if self._log else ""
        self.border_title = Content(f"{one_line(name, 60)}{at}{scale}")  # a string would be read as markup
        self._painted.paint(lambda width, height: self._lines(name, width, height))

    def _lines(self, name: str, width: int, height: int) -> list[Line]:
        curves = self._charts.get(name, ())
        axis = curves[0][1].axis if curves else ""
        look = default_look()._replace(log=self._log, letters=self._letters, axis="" if axis == "count" else axis)
        series = {label: curve.points() for label, curve in curves}
        rows = height - 2
        if rows < LEAST_ROWS:
            return [line("no room for the curve", "muted")]
        lines = plot_lines(series, width, rows, look)
        if len(lines) > height:  # the legend took more than a row
            lines = plot_lines(series, width, max(LEAST_ROWS, rows - (len(lines) - height)), look)
        return lines[:height]

"""A few lines in the inks of the lists, made anew whenever what they tell has changed or the width has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from ml_intern.tui.widgets.line import Part, line
from ml_intern.tui.widgets.lines import Line
from ml_intern.tui.widgets.pieces import Names
from ml_intern.tui.widgets.virtual import VirtualList

Make = Callable[[int, int], list[Line]]
"""Makes lines for a width and a height."""


class _Made:
    """The lines as a piece of the list."""

    plain = ""

    def __init__(self, owner: Painted) -> None:
        self._owner = owner

    def estimate(self, _width: int) -> int:
        return max(1, self._owner.view.height)

    def render(self, width: int) -> list[Line]:
        return self._owner.make(width, self._owner.view.height)


class Painted(VirtualList[_Made], can_focus=False):
    """Shows what a function makes of the present width and height.

    Args:
        fits: The widget is as high as its lines; otherwise its place decides.
    """

    DEFAULT_CSS = "Painted { overflow-y: hidden; scrollbar-size-vertical: 0; }"

    def __init__(self, *, fits: bool = False, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self._fits = fits
        self.make: Make = lambda _width, _height: []
        self._serial = self.add(_Made(self))
        self._height = 0

    def paint(self, make: Make | None = None) -> None:
        """Shows the lines as they are now."""
        self.make = make or self.make
        self.rerender(self._serial)
        self._adapt()

    def on_resize(self) -> None:
        """Another width makes other lines."""
        self.rerender(self._serial)
        self._adapt()
        super().on_resize()

    def _adapt(self) -> None:
        if self._fits and self.view.width:
            height = len(self.make(self.view.width, self.view.height))
            if height != self._height:
                self._height = height
                self.styles.height = max(1, height)


class PartsLine(Widget):
    """One line of parts, left and right, that gives up the least important ones first."""

    parts: reactive[tuple[tuple[Part, ...], tuple[Part, ...]]] = reactive(((), ()))

    def render(self) -> Content:
        """The line at the present width."""
        left, right = self.parts
        return line(left, right, self.content_size.width, "   ")

"""The theme of the terminal's own colours: what it cannot say with sixteen of them, it says in other ways.

A style sheet can ask for a colour, but not for dimmed or exchanged ones. So the theme asks for two colours that it uses
for nothing else, and they are mended here, where rows are painted. In both cases the colour itself would not do: in
some palettes it is that of the background.
"""

from __future__ import annotations

from functools import lru_cache

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

BRIGHT_BLACK, BRIGHT_WHITE = 8, 15
_QUIET = Style(color=RichColor.default(), dim=True)
_MARKED = Style(color=RichColor.default(), bgcolor=RichColor.default(), dim=False, reverse=True)


class PlainColours(LineFilter):
    """Paints bright black text dimmed, and what lies on bright white in exchanged colours."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same text in other styles."""
        del background
        return [Segment(text, _mended(style), control) for text, style, control in segments]


@lru_cache(2048)
def _mended(style: Style | None) -> Style | None:
    if style is None:
        return None
    if style.bgcolor is not None and style.bgcolor.number == BRIGHT_WHITE:
        return style + _MARKED
    if style.color is not None and style.color.number == BRIGHT_BLACK:
        return style + _QUIET
    return style

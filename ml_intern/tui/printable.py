"""The last thing that happens to every line before it is written to the terminal.

What models, tools and logs say is made safe where it is shown (`widgets/text.py`). Should that be forgotten somewhere,
or some widget of the toolkit show what it was given, nothing gets past this that a terminal could act on.
"""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from ml_intern.tui.widgets.text import without_controls


class PrintableOnly(LineFilter):
    """Takes out of a line what a terminal could act on. That has no width, so the line keeps its own."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002 - Textual's signature
        """The same segments if there is nothing to take out, as nearly always."""
        if all(segment.text.isprintable() for segment in segments):
            return segments
        return [
            segment if segment.control else Segment(without_controls(segment.text), segment.style)
            for segment in segments
        ]

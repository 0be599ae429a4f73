"""A session in one row: from its beginning to its end, what stands out, and where the reader is."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import groupby

from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from ml_intern.tui.widgets.text import cells

MARKS: dict[str, tuple[str, str]] = {
    "error": ("■", "$error"),
    "approval": ("◆", "$warning"),
    "prompt": ("●", "$secondary"),
    "paid": ("$", "$success"),
    "job": ("▲", "$accent"),
    "other": ("•", "$foreground"),
}
"""What stands out, with sign and colour. Where several fall into one cell, the first of these is shown."""
PAST, FUTURE, HEAD = "━", "─", "┃"
LEAST_CELLS = 10
SHORT_BELOW = 80
"""Narrower than this, the count is given in figures only."""


class Timeline(Widget):
    """Shows steps on an axis, with a playhead.

    Args:
        id: The widget's id.
    """

    HELP = (
        "The session from its first event to its last; long pauses are shortened. ● prompt ◆ approval $ paid ■ error "
        "▲ job. {review.before} {review.after} go from event to event, a click goes there."
    )

    playhead: reactive[int] = reactive(0)
    """The step that is shown, counted from 0."""

    class Sought(Message):
        """The person has pointed at a step."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._axis: Sequence[float] = ()
        self._marks: list[tuple[int, str]] = []
        self._ends = ("", "")
        self._cells: dict[int, tuple[str, int]] = {}
        self._made_for = -1

    def show(self, axis: Sequence[float], marks: Iterable[tuple[int, str]], ends: tuple[str, str]) -> None:
        """Shows a session.

        Args:
            axis: For each step, how far it is from the first; rising.
            marks: Steps that stand out and why (see `MARKS`).
            ends: What is written at the beginning and at the end.
        """
        self._axis, self._marks, self._ends = axis, list(marks), ends
        self._made_for = -1
        self.refresh()

    def has(self, name: str) -> bool:
        """Whether anything stands out for this reason."""
        return any(kind == name for _, kind in self._marks)

    # ---------------------------------------------------------------------------------------------------- geometry

    def _count(self, at: int) -> str:
        total = len(self._axis)
        return f"{at:,}/{total:,}" if self.content_size.width < SHORT_BELOW else f"event {at:,} of {total:,}"

    @property
    def _rail(self) -> tuple[int, int]:
        """Where the rail begins, and how many cells it has."""
        start = cells(self._ends[0]) + 2
        taken = start + 2 + cells(self._ends[1]) + 3 + len(self._count(len(self._axis)))
        return start, max(LEAST_CELLS, self.content_size.width - taken)

    def _cell_of(self, step: int, width: int) -> int:
        extent = self._axis[-1] if self._axis else 0.0
        return round(self._axis[step] / extent * (width - 1)) if extent else 0

    def _marked(self, width: int) -> dict[int, tuple[str, int]]:
        """What stands in which cell: the kind of mark that matters most there, and its first step."""
        if self._made_for != width:
            ranks = {name: rank for rank, name in enumerate(MARKS)}
            self._cells, self._made_for = {}, width
            for step, name in self._marks:
                cell = self._cell_of(step, width)
                known = self._cells.get(cell)
                if known is None or ranks[name] < ranks[known[0]]:
                    self._cells[cell] = (name, step)
        return self._cells

    # ----------------------------------------------------------------------------------------------------- looking

    def render(self) -> Content:
        """The row at the present width."""
        if not self._axis:
            return Content("")
        _, width = self._rail
        marked, head = self._marked(width), self._cell_of(self.playhead, width)
        row: list[tuple[str, str]] = []
        for cell in range(width):
            if cell == head:
                row.append((HEAD, "$accent bold"))
            elif cell in marked:
                row.append(MARKS[marked[cell][0]])
            else:
                row.append((PAST, "$accent") if cell < head else (FUTURE, "$foreground-muted"))
        runs = [("".join(sign for sign, _ in run), style) for style, run in groupby(row, key=lambda part: part[1])]
        return Content.assemble(
            (f"{self._ends[0]} ", "$foreground-muted"),
            ("├", "$foreground-muted"),
            *runs,
            ("┤", "$foreground-muted"),
            (f" {self._ends[1]}", "$foreground-muted"),
            f"   {self._count(self.playhead + 1)}",
        )

    def on_click(self, event: events.Click) -> None:
        """A click goes to the step at the pointer: to what is marked there, if anything is."""
        start, width = self._rail
        offset = event.get_content_offset(self)
        if not self._axis or offset is None:
            return
        cell = min(max(0, offset.x - start), width - 1)
        marked = self._marked(width).get(cell)
        if marked is not None:
            step = marked[1]
        else:
            step = bisect_left(self._axis, (cell - 0.5) / max(1, width - 1) * self._axis[-1])
        self.post_message(self.Sought(min(step, len(self._axis) - 1)))

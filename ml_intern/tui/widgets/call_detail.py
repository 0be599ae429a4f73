"""All of one tool call, as a whole or part by part."""

from __future__ import annotations

from typing import Literal, Unpack

from ml_intern.tui.widgets.call_pieces import (
    argument_pieces,
    has_log,
    headline,
    log_pieces,
    origin_pieces,
    result_pieces,
    section_piece,
    transcript_pieces,
)
from ml_intern.tui.widgets.detail import LineView
from ml_intern.tui.widgets.display import BLANK_PIECE, LinesPiece
from ml_intern.tui.widgets.pieces import Names, Piece
from ml_intern.tui.widgets.tool_model import ToolEntry

Tab = Literal["all", "input", "output", "transcript", "log"]


def tabs_of(entry: ToolEntry) -> tuple[Tab, ...]:
    """The parts that a call has, all of them together first."""
    tabs: list[Tab] = ["all", "input", "output"]
    tabs += ["transcript"] if entry.nested else []
    tabs += ["log"] if has_log(entry) else []
    return tuple(tabs)


def first_tab(entry: ToolEntry) -> Tab:
    """The part that a person wants to see first: of a call that runs, what it is doing."""
    if entry.ended or not (entry.nested or entry.live_output or entry.display):
        return "all"
    return "transcript" if entry.nested else "output"


class ToolDetail(LineView):
    """Shows a call. What grows while it runs is shown again by `renew`, the rest stays where it is."""

    DEFAULT_CSS = ""

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self._tab: Tab = "all"
        self._growing = 0  # where the pieces begin that change while the call runs
        self._known: tuple[object, ...] = ()

    def show_entry(self, entry: ToolEntry, now: float | None = None, tab: Tab = "all") -> None:
        """Shows a call, or a part of it, from its beginning.

        Args:
            entry: The call.
            now: The present by the clock of the list it is in, for the time of a call that runs.
            tab: Which part.
        """
        self._tab = tab
        still, growing = self._parts(entry, now)
        self.show_pieces([*still, *growing])
        self._growing, self._known = len(still), _state(entry)

    def renew(self, entry: ToolEntry, now: float | None = None) -> bool:
        """Shows what has come since; the place that is read stays. Tells whether anything has."""
        if self._known == _state(entry):
            return False
        still, growing = self._parts(entry, now)
        following = self.following
        self.cut(min(self._growing, len(self._slots)))
        for piece in growing:
            self.add(piece)
        self.following = following
        self._growing, self._known = len(still), _state(entry)
        return True

    def _parts(self, entry: ToolEntry, now: float | None) -> tuple[list[Piece], list[Piece]]:
        """What stays as it is while the call runs, and what does not."""
        given = [*origin_pieces(entry), *argument_pieces(entry.tool, entry.arguments)]
        match self._tab:
            case "input":
                return given, []
            case "output":
                return [], result_pieces(entry)
            case "transcript":
                return [], transcript_pieces(entry.nested)
            case "log":
                return [], log_pieces(entry)
        head: list[Piece] = [LinesPiece(lambda width: [headline(entry, now, width)], entry.tool)]
        head += [*origin_pieces(entry), BLANK_PIECE]
        still = [*head, section_piece("input"), *argument_pieces(entry.tool, entry.arguments), BLANK_PIECE]
        between = [section_piece("transcript"), *transcript_pieces(entry.nested)] if entry.nested else []
        return still, [*between, section_piece("output"), *result_pieces(entry)]


def _state(entry: ToolEntry) -> tuple[object, ...]:
    """Differs whenever a call has something new to show."""
    last = entry.nested[-1] if entry.nested else None
    nested = (last.state, last.seconds) if isinstance(last, ToolEntry) else ()
    return (entry.state, entry.live_output, len(entry.nested), nested, len(entry.display), entry.origin is None)

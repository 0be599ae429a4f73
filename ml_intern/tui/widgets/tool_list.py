"""The tool calls of a conversation as a list: one entry per call, live output below what runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Unpack

from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.reactive import var
from textual.timer import Timer

from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.motion import tick_s
from ml_intern.tui.widgets.display import render_display
from ml_intern.tui.widgets.lines import Line, Run, indent, line, spread, wrap
from ml_intern.tui.widgets.pieces import JumpRow, Names, Snapshot
from ml_intern.tui.widgets.reader import Reader
from ml_intern.tui.widgets.text import cells, clean_output, count, duration, fit, one_line
from ml_intern.tui.widgets.tool_model import GLYPHS, ORIGIN_MARK, SILENT, STATE_INKS, Remark, ToolEntry, origin_text

if TYPE_CHECKING:
    from ml_intern.core.display import DisplayBlock
    from ml_intern.core.protocol import Origin

TAIL_LINES = 3
"""Lines of live output below a running call."""
PREVIEW_LINES = 12
"""Lines of a result below an opened call."""
NESTED_CALLS = 4
"""Calls of a sub-agent below the running call it works for."""
NAME_CELLS = 24

_INDENT = Run("    ")


class ToolPiece:
    """A call as lines.

    Args:
        entry: The call.
        clock: The list's clock.
    """

    def __init__(self, entry: ToolEntry, clock: Callable[[], float]) -> None:
        self.entry = entry
        self.expanded = False
        self._clock = clock

    @property
    def plain(self) -> str:
        """Name and summary."""
        return f"{self.entry.tool} {self.entry.summary}"

    def estimate(self, _width: int) -> int:
        """Its line, and what is below it."""
        below = min(len(self.entry.nested), NESTED_CALLS) or TAIL_LINES
        return 1 + (below if self.entry.running else 0) + (PREVIEW_LINES if self.expanded else 0)

    def render(self, width: int) -> list[Line]:
        """Its line; live output while it runs; what it was called with and what came of it when it is opened."""
        lines = [self._head(self.entry, width)]
        calls = self.entry.calls
        if calls and (self.expanded or self.entry.running):
            lines += [self._head(call, width) for call in calls[-(PREVIEW_LINES if self.expanded else NESTED_CALLS) :]]
        if self.expanded:
            lines += indent(self._inside(max(1, width - 4)), _INDENT)
        elif self.entry.running and not calls:
            lines += [self._tail_line(text, width) for text in self.entry.tail(TAIL_LINES)]
        return lines

    def _head(self, entry: ToolEntry, width: int) -> Line:
        glyph = Run(GLYPHS.get(entry.state, "▸") + " ", STATE_INKS.get(entry.state, "accent"))
        margin = Run("  ") if entry.parent else Run("")
        name = fit(one_line(entry.tool, 100), NAME_CELLS)
        took = entry.elapsed(self._clock())
        shown = "" if took is None else duration(took if entry.ended else int(took))
        word = "" if entry.state in SILENT else one_line(entry.state, 20)
        aside = "  ".join(part for part in (word, entry.figures, shown) if part)
        flag = f"{ORIGIN_MARK} " if entry.origin else ""
        room = width - cells(margin.text + flag) - 2 - cells(name) - 2 - (cells(aside) + 2 if aside else 0)
        summary = fit(entry.summary, room) if room > 2 else ""
        left = [
            margin,
            glyph,
            Run(flag, "warning"),
            Run(name, "strong" if entry.running else ""),
            Run(f"  {summary}" if summary else "", "muted"),
        ]
        ink = "warning" if entry.state in ("waiting", "rejected") else "faint"
        return spread([run for run in left if run.text], [Run(aside, ink)] if aside else [], width)

    def _tail_line(self, text: str, width: int) -> Line:
        return Line((_INDENT, Run(fit(text, width - 4), "faint")), len(_INDENT.text))

    def _inside(self, width: int) -> list[Line]:
        entry = self.entry
        lines = wrap([Run(f"{ORIGIN_MARK} {origin_text(entry.origin)}", "warning")], width) if entry.origin else []
        for key, value in entry.arguments.items():
            text = value if isinstance(value, str) else repr(value)
            shown = fit(one_line(text, 1_000), max(4, width - cells(key) - 2))
            lines.append(Line((Run(f"{one_line(key, 40)}: ", "muted"), Run(shown))))
        return lines + self._result(width)

    def _result(self, width: int) -> list[Line]:
        entry = self.entry
        if entry.running:
            return [Line((Run(fit(text, width), "faint"),)) for text in entry.tail(PREVIEW_LINES)]
        shown = [row for block in entry.display for row in render_display(block, width, limit=PREVIEW_LINES + 1)]
        if not shown:
            text = clean_output(entry.output[:4_000]).strip("\n")
            shown = [
                row
                for part in text.split("\n")[: PREVIEW_LINES + 1]
                if text
                for row in wrap([Run(part, "faint")], width)
            ]
        if len(shown) > PREVIEW_LINES:
            shown = [*shown[:PREVIEW_LINES], line("… enter shows all", "muted")]
        return shown


class ToolSnapshot(NamedTuple):
    """The list at some time: entries are as they were then, and changed no more."""

    calls: Snapshot[ToolPiece]
    entries: list[ToolEntry]
    serials: dict[str, int]
    active: set[str]


class ToolList(Reader[ToolPiece]):
    """Shows calls in the order they were made and follows the newest until the reader moves.

    Args:
        clock: Seconds that only go forward.
        live: Time goes on by itself, and running calls show it.
    """

    DEFAULT_CSS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("calls.up", "cursor(-1)"),
        bind("calls.down", "cursor(1)"),
        bind("calls.first", "cursor_edge(-1)"),
        bind("calls.last", "cursor_edge(1)"),
        bind("calls.open", "open"),
        bind("calls.fold", "expand"),
        bind("calls.unfold", "expand(True)"),
        bind("calls.close", "expand(False)"),
    ]

    cursor: var[str] = var("")
    """Id of the call under the cursor; empty while there is none."""

    class Opened(Message):
        """The person wants to see all of a call.

        Attributes:
            call_id: Which one.
        """

        def __init__(self, call_id: str) -> None:
            super().__init__()
            self.call_id = call_id

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        live: bool = True,
        **names: Unpack[Names],
    ) -> None:
        super().__init__(**names)
        self.set_reactive(ToolList.following, True)
        self._clock = clock
        self._live = live
        self._serials: dict[str, int] = {}
        self._active: set[str] = set()
        self._parents: dict[str, str] = {}  # which call the sub-agent that makes a call works for
        self._shared: set[str] = set()  # calls whose entry a snapshot holds too
        self._ticker: Timer | None = None

    # ---------------------------------------------------------------------------------------------- what happened

    def call_started(self, call_id: str, tool: str, arguments: Mapping[str, Any], parent: str = "") -> None:
        """The model asked for a tool. A call that is known already keeps its place.

        A call of a sub-agent, whose `parent` is the call that it works for, is shown below that.
        """
        if call_id in self._serials:
            return
        if owner := self._own(parent):
            owner.nested = (*owner.nested, ToolEntry.of(call_id, tool, arguments, parent))
            self._parents[call_id] = parent
            self.rerender(self._serials[parent])
            return
        self._serials[call_id] = self.add(ToolPiece(ToolEntry.of(call_id, tool, arguments, parent), self._clock))
        if self.following or not self.cursor:
            self.cursor = call_id

    def call_state(self, call_id: str, state: str) -> None:
        """A call moved on."""
        entry = self._own(call_id)
        if entry is not None:
            entry.move(state, self._clock())
            self._changed(entry)

    def call_follows(self, call_id: str, origin: Origin) -> None:
        """Words of a call come from outside."""
        if entry := self._own(call_id):
            entry.origin = origin
            self.rerender(self._row_of(call_id))

    def call_shows(self, call_id: str, display: Sequence[DisplayBlock]) -> None:
        """A call shows a person how it is getting on."""
        if entry := self._own(call_id):
            entry.show(display)

    def call_log(self, call_id: str, text: str) -> None:
        """A call said something."""
        entry = self._own(call_id)
        if entry is not None:
            entry.log(text)
            if entry.running:
                self.rerender(self._row_of(call_id))

    def call_delegates(self, call_id: str, figures: str) -> None:
        """The sub-agent that works for a call has used so much."""
        if entry := self._own(call_id):
            entry.figures = figures
            self.rerender(self._serials[call_id])

    def call_says(self, call_id: str, remark: Remark) -> None:
        """The sub-agent that works for a call said something."""
        if entry := self._own(call_id):
            entry.nested = (*entry.nested, remark)

    def call_finished(
        self,
        call_id: str,
        ok: bool,
        output: str,
        seconds: float | None = None,
        display: Sequence[DisplayBlock] = (),
    ) -> None:
        """A call has its result."""
        entry = self._own(call_id)
        if entry is not None:
            entry.finish(ok, output, seconds, display, self._clock())
            self._changed(entry)

    def clear(self) -> None:
        """Forgets all calls."""
        self._serials.clear()
        self._active.clear()
        self._parents.clear()
        self._shared.clear()
        self._tick_while_active()
        self.cursor = ""
        self.cut(0)
        self.follow()

    def entry(self, call_id: str) -> ToolEntry | None:
        """The call with an id, or None."""
        if parent := self._parents.get(call_id):
            nested = self.piece(self._serials[parent]).entry.calls
            return next((call for call in nested if call.call_id == call_id), None)
        serial = self._serials.get(call_id)
        return None if serial is None else self.piece(serial).entry

    @property
    def entries(self) -> list[ToolEntry]:
        """All calls, in order."""
        return [piece.entry for piece in self.pieces]

    @property
    def summary(self) -> str:
        """How many calls there are and how many run, for a title."""
        if not self._slots:
            return ""
        running = f", {len(self._active)} running" if self._active else ""
        return count(len(self._slots), "call") + running

    # --------------------------------------------------------------------------------------------- going back in time

    def _own(self, call_id: str) -> ToolEntry | None:
        """The call with an id, to be changed: a copy when a snapshot holds it too."""
        if (parent := self._parents.get(call_id)) and (owner := self._own(parent)):
            return owner.change_nested(call_id)
        serial = self._serials.get(call_id)
        if serial is None:
            return None
        piece = self.piece(serial)
        if call_id in self._shared:
            self._shared.discard(call_id)
            piece.entry = copy(piece.entry)
        return piece.entry

    def take_snapshot(self) -> ToolSnapshot:
        """The calls as they are."""
        self._shared = set(self._serials)
        return ToolSnapshot(self.snapshot(), self.entries, self._serials.copy(), self._active.copy())

    def go_back(self, kept: ToolSnapshot) -> None:
        """The calls as they were when the snapshot was taken. Those that ran show their time by the clock of now."""
        self.restore(kept.calls)
        for slot, entry in zip(self._slots, kept.entries, strict=True):
            if slot.piece.entry is not entry:
                slot.piece.entry = entry
                self._cache.drop(slot.serial)
        self._serials, self._active = kept.serials.copy(), kept.active.copy()
        self._shared = set(self._serials)
        self._parents = {call.call_id: entry.call_id for entry in kept.entries for call in entry.calls}
        self.cursor = self._slots[-1].piece.entry.call_id if self._slots else ""
        self._tick_while_active()

    def tell_time(self) -> None:
        """The clock has moved: running calls show it."""
        for call_id in self._active:
            self.rerender(self._serials[call_id])

    def _row_of(self, call_id: str) -> int:
        """The serial of the piece that shows a call."""
        return self._serials[self._parents.get(call_id, call_id)]

    def _changed(self, entry: ToolEntry) -> None:
        if entry.call_id in self._parents:
            self.rerender(self._row_of(entry.call_id))
            return
        if entry.running:
            self._active.add(entry.call_id)
        else:
            self._active.discard(entry.call_id)
        self._tick_while_active()
        self.rerender(self._serials[entry.call_id])

    # ------------------------------------------------------------------------------------------------------- time

    def _tick_while_active(self) -> None:
        """One timer, and only while there is a running time to show."""
        if self._active and self._live and self._ticker is None and self.is_running:
            self._ticker = self.set_interval(tick_s(self), self.tell_time)
        elif not self._active and self._ticker is not None:
            self._ticker.stop()
            self._ticker = None

    def on_mount(self) -> None:
        """Calls may have begun before."""
        self._tick_while_active()

    # ----------------------------------------------------------------------------------------------------- cursor

    def dress(self, row: Line, serial: int, number: int) -> Line:
        """The line under the cursor stands out while the list has the focus."""
        if number or not self.has_focus or self._serials.get(self.cursor) != serial:
            return row
        runs = tuple(Run(text, f"{ink} cursor".strip(), link) for text, ink, link in row.runs)
        return row._replace(runs=runs, fill="cursor")

    def watch_cursor(self) -> None:
        """Repaints."""
        self.settle_soon()

    def on_focus(self) -> None:
        """The cursor appears."""
        self.settle_soon()

    def on_blur(self) -> None:
        """The cursor goes."""
        self.settle_soon()

    def action_cursor(self, step: int) -> None:
        """Moves the cursor."""
        if not self._slots:
            return
        serial = self._serials.get(self.cursor)
        index = len(self._slots) - 1 if serial is None else self.index_of(serial) + step
        self._move_cursor(min(max(0, index), len(self._slots) - 1))

    def action_cursor_edge(self, side: int) -> None:
        """Moves the cursor to the first or last call."""
        if self._slots:
            self._move_cursor(0 if side < 0 else len(self._slots) - 1)

    def _move_cursor(self, index: int) -> None:
        slot = self._slots[index]
        self.cursor = slot.piece.entry.call_id
        if index == len(self._slots) - 1:
            self.follow()
            return
        self.following = False
        top, height = round(self.scroll_y), self.view.height
        first = self._heights.before(index)
        last = first + min(self._heights[index], height)
        if first < top:
            self.show(slot.serial)
        elif last > top + height:
            self.scroll_to(y=last - height, animate=False)
        self.following = False
        self.settle_soon()

    def action_open(self) -> None:
        """Asks for the detail of the call under the cursor."""
        if self.cursor in self._serials:
            self.post_message(self.Opened(self.cursor))

    def jump_rows(self) -> list[JumpRow]:
        """The calls in view; jumping to one shows it in full."""
        return [(y, partial(self._jump, self.piece(serial).entry.call_id)) for y, serial in self.heads()]

    def _jump(self, call_id: str) -> None:
        if (serial := self._serials.get(call_id)) is not None:
            self.focus()
            self._move_cursor(self.index_of(serial))
            self.action_open()

    def action_expand(self, wanted: bool | None = None) -> None:
        """Opens or closes the entry under the cursor."""
        serial = self._serials.get(self.cursor)
        if serial is None:
            return
        piece = self.piece(serial)
        if piece.expanded != wanted:
            piece.expanded = not piece.expanded
            self.rerender(serial)

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor; on the entry under it, it asks for the detail."""
        row = self.row_at(event.y)
        if row is None or event.chain > 1 or self.text_selection is not None:
            return
        call_id = self.piece(row.serial).entry.call_id
        if call_id == self.cursor:
            self.post_message(self.Opened(call_id))
        else:
            self._move_cursor(self.index_of(row.serial))

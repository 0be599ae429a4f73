"""The tool calls of a conversation as a list, kept up to date: turn by turn, with what is being written at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

from textual.timer import Timer

from ml_intern.tui.motion import tick_s
from ml_intern.tui.widgets.pieces import Names, Snapshot
from ml_intern.tui.widgets.reader import Reader
from ml_intern.tui.widgets.text import count, seconds_between
from ml_intern.tui.widgets.tool_model import Remark, ToolEntry, unmended
from ml_intern.tui.widgets.tool_piece import ToolPiece
from ml_intern.tui.widgets.turn_piece import DraftPiece, TurnFacts, TurnPiece

if TYPE_CHECKING:
    from ml_intern.core.display import DisplayBlock
    from ml_intern.core.protocol import DraftCall, Origin

Row = ToolPiece | TurnPiece | DraftPiece


class ToolSnapshot(NamedTuple):
    """The list at some time: entries and turns are as they were then, and changed no more."""

    rows: Snapshot[Row]
    entries: list[ToolEntry]
    turns: list[TurnFacts]
    serials: dict[str, int]
    active: set[str]
    turn: TurnFacts | None


class CallList(Reader[Row]):
    """Holds calls in the order they were made, those of a turn behind a line that names it.

    Args:
        clock: Seconds that only go forward.
        live: Time goes on by itself, and running calls show it.
    """

    DEFAULT_CSS = ""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        live: bool = True,
        **names: Unpack[Names],
    ) -> None:
        super().__init__(**names)
        self.set_reactive(CallList.following, True)
        self._clock = clock
        self._live = live
        self._ticker: Timer | None = None
        self._serials: dict[str, int] = {}
        self._active: set[str] = set()
        self._parents: dict[str, str] = {}  # which call the sub-agent that makes a call works for
        self._shared: set[str] = set()  # calls whose entry a snapshot holds too
        self._turns: list[int] = []  # serials of the lines above turns
        self._turn: TurnFacts | None = None  # a turn that has made no calls yet
        self._drafts = 0  # pieces at the end of the list that are calls being written

    # ------------------------------------------------------------------------------------------------------- turns

    def turn_began(self, prompt: str, moment: str) -> None:
        """A prompt was entered, at this ISO 8601 moment. Its calls are shown below a line that says so."""
        self._turn = TurnFacts(prompt, moment)

    def turn_ended(self, moment: str) -> None:
        """The turn is over: what failed in it and was not mended is known now."""
        self.show_drafts(())
        if self._turn is not None:  # it has made no calls
            self._turn = None
            return
        first = self._turns[-1] if self._turns else 0
        start = self.place_of(first) + 1 if self._turns else 0
        entries = [slot.piece.entry for slot in self._slots[start:] if isinstance(slot.piece, ToolPiece)]
        for call_id in unmended((entry.call_id, entry.tool, entry.state) for entry in entries):
            if entry := self._own(call_id):
                entry.final = True
                self.rerender(self._serials[call_id])
        if self._turns and isinstance(head := self.piece(first), TurnPiece) and head.facts.seconds is None:
            head.facts = head.facts._replace(seconds=seconds_between(head.facts.moment, moment))
            self.rerender(first)

    def _head_of_turn(self) -> None:
        """Puts the line above the first call of a turn."""
        if self._turn is None:
            return
        piece = TurnPiece(len(self._turns) + 1, self._turn, self._calls_of)
        self._turns.append(self.add(piece, gap=1 if self._slots else 0))
        self._turn = None

    def _calls_of(self, turn: TurnPiece) -> list[ToolEntry]:
        """The calls of a turn."""
        at = turn.number
        start = self.index_of(self._turns[at - 1]) + 1
        end = self.index_of(self._turns[at]) if at < len(self._turns) else len(self._slots)
        return [slot.piece.entry for slot in self._slots[start:end] if isinstance(slot.piece, ToolPiece)]

    def _turn_of(self, index: int) -> int | None:
        """The serial of the line above the turn that a place is in; None above the first one."""
        serial = self._slots[index].serial
        return next((head for head in reversed(self._turns) if head <= serial), None)

    def _retell_turn(self, serial: int) -> None:
        """The line above a call counts anew."""
        if (head := next((head for head in reversed(self._turns) if head <= serial), None)) is not None:
            self.rerender(head)

    # ---------------------------------------------------------------------------------------------- what happened

    def show_drafts(self, drafts: Sequence[DraftCall]) -> None:
        """The calls that the model is writing at this moment; none when there are none any more."""
        if not self._drafts and not drafts:
            return
        if drafts:
            self._head_of_turn()
        first = len(self._slots) - self._drafts
        if len(drafts) < self._drafts:
            self.cut(first + len(drafts))
        for number, draft in enumerate(drafts):
            if number < self._drafts:
                self.replace(self._slots[first + number].serial, DraftPiece(draft))
            else:
                self.add(DraftPiece(draft))
        self._drafts = len(drafts)

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
        self.show_drafts(())
        self._head_of_turn()
        piece = ToolPiece(ToolEntry.of(call_id, tool, arguments, parent), self._clock)
        serial = self._serials[call_id] = self.add(piece)
        self._retell_turn(serial)
        head = self.piece(self._turns[-1]) if self._turns else None
        if isinstance(head, TurnPiece) and head.folded:
            self._set_hidden(len(self._slots) - 1, True)
        self._came(call_id)

    def _came(self, call_id: str) -> None:
        """A call is at the end of the list. For subclasses."""

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
        self._turns.clear()
        self._turn, self._drafts = None, 0
        self._tick_while_active()
        self.cut(0)
        self.follow()

    def entry(self, call_id: str) -> ToolEntry | None:
        """The call with an id, or None."""
        if (parent := self._parents.get(call_id)) and (owner := self.entry(parent)):
            return next((call for call in owner.calls if call.call_id == call_id), None)
        serial = self._serials.get(call_id)
        piece = None if serial is None else self.piece(serial)
        return piece.entry if isinstance(piece, ToolPiece) else None

    @property
    def entries(self) -> list[ToolEntry]:
        """All calls, in order."""
        return [piece.entry for piece in self.pieces if isinstance(piece, ToolPiece)]

    @property
    def summary(self) -> str:
        """How many calls there are and how many run, for a title."""
        if not self._serials:
            return ""
        running = f", {len(self._active)} running" if self._active else ""
        return count(len(self._serials), "call") + running

    # --------------------------------------------------------------------------------------------------- folding

    def fold(self, head: int, folded: bool) -> None:
        """Hides or shows the calls of a turn.

        Args:
            head: Serial of the line above it.
            folded: Whether they are hidden.
        """
        piece = self.piece(head)
        if not isinstance(piece, TurnPiece) or piece.folded == folded:
            return
        piece.folded = folded
        index = self.index_of(head) + 1
        while index < len(self._slots) and isinstance(self._slots[index].piece, ToolPiece):
            self._set_hidden(index, folded)
            index += 1
        self.rerender(head)

    def _set_hidden(self, index: int, hidden: bool) -> None:
        slot = self._slots[index]
        if isinstance(slot.piece, ToolPiece):
            slot.piece.hidden = hidden
            self._cache.drop(slot.serial)
            self._heights.set(index, 0 if hidden else self._estimate(slot))

    # --------------------------------------------------------------------------------------------- going back in time

    def _own(self, call_id: str) -> ToolEntry | None:
        """The call with an id, to be changed: a copy when a snapshot holds it too."""
        if (parent := self._parents.get(call_id)) and (owner := self._own(parent)):
            return owner.change_nested(call_id)
        serial = self._serials.get(call_id)
        piece = None if serial is None else self.piece(serial)
        if not isinstance(piece, ToolPiece):
            return None
        if call_id in self._shared:
            self._shared.discard(call_id)
            piece.entry = copy(piece.entry)
        return piece.entry

    def take_snapshot(self) -> ToolSnapshot:
        """The calls as they are; those that are being written are of the moment only."""
        self.show_drafts(())
        self._shared = set(self._serials)
        turns = [piece.facts for piece in self.pieces if isinstance(piece, TurnPiece)]
        return ToolSnapshot(self.snapshot(), self.entries, turns, self._serials.copy(), self._active.copy(), self._turn)

    def go_back(self, kept: ToolSnapshot) -> None:
        """The calls as they were when the snapshot was taken. Those that ran show their time by the clock of now."""
        self.restore(kept.rows)
        entries, turns = iter(kept.entries), iter(kept.turns)
        self._turns, self._drafts = [], 0
        for index, slot in enumerate(self._slots):
            if isinstance(slot.piece, TurnPiece):
                self._turns.append(slot.serial)
                slot.piece.facts = next(turns)
                self._cache.drop(slot.serial)  # it counts its calls
            elif isinstance(slot.piece, ToolPiece):
                entry = next(entries)
                if slot.piece.entry is not entry:
                    slot.piece.entry = entry
                    self._cache.drop(slot.serial)
                if slot.piece.hidden != (not self._heights[index]):
                    self._set_hidden(index, slot.piece.hidden)
        self._serials, self._active, self._turn = kept.serials.copy(), kept.active.copy(), kept.turn
        self._shared = set(self._serials)
        self._parents = {call.call_id: entry.call_id for entry in kept.entries for call in entry.calls}
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
        serial = self._serials[entry.call_id]
        self.rerender(serial)
        self._retell_turn(serial)

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

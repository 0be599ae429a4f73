"""The list of tool calls with a cursor: what is done with the call or the turn under it."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.reactive import var

from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.messages import CopyText, FollowLink, Operate
from ml_intern.tui.widgets.call_list import CallList, ToolSnapshot
from ml_intern.tui.widgets.lines import Line, Run
from ml_intern.tui.widgets.links import PATH
from ml_intern.tui.widgets.pieces import JumpRow
from ml_intern.tui.widgets.tool_model import ToolEntry, can_be_stopped, file_of, subject_of
from ml_intern.tui.widgets.tool_piece import ToolPiece
from ml_intern.tui.widgets.turn_piece import TurnPiece


class ToolList(CallList):
    """Shows calls in the order they were made and follows the newest until the reader moves."""

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
        bind("calls.copy", "copy('input')"),
        bind("calls.copy_output", "copy('output')"),
        bind("calls.file", "open_file"),
        bind("calls.stop", "stop"),
    ]

    cursor: var[str] = var("")
    """Id of the call under the cursor, or the key of a turn; empty while there is none."""

    class Opened(Message):
        """The person wants to see all of a call.

        Attributes:
            call_id: Which one.
        """

        def __init__(self, call_id: str) -> None:
            super().__init__()
            self.call_id = call_id

    def _came(self, call_id: str) -> None:
        if self.following or not self.cursor:
            self.cursor = call_id

    def clear(self) -> None:
        """Forgets all calls."""
        super().clear()
        self.cursor = ""

    def go_back(self, kept: ToolSnapshot) -> None:
        """The calls as they were when the snapshot was taken; the cursor is at the newest."""
        super().go_back(kept)
        entries = self.entries
        self.cursor = entries[-1].call_id if entries else ""

    @property
    def chosen(self) -> str:
        """Id of the call under the cursor; at a turn, of its last one; empty without any."""
        if self.cursor in self._serials:
            return self.cursor
        piece = self._piece_under_cursor()
        calls = self._calls_of(piece) if isinstance(piece, TurnPiece) else []
        return calls[-1].call_id if calls else ""

    def neighbour(self, call_id: str, step: int) -> ToolEntry | None:
        """The call before or after one, whatever is folded; None beyond the ends."""
        ids = list(self._serials)
        at = ids.index(call_id) + step if call_id in self._serials else -1
        return self.entry(ids[at]) if 0 <= at < len(ids) else None

    def choose(self, call_id: str) -> None:
        """Moves the cursor to a call; a folded turn opens for it."""
        if (serial := self._serials.get(call_id)) is None:
            return
        index = self.index_of(serial)
        if (head := self._turn_of(index)) is not None:
            self.fold(head, False)
        self._move_cursor(index)

    # ----------------------------------------------------------------------------------------------------- cursor

    def _serial_under_cursor(self) -> int | None:
        if (serial := self._serials.get(self.cursor)) is not None:
            return serial
        number = self.cursor.removeprefix(TurnPiece.PREFIX)
        if not self.cursor.startswith(TurnPiece.PREFIX) or int(number) > len(self._turns):
            return None
        return self._turns[int(number) - 1]

    def _piece_under_cursor(self) -> ToolPiece | TurnPiece | None:
        serial = self._serial_under_cursor()
        piece = None if serial is None else self.piece(serial)
        return piece if isinstance(piece, ToolPiece | TurnPiece) else None

    def dress(self, row: Line, serial: int, number: int) -> Line:
        """The line under the cursor stands out while the list has the focus."""
        if not self.has_focus or self._serial_under_cursor() != serial:
            return row
        if number != self._slots[self.index_of(serial)].gap:
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
        serial = self._serial_under_cursor()
        if serial is None:
            self.action_cursor_edge(1)
        else:
            self._move_from(self.index_of(serial) + step, step)

    def action_cursor_edge(self, side: int) -> None:
        """Moves the cursor to the first or last row."""
        self._move_from(0 if side < 0 else len(self._slots) - 1, -side)

    def _move_from(self, index: int, step: int) -> None:
        """Moves the cursor to the first row from a place on that can have it."""
        while 0 <= index < len(self._slots):
            piece = self._slots[index].piece
            if isinstance(piece, TurnPiece) or (isinstance(piece, ToolPiece) and not piece.hidden):
                self._move_cursor(index)
                return
            index += step

    def _move_cursor(self, index: int) -> None:
        slot = self._slots[index]
        self.cursor = slot.piece.key
        if index == len(self._slots) - 1 - self._drafts:
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

    # ---------------------------------------------------------------------------------------- what is under it

    def action_open(self) -> None:
        """Asks for the detail of the call under the cursor; folds or unfolds a turn."""
        if self.cursor in self._serials:
            self.post_message(self.Opened(self.cursor))
        else:
            self.action_expand()

    def jump_rows(self) -> list[JumpRow]:
        """The calls and turns in view; jumping to one opens it."""
        heads = [(y, self.piece(serial)) for y, serial in self.heads()]
        return [(y, partial(self._jump, piece.key)) for y, piece in heads if piece.key]

    def _jump(self, key: str) -> None:
        self.focus()
        before, self.cursor = self.cursor, key
        if (serial := self._serial_under_cursor()) is None:
            self.cursor = before
            return
        self._move_cursor(self.index_of(serial))
        self.action_open()

    def action_expand(self, wanted: bool | None = None) -> None:
        """Opens or closes what is under the cursor; closing what is closed goes to the line of the turn."""
        serial, piece = self._serial_under_cursor(), self._piece_under_cursor()
        if serial is None or piece is None:
            return
        if isinstance(piece, TurnPiece):
            self.fold(serial, not piece.folded if wanted is None else not wanted)
        elif wanted is False and not piece.expanded:
            if (head := self._turn_of(self.index_of(serial))) is not None:
                self._move_cursor(self.index_of(head))
        elif piece.expanded != wanted:
            piece.expanded = not piece.expanded
            self.rerender(serial)

    def action_copy(self, what: str) -> None:
        """Copies what a call is about (the command, the path), or all of its output."""
        entry = self.entry(self.chosen)
        if entry is None:
            return
        if what == "output":
            self.post_message(CopyText(entry.output if entry.ended else entry.live_output, f"output of {entry.tool}"))
        else:
            name, text = subject_of(entry)
            self.post_message(CopyText(text, name))

    def action_open_file(self) -> None:
        """Opens the file that a call has read or written in the person's own editor."""
        entry = self.entry(self.chosen)
        if entry is not None and (path := file_of(entry)):
            self.post_message(FollowLink(path, f"{PATH}{path}"))

    @property
    def can_stop(self) -> bool:
        """Whether the call under the cursor runs now, and not in a review."""
        return self._live and can_be_stopped(self.entry(self.chosen))

    def action_stop(self) -> None:
        """Ends the call under the cursor; the turn goes on."""
        self.post_message(Operate("stop_call", tool_call_id=self.chosen))

    def check_action(self, action: str, parameters: tuple[Any, ...]) -> bool | None:
        """A key that would do nothing is left to the prompt."""
        del parameters
        if action == "copy":
            return bool(self.chosen)
        if action == "open_file":
            entry = self.entry(self.chosen)
            return entry is not None and bool(file_of(entry))
        if action == "stop":
            return self.can_stop
        return True

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor; on what is under it, it opens that."""
        row = self.row_at(event.y)
        if row is None or event.chain > 1 or self.text_selection is not None:
            return
        key = self.piece(row.serial).key
        if key and key == self.cursor:
            self.action_open()
        elif key:
            self._move_cursor(self.index_of(row.serial))

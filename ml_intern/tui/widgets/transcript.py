"""The conversation as one scrolling widget: finding one's way in it, and what can be done with a message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Unpack

from rich.segment import Segment
from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from ml_intern.tui.keys.keymap import bind, keymap_of
from ml_intern.tui.messages import CopyText, Operate, ShowLinks
from ml_intern.tui.widgets import ink
from ml_intern.tui.widgets.block_list import BlockId, BlockList
from ml_intern.tui.widgets.blocks import (
    FOLD,
    MARGIN,
    YOU,
    AnswerBlock,
    AsideBlock,
    Block,
    LiveAnswer,
    NoticeBlock,
    PromptBlock,
    ToolLine,
)
from ml_intern.tui.widgets.error_block import ErrorBlock
from ml_intern.tui.widgets.lines import Run
from ml_intern.tui.widgets.links import links_of
from ml_intern.tui.widgets.markdown import code_blocks
from ml_intern.tui.widgets.pieces import BELOW, Names, Row
from ml_intern.tui.widgets.text import cells

AT_HAND = Run("┃ ", "accent")
"""Stands before the lines of the message that keys act on."""


class Transcript(BlockList):
    """The conversation. Keys act on the message at hand: the one that was gone to, or else the lowest in view."""

    DEFAULT_CSS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("chat.prompt_before", "jump(-1)"),
        bind("chat.prompt_after", "jump(1)"),
        bind("chat.message_before", "step(-1)"),
        bind("chat.message_after", "step(1)"),
        bind("chat.error_after", "jump_error(1)"),
        bind("chat.error_before", "jump_error(-1)"),
        bind("chat.thoughts", "fold"),
        bind("chat.edit", "edit"),
        bind("chat.links", "links"),
        bind("chat.good", "rate('up')"),
        bind("chat.poor", "rate('down')"),
        bind("chat.copy", "copy_message"),
        bind("chat.copy_code", "copy_code"),
    ]

    class EditWanted(Message):
        """The prompt that a message belongs to is to be edited and sent again."""

        def __init__(self, block_id: BlockId) -> None:
            super().__init__()
            self.block_id = block_id

    def __init__(self, *, clock: Callable[[], float] | None = None, **names: Unpack[Names]) -> None:
        super().__init__(**names) if clock is None else super().__init__(clock=clock, **names)
        self._chosen: BlockId | None = None
        self._clicked = False
        self._code_copied = 0
        self._code_known = (0, 0)  # blocks and the newest serial when code was copied last

    # ------------------------------------------------------------------------------------------ the message at hand

    @property
    def at_hand(self) -> BlockId | None:
        """The message that keys act on; None when none is in view."""
        return self._at_hand_in(self._rows)

    def _at_hand_in(self, rows: Sequence[Row]) -> BlockId | None:
        shown = {row.serial for row in rows if row.number != BELOW and row.line.runs}
        gone_to = [self.current.serial] if self.current is not None else []
        gone_to += [self._chosen] if self._chosen is not None else []
        nearest = [*(serial for serial in gone_to if serial in shown), *sorted(shown, reverse=True)]
        return next((serial for serial in nearest if is_message(self._piece_or_none(serial))), None)

    def overlay(self, rows: list[Row]) -> None:
        """Marks the message at hand, and on the last row that there is more below."""
        if self.has_focus and (hand := self._at_hand_in(rows)) is not None:
            for y, row in enumerate(rows):
                if row.serial == hand and row.number != BELOW and row.line.runs[:1] == (MARGIN,):
                    rows[y] = self._marked_row(row)
        if self.new_below and rows:
            self._mark_end(rows)

    def _marked_row(self, row: Row) -> Row:
        line = row.line._replace(runs=(AT_HAND, *row.line.runs[1:]))
        strip, used = ink.paint(line, self.view.width, self.inks, self.spans(line, row.serial, row.number))
        return row._replace(strip=strip, used=used)

    def _mark_end(self, rows: list[Row]) -> None:
        label = self._label()
        left = self.view.width - cells(label)
        if left > 0:
            mark = Strip([Segment(label, self.inks.style("mark accent"))], cells(label))
            last = rows[-1]
            rows[-1] = last._replace(strip=Strip.join([last.strip.crop(0, left), mark]), used=self.view.width)

    def _label(self) -> str:
        return f" ▾ {self.new_below} new below "

    def on_focus(self) -> None:
        """The message at hand is marked; letters do something."""
        self._clicked = False
        self.settle_soon()

    def on_blur(self) -> None:
        """No key acts on a message any more."""
        self.settle_soon()

    def on_mouse_down(self) -> None:
        """A click takes nothing away from typing."""
        self._clicked = True

    def on_key(self, event: events.Key) -> None:
        """A key that moves about in the conversation."""
        if not event.is_printable:
            self._clicked = False

    @property
    def takes_letters(self) -> bool:
        """Whether letters do something. After a click, and while nothing was said, they are meant for the prompt."""
        return bool(self._slots) and not self._clicked

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """The reader has moved on."""
        if round(old_value) != round(new_value):
            self._chosen = None
        super().watch_scroll_y(old_value, new_value)

    # ---------------------------------------------------------------------------------------------- finding one's way

    def action_step(self, step: int) -> None:
        """Goes to the previous or next message."""
        hand = self.at_hand
        index = self._beyond(is_message, len(self._slots) if hand is None else self.index_of(hand), step)
        if index is None:
            if step > 0:
                self._chosen = None
                self.follow()
            return
        slot = self._slots[index]
        self._chosen = slot.serial
        first = slot.gap + slot.header
        if any(row.serial == slot.serial and row.number == first for row in self._rows[:-1]):
            self.settle()
        else:
            self.show(slot.serial, slot.gap)

    def _beyond(self, wanted: Callable[[Block], bool], index: int, step: int) -> int | None:
        """The next or previous block of a kind."""
        index += step
        while 0 <= index < len(self._slots):
            if wanted(self._slots[index].piece):
                return index
            index += step
        return None

    def action_jump(self, step: int) -> None:
        """Goes to the previous or next prompt."""
        if not self._jump(lambda block: isinstance(block, PromptBlock), step) and step > 0:
            self.follow()

    def action_jump_error(self, step: int) -> None:
        """Goes to the next or previous error: of a turn, in a notice, or of a tool call."""
        if not self._jump(_is_error, step):
            self.notify(f"There is no error {'after' if step > 0 else 'before'} this.", markup=False)

    def _jump(self, wanted: Callable[[Block], bool], step: int) -> bool:
        """Brings the next or previous block of a kind to the top. False when there is none."""
        if not self._slots:
            return False
        index = self._beyond(wanted, self._jump_from(step), step)
        if index is None and step < 0 and self._chosen is None and (hand := self.at_hand) is not None:
            index = self._beyond(wanted, self.index_of(hand), step)  # everything is in view
        if index is None:
            return False
        self._chosen = self._slots[index].serial
        self.show(self._slots[index].serial, self._slots[index].gap)
        return True

    def _jump_from(self, step: int) -> int:
        """The block that jumps begin at: the one that was gone to, or what is at the top."""
        if self._chosen is not None and self._chosen == self.at_hand:
            return self.index_of(self._chosen)
        top, offset = self._heights.locate(round(self.scroll_y))
        gap = self._slots[top].gap
        if step < 0 and offset > gap + self._slots[top].header:
            return top + 1  # what is at the top is cut off above: its own beginning is the previous one
        return top - 1 if step > 0 and offset < gap else top

    # --------------------------------------------------------------------------------------------- taking things out

    def copy(self, what: str) -> None:
        """Copies the `last` answer, the newest `code` block, the last `error` with its details, or `all`."""
        if what == "code":
            self._code_copied = 0
            self.action_copy_code()
        elif what == "all":
            said = [f"{block.speaker}:\n{block.plain.strip()}" for block in self.blocks if _is_said(block)]
            self._hand_out("\n\n".join(said), "the conversation")
        elif what == "error":
            errors = (slot.piece.details for slot in reversed(self._slots) if isinstance(slot.piece, ErrorBlock))
            self._hand_out(next(errors, ""), "the error with its details", "No turn has failed.")
        else:
            answers = (slot.piece.plain for slot in reversed(self._slots) if isinstance(slot.piece, AnswerBlock))
            self._hand_out(next(answers, ""), "the last answer")

    def action_copy_message(self) -> None:
        """Copies the message at hand."""
        block = None if (hand := self.at_hand) is None else self.piece(hand)
        if isinstance(block, ErrorBlock):
            self._hand_out(block.details, "the error with its details")
        elif block is not None:
            aside = "your question and its answer" if isinstance(block, AsideBlock) else "the answer"
            self._hand_out(block.plain, "your prompt" if block.speaker == YOU else aside)
        else:
            self._hand_out("", "a message")

    def action_copy_code(self) -> None:
        """Copies the newest code block; pressed again, the one before."""
        known = len(self._slots), self._next_serial
        if known != self._code_known:
            self._code_known, self._code_copied = known, 0
        before = self._code_copied
        for slot in reversed(self._slots):
            if not isinstance(slot.piece, AnswerBlock | LiveAnswer):
                continue
            for code in reversed(code_blocks(slot.piece.plain)):
                if before == 0:
                    self._code_copied += 1
                    which = (
                        "the newest code block"
                        if self._code_copied == 1
                        else f"code block {self._code_copied} from the end"
                    )
                    self._hand_out(code, which)
                    return
                before -= 1
        self.notify("There is no earlier code block." if self._code_copied else "There is no code block.", markup=False)
        self._code_copied = 0

    def _hand_out(self, text: str, what: str, nothing: str = "There is nothing to copy yet.") -> None:
        if text.strip():
            self.app.post_message(CopyText(text.strip("\n"), what))
        else:
            self.notify(nothing, markup=False)

    # ------------------------------------------------------------------------------------------ acting on a message

    def action_edit(self) -> None:
        """Has the prompt at hand, or that of the answer at hand, edited and sent again."""
        hand = self.at_hand
        self.post_message(self.EditWanted(self._slots[-1].serial if hand is None and self._slots else hand or 0))

    def action_rate(self, rating: str) -> None:
        """Says that the answer at hand is good or poor; the same once more takes it back."""
        block = None if (hand := self.at_hand) is None else self.piece(hand)
        if isinstance(block, AnswerBlock) and block.seq:
            again = block.rating == rating
            self.post_message(Operate("rate", message_seq=block.seq, rating="none" if again else rating))
        else:
            told = "Only answers are rated. {chat.message_before} and {chat.message_after} go from message to message."
            self.notify(keymap_of(self).tell(told), markup=False)

    def rated(self, seq: int, rating: str) -> None:
        """Shows what the person thinks of an answer."""
        for slot in reversed(self._slots):
            if isinstance(block := slot.piece, AnswerBlock) and block.seq == seq:
                self.update(slot.serial, AnswerBlock(block.text, block.time, block.partial, rating, seq))
                return

    def action_links(self) -> None:
        """Lists the links in view, to be opened."""
        # Sent by the command, it would get no further than the screen that asks for them.
        self.app.post_message(ShowLinks(links_of([row.line for row in self._rows if row.number != BELOW])))

    def action_fold(self) -> None:
        """Opens or closes the last block in view that can be."""
        for row in reversed(self._rows):
            if _is_fold(row):
                self.toggle(row.serial)
                return
        self.notify("There are no thoughts in view.", markup=False)

    def on_click(self, event: events.Click) -> None:
        """The mark leads to the end; a fold opens; the details of an error are copied."""
        if self.new_below and event.y == self.view.height - 1 and event.x >= self.view.width - cells(self._label()):
            self.follow()
            event.prevent_default()
            return
        row = self.row_at(event.y)
        if row is None or event.chain != 1 or self.text_selection is not None:
            return
        block = self._piece_or_none(row.serial)
        if _is_fold(row):
            self.toggle(row.serial)
        elif isinstance(block, ErrorBlock) and row.line.lead and row.line.lead == len(row.line.plain):
            self._hand_out(block.details, "the error with its details")


def is_message(block: Block | None) -> bool:
    """Whether keys act on it."""
    return _is_said(block) or isinstance(block, ErrorBlock | AsideBlock)


def _is_said(block: Block | None) -> bool:
    return isinstance(block, PromptBlock | AnswerBlock | LiveAnswer)


def _is_error(block: Block) -> bool:
    return isinstance(block, ErrorBlock) or (
        (isinstance(block, NoticeBlock) and block.level == "error")
        or (isinstance(block, ToolLine) and block.state == "failed")
    )


def _is_fold(row: Row) -> bool:
    """Whether a row opens or closes its block."""
    return any(run.ink == FOLD for run in row.line.runs)

"""The conversation as one scrolling widget."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import ClassVar, Literal, Unpack

from rich.segment import Segment
from textual import events
from textual.binding import BindingType
from textual.reactive import var
from textual.strip import Strip
from textual.timer import Timer

from ml_intern.tui.clipboard import code_in
from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.messages import CopyText
from ml_intern.tui.widgets.blocks import (
    FOLD,
    YOU,
    AnswerBlock,
    Block,
    LiveAnswer,
    LiveReasoning,
    NoticeBlock,
    PromptBlock,
    ToolLine,
    foldable,
    toggled,
)
from ml_intern.tui.widgets.lines import BLANK, Line, Run, spread
from ml_intern.tui.widgets.pieces import Names, Row, Slot, Snapshot
from ml_intern.tui.widgets.reader import Reader
from ml_intern.tui.widgets.text import cells, one_line

BlockId = int
"""Names a block for as long as it is in the transcript."""

FRAME_S = 1 / 24
"""Shortest time between two pictures of a text that streams in,"""
SCROLLED_FRAME_S = 1 / 12
"""and after one that moved most rows: it costs many bytes, and nobody can read faster."""
BUSY_SHARE = 0.2
"""Largest share of the time that making those pictures may take."""


class Transcript(Reader[Block]):
    """Shows the blocks of a conversation and follows its end until the reader scrolls up.

    Args:
        clock: Seconds that only go forward.
    """

    DEFAULT_CSS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("chat.prompt_before", "jump(-1)"),
        bind("chat.prompt_after", "jump(1)"),
        bind("chat.thoughts", "fold"),
        bind("chat.error_after", "jump_error(1)"),
        bind("chat.error_before", "jump_error(-1)"),
        bind("chat.copy", "copy_message"),
        bind("chat.copy_code", "copy_code"),
    ]

    new_below: var[int] = var(0)
    """Blocks that came while the reader was further up."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        **names: Unpack[Names],
    ) -> None:
        super().__init__(**names)
        self.set_reactive(Transcript.following, True)
        self._clock = clock
        self._live: BlockId | None = None
        self._live_since = 0.0
        self._next_frame = 0.0
        self._frame_timer: Timer | None = None
        self._code_copied = 0
        self._code_known = (0, 0)  # blocks and the newest serial when code was copied last

    # ------------------------------------------------------------------------------------------------ the blocks

    @property
    def blocks(self) -> list[Block]:
        """All blocks, in order."""
        return self.pieces

    def append(self, block: Block) -> BlockId:
        """Adds a block at the end."""
        before = self._slots[-1].piece if self._slots else None
        gap = 0 if before is None or (before.tight and block.tight) else 1
        serial = self.add(block, gap=gap, header=bool(block.speaker) and block.speaker != self._last_speaker())
        if not self.following:
            self.new_below += 1
        return serial

    def extend(self, blocks: Iterable[Block]) -> None:
        """Adds many blocks; costs little per block, because none is rendered before it is seen."""
        for block in blocks:
            self.append(block)

    def update(self, block_id: BlockId, block: Block) -> None:
        """Puts another block in a place. The same block again costs nothing; one that is gone stays gone."""
        at = self.place_of(block_id)
        if at < len(self._slots) and self._slots[at].serial == block_id and self._slots[at].piece != block:
            self.replace(block_id, block)

    def remove_block(self, block_id: BlockId) -> None:
        """Removes a block, if it is still there."""
        at = self.place_of(block_id)
        if at < len(self._slots) and self._slots[at].serial == block_id:
            self.take_out(block_id)

    def remove_from(self, block_id: BlockId) -> None:
        """Removes a block, if it is still there, and all after it."""
        index = self.place_of(block_id)
        if self._live is not None and self._live >= block_id:
            self._drop_live()
        self.cut(index)
        self.follow()

    def clear(self) -> None:
        """Removes all blocks."""
        self._drop_live()
        self.cut(0)
        self.follow()

    def restore(self, kept: Snapshot[Block]) -> None:
        """The blocks as they were. What streams in now is none of them."""
        self._drop_live()
        super().restore(kept)

    def _last_speaker(self) -> str:
        """Who spoke last. Looks back only over what nobody says: notices and ends of turns, which begin afresh."""
        for slot in reversed(self._slots):
            if slot.piece.speaker:
                return slot.piece.speaker
        return ""

    def render_slot(self, slot: Slot[Block], width: int) -> list[Line]:
        """A block with the space above it and the header of its speaker."""
        lines = [BLANK] * slot.gap
        if slot.header:
            speaker = slot.piece.speaker
            ink = "you" if speaker == YOU else "agent"
            lines.append(spread([Run(speaker, ink)], [Run(one_line(slot.piece.time, 40), "time")], width))
        return lines + slot.piece.render(width)

    # ------------------------------------------------------------------------------------------------- streaming

    @property
    def streaming(self) -> bool:
        """Whether a block is being written."""
        return self._live is not None

    def stream_start(self, kind: Literal["answer", "reasoning"] = "answer", moment: str = "") -> BlockId:
        """Begins a block that grows.

        Args:
            kind: What it will be.
            moment: The time shown in its header.
        """
        self.stream_end()
        self._live_since = self._clock()
        self._live = self.append(LiveAnswer(moment) if kind == "answer" else LiveReasoning(moment))
        return self._live

    def stream_write(self, text: str) -> None:
        """Adds text to the growing block; begins an answer when there is none."""
        if self._live is None:
            self.stream_start()
        assert self._live is not None
        live = self.piece(self._live)
        assert isinstance(live, LiveAnswer | LiveReasoning)
        live.write(text)
        if self._frame_timer is None:
            wait = self._next_frame - time.monotonic()
            if wait <= 0:
                self._show_frame()
            else:
                self._frame_timer = self.set_timer(wait, self._show_frame)

    def stream_end(self, *, discard: bool = False, partial: bool = False) -> BlockId | None:
        """Finishes the growing block.

        Args:
            discard: Remove it instead: what it said is not part of the conversation.
            partial: The reply was interrupted here.

        Returns:
            The finished block, or None if there is none.
        """
        if self._live is None:
            return None
        block_id, live = self._live, self.piece(self._live)
        self._drop_live()
        if discard or not live.plain.strip():
            self.take_out(block_id)
            return None
        if isinstance(live, LiveAnswer):
            finished: Block = live.ended(partial=partial)
            # Rendered once more while it is live: its finished lines are kept, and are those of the finished block.
            self._finish(block_id, finished, keep=not partial)
        elif isinstance(live, LiveReasoning):
            self.replace(block_id, live.ended(self._clock() - self._live_since))
        return block_id

    def _finish(self, block_id: BlockId, finished: Block, *, keep: bool) -> None:
        index = self.index_of(block_id)
        if keep and self._cache.get(block_id) is not None and self.view:
            self._cache.expire(block_id)
            self.lines_at(index)
            self._slots[index].piece = finished
            self.settle_soon()
        else:
            self.replace(block_id, finished)

    def _drop_live(self) -> None:
        self._live = None
        if self._frame_timer is not None:
            self._frame_timer.stop()
            self._frame_timer = None

    def _show_frame(self) -> None:
        """Shows what has streamed in, and leaves time for everything else before the next picture."""
        self._frame_timer = None
        if self._live is None:
            return
        began = time.monotonic()
        self.rerender(self._live)
        scrolled = self.settle() > self.view.height // 2
        now = time.monotonic()
        self._next_frame = now + max(SCROLLED_FRAME_S if scrolled else FRAME_S, (now - began) / BUSY_SHARE)

    # ---------------------------------------------------------------------------------------------- finding one's way

    def watch_following(self, following: bool) -> None:
        """At the end, nothing is new below."""
        if following:
            self.new_below = 0

    def watch_new_below(self) -> None:
        """The mark changes."""
        self.settle_soon()

    def overlay(self, rows: list[Row]) -> None:
        """Marks on the last row that there is more below."""
        if not self.new_below or not rows:
            return
        label = self._label()
        left = self.view.width - cells(label)
        if left < 1:
            return
        mark = Strip([Segment(label, self.inks.style("mark accent"))], cells(label))
        last = rows[-1]
        rows[-1] = last._replace(strip=Strip.join([last.strip.crop(0, left), mark]), used=self.view.width)

    def _label(self) -> str:
        return f" ▾ {self.new_below} new below "

    def scroll_to_block(self, block_id: BlockId) -> None:
        """Brings a block to the top."""
        self.show(block_id)

    def action_jump(self, step: int) -> None:
        """Goes to the previous or next prompt."""
        if not self._slots:
            return
        top, offset = self._heights.locate(round(self.scroll_y))
        if step < 0 and offset > self._slots[top].gap + 1:
            top += 1  # the prompt at the top is cut off above: its own beginning is the previous one
        index = top + step
        while 0 <= index < len(self._slots):
            if isinstance(self._slots[index].piece, PromptBlock):
                self.show(self._slots[index].serial, self._slots[index].gap)
                return
            index += step
        if step > 0:
            self.follow()

    def action_jump_error(self, step: int) -> None:
        """Goes to the next or previous error: a notice, or a tool call that failed."""
        if not self._slots:
            return
        top, offset = self._heights.locate(round(self.scroll_y))
        if step < 0 and offset > self._slots[top].gap:
            top += 1
        elif step > 0 and offset < self._slots[top].gap:
            top -= 1
        index = top + step
        while 0 <= index < len(self._slots):
            if _is_error(self._slots[index].piece):
                self.show(self._slots[index].serial, self._slots[index].gap)
                return
            index += step

    # --------------------------------------------------------------------------------------------- taking things out

    def copy(self, what: str) -> None:
        """Copies the `last` answer, the newest `code` block, or `all` that was said."""
        if what == "code":
            self._code_copied = 0
            self.action_copy_code()
        elif what == "all":
            said = [f"{block.speaker}:\n{block.plain.strip()}" for block in self.blocks if _is_said(block)]
            self._hand_out("\n\n".join(said), "the conversation")
        else:
            answers = (slot.piece.plain for slot in reversed(self._slots) if isinstance(slot.piece, AnswerBlock))
            self._hand_out(next(answers, ""), "the last answer")

    def action_copy_message(self) -> None:
        """Copies the lowest message in view."""
        for row in reversed(self._rows):
            at = self.place_of(row.serial)
            if at < len(self._slots) and self._slots[at].serial == row.serial and _is_said(self._slots[at].piece):
                block = self._slots[at].piece
                self._hand_out(block.plain, "your prompt" if block.speaker == YOU else "the answer")
                return
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
            for code in reversed(code_in(slot.piece.plain)):
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

    def _hand_out(self, text: str, what: str) -> None:
        if text.strip():
            self.app.post_message(CopyText(text.strip("\n"), what))
        else:
            self.notify("There is nothing to copy yet.", markup=False)

    def action_fold(self) -> None:
        """Opens or closes the last block in view that can be."""
        for row in reversed(self._rows):
            if _is_fold(row):
                self.toggle(row.serial)
                return

    def toggle(self, block_id: BlockId) -> None:
        """Opens or closes a block."""
        block = self.piece(block_id)
        if foldable(block):
            self.replace(block_id, toggled(block))

    def on_click(self, event: events.Click) -> None:
        """The mark leads to the end; a fold opens."""
        if self.new_below and event.y == self.view.height - 1 and event.x >= self.view.width - cells(self._label()):
            self.follow()
            event.prevent_default()
            return
        row = self.row_at(event.y)
        if row is not None and event.chain == 1 and self.text_selection is None and _is_fold(row):
            self.toggle(row.serial)


def _is_said(block: Block) -> bool:
    return isinstance(block, PromptBlock | AnswerBlock | LiveAnswer)


def _is_error(block: Block) -> bool:
    return (isinstance(block, NoticeBlock) and block.level == "error") or (
        isinstance(block, ToolLine) and block.state == "failed"
    )


def _is_fold(row: Row) -> bool:
    """Whether a row opens or closes its block."""
    return any(run.ink == FOLD for run in row.line.runs)

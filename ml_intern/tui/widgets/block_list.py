"""The blocks of a conversation in a list: who says what when, one that is still being written, and the search."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Literal, Unpack

from textual.reactive import var
from textual.timer import Timer

from ml_intern.sessions.needle import Needle
from ml_intern.tui.widgets.blocks import (
    YOU,
    AnswerBlock,
    AsideBlock,
    Block,
    LiveAnswer,
    LiveReasoning,
    ReasoningBlock,
    foldable,
    is_open,
    toggled,
)
from ml_intern.tui.widgets.finder import MOST_IN_PIECE, flat
from ml_intern.tui.widgets.in_source import count_in_source
from ml_intern.tui.widgets.lines import BLANK, Line, Run, spread
from ml_intern.tui.widgets.markdown import words
from ml_intern.tui.widgets.pieces import Names, Slot, Snapshot
from ml_intern.tui.widgets.searchable import Searchable, how_often
from ml_intern.tui.widgets.text import one_line

BlockId = int
"""Names a block for as long as it is in the list."""

FRAME_S = 1 / 24
"""Shortest time between two pictures of a text that streams in,"""
SCROLLED_FRAME_S = 1 / 12
"""and after one that moved most rows: it costs many bytes, and nobody can read faster."""
BUSY_SHARE = 0.2
"""Largest share of the time that making those pictures may take."""


class BlockList(Searchable[Block]):
    """Shows the blocks of a conversation and follows its end until the reader scrolls up.

    Args:
        clock: Seconds that only go forward.
    """

    DEFAULT_CSS = ""
    BACKWARDS = True

    new_below: var[int] = var(0)
    """Blocks that came while the reader was further up."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        **names: Unpack[Names],
    ) -> None:
        super().__init__(**names)
        self.set_reactive(BlockList.following, True)
        self._clock = clock
        self._live: BlockId | None = None
        self._live_since = 0.0
        self._next_frame = 0.0
        self._frame_timer: Timer | None = None

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
        if at < len(self._slots) and self._slots[at].serial == block_id:
            if self._slots[at].piece != block:
                self.replace(block_id, block)
            self._slots[at].piece = block  # what is not shown of it may still differ

    def remove_from(self, block_id: BlockId) -> None:
        """Removes a block, if it is still there, and all after it."""
        index = self.place_of(block_id)
        if self._live is not None and self._live >= block_id:
            self._drop_live()
        self.cut(index)
        self.follow()

    def remove_block(self, block_id: BlockId) -> None:
        """Removes a block, if it is still there."""
        at = self.place_of(block_id)
        if at < len(self._slots) and self._slots[at].serial == block_id:
            self.take_out(block_id)

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

    def watch_following(self, following: bool) -> None:
        """At the end, nothing is new below."""
        if following:
            self.new_below = 0

    def watch_new_below(self) -> None:
        """The mark changes."""
        self.settle_soon()

    # ---------------------------------------------------------------------------------------------------- searching

    def occurrences(self, piece: Block, needle: Needle) -> int:
        """How often a text is in a block as it is read: without markup, and with what is folded away."""
        match piece:
            case LiveReasoning():
                return 0  # it folds to one line in a moment, and counts then
            case LiveAnswer() | AsideBlock() if needle.may_be_shown(piece.plain):
                return how_often(needle, flat(piece.render(self.view.width))[0])
            case AnswerBlock() | ReasoningBlock() if needle.may_be_shown(piece.text):
                known = count_in_source(needle, piece.text)
                return how_often(needle, words(piece.text)) if known is None else min(known, MOST_IN_PIECE)
            case LiveAnswer() | AsideBlock() | AnswerBlock() | ReasoningBlock():
                return 0
        return super().occurrences(piece, needle)

    def unfold(self, serial: int) -> bool:
        """Opens a block that hides a part of its text."""
        hides = foldable(self.piece(serial)) and not is_open(self.piece(serial))
        if hides:
            self.toggle(serial)
        return hides

    def fold(self, serial: int) -> None:
        """Closes a block that was opened."""
        if is_open(self.piece(serial)):
            self.toggle(serial)

    def toggle(self, block_id: BlockId) -> None:
        """Opens or closes a block, if it is still there."""
        block = self._piece_or_none(block_id)
        if block is not None and foldable(block):
            self.replace(block_id, toggled(block))

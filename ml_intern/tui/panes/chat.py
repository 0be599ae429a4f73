"""The chat pane: what was said, by whom and when, and how each turn ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from textual.app import ComposeResult
from textual.containers import Vertical

from ml_intern.tui import messages
from ml_intern.tui.state import SessionState
from ml_intern.tui.widgets.blocks import (
    AnswerBlock,
    AsideBlock,
    Block,
    EndBlock,
    NoticeBlock,
    PromptBlock,
    ReasoningBlock,
    ToolLine,
)
from ml_intern.tui.widgets.pieces import Snapshot
from ml_intern.tui.widgets.text import clock as time_of_day
from ml_intern.tui.widgets.text import count, duration, money
from ml_intern.tui.widgets.tool_model import summarise
from ml_intern.tui.widgets.transcript import BlockId, Transcript
from ml_intern.tui.widgets.welcome import Welcome

if TYPE_CHECKING:
    from ml_intern.core import protocol

Level = Literal["info", "warning", "error"]
SHOWN_ELSEWHERE = frozenset({"plan_tool"})
"""Tools whose every call changes a pane of its own."""
NEAR = 3
STOPPED = frozenset({"rejected", "cancelled", "abandoned"})
ENDS = {
    "completed": "done",
    "max_iterations": "stopped at the limit of model calls",
    "cost_limit": "stopped at the spending cap",
    "context_limit": "stopped: the context is full",
}


class ChatSnapshot(NamedTuple):
    """A conversation at some time."""

    blocks: Snapshot[Block]
    prompts: list[tuple[BlockId, str]]
    calls: dict[str, tuple[BlockId, ToolLine]]
    asides: dict[str, BlockId]
    began: str


class ChatPane(Vertical):
    """Shows the conversation; greets while there is none.

    Args:
        practice: The greeting is that of the practice session.
        greets: An empty conversation shows a greeting.
        clock: Seconds since the epoch.
    """

    HELP = (
        "The conversation. {move} {page} scroll; {last} follows what is being written; {chat.prompt_before} and "
        "{chat.prompt_after} go from prompt to prompt; {chat.error_after} and {chat.error_before} go to the next and "
        "previous error; {chat.thoughts} opens and closes thoughts. {chat.copy} copies the message in view, "
        "{chat.copy_code} the newest code block, again the one before. Select with the mouse, {copy} copies."
    )

    def __init__(
        self,
        *,
        practice: bool = False,
        greets: bool = True,
        clock: Callable[[], float] = time.time,
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        super().__init__(id=id)
        self.border_title = "chat"
        self._practice = practice
        self._greets = greets
        self._transcript = Transcript(clock=clock, id="transcript")
        self._welcome = Welcome(id="welcome")
        self._welcome.display = greets
        self._prompts: list[tuple[BlockId, str]] = []
        self._calls: dict[str, tuple[BlockId, ToolLine]] = {}
        self._asides: dict[str, BlockId] = {}
        self._began = ""
        self._forget_reply()

    def compose(self) -> ComposeResult:
        """The greeting, until something is said, and the transcript."""
        yield self._welcome
        yield self._transcript

    # ------------------------------------------------------------------------------------------------ by the screen

    def greet(self, state: SessionState, *, suggestion: str = "", found: tuple[str, ...] = ()) -> None:
        """Says in an empty conversation what can be done; see `Welcome.show`."""
        if self._welcome.display:
            self._welcome.show(state, practice=self._practice, suggestion=suggestion, found=found)

    def begin_afresh(self, *, practice: bool) -> None:
        """Empties the chat and greets again."""
        self._practice = practice
        self._clear()

    def say(self, text: str, level: str = "info") -> None:
        """Puts a sentence of the app's own into the chat."""
        known: dict[str, Level] = {"info": "info", "warning": "warning", "error": "error"}
        self._transcript.append(NoticeBlock(text, level=known.get(level, "info")))

    def show_output(self, text: str, level: Level = "info", place: BlockId | None = None) -> BlockId:
        """Shows a command of the person's own, or puts its newer state in its place."""
        block = NoticeBlock(text, level=level)
        if place is not None:
            self._transcript.update(place, block)
            return place
        self._welcome.display = False
        return self._transcript.append(block)

    # ------------------------------------------------------------------------------------------------- by the agent

    def take(self, message: messages.AgentMessage) -> None:
        """Shows what concerns the conversation."""
        match message:
            case messages.ReplyText():
                self._write(message)
            case messages.ReplyWhole(event=event):
                self._complete_reply(event.content, event.reasoning, time_of_day(event.time), event.partial)
            case messages.ReplyEnded(discarded=discarded):
                self._end_stream(discarded)
            case messages.PromptEntered(event=event):
                self._welcome.display = False
                block = PromptBlock(event.content, time_of_day(event.time), steered=event.steered)
                self._prompts.append((self._transcript.append(block), event.content))
                self._transcript.follow()
            case messages.Noticed(text=text, level=level):
                self.say(text, level)
            case messages.AsideMoved(event=event):
                self._show_aside(event)
            case messages.AgentLost(text=text):
                self._end_stream(False)
                self.say(f"{text} The next prompt starts a new one.", "error")
            case messages.Begun():
                self._clear()
            case messages.Undone(event=event) if event.removed_messages:
                self._take_back(event.prompt)
                self._tell_of_files(event)
            case messages.TurnStarted(event=event):
                self._began = event.time
            case messages.TurnEnded():
                self._end_turn(message)
            case _:
                self._mention(message)

    def _show_aside(self, event: protocol.AsideEvent) -> None:
        block = AsideBlock(event.question, time_of_day(event.time), event.answer, event.state == "failed")
        place = self._asides.get(event.aside_id)
        if place is not None:
            self._transcript.update(place, block)
            return
        self._welcome.display = False
        self._asides[event.aside_id] = self._transcript.append(block)

    # ------------------------------------------------------------------------------------------------------ replies

    def _forget_reply(self) -> None:
        self._kind = ""
        self._reply_blocks: list[BlockId] = []
        self._answer: BlockId | None = None
        self._answer_time = ""

    def _write(self, message: messages.ReplyText) -> None:
        if message.kind != self._kind or not self._transcript.streaming:
            self._kind = message.kind
            moment = time_of_day(message.at)
            is_text = message.kind == "text"
            block_id = self._transcript.stream_start("answer" if is_text else "reasoning", moment)
            self._reply_blocks.append(block_id)
            if is_text:
                self._answer, self._answer_time = block_id, moment
        self._transcript.stream_write(message.text)

    def _end_stream(self, discarded: bool) -> None:
        if discarded:
            self.drop_reply()
        else:
            self._transcript.stream_end()

    def drop_reply(self) -> None:
        """Removes what has streamed in of a reply that is not whole."""
        self._transcript.stream_end(discard=True)
        for block_id in self._reply_blocks:
            self._transcript.remove_block(block_id)
        self._forget_reply()

    def _complete_reply(self, content: str, reasoning: str, moment: str, partial: bool) -> None:
        """The whole reply is known: it replaces what streamed in, or appears now."""
        self._transcript.stream_end(partial=partial)
        if self._reply_blocks:
            if self._answer is not None and content:
                self._transcript.update(self._answer, AnswerBlock(content, self._answer_time, partial))
        else:
            if reasoning.strip():
                self._transcript.append(ReasoningBlock(reasoning, moment))
            if content.strip():
                self._transcript.append(AnswerBlock(content, moment, partial))
        self._forget_reply()

    # -------------------------------------------------------------------------------------------------------- calls

    def _mention(self, message: messages.AgentMessage) -> None:
        match message:
            case messages.ToolCalled(event=event) if event.tool not in SHOWN_ELSEWHERE:
                mention = ToolLine(
                    event.tool, summarise(event.tool, event.arguments), "pending", time=time_of_day(event.time)
                )
                self._calls[event.tool_call_id] = (self._transcript.append(mention), mention)
            case messages.ToolMoved(event=event):
                self._move(event.tool_call_id, event.state, None)
            case messages.ApprovalAsked(event=event):
                for item in event.tools:
                    self._move(item.tool_call_id, "waiting", None)
            case messages.ToolFinished(event=event):
                self._move(event.tool_call_id, "completed" if event.success else "failed", event.duration_s)
            case _:
                pass

    def _move(self, call_id: str, state: str, seconds: float | None) -> None:
        if call_id not in self._calls:
            return
        block_id, before = self._calls[call_id]
        # A result goes with "rejected" and "cancelled" too; what the person did says more than that it failed.
        kept = before.state if before.state in STOPPED and state in {"completed", "failed"} else state
        took = before.seconds if seconds is None else seconds
        mention = ToolLine(before.tool, before.summary, kept, took, before.time)
        self._calls[call_id] = (block_id, mention)
        self._transcript.update(block_id, mention)

    # -------------------------------------------------------------------------------------------------------- turns

    def _end_turn(self, message: messages.TurnEnded) -> None:
        event = message.event
        took = _seconds_between(self._began, event.time)
        self._began = ""
        self._end_stream(False)
        self._forget_reply()
        self._calls.clear()
        match event.type:
            case "turn_complete":
                parts = [ENDS[event.reason], count(event.iterations, "model call")]
                parts += [money(event.cost_usd)] if event.cost_usd else []
            case "interrupted":
                parts = ["interrupted"]
            case _:
                self.say(event.error, "error")
                parts = ["failed"]
        self._transcript.append(EndBlock(" · ".join([*parts, *([duration(took)] if took else [])])))

    @property
    def prompts(self) -> list[str]:
        """What was said to the agent and still stands, oldest first."""
        return [text for _, text in self._prompts]

    def _take_back(self, prompt: str) -> None:
        """Removes the newest prompt of this text and all that followed it."""
        while self._prompts:
            block_id, text = self._prompts.pop()
            self._remove_from(block_id)
            if text == prompt:
                return

    def _tell_of_files(self, event: protocol.UndoComplete) -> None:
        if event.restored_files:
            self.say(f"Files as they were before: {', '.join(event.restored_files)}.")
        if event.kept_files:
            self.say(f"Files left alone: {', '.join(event.kept_files)}.", "warning")

    def _remove_from(self, block_id: BlockId) -> None:
        self._transcript.remove_from(block_id)

    def _clear(self) -> None:
        self._transcript.clear()
        self._prompts.clear()
        self._calls.clear()
        self._asides.clear()
        self._forget_reply()
        self._began = ""
        self._welcome.display = self._greets

    # ------------------------------------------------------------------------------------------ going back in time

    @property
    def within_reply(self) -> bool:
        """Whether a reply has begun to stream in and is not whole."""
        return bool(self._reply_blocks)

    def snapshot(self) -> ChatSnapshot:
        """The conversation as it is, for `restore`. Not within a reply."""
        blocks = self._transcript.snapshot()
        return ChatSnapshot(blocks, self._prompts.copy(), self._calls.copy(), self._asides.copy(), self._began)

    def restore(self, kept: ChatSnapshot) -> None:
        """The conversation as it was."""
        self._transcript.restore(kept.blocks)
        self._prompts, self._calls, self._began = kept.prompts.copy(), kept.calls.copy(), kept.began
        self._asides = kept.asides.copy()
        self._forget_reply()

    def copy(self, what: str) -> None:
        """Copies the `last` answer, the newest `code` block, or `all` that was said."""
        self._transcript.copy(what)

    def follow(self) -> None:
        """Shows the end and stays there."""
        self._transcript.follow()

    def find(self, text: str) -> None:
        """Marks a text wherever it is visible; an empty one marks nothing."""
        self._transcript.needle = text

    def show_newest(self, text: str) -> None:
        """Brings the newest occurrence of a text into view, if it is in one of the last few blocks."""
        self._transcript.show_newest(text, within=NEAR)


def _seconds_between(began: str, ended: str) -> float | None:
    try:
        return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()
    except ValueError:
        return None

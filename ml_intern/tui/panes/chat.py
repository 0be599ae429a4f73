"""The chat pane: what was said, by whom and when, and how each turn ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message

from ml_intern.sessions.kinds import STOPPED
from ml_intern.tui import messages
from ml_intern.tui.keys.keymap import bind, keymap_of
from ml_intern.tui.state import TURN_ENDS, SessionState
from ml_intern.tui.widgets.block_list import BlockId
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
from ml_intern.tui.widgets.error_block import ErrorBlock
from ml_intern.tui.widgets.pieces import Snapshot
from ml_intern.tui.widgets.search_bar import SearchFrame
from ml_intern.tui.widgets.text import clock as time_of_day
from ml_intern.tui.widgets.text import count, duration, money, seconds_between
from ml_intern.tui.widgets.tool_model import summarise, unmended
from ml_intern.tui.widgets.transcript import Transcript
from ml_intern.tui.widgets.welcome import Welcome

if TYPE_CHECKING:
    from ml_intern.core import protocol
    from ml_intern.core.images import ImageRef

Level = Literal["info", "warning", "error"]
SHOWN_ELSEWHERE = frozenset({"plan_tool"})
"""Tools whose every call changes a pane of its own."""
NEAR = 3


class ChatSnapshot(NamedTuple):
    """A conversation at some time."""

    blocks: Snapshot[Block]
    prompts: list[tuple[BlockId, str]]
    calls: dict[str, tuple[BlockId, ToolLine]]
    asides: dict[str, BlockId]
    began: str
    model: str


class ChatPane(SearchFrame):
    """Shows the conversation; greets while there is none.

    Args:
        practice: The greeting is that of the practice session.
        greets: An empty conversation shows a greeting.
        clock: Seconds since the epoch.
    """

    HELP = (
        "The conversation. {move} {page} scroll; {last} follows what is being written; {chat.prompt_before} and "
        "{chat.prompt_after} go from prompt to prompt, {chat.message_before} and {chat.message_after} from message to "
        "message, {chat.error_before} and {chat.error_after} from error to error; {chat.find} or {search} searches; "
        "{chat.thoughts} opens and closes thoughts; {chat.links} lists the links in view. A bar at the left marks the "
        "message at hand: {chat.copy:2} copies it, {chat.edit} edits its prompt and sends it anew, {chat.good} and "
        "{chat.poor} say that an answer is good or poor. {chat.copy_code} copies the newest code block, again the one "
        "before. Select with the mouse, {copy} copies. After a click, letters go to the prompt."
    )

    class PromptWanted(Message):
        """An earlier prompt is to be edited and sent anew.

        Attributes:
            number: Which one, as `rewind` counts them.
            text: What it says.
            images: What it showed.
        """

        def __init__(self, number: int, text: str, images: tuple[ImageRef, ...]) -> None:
            super().__init__()
            self.number = number
            self.text = text
            self.images = images

    BINDINGS: ClassVar[list[BindingType]] = [bind("pane.maximise", "maximise")]

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
        self.search_in(self._transcript)
        self._welcome = Welcome(id="welcome")
        self._welcome.display = greets
        self._prompts: list[tuple[BlockId, str]] = []
        self._images: dict[BlockId, tuple[ImageRef, ...]] = {}
        self._calls: dict[str, tuple[BlockId, ToolLine]] = {}
        self._asides: dict[str, BlockId] = {}
        self._began = self._model = ""
        self._forget_reply()

    def compose(self) -> ComposeResult:
        """The greeting, until something is said, and the transcript."""
        yield self._welcome
        yield self._transcript

    def action_maximise(self) -> None:
        """Gives the pane all the room, or takes it back."""
        self.post_message(messages.Maximise("chat"))

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
                self._complete_reply(event)
            case messages.ReplyEnded(discarded=discarded):
                self._end_stream(discarded)
            case messages.PromptEntered(event=event):
                self._welcome.display = False
                block = PromptBlock(
                    event.content, time_of_day(event.time), steered=event.steered, along=_gone_along(event)
                )
                block_id = self._transcript.append(block)
                self._prompts.append((block_id, event.content))
                if event.images:
                    self._images[block_id] = event.images
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
            case messages.SessionChanged(event=event):
                self._model = getattr(event, "model", "") or self._model
            case messages.Rated(event=event):
                self._transcript.rated(event.message_seq, event.rating)
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

    def _complete_reply(self, event: protocol.AssistantMessage) -> None:
        """The whole reply is known: it replaces what streamed in, or appears now."""
        self._transcript.stream_end(partial=event.partial)
        moment = time_of_day(event.time)
        answer = AnswerBlock(event.content, self._answer_time or moment, event.partial, seq=event.seq)
        if self._reply_blocks:
            if self._answer is not None and event.content:
                self._transcript.update(self._answer, answer)
        else:
            if event.reasoning.strip():
                self._transcript.append(ReasoningBlock(event.reasoning, moment))
            if event.content.strip():
                self._transcript.append(answer)
        self._forget_reply()

    # -------------------------------------------------------------------------------------------------------- calls

    def _mention(self, message: messages.AgentMessage) -> None:
        match message:
            case messages.ToolCalled(event=event) if event.tool not in SHOWN_ELSEWHERE:
                told = summarise(event.tool, event.arguments)
                mention = ToolLine(event.tool, told, "pending", time=time_of_day(event.time))
                self._calls[event.tool_call_id] = (self._transcript.append(mention), mention)
            case messages.ToolMoved(event=event):
                self._move(event.tool_call_id, event.state, None)
            case messages.ApprovalAsked(event=event):
                for item in event.tools:
                    self._move(item.tool_call_id, "waiting", None)
            case messages.ToolFinished(event=event):
                self._move(event.tool_call_id, "completed" if event.success else "failed", event.duration_s)
            case messages.QuestionSettled(event=event) if event.how in {"answered", "dismissed"}:
                answer = "; ".join(filter(None, (*event.choices, event.text)))
                self.say(f"you answered: {answer}" if answer else "you gave no answer")

    def _move(self, call_id: str, state: str, seconds: float | None) -> None:
        if call_id not in self._calls:
            return
        block_id, before = self._calls[call_id]
        # A result goes with "rejected" and "cancelled" too; what the person did says more than that it failed.
        kept = before.state if before.state in STOPPED and state in {"completed", "failed"} else state
        mention = replace(before, state=kept, seconds=before.seconds if seconds is None else seconds)
        self._calls[call_id] = (block_id, mention)
        self._transcript.update(block_id, mention)

    # -------------------------------------------------------------------------------------------------------- turns

    def _end_turn(self, message: messages.TurnEnded) -> None:
        event = message.event
        took = seconds_between(self._began, event.time)
        self._began = ""
        self._end_stream(False)
        self._forget_reply()
        self._tell_failures()
        match event.type:
            case "turn_complete":
                parts = [TURN_ENDS[event.reason], count(event.iterations, "model call")]
                parts += [money(event.cost_usd)] if event.cost_usd else []
            case "interrupted":
                parts = ["interrupted"]
            case _:
                self._transcript.append(self._error(event))
                parts = ["failed"]
        self._transcript.append(EndBlock(" · ".join([*parts, *([duration(took)] if took else [])])))

    def _error(self, event: protocol.ErrorEvent) -> ErrorBlock:
        moment, key = time_of_day(event.time), keymap_of(self).spoken("error.copy")
        return ErrorBlock(event.error, moment, event.kind, self._model, event.session_id, event.time, key)

    @on(Transcript.EditWanted)
    def _offer_prompt(self, event: Transcript.EditWanted) -> None:
        event.stop()
        before = [number for number, (block_id, _) in enumerate(self._prompts) if block_id <= event.block_id]
        if before:
            number = before[-1]
            block_id, text = self._prompts[number]
            images = self._images.get(block_id, ())
            self.post_message(self.PromptWanted(rewind_index(number, len(self._prompts)), text, images))
        else:
            self.notify("There is no prompt to edit yet.", markup=False)

    def _tell_failures(self) -> None:
        """The turn is over: what failed in it and was not mended stays failed."""
        calls = ((call_id, mention.tool, mention.state) for call_id, (_, mention) in self._calls.items())
        for call_id in unmended(calls):
            block_id, mention = self._calls[call_id]
            self._transcript.update(block_id, replace(mention, final=True))
        self._calls.clear()

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
        self._images.clear()
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
        return ChatSnapshot(
            self._transcript.snapshot(),
            self._prompts.copy(),
            self._calls.copy(),
            self._asides.copy(),
            self._began,
            self._model,
        )

    def restore(self, kept: ChatSnapshot) -> None:
        """The conversation as it was."""
        self._transcript.restore(kept.blocks)
        self._prompts, self._calls, self._asides = kept.prompts.copy(), kept.calls.copy(), kept.asides.copy()
        self._began, self._model = kept.began, kept.model
        self._forget_reply()

    def copy(self, what: str) -> None:
        """Copies the `last` answer, the newest `code` block, the last `error`, or `all` that was said."""
        self._transcript.copy(what)

    @property
    def takes_letters(self) -> bool:
        """Whether letters do something while the chat has the focus."""
        return self._transcript.takes_letters

    def show_links(self) -> None:
        """Offers the links that are in view."""
        self._transcript.action_links()

    def follow(self) -> None:
        """Shows the end and stays there."""
        self._transcript.follow()

    def find(self, text: str) -> None:
        """Marks a text wherever it is visible; an empty one marks nothing."""
        self._transcript.needle = text
        if not text:
            self._transcript.current = None

    def show_newest(self, text: str) -> None:
        """Brings the newest occurrence of a text into view, if it is in one of the last few blocks."""
        self._transcript.show_newest(text, within=NEAR)


def rewind_index(number: int, prompts: int) -> int:
    """How `rewind` names a prompt: from the end, but for the first, since a compaction takes out what lies between."""
    return number - prompts if number else 0


def _gone_along(event: protocol.UserMessage) -> tuple[str, ...]:
    """What went with a prompt, as it is told."""
    images = (f"image {image.name} {image.facts}" for image in event.images)
    return (*images, *(attachment.label for attachment in event.attached))

"""Events of the conversation: what was said, how turns ended, and what changed for the session."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ml_intern.core.images import ImageRef
from ml_intern.core.protocol.base import AsideState, EndReason, EventBase, Mode, PlanStatus, Rating
from ml_intern.core.protocol.operations import Attachment


class SessionStarted(EventBase):
    """The first line of a session log (`seq` 0): what the lines after it are about. Written by the log only."""

    type: Literal["session_started"] = "session_started"
    schema_version: int
    directory: str
    model: str
    version: str


class Ready(EventBase):
    """The agent serves operations."""

    type: Literal["ready"] = "ready"
    tool_count: int
    model: str
    mode: Mode = "guarded"
    effort: str = ""
    workdir: str = ""
    notes: tuple[str, ...] = ()


class Processing(EventBase):
    """A turn has begun."""

    type: Literal["processing"] = "processing"


class UserMessage(EventBase):
    """A prompt entered the conversation (`steered`: while a turn was running).

    Attributes:
        content: What the person wrote.
        images: Images that went with it.
        attached: Texts that went with it.
    """

    type: Literal["user_message"] = "user_message"
    content: str
    steered: bool = False
    images: tuple[ImageRef, ...] = ()
    attached: tuple[Attachment, ...] = ()


class AssistantChunk(EventBase):
    """A piece of a reply as it streams in, gathered and without secrets; `kind` tells answer text from reasoning."""

    type: Literal["assistant_chunk"] = "assistant_chunk"
    content: str
    kind: Literal["text", "reasoning"] = "text"


class AssistantMessage(EventBase):
    """The whole text of one reply. `partial`: the reply was interrupted here."""

    type: Literal["assistant_message"] = "assistant_message"
    content: str
    reasoning: str = ""
    partial: bool = False


class AssistantStreamEnd(EventBase):
    """A streamed reply has ended. `discarded`: it broke off, and what it said is not part of the conversation."""

    type: Literal["assistant_stream_end"] = "assistant_stream_end"
    discarded: bool = False


class TurnComplete(EventBase):
    """The turn ended by itself.

    Attributes:
        cost_usd: What the turn has cost, as far as prices are known.
        estimated_usd: The part of it that was reckoned and not measured.
        unpriced_calls: Calls of the turn whose price nobody knows; they are in neither sum.
    """

    type: Literal["turn_complete"] = "turn_complete"
    reason: EndReason
    final_response: str
    iterations: int
    cost_usd: float
    tokens: int
    history_size: int = 0
    estimated_usd: float = 0.0
    unpriced_calls: int = 0


class ErrorEvent(EventBase):
    """Something failed. `kind` is one of the model errors, `usage`, or `internal`.

    Attributes:
        error: One human sentence, with the next step where there is one.
        ends_turn: Whether a running turn ended with it (an operation outside a turn can fail too).
    """

    type: Literal["error"] = "error"
    error: str
    kind: str
    ends_turn: bool = True


class Interrupted(EventBase):
    """The turn was interrupted."""

    type: Literal["interrupted"] = "interrupted"


class Compacted(EventBase):
    """The context shrank."""

    type: Literal["compacted"] = "compacted"
    old_tokens: int
    new_tokens: int


class UndoComplete(EventBase):
    """A prompt and what followed it are gone from the context.

    Attributes:
        prompt: The removed prompt's text, to be edited and sent again.
        images: The images that went with it.
        restored_files: Files that are again as they were before that prompt.
        kept_files: Files that were left alone, each with the reason.
    """

    type: Literal["undo_complete"] = "undo_complete"
    removed_messages: int
    prompt: str = ""
    images: tuple[ImageRef, ...] = ()
    restored_files: tuple[str, ...] = ()
    kept_files: tuple[str, ...] = ()


class NewComplete(EventBase):
    """A fresh conversation began; the event carries the new session id."""

    type: Literal["new_complete"] = "new_complete"
    previous_session_id: str


class SessionResumed(EventBase):
    """An earlier conversation is continued."""

    type: Literal["session_resumed"] = "session_resumed"
    messages: int
    model: str


class ModelChanged(EventBase):
    """Model, effort or mode of the session changed; unchanged ones repeat their value."""

    type: Literal["model_changed"] = "model_changed"
    model: str
    effort: str = ""
    note: str = ""


class ModeChanged(EventBase):
    """The approval mode changed."""

    type: Literal["mode_changed"] = "mode_changed"
    mode: Mode


class PlanItem(BaseModel):
    """One step of the plan."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    id: str
    content: str
    status: PlanStatus


class PlanUpdate(EventBase):
    """The whole plan, in plan order."""

    type: Literal["plan_update"] = "plan_update"
    plan: tuple[PlanItem, ...]


class Notice(EventBase):
    """A sentence a person should see: a retry, a guard, a warning."""

    type: Literal["notice"] = "notice"
    text: str
    level: Literal["info", "warning", "error"] = "info"


UNANSWERED = "Not answered: the session ended."
"""The answer of an aside that nobody will answer any more."""


class AsideEvent(EventBase):
    """A question beside the conversation, told when it is asked and again when it is answered.

    Attributes:
        aside_id: Which one.
        question: The person's words.
        state: How far it is.
        answer: What came of it; why there is none, when it failed.
    """

    type: Literal["aside"] = "aside"
    aside_id: str
    question: str
    state: AsideState = "asked"
    answer: str = ""


class HistoryRecord(EventBase):
    """A change of what the model sees, exactly. Written to the session log only: from these a session is resumed.

    Attributes:
        op: `append` adds `messages`; `replace` sets the whole history to them; `truncate` keeps the first `keep`.
    """

    type: Literal["history"] = "history"
    op: Literal["append", "replace", "truncate"]
    messages: tuple[dict[str, Any], ...] = ()
    keep: int = 0


class SessionMeta(EventBase):
    """What people say about a session, beside what happens in it. A field that is None stays as it was.

    Attributes:
        title: Its name; empty goes back to the first prompt.
        tags: All its tags.
        origin: Where the log comes from if not from a run: `fork of ID`, `imported from NAME`.
    """

    type: Literal["session_meta"] = "session_meta"
    title: str | None = None
    tags: tuple[str, ...] | None = None
    origin: str | None = None


class Feedback(EventBase):
    """What a person thinks of an answer; a later one about the same answer takes its place.

    Attributes:
        message_seq: Number of the `assistant_message`.
        rating: `none` takes an earlier rating back.
    """

    type: Literal["feedback"] = "feedback"
    message_seq: int
    rating: Rating


class ShutdownEvent(EventBase):
    """The agent has stopped."""

    type: Literal["shutdown"] = "shutdown"


TURN_ENDS = frozenset({"turn_complete", "error", "interrupted"})
"""Types that end a turn (an `error` only if it says so)."""

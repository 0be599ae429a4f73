"""Operations and events: all that crosses the border of the core.

An operation asks the agent to do something; an event tells what happened. Both are frozen and serialise to JSON, so a
consumer in the same process, a log read back years later and a program at the other end of a pipe see the same thing.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter

from ml_intern.core.protocol.base import (
    ArtifactKind,
    ArtifactState,
    AsideState,
    CostState,
    EndReason,
    EventBase,
    Mode,
    PlanStatus,
    Rating,
    SpendingKind,
    ToolState,
    utc_now,
)
from ml_intern.core.protocol.calls import (
    ApprovalItem,
    ApprovalRequired,
    ApprovalResolved,
    DraftCall,
    NestedEvent,
    Origin,
    OriginFound,
    QuestionAsked,
    QuestionOption,
    QuestionResolved,
    SubagentEvent,
    SubagentState,
    ToolCallEvent,
    ToolDrafts,
    ToolLog,
    ToolOutput,
    ToolStateChange,
)
from ml_intern.core.protocol.money import (
    BROKEN_OFF,
    ArtifactEvent,
    ContextUsage,
    Expense,
    Leftover,
    LeftoversEvent,
    LLMCall,
)
from ml_intern.core.protocol.operations import (
    OPERATION,
    AnswerQuestion,
    ApprovalDecision,
    Aside,
    Attachment,
    Compact,
    ExecApproval,
    ImageFile,
    Interrupt,
    New,
    Operation,
    Rate,
    Resume,
    Rewind,
    SetCap,
    SetEffort,
    SetMode,
    SetModel,
    ShareTraces,
    Shutdown,
    Spoken,
    Steer,
    StopCall,
    Trust,
    Undo,
    Upload,
    UserInput,
)
from ml_intern.core.protocol.talk import (
    TURN_ENDS,
    UNANSWERED,
    AsideEvent,
    AssistantChunk,
    AssistantMessage,
    AssistantStreamEnd,
    Compacted,
    ErrorEvent,
    Feedback,
    HistoryRecord,
    Interrupted,
    ModeChanged,
    ModelChanged,
    NewComplete,
    Notice,
    PlanItem,
    PlanUpdate,
    Processing,
    Ready,
    SessionMeta,
    SessionResumed,
    SessionStarted,
    ShutdownEvent,
    TurnComplete,
    UndoComplete,
    UserMessage,
)

__all__ = [
    "BROKEN_OFF",
    "EVENT",
    "OPERATION",
    "TURN_ENDS",
    "UNANSWERED",
    "AnswerQuestion",
    "ApprovalDecision",
    "ApprovalItem",
    "ApprovalRequired",
    "ApprovalResolved",
    "ArtifactEvent",
    "ArtifactKind",
    "ArtifactState",
    "Aside",
    "AsideEvent",
    "AsideState",
    "AssistantChunk",
    "AssistantMessage",
    "AssistantStreamEnd",
    "Attachment",
    "Compact",
    "Compacted",
    "ContextUsage",
    "CostState",
    "DraftCall",
    "EndReason",
    "ErrorEvent",
    "Event",
    "EventBase",
    "ExecApproval",
    "Expense",
    "Feedback",
    "HistoryRecord",
    "ImageFile",
    "Interrupt",
    "Interrupted",
    "LLMCall",
    "Leftover",
    "LeftoversEvent",
    "Mode",
    "ModeChanged",
    "ModelChanged",
    "NestedEvent",
    "New",
    "NewComplete",
    "Notice",
    "Operation",
    "Origin",
    "OriginFound",
    "PlanItem",
    "PlanStatus",
    "PlanUpdate",
    "Processing",
    "QuestionAsked",
    "QuestionOption",
    "QuestionResolved",
    "Rate",
    "Rating",
    "Ready",
    "Resume",
    "Rewind",
    "SessionMeta",
    "SessionResumed",
    "SessionStarted",
    "SetCap",
    "SetEffort",
    "SetMode",
    "SetModel",
    "ShareTraces",
    "Shutdown",
    "ShutdownEvent",
    "SpendingKind",
    "Spoken",
    "Steer",
    "StopCall",
    "SubagentEvent",
    "SubagentState",
    "ToolCallEvent",
    "ToolDrafts",
    "ToolLog",
    "ToolOutput",
    "ToolState",
    "ToolStateChange",
    "Trust",
    "TurnComplete",
    "Undo",
    "UndoComplete",
    "Upload",
    "UserInput",
    "UserMessage",
    "prepare",
    "utc_now",
]
Event = Annotated[
    SessionStarted
    | Ready
    | Processing
    | UserMessage
    | AssistantChunk
    | AssistantMessage
    | AssistantStreamEnd
    | ToolDrafts
    | ToolCallEvent
    | ToolOutput
    | ToolLog
    | ToolStateChange
    | OriginFound
    | ApprovalRequired
    | ApprovalResolved
    | QuestionAsked
    | QuestionResolved
    | TurnComplete
    | ErrorEvent
    | Interrupted
    | Compacted
    | UndoComplete
    | NewComplete
    | SessionResumed
    | ModelChanged
    | ModeChanged
    | PlanUpdate
    | LLMCall
    | Expense
    | ArtifactEvent
    | LeftoversEvent
    | ContextUsage
    | Notice
    | HistoryRecord
    | SessionMeta
    | Feedback
    | SubagentState
    | SubagentEvent
    | AsideEvent
    | ShutdownEvent,
    Field(discriminator="type"),
]
EVENT: TypeAdapter[Event] = TypeAdapter(Event, config=ConfigDict(defer_build=True))


def prepare() -> None:
    """Makes what the first turn would otherwise stop for: validators are built when they are first used.

    For a front end that has a screen to keep moving; call it in a thread.
    """
    OPERATION.rebuild()
    usual = (UserMessage, Processing, AssistantChunk, AssistantMessage, AssistantStreamEnd, LLMCall, ContextUsage)
    for model in (*usual, ToolCallEvent, ToolStateChange, ToolLog, ToolOutput, TurnComplete):
        model.model_rebuild()

"""Events of tool calls: from the first words of one to its result, approvals, questions and sub-agents included."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from ml_intern.core.approvals.effects import Compute, Effect
from ml_intern.core.display import DisplayBlock
from ml_intern.core.images import ImageRef
from ml_intern.core.protocol.base import EventBase
from ml_intern.core.protocol.talk import AssistantMessage, Compacted, Notice


class ToolCallEvent(EventBase):
    """The model asks for a tool."""

    type: Literal["tool_call"] = "tool_call"
    tool: str
    arguments: dict[str, Any]
    tool_call_id: str


class DraftCall(BaseModel):
    """A call that the model is still writing.

    Attributes:
        tool: The tool's name, as far as it has come.
        arguments: The arguments that have begun, each as it begins: long texts are cut.
        lines: How many lines text arguments have so far, where these are several.
        tail: How the text that is being written ends so far, if it has several lines.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    lines: dict[str, int] = Field(default_factory=dict)
    tail: str = ""


class ToolDrafts(EventBase):
    """The calls that the model is writing at this moment, all of them; none when they are whole or void.

    Told in passing, at most ten times a second, and only to who asks for it: it has no number, and is neither in the
    log nor in `stream-json`. The calls themselves follow as `tool_call`.
    """

    type: Literal["tool_drafts"] = "tool_drafts"
    calls: tuple[DraftCall, ...] = ()


class ToolOutput(EventBase):
    """A tool's result: what the model gets, whether it succeeded, and what to show a person.

    Attributes:
        images: What the model is shown beside the text, if it takes images.
    """

    type: Literal["tool_output"] = "tool_output"
    tool: str
    tool_call_id: str
    output: str
    success: bool
    duration_s: float = 0.0
    display: tuple[DisplayBlock, ...] = ()
    images: tuple[ImageRef, ...] = ()


class ToolLog(EventBase):
    """A line (or several) of live output or progress."""

    type: Literal["tool_log"] = "tool_log"
    tool: str
    log: str
    tool_call_id: str | None = None


class ToolStateChange(EventBase):
    """A call moved on. Job stages appear here too, in lower case."""

    type: Literal["tool_state_change"] = "tool_state_change"
    tool: str
    tool_call_id: str
    state: str
    job_url: str | None = None
    display: tuple[DisplayBlock, ...] = ()


class Origin(BaseModel):
    """Where words of a call come from: a text from outside holds them, and nobody here has said them.

    Attributes:
        source: What the text is, for a person: `page https://…`, `README.md of org/name`.
        via: The tool that brought it.
        passage: What stands around the words there: one line of a few hundred characters at most.
        order: Whether the passage speaks to the agent, and not to whoever reads it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    source: str
    via: str
    passage: str
    order: bool = False

    @property
    def found_in(self) -> str:
        """The same for a person, in one line."""
        return f"found in: {self.source} ({self.via}) — “{self.passage}”"


class OriginFound(EventBase):
    """Words of a call come from outside. Told before the call is asked about, runs or is refused.

    Attributes:
        action: What is done about the call.
    """

    type: Literal["origin"] = "origin"
    tool: str
    tool_call_id: str
    action: Literal["allow", "ask", "deny"]
    origin: Origin


class ApprovalItem(BaseModel):
    """One call that waits for a person.

    Attributes:
        reason: Why it is asked, in words.
        estimated_cost_usd: Worst case; None when nothing is paid or the price is unknown (`cost_note` says which).
        cost_note: How the estimate comes about, for example `1.00 $/h for 2 h`.
        editable: Name of the argument a person may edit before approving (`script`, `command`), or empty.
        allowance: What "do not ask again in this session" would allow, in words.
        rule: The rule to that effect, which a person may change before it counts; empty: the call to the letter.
        standing: Whether a rule for it may be written into the configuration.
        subject: What patterns of rules are matched against: the command, the path, the repository.
        display: What will happen, for the dialog: the whole script, command or diff.
        checks: Pre-flight findings as `(passed, text)`.
        compute: The hardware it would use, and which arguments change that; None when it uses none.
        origin: Where words of it come from, if from outside; None when nothing of it was found there.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    tool: str
    arguments: dict[str, Any]
    tool_call_id: str
    reason: str
    estimated_cost_usd: float | None = None
    cost_note: str = ""
    editable: str = ""
    rememberable: bool = True
    allowance: str = ""
    rule: str = ""
    standing: bool = False
    subject: str = ""
    effects: tuple[Effect, ...] = ()
    display: tuple[DisplayBlock, ...] = ()
    checks: tuple[tuple[bool, str], ...] = ()
    compute: Compute | None = None
    origin: Origin | None = None


class ApprovalRequired(EventBase):
    """The turn pauses until these calls are decided, abandoned by a new message, or withdrawn by an interrupt."""

    type: Literal["approval_required"] = "approval_required"
    tools: tuple[ApprovalItem, ...]
    count: int
    spent_usd: float = 0.0
    cap_usd: float | None = None


class ApprovalResolved(EventBase):
    """Nothing is pending any more. `how` tells why a dialog that is still open must close."""

    type: Literal["approval_resolved"] = "approval_resolved"
    tool_call_ids: tuple[str, ...]
    how: Literal["decided", "abandoned", "withdrawn"]


class QuestionOption(BaseModel):
    """One of the answers that a question offers."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    label: str
    description: str = ""


class QuestionAsked(EventBase):
    """The agent asks the person something. The turn pauses until it is answered or withdrawn.

    Attributes:
        question_id: The tool call that asks.
        multiple: Whether several options may be chosen.
        free_text: Whether an answer in the person's own words is wanted too.
        default: Label of the option that is taken where nobody can answer; empty when there is none.
    """

    type: Literal["question_asked"] = "question_asked"
    question_id: str
    question: str
    options: tuple[QuestionOption, ...] = ()
    multiple: bool = False
    free_text: bool = True
    default: str = ""


class QuestionResolved(EventBase):
    """A question waits no longer. `how` tells why a dialog that is still open must close.

    Attributes:
        how: `answered` and `dismissed` by the person, `default` where nobody is there, `withdrawn` by an interrupt.
    """

    type: Literal["question_resolved"] = "question_resolved"
    question_id: str
    how: Literal["answered", "dismissed", "default", "withdrawn"]
    choices: tuple[str, ...] = ()
    text: str = ""


class SubagentState(EventBase):
    """How far a sub-agent has come. The first one says that it runs, the last one how it ended.

    Attributes:
        agent_id: The tool call it works for.
        label: What it is for, in a few words.
        model: Model it asks.
        state: `completed` when it gave a report, however short its time was cut.
        tools: Calls it has made.
        tokens: What its own model calls have taken, prompts and replies together.
        cost_usd: What these have cost, as far as prices are known.
        seconds: How long it has worked; not while a person was asked.
        note: Why it ended before it was done, or empty.
    """

    type: Literal["subagent_state"] = "subagent_state"
    agent_id: str
    label: str
    model: str
    state: Literal["running", "completed", "failed", "cancelled"]
    tools: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0
    note: str = ""


NestedEvent = Annotated[
    ToolCallEvent | ToolOutput | ToolLog | ToolStateChange | AssistantMessage | Notice | Compacted,
    Field(discriminator="type"),
]
"""What can happen within a sub-agent."""


class SubagentEvent(EventBase):
    """Something happened within a sub-agent. Wrapped, so that nobody takes its calls for calls of the conversation.

    Attributes:
        agent_id: The tool call it works for.
        event: What happened. Carries no number and no time of its own.
    """

    type: Literal["subagent"] = "subagent"
    agent_id: str
    event: NestedEvent

    @field_serializer("event")
    def _without_stamps(self, event: EventBase) -> dict[str, Any]:
        return event.model_dump(mode="json", exclude={"seq", "time", "session_id"})

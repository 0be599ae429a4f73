"""Operations and events: all that crosses the border of the core.

An operation asks the agent to do something; an event tells what happened. Both are frozen and serialise to JSON, so a
consumer in the same process, a log read back years later and a program at the other end of a pipe see the same thing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_serializer

from ml_intern.core.approvals.effects import Compute, Effect
from ml_intern.core.display import DisplayBlock
from ml_intern.core.images import ImageRef

Mode = Literal["guarded", "ask", "plan", "yolo"]
PlanStatus = Literal["pending", "in_progress", "completed"]
EndReason = Literal["completed", "max_iterations", "cost_limit", "context_limit"]
SpendingKind = Literal["main", "research", "compaction", "probe", "sampling", "aside", "job", "sandbox"]
Rating = Literal["up", "down", "none"]
AsideState = Literal["asked", "answered", "failed"]
CostState = Literal["promised", "measured", "estimated", "unknown"]
"""How sure a sum is. `promised`: the worst case of what still runs."""
ArtifactKind = Literal["model", "dataset", "space", "bucket", "collection", "job", "sandbox"]
ArtifactState = Literal["created", "updated", "deleted", "found"]
ToolState = Literal["approved", "rejected", "running", "completed", "failed", "cancelled", "abandoned"]


def utc_now() -> str:
    """The present moment as ISO 8601 in UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# ---------------------------------------------------------------------------------------------------- operations


class _Operation(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Attachment(BaseModel):
    """A text that goes with a prompt without being a part of it: what a command of the person's own put out, a file.

    Attributes:
        label: What it is, for a person, in a line.
        text: What the model gets.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    label: str
    text: str


class ImageFile(BaseModel):
    """An image that goes with a prompt: a file of this machine.

    Attributes:
        path: Where it is. It is read when the prompt is taken in, and not needed after that.
        name: What people call it; empty: as the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    path: str
    name: str = ""


class Spoken(_Operation):
    """Base of what a person says to the agent.

    Attributes:
        text: The words. A file or folder that they name as `@path` goes with them, where there is one.
        images: Images that go with it, beside those that the words name.
        attached: Texts that go with it.
    """

    text: str
    images: tuple[ImageFile, ...] = ()
    attached: tuple[Attachment, ...] = ()


class UserInput(Spoken):
    """Run a turn with this prompt. Calls that wait for approval are abandoned, and the turn goes on with the text."""

    type: Literal["user_input"] = "user_input"


class ApprovalDecision(_Operation):
    """The answer to one pending tool call.

    Attributes:
        tool_call_id: Which call.
        approved: Whether it may run.
        feedback: What the person says to the model, in their own case and words.
        edited_arguments: Arguments that replace the model's, key by key (for example an edited `script`).
        edited_usd: What the edited call costs at worst, as the person saw it; None: as the request said. A call that
            turns out to be dearer is asked about again.
        remember: Do not ask again in this session for calls of this tool with the same effects.
        rule: What exactly is not to be asked about again, as `tool(pattern)`; empty: the narrowest that is useful.
        always: Write that rule into the configuration, so that it counts in later sessions too. Goes with `remember`.
        by: Whose decision it is; where nobody can be asked, the program refuses in its own name.
    """

    tool_call_id: str
    approved: bool
    feedback: str = ""
    edited_arguments: dict[str, Any] = Field(default_factory=dict)
    edited_usd: float | None = None
    remember: bool = False
    rule: str = ""
    always: bool = False
    by: Literal["user", "program"] = "user"


class ExecApproval(_Operation):
    """Decide the pending calls. A pending call that is not named counts as rejected."""

    type: Literal["exec_approval"] = "exec_approval"
    approvals: tuple[ApprovalDecision, ...]


class Interrupt(_Operation):
    """End the running turn now, whatever it waits for. Never queued."""

    type: Literal["interrupt"] = "interrupt"


class Aside(_Operation):
    """Ask the model something that stays out of the conversation. Answered beside whatever runs; never queued."""

    type: Literal["aside"] = "aside"
    text: str


class StopCall(_Operation):
    """End one running tool call; the turn goes on with what it had found. Never queued."""

    type: Literal["stop_call"] = "stop_call"
    tool_call_id: str


class Compact(_Operation):
    """Summarise the older part of the conversation."""

    type: Literal["compact"] = "compact"
    instructions: str = ""


class Undo(_Operation):
    """Remove the last prompt and everything that followed it from what the model sees."""

    type: Literal["undo"] = "undo"


class New(_Operation):
    """Begin a fresh conversation under a new session id."""

    type: Literal["new"] = "new"


class Rewind(_Operation):
    """Go back to before an earlier prompt, to send it again in other words.

    Attributes:
        prompt: Which prompt, counted from 0; negative counts from the end, so -1 is the last one.
        restore_files: Also put back the files that the file tools have changed since.
    """

    type: Literal["rewind"] = "rewind"
    prompt: int = -1
    restore_files: bool = False


class Trust(_Operation):
    """Trust the workspace: its instructions for agents are read from now on, in later sessions too."""

    type: Literal["trust"] = "trust"


class Upload(_Operation):
    """Put a data file or folder of this machine into the session's private data set, and tell the model about it."""

    type: Literal["upload"] = "upload"
    path: str


class ShareTraces(_Operation):
    """Tell whether sessions are published, switch it on or off, or change who may see them."""

    type: Literal["share_traces"] = "share_traces"
    action: Literal["status", "on", "off", "public", "private"] = "status"


class Resume(_Operation):
    """Continue an earlier session."""

    type: Literal["resume"] = "resume"
    session_id: str


class SetModel(_Operation):
    """Use another model from the next call on."""

    type: Literal["set_model"] = "set_model"
    model: str


class SetEffort(_Operation):
    """Set the reasoning effort; `off` sends none."""

    type: Literal["set_effort"] = "set_effort"
    effort: str


class SetMode(_Operation):
    """Set the approval mode."""

    type: Literal["set_mode"] = "set_mode"
    mode: Mode


class SetCap(_Operation):
    """Set the spending cap of the session; None lifts it."""

    type: Literal["set_cap"] = "set_cap"
    cap_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class Steer(Spoken):
    """Hand the running turn a message at its next model call; starts a turn when none runs."""

    type: Literal["steer"] = "steer"


class AnswerQuestion(_Operation):
    """Answer the question that the agent has asked with `ask_user`.

    Attributes:
        question_id: Which question; empty means the one that is open.
        choices: Labels of the options that were chosen.
        text: What the person says in their own words, beside the options or in place of them.
        dismissed: The person does not want to answer.
    """

    type: Literal["answer_question"] = "answer_question"
    question_id: str = ""
    choices: tuple[str, ...] = ()
    text: str = ""
    dismissed: bool = False


class Rate(_Operation):
    """Say of an answer whether it was good. The model does not hear of it.

    Attributes:
        message_seq: Number of the `assistant_message`.
        rating: What the person thinks of it; `none` takes an earlier rating back.
    """

    type: Literal["rate"] = "rate"
    message_seq: int
    rating: Rating


class Shutdown(_Operation):
    """Stop the agent: the running turn is interrupted, children are stopped, the log is closed."""

    type: Literal["shutdown"] = "shutdown"


Operation = Annotated[
    UserInput
    | ExecApproval
    | Interrupt
    | Compact
    | Undo
    | Rewind
    | Trust
    | Upload
    | ShareTraces
    | New
    | Resume
    | SetModel
    | SetEffort
    | SetMode
    | SetCap
    | StopCall
    | Aside
    | Steer
    | AnswerQuestion
    | Rate
    | Shutdown,
    Field(discriminator="type"),
]

# -------------------------------------------------------------------------------------------------------- events


class EventBase(BaseModel):
    """What every event carries. `seq`, `time` and `session_id` are stamped by the event stream when it is emitted."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    seq: int = 0
    time: str = ""
    session_id: str = ""


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


BROKEN_OFF = "broken_off"
"""Finish reason of a reply that was not heard to its end."""


class LLMCall(EventBase):
    """One paid reply, or what came of one that broke off. `cost_usd` is None when no price is known."""

    type: Literal["llm_call"] = "llm_call"
    model: str
    kind: Literal["main", "research", "compaction", "probe", "sampling", "aside"]
    cost_usd: float | None
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    latency_ms: int
    finish_reason: str = ""
    cost_state: CostState = "estimated"


class Expense(EventBase):
    """What a job or a sandbox costs. A later one with the same `ref` takes its place.

    Attributes:
        what: The tool that started it.
        ref: Id of the job or the sandbox, or of the tool call while there is none.
        cost_usd: Dollars; None when no price is known.
        state: How sure that is; `released` when nothing is to be paid after all.
    """

    type: Literal["expense"] = "expense"
    kind: SpendingKind
    what: str
    ref: str
    cost_usd: float | None
    state: CostState | Literal["released"]


class ArtifactEvent(EventBase):
    """Something of this session is on the Hub. A later one with the same `kind` and `id` adds to what is known of it.

    Attributes:
        id: Repository, bucket or job id, or the slug of a collection.
        url: Where a browser shows it.
        private: Whether only its owner sees it; None when that is not known.
        size: Bytes; None when that is not known.
        state: `found`: some output names it, and nobody has checked that it exists.
        via: The tool that made it, or in whose output it was found.
    """

    type: Literal["artifact"] = "artifact"
    kind: ArtifactKind
    id: str
    url: str = ""
    private: bool | None = None
    size: int | None = None
    state: ArtifactState
    via: str = ""


class Leftover(BaseModel):
    """A job or a sandbox that still runs although the session that started it has ended.

    Attributes:
        backend: `hub` or `local`.
        id: The backend's id of it.
        namespace: Who pays; empty on this machine.
        session_id: The session that started it; empty when nobody knows.
        here: Whether that session was one of this machine. Another machine may still be at work on it.
        ref: Its name in that session's ledger.
        since: When it was started, ISO-8601; empty when nobody knows.
        usd_per_hour: Its price; None when nobody knows.
        cost_usd: What it has cost so far; None when nobody knows.
        url: Where a browser shows it, or empty.
        title: What it is for, or empty.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    backend: str
    kind: Literal["job", "sandbox"]
    id: str
    namespace: str = ""
    session_id: str = ""
    here: bool = True
    ref: str = ""
    flavor: str = ""
    stage: str = ""
    since: str = ""
    usd_per_hour: float | None = None
    cost_usd: float | None = None
    url: str = ""
    title: str = ""


class LeftoversEvent(EventBase):
    """What earlier sessions have left running. Sent once after the start, and again when that has changed."""

    type: Literal["leftovers"] = "leftovers"
    items: tuple[Leftover, ...]


class ContextUsage(EventBase):
    """How full the context is and what the session has cost; sent when either figure changed.

    Attributes:
        cost_usd: All that was spent, as far as prices are known.
        estimated_usd: The part of it that was reckoned and not measured.
        promised_usd: Worst case of the jobs and sandboxes that run now; not in `cost_usd`.
        unpriced_calls: Calls whose price nobody knows; they are in none of the sums.
    """

    type: Literal["context_usage"] = "context_usage"
    tokens: int
    window: int
    cost_usd: float
    cap_usd: float | None = None
    unpriced_calls: int = 0
    estimated_usd: float = 0.0
    promised_usd: float = 0.0


class Notice(EventBase):
    """A sentence a person should see: a retry, a guard, a warning."""

    type: Literal["notice"] = "notice"
    text: str
    level: Literal["info", "warning", "error"] = "info"


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


class ShutdownEvent(EventBase):
    """The agent has stopped."""

    type: Literal["shutdown"] = "shutdown"


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
OPERATION: TypeAdapter[Operation] = TypeAdapter(Operation, config=ConfigDict(defer_build=True))

TURN_ENDS = frozenset({"turn_complete", "error", "interrupted"})
"""Types that end a turn (an `error` only if it says so)."""


def prepare() -> None:
    """Makes what the first turn would otherwise stop for: validators are built when they are first used.

    For a front end that has a screen to keep moving; call it in a thread.
    """
    OPERATION.rebuild()
    usual = (UserMessage, Processing, AssistantChunk, AssistantMessage, AssistantStreamEnd, LLMCall, ContextUsage)
    for model in (*usual, ToolCallEvent, ToolStateChange, ToolLog, ToolOutput, TurnComplete):
        model.model_rebuild()

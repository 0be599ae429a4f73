"""Operations: what a person or a program asks the agent to do."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ml_intern.core.protocol.base import Mode, OperationBase, Rating


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


class Spoken(OperationBase):
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


class ApprovalDecision(OperationBase):
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


class ExecApproval(OperationBase):
    """Decide the pending calls. A pending call that is not named counts as rejected."""

    type: Literal["exec_approval"] = "exec_approval"
    approvals: tuple[ApprovalDecision, ...]


class Interrupt(OperationBase):
    """End the running turn now, whatever it waits for. Never queued.

    Attributes:
        reason: Why calls that have not begun do not run, told to the model; empty where a person wants it to stop.
    """

    type: Literal["interrupt"] = "interrupt"
    reason: str = ""


class Aside(OperationBase):
    """Ask the model something that stays out of the conversation. Answered beside whatever runs; never queued."""

    type: Literal["aside"] = "aside"
    text: str


class StopCall(OperationBase):
    """End one running tool call; the turn goes on with what it had found. Never queued."""

    type: Literal["stop_call"] = "stop_call"
    tool_call_id: str


class Compact(OperationBase):
    """Summarise the older part of the conversation."""

    type: Literal["compact"] = "compact"
    instructions: str = ""


class Undo(OperationBase):
    """Remove the last prompt and everything that followed it from what the model sees."""

    type: Literal["undo"] = "undo"


class New(OperationBase):
    """Begin a fresh conversation under a new session id."""

    type: Literal["new"] = "new"


class Rewind(OperationBase):
    """Go back to before an earlier prompt, to send it again in other words.

    Attributes:
        prompt: Which prompt, counted from 0; negative counts from the end, so -1 is the last one.
        restore_files: Also put back the files that the file tools have changed since.
    """

    type: Literal["rewind"] = "rewind"
    prompt: int = -1
    restore_files: bool = False


class Trust(OperationBase):
    """Trust the workspace: its instructions for agents are read from now on, in later sessions too."""

    type: Literal["trust"] = "trust"


class Upload(OperationBase):
    """Put a data file or folder of this machine into the session's private data set, and tell the model about it."""

    type: Literal["upload"] = "upload"
    path: str


class ShareTraces(OperationBase):
    """Tell whether sessions are published, switch it on or off, or change who may see them."""

    type: Literal["share_traces"] = "share_traces"
    action: Literal["status", "on", "off", "public", "private"] = "status"


class Resume(OperationBase):
    """Continue an earlier session of the same directory in place of the present one.

    Attributes:
        session_id: Its id, or the beginning of it.
    """

    type: Literal["resume"] = "resume"
    session_id: str


class SetModel(OperationBase):
    """Use another model from the next call on."""

    type: Literal["set_model"] = "set_model"
    model: str


class SetEffort(OperationBase):
    """Set the reasoning effort; `off` sends none."""

    type: Literal["set_effort"] = "set_effort"
    effort: str


class SetMode(OperationBase):
    """Set the approval mode."""

    type: Literal["set_mode"] = "set_mode"
    mode: Mode


class SetCap(OperationBase):
    """Set the spending cap of the session; None lifts it."""

    type: Literal["set_cap"] = "set_cap"
    cap_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class Steer(Spoken):
    """Hand the running turn a message at its next model call; starts a turn when none runs."""

    type: Literal["steer"] = "steer"


class AnswerQuestion(OperationBase):
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


class Rate(OperationBase):
    """Say of an answer whether it was good. The model does not hear of it.

    Attributes:
        message_seq: Number of the `assistant_message`.
        rating: What the person thinks of it; `none` takes an earlier rating back.
    """

    type: Literal["rate"] = "rate"
    message_seq: int
    rating: Rating


class Shutdown(OperationBase):
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
OPERATION: TypeAdapter[Operation] = TypeAdapter(Operation, config=ConfigDict(defer_build=True))

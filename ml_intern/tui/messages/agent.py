"""What comes from the agent: one message for each family of events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from ml_intern.core import protocol
    from ml_intern.tui.setup import Setup


class AgentMessage(Message, bubble=False):
    """Base of all that comes from the agent. Posted to the main screen, which hands it to its panes."""

    event: protocol.EventBase | None

    def __init__(self, event: protocol.EventBase | None = None) -> None:
        super().__init__()
        self.event = event


class SessionChanged(AgentMessage):
    """Model, mode, context, cost or session id changed (`ready`, `model_changed`, `context_usage`, ...)."""

    event: (
        protocol.Ready
        | protocol.ModelChanged
        | protocol.ModeChanged
        | protocol.ContextUsage
        | protocol.SessionResumed
        | protocol.ShutdownEvent
    )


class TurnStarted(AgentMessage):
    """A turn, or the part of it after an approval, has begun."""

    event: protocol.Processing


class TurnEnded(AgentMessage):
    """A turn ended; `event` is a `TurnComplete`, an `Interrupted` or an `ErrorEvent` that ends it."""

    event: protocol.TurnComplete | protocol.Interrupted | protocol.ErrorEvent


class PromptEntered(AgentMessage):
    """A prompt is part of the conversation now."""

    event: protocol.UserMessage


class ReplyText(AgentMessage):
    """A piece of a reply: all that streamed in since the last one of these.

    Attributes:
        kind: `text` or `reasoning`.
        at: When its first part came, ISO 8601.
    """

    def __init__(self, text: str, kind: str, at: str) -> None:
        super().__init__()
        self.text = text
        self.kind = kind
        self.at = at


class ReplyWhole(AgentMessage):
    """The whole text of one reply."""

    event: protocol.AssistantMessage


class ReplyEnded(AgentMessage):
    """A streamed reply has ended, or broke off and is discarded."""

    def __init__(self, discarded: bool) -> None:
        super().__init__()
        self.discarded = discarded


class CallsDrafted(AgentMessage):
    """The calls that the model is writing at this moment; none when it writes none any more."""

    event: protocol.ToolDrafts


class ToolCalled(AgentMessage):
    """The model asks for a tool."""

    event: protocol.ToolCallEvent


class ToolLogged(AgentMessage):
    """Lines of live output of one call, gathered."""

    def __init__(self, tool_call_id: str | None, tool: str, text: str) -> None:
        super().__init__()
        self.tool_call_id = tool_call_id
        self.tool = tool
        self.text = text


class ToolMoved(AgentMessage):
    """A call changed its state."""

    event: protocol.ToolStateChange


class OriginTraced(AgentMessage):
    """Words of a call come from outside."""

    event: protocol.OriginFound


class ToolFinished(AgentMessage):
    """A call has its result."""

    event: protocol.ToolOutput


class Spent(AgentMessage):
    """Something was paid or promised."""

    event: protocol.LLMCall | protocol.Expense


class ArtifactChanged(AgentMessage):
    """Something of the session is on the Hub, or is not any more."""

    event: protocol.ArtifactEvent


class LeftoversFound(AgentMessage):
    """What earlier sessions have left running."""

    event: protocol.LeftoversEvent


class ApprovalAsked(AgentMessage):
    """The turn waits for a person."""

    event: protocol.ApprovalRequired


class ApprovalSettled(AgentMessage):
    """Nothing is pending any more."""

    event: protocol.ApprovalResolved


class QuestionPut(AgentMessage):
    """The agent asks a person something."""

    event: protocol.QuestionAsked


class QuestionSettled(AgentMessage):
    """A question waits no longer."""

    event: protocol.QuestionResolved


class SubagentMoved(AgentMessage):
    """A sub-agent has come further, or has ended."""

    event: protocol.SubagentState


class SubagentTold(AgentMessage):
    """Something happened within a sub-agent.

    Attributes:
        inner: The message that the same would be outside of it.
    """

    event: protocol.SubagentEvent

    def __init__(self, event: protocol.SubagentEvent, inner: AgentMessage) -> None:
        super().__init__(event)
        self.inner = inner


class Rated(AgentMessage):
    """A person has said what they think of an answer."""

    event: protocol.Feedback


class PlanChanged(AgentMessage):
    """The plan, whole and in plan order."""

    event: protocol.PlanUpdate


class Undone(AgentMessage):
    """A prompt and what followed it are gone."""

    event: protocol.UndoComplete


class Begun(AgentMessage):
    """A fresh conversation began."""

    event: protocol.NewComplete


class Noticed(AgentMessage):
    """A sentence a person should see; `level` is `info`, `warning` or `error`."""

    def __init__(self, text: str, level: str = "info", event: protocol.EventBase | None = None) -> None:
        super().__init__(event)
        self.text = text
        self.level = level


class AsideMoved(AgentMessage):
    """A question beside the conversation was asked, or has its answer."""

    event: protocol.AsideEvent


class AgentBuilt(AgentMessage):
    """The agent exists; it says `ready` next."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.setup = setup


class AgentLost(AgentMessage):
    """The agent stopped by a fault of its own; the app stays usable and the next prompt starts a new one."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

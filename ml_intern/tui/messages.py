"""What travels inside the app: the agent's events on their way to the screen, a person's intents on their way up.

The bridge posts one message per family of events, with the text pieces of a reply and the lines of a log already
gathered. An intent is an operation of the protocol by name, so that panes need not know the core.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.message import Message

if TYPE_CHECKING:
    from ml_intern.core import protocol
    from ml_intern.tui.attention import News
    from ml_intern.tui.setup import Setup

# ------------------------------------------------------------------------------------------------ from the agent


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


# ----------------------------------------------------------------------------------------------- from the person


class Intent(Message):
    """Base of what a person wants done. Bubbles up to whoever can do it."""


class Operate(Intent):
    """An operation of the protocol, by its `type` and fields."""

    def __init__(self, kind: str, **fields: Any) -> None:
        super().__init__()
        self.kind = kind
        self.fields = fields


class OpenPicker(Intent):
    """Let the person choose a `model`, `mode`, `effort`, `theme`, `command`, `prompt` or `prompt and files`."""

    def __init__(self, subject: str) -> None:
        super().__init__()
        self.subject = subject


class SetTheme(Intent):
    """Use a theme; `keep` writes it to the user's configuration."""

    def __init__(self, theme: str, keep: bool = True) -> None:
        super().__init__()
        self.theme = theme
        self.keep = keep


class SettingChanged(Intent):
    """A setting has another value in the configuration now, and should have it in this session where that can be.

    Attributes:
        key: Dotted key path.
        value: The value that counts now.
    """

    def __init__(self, key: str, value: Any) -> None:
        super().__init__()
        self.key = key
        self.value = value


class Visit(Intent):
    """Open another screen or dialog over the main one."""


class OpenCall(Visit):
    """Show one tool call in full."""

    def __init__(self, tool_call_id: str) -> None:
        super().__init__()
        self.tool_call_id = tool_call_id


class OpenJobs(Visit):
    """Open the Jobs screen, at one job if its id is given; close it when it is open."""

    def __init__(self, job_id: str = "") -> None:
        super().__init__()
        self.job_id = job_id


class ShowHelp(Intent):
    """Open the help about what has the focus."""


class ShowStatus(Intent):
    """Say model, mode, context, cost and places in the chat."""


class ShowSpending(Visit):
    """Open the spend screen."""


class ShowArtifacts(Visit):
    """Open the artifacts screen."""


class ShowDataset(Visit):
    """Look into a data set.

    Attributes:
        name: Its id on the Hub, or the path of a data file.
        config: Its config; empty for the default one.
        split: Its split; empty for train.
    """

    def __init__(self, name: str, config: str = "", split: str = "") -> None:
        super().__init__()
        self.name = name
        self.config = config
        self.split = split


class ShowTrail(Visit):
    """Show what the session has looked into."""


class ShowLeftovers(Visit):
    """Ask about what earlier sessions have left running."""


class ShowServers(Visit):
    """Open the screen of MCP servers."""


class ShowSkills(Visit):
    """Open the screen of skills."""


class ShowSettings(Visit):
    """Open the settings, narrowed down by some words."""

    def __init__(self, words: str = "") -> None:
        super().__init__()
        self.words = words


class ShowKeys(Visit):
    """Open the list of keys, narrowed down by some words."""

    def __init__(self, words: str = "") -> None:
        super().__init__()
        self.words = words


class ShowAllowed(Visit):
    """Show what is allowed, asked and forbidden; `words` is a command or a tool to be judged."""

    def __init__(self, words: str = "") -> None:
        super().__init__()
        self.words = words


class SignIn(Visit):
    """Ask for a key: a Hugging Face token, or one of a provider."""


class ShowHardware(Visit):
    """Open the hardware picker; `model` is the name or size of a model that is to fit."""

    def __init__(self, model: str = "") -> None:
        super().__init__()
        self.model = model


class ReviewSession(Intent):
    """Open a session for review: stepped through in time, read only.

    Attributes:
        session: The beginning of its id, or the path of its log; empty for the session that runs here.
        seq: Number of the event to begin at; None begins at the end.
    """

    def __init__(self, session: str | Path = "", seq: int | None = None) -> None:
        super().__init__()
        self.session = str(session)
        self.seq = seq


class OpenSession(Intent):
    """Go on with an earlier session: the agent is shut down and built anew on it. Asks while a turn runs."""

    def __init__(self, session_id: str) -> None:
        super().__init__()
        self.session_id = session_id


class OpenSessions(Intent):
    """Open the sessions screen; close it when it is open."""


class DescribeSession(Intent):
    """Give the session that runs here a title or tags. What is None stays as it was."""

    def __init__(self, title: str | None = None, tags: tuple[str, ...] | None = None) -> None:
        super().__init__()
        self.title = title
        self.tags = tags


class ShareTraces(Intent):
    """Tell whether sessions are published, or change it; `on` and `public` are asked about first."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.action = action


class CopyText(Intent):
    """Put a text on the clipboard; `what` says in a few words what it is."""

    def __init__(self, text: str, what: str) -> None:
        super().__init__()
        self.text = text
        self.what = what


class FollowLink(Intent):
    """Open a link: an address in the browser, a file in the editor. What its text does not tell is shown first.

    Attributes:
        text: What is shown of it.
        target: Where it leads, see `widgets/links.py`.
    """

    def __init__(self, text: str, target: str) -> None:
        super().__init__()
        self.text = text
        self.target = target


class ChatIntent(Intent):
    """Something is wanted of the conversation on the main screen."""


class ShowLinks(Intent):
    """Let the person choose one of some links.

    Attributes:
        links: Pairs of text and target.
    """

    def __init__(self, links: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self.links = links


class ShowChatLinks(ChatIntent):
    """Let the person choose one of the links that are in view."""


class SearchChat(ChatIntent):
    """Look for a text in the conversation; an empty one lets the person type it."""

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self.text = text


class Maximise(Intent):
    """Give a pane the room of all, or take it back."""

    def __init__(self, pane: str) -> None:
        super().__init__()
        self.pane = pane


class CopyFromChat(ChatIntent):
    """Copy from the chat: `last` answer, newest `code`, last `error` with its details, or `all`."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what


class Attach(Intent):
    """Attach a file to the next prompt, by its path; the image on the clipboard when it is empty."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path


class StartPractice(Intent):
    """Leave this conversation and open the practice session."""


class KeyKept(Intent):
    """A key was kept: an agent that knows it takes the place of the present one, and goes on with its conversation."""


class KeepModel(Intent):
    """Use this model from now on, in later sessions too."""

    def __init__(self, model: str) -> None:
        super().__init__()
        self.model = model


class ScreenMounted(Intent):
    """The main screen is there; the agent can be built behind it."""


class RestartAgent(Intent):
    """Build a new agent after the old one was lost."""


class TitleChanged(Intent):
    """The terminal's title should read like this."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.title = title


class CallPerson(Intent):
    """Tell a person who may look elsewhere."""

    def __init__(self, news: News) -> None:
        super().__init__()
        self.news = news


class Quit(Intent):
    """Leave the app; `at_once` does not ask even while a turn runs."""

    def __init__(self, at_once: bool = False) -> None:
        super().__init__()
        self.at_once = at_once

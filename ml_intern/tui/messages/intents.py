"""What a person wants: on its way up to the screen or the app that does it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.message import Message

if TYPE_CHECKING:
    from ml_intern.tui.attention import News


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

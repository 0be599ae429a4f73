"""The one registry of commands: slash commands, the palette, the help and the hints are all read from it."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ml_intern.tui import messages

if TYPE_CHECKING:
    from textual.message import Message

    from ml_intern.tui.state import SessionState

MODES = {
    "guarded": "asks for what costs, publishes, destroys or leaves the workspace",
    "ask": "asks before every change",
    "plan": "changes nothing: reads and plans only",
    "yolo": "asks for nothing, up to the spending cap",
}
EFFORTS = {
    "off": "no extended thinking",
    "minimal": "barely any",
    "low": "a little",
    "medium": "balanced",
    "high": "thorough",
    "xhigh": "very thorough",
    "max": "all that the model has",
}


class UsageError(Exception):
    """A command was typed in a way it cannot be carried out; the text says why and what to type instead."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        name: Typed after the slash.
        help: What it does, in one line.
        make: Turns the argument text into the message that does it. May raise `UsageError`.
        args: How the argument is written, for people.
        aliases: Other names.
        action: The action of `keys.actions` that does the same, where a key has it already.
        objection: Why it cannot be done right now, or an empty string.
    """

    name: str
    help: str
    make: Callable[[str], Message]
    args: str = ""
    aliases: tuple[str, ...] = ()
    action: str = ""
    objection: Callable[[SessionState], str] = lambda _state: ""

    @property
    def usage(self) -> str:
        """The command as it is typed."""
        return f"/{self.name} {self.args}".rstrip()


@dataclass(frozen=True, slots=True)
class Entered:
    """What a person entered: a message for the agent, or a command with its argument text."""

    text: str
    command: Command | None = None


def _started(state: SessionState) -> str:
    if state.lost:
        return "The agent stopped. The next prompt starts a new one."
    return "" if state.ready else "The agent is still starting."


def _between_turns(state: SessionState) -> str:
    if state.running or state.waiting:
        return "A turn is running. {interrupt} ends it, then try again."
    return _started(state)


def _no_argument(name: str, make: Callable[[], Message]) -> Callable[[str], Message]:
    def checked(argument: str) -> Message:
        if argument:
            raise UsageError(f"/{name} takes no argument.")
        return make()

    return checked


def _one_of(name: str, choices: dict[str, str], field: str) -> Callable[[str], Message]:
    def chosen(argument: str) -> Message:
        if not argument:
            return messages.OpenPicker(name)
        choice = argument.lower()
        if choice not in choices:
            raise UsageError(f"{argument!r} is no {name}. Choose one of {', '.join(choices)}.")
        return messages.Operate(f"set_{name}", **{field: choice})

    return chosen


def _model(argument: str) -> Message:
    if not argument:
        return messages.OpenPicker("model")
    if len(argument.split()) > 1:
        raise UsageError("A model id has no spaces: /model anthropic/claude-opus-4-6")
    return messages.Operate("set_model", model=argument)


def _theme(argument: str) -> Message:
    return messages.SetTheme(argument) if argument else messages.OpenPicker("theme")


def _rewind(argument: str) -> Message:
    if argument not in {"", "files"}:
        raise UsageError("Type /rewind, or /rewind files to take the files back too.")
    return messages.OpenPicker("prompt and files" if argument else "prompt")


def _steer(argument: str) -> Message:
    if not argument:
        raise UsageError("Say what the agent should hear: /steer use the smaller model")
    return messages.Operate("steer", text=argument)


def _aside(argument: str) -> Message:
    if not argument:
        raise UsageError("Ask something that stays out of the conversation: /btw what is it waiting for?")
    return messages.Operate("aside", text=argument)


def _upload(argument: str) -> Message:
    if not argument:
        raise UsageError("Name a data file or folder of this machine: /upload data/train.csv")
    return messages.Operate("upload", path=_path(argument))


def _attach(argument: str) -> Message:
    return messages.Attach(_path(argument).removeprefix("@"))


def _path(argument: str) -> str:
    """A path as it was typed, or dropped into the terminal, which may quote it."""
    try:
        words = shlex.split(argument)
    except ValueError:
        words = []
    return words[0] if len(words) == 1 else argument


def _dataset(argument: str) -> Message:
    try:
        words = shlex.split(argument)
    except ValueError:
        words = []
    if not 1 <= len(words) <= 3:
        raise UsageError("Name a data set of the Hub or a data file: /dataset owner/name [config] [split]")
    return messages.ShowDataset(*words)


def _compact(argument: str) -> Message:
    return messages.Operate("compact", instructions=argument)


SHARING = {
    "on": "publish sessions to a private data set of yours when they end",
    "off": "keep sessions on this machine",
    "public": "let everybody read what was published",
    "private": "let nobody else read what was published",
}


def _copy(argument: str) -> Message:
    what = argument.strip().lower() or "last"
    if what not in COPIED:
        raise UsageError(f"/copy takes {', '.join(COPIED)}, or nothing for the last answer.")
    return messages.CopyFromChat(what)


def _share(argument: str) -> Message:
    action = argument.strip().lower()
    if action and action not in SHARING:
        raise UsageError(f"/share-traces takes {', '.join(SHARING)}, or nothing to be told how it stands.")
    return messages.ShareTraces(action or "status")


COPIED = {
    "last": "the last answer",
    "code": "the newest code block",
    "error": "the last error with its details",
    "all": "the whole conversation",
}


COMMANDS: tuple[Command, ...] = (
    Command(
        "help", "keys and commands, and what has the focus", _no_argument("help", messages.ShowHelp), action="help"
    ),
    Command(
        "new",
        "begin a fresh conversation",
        _no_argument("new", lambda: messages.Operate("new")),
        aliases=("clear",),
        objection=_between_turns,
    ),
    Command(
        "undo",
        "take back the last prompt and what followed it",
        _no_argument("undo", lambda: messages.Operate("undo")),
        objection=_between_turns,
    ),
    Command(
        "rewind",
        "go back to an earlier prompt, with the files it changed if you like",
        _rewind,
        args="[files]",
        objection=_between_turns,
    ),
    Command(
        "btw",
        "ask something beside the work; it stays out of the conversation",
        _aside,
        args="QUESTION",
        objection=_started,
    ),
    Command("steer", "tell the running turn something at its next step", _steer, args="TEXT", objection=_started),
    Command(
        "upload",
        "put a data file or folder into a private data set, for the agent to load",
        _upload,
        args="PATH",
        objection=_between_turns,
    ),
    Command(
        "attach",
        "attach an image or a file to the next prompt; without a path the image on the clipboard",
        _attach,
        args="[PATH]",
    ),
    Command(
        "trust",
        "read this project's AGENTS.md from now on",
        _no_argument("trust", lambda: messages.Operate("trust")),
        objection=_between_turns,
    ),
    Command(
        "compact",
        "summarise the older part of the conversation",
        _compact,
        args="[what to keep]",
        objection=_between_turns,
    ),
    Command("model", "choose the model", _model, args="[id]", objection=_started),
    Command("mode", "choose what must be asked", _one_of("mode", MODES, "mode"), args="[name]", objection=_started),
    Command(
        "effort",
        "choose how hard the model thinks",
        _one_of("effort", EFFORTS, "effort"),
        args="[level]",
        aliases=("thinking",),
        objection=_started,
    ),
    Command(
        "jobs",
        "jobs with their curves and logs, and comparing them",
        _no_argument("jobs", messages.OpenJobs),
        action="jobs",
    ),
    Command(
        "status",
        "model, mode, context, cost and places",
        _no_argument("status", messages.ShowStatus),
        aliases=("cost",),
        objection=_started,
    ),
    Command(
        "spend",
        "what was spent, by day, session, model and job",
        _no_argument("spend", messages.ShowSpending),
        aliases=("money",),
        action="spend",
    ),
    Command(
        "artifacts",
        "what this session has put on the Hub: open, copy, delete",
        _no_argument("artifacts", messages.ShowArtifacts),
    ),
    Command(
        "trail",
        "what this session has looked into: papers, pages, repositories, data",
        _no_argument("trail", messages.ShowTrail),
        aliases=("sources",),
    ),
    Command(
        "dataset",
        "look into a data set of the Hub or a data file: columns, rows, histograms",
        _dataset,
        args="REPO_OR_PATH [config] [split]",
        objection=_started,
    ),
    Command(
        "leftovers",
        "what earlier sessions have left running: keep or end it",
        _no_argument("leftovers", messages.ShowLeftovers),
    ),
    Command(
        "mcp",
        "MCP servers: state, tools, log; add, switch, sign in",
        _no_argument("mcp", messages.ShowServers),
        objection=_started,
    ),
    Command(
        "allowed",
        "what runs without asking, what is asked, what is forbidden; and why",
        messages.ShowAllowed,
        args="[command or tool]",
        aliases=("permissions", "rules"),
        objection=_started,
    ),
    Command(
        "skills",
        "instructions the agent can load, and where they come from",
        _no_argument("skills", messages.ShowSkills),
        objection=_started,
    ),
    Command(
        "hardware", "hardware with prices, and whether a model fits", messages.ShowHardware, args="[model or size]"
    ),
    Command(
        "sessions",
        "earlier sessions: find, review, go on with, copy, save, delete",
        _no_argument("sessions", messages.OpenSessions),
        action="sessions",
    ),
    Command(
        "review",
        "step through a session in time, this one or another",
        messages.ReviewSession,
        args="[session id]",
    ),
    Command(
        "share-traces",
        "publish sessions to a data set of yours, or see whether they are",
        _share,
        args="[on|off|public|private]",
        objection=_between_turns,
    ),
    Command(
        "settings",
        "everything that can be configured: look, search, change",
        messages.ShowSettings,
        args="[words]",
        aliases=("config",),
        action="settings",
    ),
    Command(
        "keys",
        "all keys, and other ones for whatever you like",
        messages.ShowKeys,
        args="[words]",
    ),
    Command(
        "find",
        "search the conversation",
        messages.SearchChat,
        args="[text]",
        aliases=("search",),
        action="search",
    ),
    Command(
        "links",
        "the links in view: web pages, files, repositories",
        _no_argument("links", messages.ShowChatLinks),
    ),
    Command("copy", "copy the last answer, the newest code, or all", _copy, args="[last|code|error|all]"),
    Command(
        "sign-in",
        "give a key: Hugging Face, Anthropic, OpenAI, …; it is checked and kept",
        _no_argument("sign-in", messages.SignIn),
        aliases=("login", "setup"),
        objection=_between_turns,
    ),
    Command("theme", "choose the colours", _theme, args="[name]"),
    Command(
        "practice",
        "open the practice session: no key, no network, no cost",
        _no_argument("practice", messages.StartPractice),
        aliases=("demo",),
        objection=lambda state: "" if state.lost else _between_turns(state),
    ),
    Command("quit", "leave", _no_argument("quit", messages.Quit), aliases=("exit",), action="prompt.quit"),
)

_BY_NAME = {name: command for command in COMMANDS for name in (command.name, *command.aliases)}


def parse(text: str) -> Entered:
    """Tells a command from a message. `//` at the start stands for one slash of a message; a path is a message.

    Raises:
        UsageError: It looks like a command, but there is none of that name.
    """
    if text.startswith("//"):
        return Entered(text[1:])
    if not text.startswith("/") or text[1:2].isspace() or len(text) == 1:
        return Entered(text)
    word, _, rest = text[1:].partition("\n" if "\n" in text.split(" ", 1)[0] else " ")
    if command := _BY_NAME.get(word.lower()):
        return Entered(rest.strip(), command)
    if "/" in word or Path(f"/{word}").exists():
        return Entered(text)
    raise UsageError(_unknown(word))


def matching(prefix: str) -> list[Command]:
    """Commands for what was typed after the slash: of that name, then beginning with it, then merely containing it."""
    wanted = prefix.lower()
    exact = [command for command in COMMANDS if wanted in (command.name, *command.aliases)]
    begin = [
        command
        for command in COMMANDS
        if command not in exact and any(name.startswith(wanted) for name in (command.name, *command.aliases))
    ]
    contain = [command for command in COMMANDS if wanted in command.name and command not in exact + begin]
    return exact + begin + contain


def _unknown(word: str) -> str:
    near = difflib.get_close_matches(word.lower(), _BY_NAME, n=2, cutoff=0.5)
    hint = f"Did you mean {' or '.join('/' + name for name in near)}?" if near else "/help lists them."
    return f"There is no command /{word}. {hint} To send it as text, begin with //."

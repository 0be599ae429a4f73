"""The one registry of commands: slash commands, the palette, the help and the hints are all read from it."""

from __future__ import annotations

import difflib
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
        key: Key that does the same, as shown to people.
        objection: Why it cannot be done right now, or an empty string.
    """

    name: str
    help: str
    make: Callable[[str], Message]
    args: str = ""
    aliases: tuple[str, ...] = ()
    key: str = ""
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
        return "A turn is running. Esc ends it, then try again."
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


def _compact(argument: str) -> Message:
    return messages.Operate("compact", instructions=argument)


COMMANDS: tuple[Command, ...] = (
    Command("help", "keys and commands, and what has the focus", _no_argument("help", messages.ShowHelp), key="f1"),
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
    Command("steer", "tell the running turn something at its next step", _steer, args="TEXT", objection=_started),
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
        "status",
        "model, mode, context, cost and places",
        _no_argument("status", messages.ShowStatus),
        aliases=("cost",),
        objection=_started,
    ),
    Command("theme", "choose the colours", _theme, args="[name]"),
    Command(
        "practice",
        "open the practice session: no key, no network, no cost",
        _no_argument("practice", messages.StartPractice),
        aliases=("demo",),
        objection=lambda state: "" if state.lost else _between_turns(state),
    ),
    Command("quit", "leave", _no_argument("quit", messages.Quit), aliases=("exit",), key="ctrl+d"),
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
    """Commands for what was typed after the slash: those that begin with it, then those that merely contain it."""
    wanted = prefix.lower()
    begin = [
        command for command in COMMANDS if any(name.startswith(wanted) for name in (command.name, *command.aliases))
    ]
    contain = [command for command in COMMANDS if wanted in command.name and command not in begin]
    return begin + contain


def _unknown(word: str) -> str:
    near = difflib.get_close_matches(word.lower(), _BY_NAME, n=2, cutoff=0.5)
    hint = f"Did you mean {' or '.join('/' + name for name in near)}?" if near else "/help lists them."
    return f"There is no command /{word}. {hint} To send it as text, begin with //."

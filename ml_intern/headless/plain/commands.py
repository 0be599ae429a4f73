"""Commands of the plain conversation: those of the app that make sense line by line."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from ml_intern.core.protocol import (
    OPERATION,
    Compact,
    New,
    Operation,
    SetEffort,
    SetModel,
    Steer,
    Trust,
    Undo,
    Upload,
)
from ml_intern.options import EFFORTS, MODES

COMMANDS: dict[str, str] = {
    "help": "these commands",
    "model ID": "use another model; without ID, which one is in use and which are suggested",
    "mode NAME": "guarded, ask, plan or yolo: what must be asked",
    "effort LEVEL": "off, minimal, low, medium, high, xhigh or max: how hard the model thinks",
    "status": "model, mode, context, cost and session",
    "output": "all of what the last tool put out",
    "jobs": "jobs and how they stand",
    "steer TEXT": "tell the running turn something",
    "undo": "take back the last prompt and what followed it",
    "compact": "summarise the older part of the conversation",
    "upload PATH": "put data into a private data set, for the agent to load",
    "trust": "read this project's AGENTS.md from now on",
    "new": "begin a fresh conversation",
    "quit": "leave; so does the end of the input",
}
_NAMES = {usage.partition(" ")[0]: usage for usage in COMMANDS}
_ALIASES = {"exit": "quit", "clear": "new", "?": "help"}


class CommandError(Exception):
    """It looks like a command and is none that can be carried out. The message says what to type."""


@dataclass(frozen=True, slots=True)
class Local:
    """A command that the conversation itself carries out: `help`, `status`, `output`, `jobs`, `models`, `quit`."""

    name: str


def parse(line: str) -> Operation | Local | str:
    """What a line means: an operation, something for the conversation itself, or a prompt.

    Raises:
        CommandError: There is no such command, or its argument makes no sense.
    """
    if line.startswith("//") or not line.startswith("/") or line[1:2].isspace() or line == "/":
        return line[1:] if line.startswith("//") else line
    word, _, argument = line[1:].partition(" ")
    name, argument = _ALIASES.get(word.lower(), word.lower()), argument.strip()
    if "/" in name:
        return line  # a path
    if name not in _NAMES:
        near = difflib.get_close_matches(name, _NAMES, 1)
        hint = f"Did you mean /{near[0]}?" if near else "/help lists them."
        raise CommandError(f"There is no command /{word}. {hint} To send it as text, begin with //.")
    return _carried_out(name, argument)


def _carried_out(name: str, argument: str) -> Operation | Local:
    match name:
        case "model":
            return SetModel(model=argument) if argument else Local("models")
        case "mode":
            return _chosen("set_mode", "mode", argument, MODES)
        case "effort":
            return SetEffort(effort=_one_of("effort", argument, EFFORTS))
        case "steer" | "upload" if not argument:
            raise CommandError(f"Type /{_NAMES[name]}.")
        case "steer":
            return Steer(text=argument)
        case "upload":
            return Upload(path=argument)
        case "compact":
            return Compact(instructions=argument)
    simple: dict[str, Operation] = {"undo": Undo(), "trust": Trust(), "new": New()}
    return simple.get(name) or Local(name)


def _chosen(kind: str, field: str, argument: str, choices: tuple[str, ...]) -> Operation:
    fields: dict[str, Any] = {"type": kind, field: _one_of(field, argument, choices)}
    return OPERATION.validate_python(fields)


def _one_of(what: str, argument: str, choices: tuple[str, ...]) -> str:
    if argument.lower() not in choices:
        raise CommandError(f"{argument or 'Nothing'} is no {what}. It is one of {', '.join(choices)}.")
    return argument.lower()

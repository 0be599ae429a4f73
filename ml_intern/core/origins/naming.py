"""What a text from outside is called when a person is told of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ml_intern.core.plain_text import plain
from ml_intern.core.trail import Source, sources_of

_LONGEST = 120

_PARTLESS = {"data set": "data set ", "page": "page ", "documentation": "page ", "paper": "paper "}


def name_of(tool: str, arguments: Mapping[str, Any]) -> str:
    """A name for what a call has brought, from the call's own arguments: no text can give itself one.

    Args:
        tool: The tool that brought it.
        arguments: What it was called with.
    """
    special = _SPECIAL.get(tool)
    if special is not None:
        return short(special(arguments))
    found = next(sources_of(tool, arguments, ""), None)
    if found is not None:
        return short(_named(found))
    if "__" in tool:
        return "answer of an MCP server"
    said = " ".join(str(value) for value in arguments.values() if isinstance(value, str | int | float))
    return short(f"result for {said}" if said else f"result of {tool}")


def short(text: str, limit: int = _LONGEST) -> str:
    """The beginning of a text on one line."""
    text = printable(plain(text[: 4 * limit]))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def printable(text: str) -> str:
    """A text on one line, with nothing in it that cannot be seen."""
    seen = text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)
    return " ".join(seen.split())


def _named(source: Source) -> str:
    parts = ", ".join(source.parts)
    if prefix := _PARTLESS.get(source.kind):
        return f"{prefix}{source.id}{f', {parts}' if parts else ''}"
    return f"{parts} of {source.id}" if parts else source.id


def _text(arguments: Mapping[str, Any], key: str) -> str:
    value = arguments.get(key)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value) if value not in (None, "") else ""


def _git(arguments: Mapping[str, Any]) -> str:
    number, repo = _text(arguments, "number"), _text(arguments, "repo_id")
    return f"discussion {number} of {repo}" if number else repo


_SPECIAL: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "web_search": lambda arguments: f"search results for {_text(arguments, 'query')}",
    "hub_search": lambda arguments: f"search results for {_text(arguments, 'query')}",
    "hub_repo_details": lambda arguments: f"details of {_text(arguments, 'repo_ids')}",
    "github_list_repos": lambda arguments: f"repositories of {_text(arguments, 'owner')}",
    "hf_repo_git": _git,
    "research": lambda arguments: f"report on {_text(arguments, 'task')}",
    "read": lambda arguments: f"file {_text(arguments, 'path')}",
    "bash": lambda arguments: f"output of {_text(arguments, 'command')}",
}

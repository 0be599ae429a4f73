"""What a person means by `@path` in a prompt: `@train.py`, `@train.py:10-40`, `@"my notes.txt"`, `@src/`.

A word behind an `@` is a mention when something of that name is there; else it is text, as in an address or a
decorator.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOST = 50
"""So many mentions of one prompt are looked at: a pasted log may hold thousands of `@`."""

_AT = re.compile(
    r'(?<![^\s(\[{<"\'`,;])@(?:"(?P<quoted>[^"\n]{1,1000})"(?P<lines>\S{0,20})|(?P<bare>[^\s"@]\S{0,999}))'
)
_LINES = re.compile(r"(?::|#L)(\d{1,9})(?:(-)L?(\d{0,9}))?\Z")
_CLOSING = "\"'`)]}>.,;:!?…“”’»"


@dataclass(frozen=True, slots=True)
class Mention:
    """Something that a prompt names and that is there.

    Attributes:
        name: The path as it was typed, without lines.
        path: Where it is.
        first: First line that is meant, from 1; None: all of it.
        last: Last line; None: to the end.
    """

    name: str
    path: Path
    first: int | None = None
    last: int | None = None

    @property
    def lines(self) -> str:
        """The lines as they are written behind a path, or empty."""
        if self.first is None:
            return ""
        return f":{self.first}" if self.last == self.first else f":{self.first}-{self.last or ''}"


def mentions_in(text: str, workspace: Path) -> list[Mention]:
    """What a text names, each once, in its order. Looks at the disk.

    Args:
        text: A prompt.
        workspace: What relative paths begin at; `~` is the home directory.
    """
    found: dict[tuple[Path, str], Mention] = {}
    for _, match in zip(range(MOST), _AT.finditer(text), strict=False):
        if mention := _resolve(match, workspace):
            found.setdefault((mention.path, mention.lines), mention)
    return list(found.values())


def _resolve(match: re.Match[str], workspace: Path) -> Mention | None:
    for name, lines in _readings(match):
        path = Path(os.path.normpath(workspace / Path(name).expanduser())) if _may_be_path(name) else None
        if path is not None and _exists(path):
            return Mention(name, path, *_range(lines))
    return None


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (OSError, ValueError):  # nothing there, or a name that no system can have
        return False
    return True


def _may_be_path(name: str) -> bool:
    return bool(name) and "\0" not in name and not (name.startswith("~") and not name.startswith(("~/", "~\\")))


def _readings(match: re.Match[str]) -> Iterator[tuple[str, str]]:
    """What may be meant, as name and lines: first all of it, then without what closes a sentence or a bracket."""
    if quoted := match["quoted"]:
        lines = match["lines"].rstrip(_CLOSING)
        yield quoted, lines if _LINES.match(lines) else ""
        return
    word = match["bare"]
    while word:
        yield word, ""
        if lines := _LINES.search(word):
            yield word[: lines.start()], lines.group()
        if word[-1] not in _CLOSING:
            return
        word = word[:-1]


def _range(lines: str) -> tuple[int | None, int | None]:
    found = _LINES.match(lines)
    if found is None:
        return None, None
    first = max(1, int(found[1]))
    if not found[2]:
        return first, first
    return first, max(first, int(found[3])) if found[3] else None

"""Text from models, tools and logs, made fit for a line, a terminal or a database."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePath

from ml_intern.core.plain_text import plain

_PRACTICE = re.compile(r"practice[/\\]\d{8}-\d{6}-[0-9a-f]{4}")


def directory_name(directory: str) -> str:
    """The last part of a path; `practice` for a directory of the practice session, whose own name says nothing."""
    path = PurePath(directory)
    return "practice" if _PRACTICE.fullmatch(str(PurePath(*path.parts[-2:]))) else path.name


def one_line(text: str, limit: int = 0) -> str:
    """The text on one line, white space collapsed, cut to `limit` characters (0: not at all)."""
    line = " ".join(plain(text[: limit * 8] if limit else text).split())
    return line if not limit or len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def width(text: str) -> int:
    """Columns that a line takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def fit(text: str, columns: int) -> str:
    """A line in exactly so many columns: cut with an ellipsis or filled up with blanks."""
    if width(text) > columns:
        kept, taken = [], 0
        for character in text:
            taken += _columns(character)
            if taken > columns - 1:
                break
            kept.append(character)
        text = "".join(kept) + "…"
    return text + " " * (columns - width(text))


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Cf", "Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1

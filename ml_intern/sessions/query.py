"""What a person types to search, as a query of the full text, and what comes back, as text with marks."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SHORTEST_PREFIX = 3
"""Shorter beginnings fit half of all words."""

_WORD = re.compile(r"\w")


def words_of(text: str) -> list[str]:
    """The words to look for. What stands in double quotes belongs together."""
    parts = re.findall(r'"([^"]*)"|([^\s"]+)', text)
    return [word for pair in parts if _WORD.search(word := (pair[0] or pair[1]).replace("\0", " ").strip())]


def fts_query(words: Sequence[str], *, prefix: bool = True) -> str:
    """A query that all words fit, in any order; nothing in them has a meaning of its own.

    Args:
        words: At least one.
        prefix: Whether the last one may be the beginning of a word.
    """
    quoted = [f'"{word}"' for word in words]
    last = words[-1]
    if prefix and len(last) >= _SHORTEST_PREFIX and _WORD.match(last[-1]):
        quoted[-1] += "*"
    return " ".join(quoted)


def marked(snippet: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """A snippet on one line, and where its words stand that were marked with the characters 2 and 3."""
    text: list[str] = []
    marks: list[tuple[int, int]] = []
    length = start = 0
    for piece in re.split("([\x02\x03])", " ".join(snippet.split())):
        if piece == "\x02":
            start = length
        elif piece == "\x03":
            marks.append((start, length))
        else:
            text.append(piece)
            length += len(piece)
    return "".join(text), tuple(marks)

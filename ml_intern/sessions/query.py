"""What a person types to search, as a query of the full text, and what comes back, as text with marks."""

from __future__ import annotations

import re

SHORTEST_PREFIX = 3
"""Shorter beginnings fit half of all words."""

_WORD = re.compile(r"\w")


_UNSPACED = re.compile(
    "[\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
"""Characters of Chinese and Japanese, which put nothing between words."""
_BREAK = "\u200b"


def spaced(text: str) -> str:
    """The text as it is searched: where writing knows no words, each character is one, so that any part is found."""
    return text if text.isascii() else _UNSPACED.sub(rf"{_BREAK}\g<0>{_BREAK}", text)


def words_of(text: str) -> list[str]:
    """The words to look for. What stands in double quotes belongs together."""
    parts = re.findall(r'"([^"]*)"|([^\s"]+)', text)
    return [word for pair in parts if _WORD.search(word := (pair[0] or pair[1]).replace("\0", " ").strip())]


def phrase(text: str) -> str:
    """A query for these words in this order; nothing in them has a meaning of its own."""
    return '"' + spaced(text).replace('"', " ") + '"'


def marked(snippet: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """A snippet on one line, and where its words stand that were marked with the characters 2 and 3."""
    text: list[str] = []
    marks: list[tuple[int, int]] = []
    length = start = 0
    for piece in re.split("([\x02\x03])", " ".join(snippet.replace(_BREAK, "").split())):
        if piece == "\x02":
            start = length
        elif piece == "\x03":
            marks.append((start, length))
        else:
            text.append(piece)
            length += len(piece)
    return "".join(text), tuple(marks)

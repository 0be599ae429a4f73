"""A text that is looked for, wherever a person searches what was said and run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+")
_MARKUP = "*~`\\"
"""What may stand inside a word of markdown without being shown."""


class Needle:
    """Looks for a text. Its case counts only when it has capitals; its blanks stand for any blanks within a line.

    Args:
        text: What to look for; white space around it does not count, and an empty one is nowhere.
    """

    __slots__ = ("_exact", "_pattern", "_plain", "_words", "text")

    def __init__(self, text: str) -> None:
        words = text.split()
        self.text = " ".join(words)
        self._exact = any(char.isupper() for char in text)
        # A single word is counted many times faster without the pattern.
        self._plain = (self.text if self._exact else self.text.lower()) if text.isascii() and len(words) == 1 else ""
        flags = re.NOFLAG if self._exact else re.IGNORECASE
        self._pattern = re.compile(r"[^\S\n]+".join(map(re.escape, words)), flags)
        self._words = sorted(_WORD.findall(self.text if self._exact else self.text.lower()), key=len, reverse=True)

    def __bool__(self) -> bool:
        return bool(self.text)

    def places(self, text: str) -> Iterator[tuple[int, int]]:
        """Where it stands in a text, as ranges of characters that do not overlap."""
        if self.text and self._may_hold(text):
            for match in self._pattern.finditer(text):
                yield match.span()

    def count(self, text: str) -> int:
        """How often it stands in a text."""
        if self._plain and (self._exact or text.isascii()):
            return (text if self._exact else text.lower()).count(self._plain)
        return sum(1 for _ in self.places(text))

    def within(self, text: str) -> bool:
        """Whether a text holds it."""
        return bool(self.text) and self._may_hold(text) and self._pattern.search(text) is not None

    def may_be_shown(self, markdown: str) -> bool:
        """Whether it could be part of what a markdown text shows. Quick; True means: look at what it shows."""
        if not self.text:
            return False
        for char in _MARKUP:
            if char in markdown:
                markdown = markdown.replace(char, "")
        return "&" in markdown or self._may_hold(markdown)

    def _may_hold(self, text: str) -> bool:
        """A search for words is many times faster than that for the pattern, and nearly always answers no."""
        if not self._exact:
            text = text.lower()
        return all(word in text for word in self._words)


@lru_cache(maxsize=8)
def needle_of(text: str) -> Needle:
    """The needle for a text, made once."""
    return Needle(text)

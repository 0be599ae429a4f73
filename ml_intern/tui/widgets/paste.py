"""Large pastes, folded into one line of the prompt each and unfolded when it is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping

FOLD_CHARS = 1_000
FOLD_LINES = 15
ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".webp")
LONGEST_LIST = 8_000
"""A longer text is no list of dropped files."""
_SIGN = re.compile(r"\[pasted text #(\d+): \d+ lines?\]")


def may_be_pictures(pasted: str) -> bool:
    """Whether it is worth a look at the disk if a pasted text names image files, as a terminal writes dropped ones."""
    return len(pasted) <= LONGEST_LIST and pasted.strip().strip("'\"").lower().endswith(ENDINGS)


def continues(before: str) -> bool:
    """Whether a line that goes as far as the cursor asks, with a backslash, to be followed by another."""
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


class Folds:
    """What the signs in the prompt stand for."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._count = 0

    def fold(self, text: str) -> str:
        """A sign for a large text; a small one stays as it is."""
        lines = text.count("\n") + 1
        if len(text) <= FOLD_CHARS and lines <= FOLD_LINES:
            return text
        self._count += 1
        sign = f"[pasted text #{self._count}: {lines} line{'' if lines == 1 else 's'}]"
        self._texts[sign] = text
        return sign

    def unfold(self, text: str) -> str:
        """The text with each sign replaced by what it stands for."""
        return _SIGN.sub(lambda sign: self._texts.get(sign.group(), sign.group()), text)

    def sign_before(self, text: str) -> int:
        """Length of the sign that a text ends with; 0 without one."""
        return next((len(sign) for sign in self._texts if text.endswith(sign)), 0)

    def sign_after(self, text: str) -> int:
        """Length of the sign that a text begins with; 0 without one."""
        return next((len(sign) for sign in self._texts if text.startswith(sign)), 0)

    def in_text(self, text: str) -> dict[str, str]:
        """What the signs in a text stand for."""
        return {sign: self._texts[sign] for found in _SIGN.finditer(text) if (sign := found.group()) in self._texts}

    def restore(self, texts: Mapping[str, str]) -> None:
        """Takes signs over that were kept elsewhere."""
        found = {sign: number for sign in texts if (number := _SIGN.fullmatch(sign))}
        self._texts |= {sign: texts[sign] for sign in found}
        self._count = max([self._count, *(int(number[1]) for number in found.values())])

    def clear(self) -> None:
        """Forgets everything: the prompt was sent. The count begins anew."""
        self._texts.clear()
        self._count = 0

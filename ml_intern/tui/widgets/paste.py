"""Large pastes, folded into one line of the prompt each and unfolded when it is sent."""

from __future__ import annotations

import re

FOLD_CHARS = 1_000
FOLD_LINES = 15
_SIGN = re.compile(r"\[pasted text #\d+: \d+ lines?\]")


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

    def clear(self) -> None:
        """Forgets everything: the prompt was sent. The count begins anew."""
        self._texts.clear()
        self._count = 0

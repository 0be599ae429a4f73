"""What the practice model understands of what a person writes: a few kinds of wishes, and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

WishKind = Literal["epochs", "task", "fewer", "more", "again", "go on", "stop", "thanks", "why", "results", "other"]

WORK: frozenset[WishKind] = frozenset({"epochs", "task", "fewer", "more", "again", "go on"})
"""Wishes after which the work goes on."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody seems to want; `number` belongs to `epochs`."""

    kind: WishKind
    number: int = 0


_NUMBER = re.compile(r"(?:epochs?|passes)\D{0,12}?(\d{1,6})|(\d{1,6})\s*(?:epochs?|passes)", re.IGNORECASE)
_ONLY_NUMBER = re.compile(r"\W*(?:use|try|only|just|make it|with)?\s*(\d{1,6})\W*", re.IGNORECASE)

# In this order: `no, do not run it again` is a no.
_WORDS: tuple[tuple[WishKind, str], ...] = (
    ("task", r"classif\w+|data\.csv|practi[cs]e|demo|first run"),
    ("fewer", r"fewer|less|shorter|faster|quicker|too long|too many|too slow"),
    ("stop", r"no job|do not|don'?t|stop|cancel|never ?mind|skip|abort|leave it|not now|enough|no(?=\W*$|,)"),
    ("again", r"again|once more|another run|re-?run|start over|from the beginning"),
    ("more", r"more epochs|longer|more training|train more"),
    ("go on", r"continue|go on|go ahead|carry on|proceed|resume|retry|yes|ok|okay|sure|run it|do it"),
    ("thanks", r"thanks|thank you|thx|great|nice|well done"),
    ("why", r"why|how come|explain|reason|what changed|what is different"),
    ("results", r"accura\w*|result\w*|score\w*|figure\w*|number\w*|how good|how well|report|summary"),
)
_PATTERNS = tuple((kind, re.compile(rf"\b(?:{words})\b", re.IGNORECASE)) for kind, words in _WORDS)


def read_wish(text: str) -> Wish:
    """The wish in a person's words; a number of epochs beats everything else."""
    numbers = [next(group for group in match.groups() if group) for match in _NUMBER.finditer(text)]
    if not numbers and (only := _ONLY_NUMBER.fullmatch(text)):
        numbers = [only[1]]
    if numbers:
        return Wish("epochs", int(numbers[-1]))
    return Wish(next((kind for kind, pattern in _PATTERNS if pattern.search(text)), "other"))


def wanted_epochs(wish: Wish, now: int, most: int) -> int:
    """How many epochs a wish leads to, at least 1 and at most `most`."""
    wanted = {"epochs": wish.number, "fewer": now // 2, "more": now * 2}.get(wish.kind, now)
    return min(max(wanted, 1), most)

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from ml_intern.sessions.summary import Summary
from ml_intern.tui.screens.sessions_shelf import Shelf, entries_of

WORDS = ("lora", "loRAx", "sft", "smollm", "ml", "llm")
PLACES = ("/data/a", "/data/b")


def typed(chance: random.Random) -> Iterator[str]:
    """What stands in the filter while somebody types, erases, and goes back to change a word."""
    text = ""
    for _ in range(60):
        match chance.randrange(4):
            case 0:
                text = text[:-1]
            case 1:
                text = f"{text} {chance.choice(WORDS)}"
            case 2:
                at = chance.randrange(len(text) + 1)
                text = text[:at] + chance.choice("lorms ") + text[at:]
            case _:
                text += chance.choice("lorms")
        yield text


@pytest.mark.parametrize("seed", range(5))
def test_what_fits_does_not_depend_on_what_was_typed_before(seed: int) -> None:
    chance = random.Random(seed)
    shelf = Shelf()
    sessions = {
        f"{number:03}": Summary(
            f"{number:03}",
            prompt=" ".join(chance.choices(WORDS, k=3)),
            directory=chance.choice(PLACES),
            ended=f"2026-01-01T{number:05}",
        )
        for number in range(120)
    }
    shelf.put(entries_of(sessions.values()))
    for text in typed(chance):
        where = chance.choice((None, *PLACES))
        also = {name for name in sessions if chance.random() < 0.05}
        words = text.casefold().split()
        expected = [
            session
            for session in reversed(sessions.values())
            if where in (None, session.directory)
            and (
                session.id in also
                or all(word in f"{session.prompt}\n{session.directory}\ninterrupted".casefold() for word in words)
            )
        ]
        assert shelf.select(where, text, also) == expected
        if chance.random() < 0.1:
            gone = chance.choice(list(sessions))
            del sessions[gone]
            shelf.drop([gone])

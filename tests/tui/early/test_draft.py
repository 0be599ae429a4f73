from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from textual._xterm_parser import XTermParser
from textual.app import App, ComposeResult

from ml_intern.tui.early.draft import NEWLINE_KEYS, Draft
from ml_intern.tui.early.keys import ESCAPE_S, EarlyKeys
from ml_intern.tui.keys.actions import ACTIONS
from ml_intern.tui.widgets.prompt import Prompt

SIMPLE = (
    *("a", "Zoë", " ", "word ", "x.y", "日本", "é", "👍", "e\u0301", "\u200d", "\u00a0", "(", "-", "_b", "\\", "!"),
    *("\r", "\n", "\x7f", "\x08", "\x15", "\x17", "\x7f\x7f\x7f"),
    *("\x1b[I", "\x1b[?2026;2$y", "\x1b[3;4R", "\x1b[<35;3;4M"),
    *("\x1b[200~one\rtwo\r\nthree\x1b[201~", "\x1b[200~\x1b[201~", f"\x1b[200~{'long ' * 300}\x1b[201~"),
)
OTHERS = (
    "\x1b[D",
    "\x1b",
    "\x01",
    "\x0b",
    "\x1bOP",
    "\x1b[200~a\tb\x1b[201~",
    "\x1b[200~/tmp/a.png\x1b[201~",
    "/help\r",
    "\x1ba",
    "\x1b\r",
)


class Desk(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    def compose(self) -> ComposeResult:
        yield Prompt(id="prompt")

    def on_prompt_submitted(self, event: Prompt.Submitted) -> None:
        self.sent.append(event.text)


def typed(choice: random.Random) -> Iterator[str]:
    for _ in range(choice.randrange(1, 25)):
        yield choice.choice(SIMPLE if choice.random() < 0.97 else OTHERS)


async def test_the_draft_is_what_the_prompt_makes_of_the_same_keys() -> None:
    choice, compared, desk = random.Random(7), 0, Desk()
    async with desk.run_test() as pilot:
        prompt = desk.query_one(Prompt)
        prompt.focus()
        for _ in range(60):
            text = "".join(typed(choice))
            keys = EarlyKeys(Draft())
            for byte in text.encode():
                keys.take(bytes([byte]), 0.0)
            prompt.load_text("")
            prompt.folds.clear()
            desk.sent.clear()
            for event in XTermParser().feed(text):
                desk.post_message(event)
            await pilot.pause()
            if keys.draft.certain and not keys.draft.left and not keys.within:
                compared += 1
                assert (prompt.text, desk.sent) == (keys.draft.text, keys.draft.sent), repr(text)
            assert b"".join(keys.pieces).decode() == text
    assert compared > 20


@pytest.mark.parametrize("other", OTHERS)
def test_a_key_of_unknown_effect_ends_the_draft_but_not_the_keeping(other: str) -> None:
    keys = EarlyKeys(Draft())
    keys.take(f"{other}c".encode(), 0.0)
    text = keys.draft.text
    later = "d\x1b[200~pasted\x1b[201~"
    keys.take(later.encode(), ESCAPE_S)
    assert (keys.draft.text, keys.draft.certain) == (text, False)
    assert b"".join(keys.pieces).decode() == f"{other}c{later}"


def test_keys_that_a_person_can_give_another_meaning_are_not_known_once_one_has_been_given() -> None:
    draft = Draft()
    draft.own_keys = True
    keys = EarlyKeys(draft)
    keys.take("Zoë\x7f\x1b[200~one\x1b[201~".encode(), 0.0)
    assert (draft.text, draft.certain) == ("Zoone", True)
    keys.take(b"\r", 0.0)
    assert (draft.text, draft.sent, draft.certain) == ("Zoone", [], False)


def test_new_lines_begin_with_the_keys_of_the_table() -> None:
    assert set(ACTIONS["prompt.newline"].standard) == NEWLINE_KEYS
    assert ACTIONS["prompt.send"].standard == ("enter",)


def test_an_escape_alone_is_a_key_and_what_comes_after_a_while_is_another() -> None:
    keys = EarlyKeys(Draft())
    keys.take(b"a\x1b", 1.0)
    assert keys.within == "sequence"
    keys.take(b"b", 1.0 + ESCAPE_S)
    assert keys.pieces == [b"a\x1b", b"b"]
    assert not keys.within


def test_what_has_begun_is_told() -> None:
    keys = EarlyKeys(Draft())
    keys.take("é".encode()[:1], 0.0)
    assert keys.within == "character"
    keys.take("é".encode()[1:] + b"\x1b[200~x", 0.0)
    assert (keys.within, keys.draft.text) == ("paste", "é")
    keys.take(b"y\x1b[201~", 0.0)
    assert (keys.within, keys.draft.text) == ("", "éxy")


def test_ctrl_d_leaves_only_when_nothing_was_said() -> None:
    for text, left in (("\x04", True), ("ab\x7f\x7f\x04", True), ("a\x04", False), ("a\r\x04", False)):
        keys = EarlyKeys(Draft())
        keys.take(text.encode(), 0.0)
        assert keys.draft.left is left, repr(text)

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_intern.core.llm.partial_json import ObjectReader


class Noted:
    """What a reader has told."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.others: dict[str, str] = {}

    def text(self, key: str, piece: str) -> None:
        self.texts[key] = self.texts.get(key, "") + piece

    def other(self, key: str, piece: str) -> None:
        self.others[key] = self.others.get(key, "") + piece


def read(*pieces: str) -> Noted:
    noted = Noted()
    reader = ObjectReader(noted)
    for piece in pieces:
        reader.feed(piece)
    return noted


def value_of(noted: Noted) -> dict[str, Any]:
    return noted.texts | {key: json.loads(raw) for key, raw in noted.others.items()}


TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=5), st.booleans(), st.integers(1, 7))
def test_an_object_is_read_however_it_is_cut_and_written(value: dict[str, Any], plain: bool, size: int) -> None:
    written = json.dumps(value, ensure_ascii=not plain, indent=1 if plain else None)
    pieces = [written[start : start + size] for start in range(0, len(written), size)]
    assert value_of(read(*pieces)) == value


def test_a_text_is_told_while_it_comes() -> None:
    noted, wanted = Noted(), []
    reader = ObjectReader(noted)
    for piece in ('{"pa', 'th": "a', '.py", "content": "x = 1\\', "ny = 2"):
        reader.feed(piece)
        wanted.append(dict(noted.texts))
    assert wanted == [
        {},
        {"path": "a"},
        {"path": "a.py", "content": "x = 1"},
        {"path": "a.py", "content": "x = 1\ny = 2"},
    ]


@pytest.mark.parametrize(
    ("written", "texts"),
    [
        ('{"a": "\\ud83d\\ude00!"}', {"a": "\U0001f600!"}),
        ('{"a": "\\ud83d!"}', {"a": "\ufffd!"}),
        ('{"a": "\\ud83d\\ud83d\\ude00"}', {"a": "\ufffd\U0001f600"}),
        ('{"a": "\\ude00"}', {"a": "\ufffd"}),
        ('{"a": "\\uzzzz\\q"}', {"a": "\ufffdq"}),
        ("[1, 2]", {}),
        ('{"a": "b"} {"c": "d"}', {"a": "b"}),
        ('{"a" "b"}', {}),
        ("", {}),
    ],
)
def test_what_is_odd_harms_nothing(written: str, texts: dict[str, str]) -> None:
    assert read(written).texts == texts
    assert read(*written).texts == texts


def test_the_cost_of_a_piece_is_that_of_its_own_length() -> None:
    def seconds(size: int) -> float:
        written = json.dumps({"script": "print('hello')\n" * (size // 15)})
        noted = _Counted()
        reader = ObjectReader(noted)
        began = time.process_time()
        for start in range(0, len(written), 8):
            reader.feed(written[start : start + 8])
        assert noted.characters == size // 15 * 15
        return time.process_time() - began

    seconds(20_000)
    small, large = min(seconds(40_000) for _ in range(3)), min(seconds(400_000) for _ in range(3))
    assert large < 30 * small


class _Counted:
    characters = 0

    def text(self, _key: str, piece: str) -> None:
        self.characters += len(piece)

    def other(self, _key: str, _piece: str) -> None:
        raise AssertionError("there is only a text")

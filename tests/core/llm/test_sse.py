from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_intern.core.llm.sse import MAX_EVENT_BYTES, SSEParser


def parse(*pieces: bytes) -> list[str]:
    parser = SSEParser()
    return [event for piece in pieces for event in parser.feed(piece)] + parser.close()


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"data: a\n\ndata: b\n\n", ["a", "b"]),
        (b"data: a\r\n\r\ndata:b\r\n\r\n", ["a", "b"]),
        (b": keep-alive\n\nevent: x\nid: 1\ndata: a\nretry: 3\n\n", ["a"]),
        (b"data: a\ndata: b\n\n", ["a\nb"]),
        (b"data:  two spaces\n\n\n\n", [" two spaces"]),
        (b"data: no end", ["no end"]),
        (b"data: no blank line\n", ["no blank line"]),
        (b"nonsense\ndata\n\n", []),
    ],
)
def test_events_are_read_in_every_form_that_servers_use(body: bytes, events: list[str]) -> None:
    assert parse(body) == events


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1)), st.data())
def test_bytes_may_be_split_anywhere_even_within_a_character(events: list[str], data: st.DataObject) -> None:
    body = "".join(f"data: {event}\r\n\r\n" for event in events).encode()
    places = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    bounds = [0, *places, len(body)]
    pieces = [body[start:end] for start, end in itertools.pairwise(bounds)]
    assert parse(*pieces) == events


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert parse(b"data: a\xff\n\n") == ["a\ufffd"]


def test_an_endless_event_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        parse(b"data: " + b"x" * MAX_EVENT_BYTES)

from __future__ import annotations

import logging

import pytest

from ml_intern.core.events import EventStream
from ml_intern.core.protocol import EventBase, Notice


def note(text: str) -> Notice:
    return Notice(text=text)


def test_events_are_stamped_and_reach_consumers_in_their_order() -> None:
    stream = EventStream("s")
    heard: list[tuple[str, int]] = []
    stream.subscribe(lambda event: heard.append(("first", event.seq)))
    stream.subscribe(lambda event: heard.append(("second", event.seq)))
    stamped = stream.emit(note("a"))
    stream.emit(note("b"))
    assert heard == [("first", 1), ("second", 1), ("first", 2), ("second", 2)]
    assert (stamped.session_id, stamped.text) == ("s", "a")
    assert stamped.time.endswith("Z")


def test_event_emitted_by_a_consumer_comes_after_the_one_it_answers() -> None:
    stream = EventStream("s")
    heard: list[int] = []

    def answer(event: EventBase) -> None:
        if isinstance(event, Notice) and event.text == "a":
            assert stream.emit(note("b")).seq == 2

    stream.subscribe(answer)
    stream.subscribe(lambda event: heard.append(event.seq))
    stream.emit(note("a"))
    stream.emit(note("c"))
    assert heard == [1, 2, 3]


def test_consumer_that_raises_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    stream = EventStream("s")
    heard: list[int] = []

    def broken(_event: EventBase) -> None:
        raise ValueError("broken consumer")

    stream.subscribe(broken)
    stream.subscribe(lambda event: heard.append(event.seq))
    with caplog.at_level(logging.ERROR):
        stream.emit(note("a"))
        stream.emit(note("b"))
    assert heard == [1, 2]
    assert "broken consumer" in caplog.text


def test_consumer_hears_nothing_after_it_left() -> None:
    stream = EventStream("s")
    heard: list[int] = []
    leave = stream.subscribe(lambda event: heard.append(event.seq))
    stream.emit(note("a"))
    leave()
    stream.emit(note("b"))
    assert heard == [1]


def test_counting_goes_on_after_an_earlier_part() -> None:
    stream = EventStream("s")
    stream.continue_from(41)
    assert stream.emit(note("a")).seq == 42
    stream.continue_from(7)
    assert stream.emit(note("b")).seq == 43

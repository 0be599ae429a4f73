from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_intern.core.llm.accumulator import Accumulator
from ml_intern.core.llm.types import RawToolCall, Reply, Usage


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def calls_of(*pieces: dict[str, Any]) -> list[tuple[str, str]]:
    return [(call.name, call.arguments) for call in assembled(*pieces)]


def assembled(*pieces: dict[str, Any]) -> tuple[RawToolCall, ...]:
    accumulator = Accumulator(["bash", "read", "hf_jobs"])
    for piece in pieces:
        accumulator.feed(chunk({"tool_calls": [piece]}))
    return accumulator.reply().tool_calls


def piece(index: Any = None, id: Any = None, name: Any = None, arguments: Any = None) -> dict[str, Any]:  # noqa: A002
    return {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_parallel_calls_are_kept_apart_by_their_index() -> None:
    interleaved = [
        piece(0, "a", "bash", ""),
        piece(1, "b", "read", '{"pa'),
        piece(0, None, None, '{"x"'),
        piece(1, None, None, 'th": 1}'),
        piece(0, None, None, ": 2}"),
    ]
    assert calls_of(*interleaved) == [("bash", '{"x": 2}'), ("read", '{"path": 1}')]
    assert [call.id for call in assembled(*interleaved)] == ["a", "b"]


@pytest.mark.parametrize("index", [None, 0])
def test_whole_calls_without_an_index_or_all_numbered_zero_are_different_calls(index: int | None) -> None:
    assert calls_of(piece(index, "a", "bash", '{"n": 1}'), piece(index, "b", "bash", '{"n": 2}')) == [
        ("bash", '{"n": 1}'),
        ("bash", '{"n": 2}'),
    ]


def test_calls_in_pieces_that_are_all_numbered_zero_are_told_apart_by_their_ids() -> None:
    pieces = [
        piece(0, "a", "bash", ""),
        piece(0, None, None, "{}"),
        piece(0, "b", "read", ""),
        piece(0, None, None, '{"p": 1}'),
    ]
    assert calls_of(*pieces) == [("bash", "{}"), ("read", '{"p": 1}')]


def test_calls_without_index_and_id_are_told_apart_by_their_names() -> None:
    pieces = [piece(name="bash", arguments='{"n": 1}'), piece(name="bash", arguments={"n": 2}), piece(arguments=" ")]
    assert calls_of(*pieces) == [("bash", '{"n": 1}'), ("bash", '{"n": 2} ')]


def test_a_piece_that_names_only_the_id_belongs_to_that_call() -> None:
    pieces = [piece(None, "a", "bash", "{"), piece(None, "b", "read", "{"), piece(None, "a", None, "}")]
    assert calls_of(*pieces) == [("bash", "{}"), ("read", "{")]


@pytest.mark.parametrize(
    ("index", "ids"),
    [(i, ids) for i in (None, 0) for ids in ("aaa", ("a", None, None), (None,) * 3)] + [(0, "abc")],
)
def test_a_name_that_comes_again_in_every_piece_is_not_doubled(index: int | None, ids: Sequence[str | None]) -> None:
    parts = ('{"a"', ": 1", "}")
    pieces = [piece(index, id, "bash", part) for id, part in zip(ids, parts, strict=True)]  # noqa: A001
    assert calls_of(*pieces) == [("bash", '{"a": 1}')]


@pytest.mark.parametrize("index", [None, 0])
def test_a_name_in_pieces_is_joined(index: int | None) -> None:
    assert calls_of(piece(index, None, "hf_"), piece(index, None, "jobs"), piece(index, None, None, "{}")) == [
        ("hf_jobs", "{}")
    ]


def test_a_name_of_two_equal_halves_is_joined_when_there_is_such_a_tool() -> None:
    accumulator = Accumulator(["gogo"])
    for half in ("go", "go"):
        accumulator.feed(chunk({"tool_calls": [piece(0, "a", half)]}))
    assert accumulator.reply().tool_calls[0].name == "gogo"


def test_missing_and_doubled_ids_are_replaced_by_unique_ones() -> None:
    calls = assembled(piece(0, "same", "bash", "{}"), piece(1, "same", "read", "{}"), piece(2, None, "bash", "{}"))
    ids = [call.id for call in calls]
    assert ids[0] == "same"
    assert len(set(ids)) == 3
    assert all(ids)


def test_an_id_that_comes_late_is_taken() -> None:
    assert assembled(piece(0, None, "bash", "{"), piece(0, "late", None, "}"))[0].id == "late"


def test_arguments_given_as_an_object_become_text() -> None:
    assert json.loads(assembled(piece(0, "a", "bash", {"command": "é"}))[0].arguments) == {"command": "é"}


def test_a_legacy_function_call_is_a_tool_call() -> None:
    accumulator = Accumulator(["bash"])
    accumulator.feed(chunk({"function_call": {"name": "bash", "arguments": '{"a"'}}))
    accumulator.feed(chunk({"function_call": {"arguments": ": 1}"}}, "function_call"))
    reply = accumulator.reply()
    assert [(call.name, call.arguments) for call in reply.tool_calls] == [("bash", '{"a": 1}')]
    assert reply.finish_reason == "tool_calls"


@pytest.mark.parametrize("junk", [None, [], [None], "x", [{"function": None}], [{"function": {"name": None}}]])
def test_junk_in_place_of_calls_breaks_nothing(junk: Any) -> None:
    accumulator = Accumulator()
    accumulator.feed(chunk({"content": "a", "tool_calls": junk}, "stop"))
    assert accumulator.reply().content == "a"


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_is_kept_apart_from_the_answer(key: str) -> None:
    accumulator = Accumulator()
    deltas = accumulator.feed(chunk({key: "hm "})) + accumulator.feed(chunk({key: "so", "content": "yes"}))
    reply = accumulator.reply()
    assert (reply.reasoning, reply.content) == ("hm so", "yes")
    assert [delta.kind for delta in deltas] == ["reasoning", "reasoning", "text"]


def test_the_same_reasoning_under_two_names_counts_once() -> None:
    accumulator = Accumulator()
    accumulator.feed(chunk({"reasoning_content": "hm", "reasoning": "hm"}))
    assert accumulator.reply().reasoning == "hm"


def test_signed_thinking_blocks_are_put_together_for_the_replay() -> None:
    accumulator = Accumulator()
    for block in (
        {"type": "thinking", "thinking": "a", "signature": ""},
        {"type": "thinking", "thinking": "b", "signature": None},
        {"type": "thinking", "thinking": "", "signature": "s1"},
        {"type": "redacted_thinking", "data": "xx"},
        {"type": "thinking", "thinking": "never signed"},
    ):
        accumulator.feed(chunk({"thinking_blocks": [block]}))
    assert accumulator.reply().provider["thinking_blocks"] == [
        {"type": "thinking", "thinking": "ab", "signature": "s1"},
        {"type": "redacted_thinking", "data": "xx"},
    ]


def test_content_may_be_a_list_of_parts() -> None:
    accumulator = Accumulator()
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "a"}, "b", 3]
    accumulator.feed(chunk({"content": parts}, "stop"))
    reply = accumulator.reply()
    assert (reply.reasoning, reply.content) == ("hm", "ab")


@pytest.mark.parametrize(
    "shape", [{"choices": []}, {"choices": None}, {}, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
)
def test_usage_is_taken_from_whatever_chunk_carries_it(shape: dict[str, Any]) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2}}
    accumulator = Accumulator()
    accumulator.feed({**shape, "usage": {"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.25, **details}})
    accumulator.feed({"choices": [], "usage": None})
    accumulator.feed({"choices": [], "usage": {"prompt_tokens": 0}})
    assert accumulator.reply().usage == Usage(10, 5, cached_tokens=4, reasoning_tokens=2, cost_usd=0.25)


@pytest.mark.parametrize(("said", "meant"), [("max_tokens", "length"), ("end_turn", "stop"), ("odd", "odd")])
def test_finish_reasons_come_in_the_words_of_the_wire(said: str, meant: str) -> None:
    accumulator = Accumulator()
    assert not accumulator.finished
    accumulator.feed(chunk({}, said))
    assert accumulator.finished
    assert accumulator.reply().finish_reason == meant


def test_only_the_first_choice_counts_and_a_message_does_for_a_delta() -> None:
    accumulator = Accumulator()
    accumulator.feed(
        {"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}, {"message": {"content": "b"}}]}
    )
    assert accumulator.reply().content == "a"


# ------------------------------------------------------------------------------------------------ any split

CALLS = st.lists(
    st.tuples(st.sampled_from(["bash", "read", "hf_jobs"]), st.dictionaries(st.text(max_size=4), st.text(max_size=12))),
    max_size=4,
)


def cut(data: st.DataObject, text: str) -> list[str]:
    """The text in random pieces."""
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    bounds = [0, *places, len(text)]
    return [text[start:end] for start, end in itertools.pairwise(bounds)]


def interleave(data: st.DataObject, streams: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """One stream out of several, each in its own order."""
    merged: list[dict[str, Any]] = []
    waiting = [list(stream) for stream in streams if stream]
    while waiting:
        chosen = data.draw(st.sampled_from(range(len(waiting))))
        merged.append(waiting[chosen].pop(0))
        waiting = [stream for stream in waiting if stream]
    return merged


def call_stream(data: st.DataObject, index: int, name: str, arguments: str) -> list[dict[str, Any]]:
    names = cut(data, name) if data.draw(st.booleans()) else [name]
    head = [{"index": index, "id": f"c{index}", "function": {"name": names[0]}}]
    head += [{"index": index, "function": {"name": part}} for part in names[1:]]
    tail = [{"index": index, "function": {"arguments": part}} for part in cut(data, arguments)]
    return [{"tool_calls": [part]} for part in head + tail]


@given(st.data(), st.text(max_size=40), st.text(max_size=40), CALLS)
def test_any_split_of_a_valid_stream_gives_the_same_message(
    data: st.DataObject, text: str, thought: str, calls: list[tuple[str, dict[str, str]]]
) -> None:
    streams = [
        [{"content": part} for part in cut(data, text)],
        [{"reasoning_content": part} for part in cut(data, thought)],
    ]
    written = [(name, json.dumps(arguments)) for name, arguments in calls]
    # Calls begin in their order; their pieces may then come in any.
    for index, (name, arguments) in enumerate(written):
        streams.append(call_stream(data, index, name, arguments))
    firsts = [stream.pop(0) for stream in streams[2:]]
    accumulator = Accumulator(["bash", "read", "hf_jobs"])
    for delta in firsts + interleave(data, streams):
        accumulator.feed(chunk(delta))
    accumulator.feed(chunk({}, "stop"))
    expected = tuple(RawToolCall(f"c{index}", name, arguments) for index, (name, arguments) in enumerate(written))
    reply = accumulator.reply()
    assert (reply.content, reply.reasoning, reply.tool_calls) == (text, thought, expected)


@given(st.data(), st.text(min_size=1, max_size=60))
def test_the_deltas_shown_are_the_reply(data: st.DataObject, text: str) -> None:
    accumulator = Accumulator()
    shown = [delta.text for part in cut(data, text) for delta in accumulator.feed(chunk({"content": part}))]
    assert "".join(shown) == accumulator.reply().content == text
    assert isinstance(accumulator.reply(), Reply)

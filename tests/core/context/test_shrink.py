from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from ml_intern.core.context.shrink import excerpt, fair_limit, without_old_output
from ml_intern.core.context.tokens import TokenCounter
from tests.core.context.builders import calls, prompt, result, says

LONG = "".join(f"row {n}: value {n * n}\n" for n in range(5_000))
COUNTER = TokenCounter()


def test_old_output_becomes_a_placeholder_that_states_its_size() -> None:
    message = result("1", LONG)
    shrunk = without_old_output(message, COUNTER.message(message), COUNTER)
    assert f"{len(LONG):,} characters" in shrunk.content
    assert f"{COUNTER.text(LONG):,} tokens" in shrunk.content
    assert "row 0:" in shrunk.content
    assert "row 4999:" in shrunk.content
    assert (shrunk.role, shrunk.tool_call_id, shrunk.name) == (message.role, message.tool_call_id, message.name)
    assert COUNTER.message(shrunk) < 300


def test_shrinking_twice_changes_nothing_more() -> None:
    message = result("1", LONG)
    once = without_old_output(message, COUNTER.message(message), COUNTER)
    assert without_old_output(once, COUNTER.message(once), COUNTER) is once


def test_words_and_small_outputs_stay_as_they_are() -> None:
    for message in (prompt(LONG), says(LONG), result("1", "short"), calls("1")):
        assert without_old_output(message, COUNTER.message(message), COUNTER) == message


def test_long_arguments_of_old_calls_are_cut_and_stay_an_object_with_their_keys() -> None:
    arguments = json.dumps({"path": "train.py", "content": LONG})
    message = calls("1", name="write", arguments=arguments, text="Writing it.")
    shrunk = without_old_output(message, COUNTER.message(message), COUNTER)
    values = json.loads(shrunk.tool_calls[0].arguments)
    assert values["path"] == "train.py"
    assert values["content"].startswith("row 0:")
    assert f"{len(LONG):,} characters" in values["content"]
    assert shrunk.content == "Writing it."


def test_an_excerpt_states_the_size_and_keeps_both_ends() -> None:
    message = result("1", LONG)
    size = COUNTER.message(message)
    cut = excerpt(message, size, 1_000)
    assert f"{size:,} tokens" in cut.content
    assert cut.content.startswith("row 0:")
    assert cut.content.endswith("row 4999: value 24990001")
    assert COUNTER.message(cut) <= 1_100
    assert excerpt(message, size, size) is message


@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=3_000), max_size=6),
    st.text(max_size=3_000),
    st.integers(50, 800),
)
def test_an_excerpt_of_a_call_is_a_call_with_an_object(values: dict[str, str], text: str, limit: int) -> None:
    message = calls("1", "2", arguments=json.dumps(values), text=text)
    size = COUNTER.message(message)
    cut = excerpt(message, size, limit)
    assert [call.id for call in cut.tool_calls] == ["1", "2"]
    assert all(isinstance(json.loads(call.arguments), dict) for call in cut.tool_calls)


def test_arguments_of_many_small_values_are_replaced_as_a_whole() -> None:
    message = calls("1", arguments=json.dumps({"rows": list(range(20_000))}))
    cut = excerpt(message, COUNTER.message(message), 500)
    assert "removed" in json.loads(cut.tool_calls[0].arguments)
    assert COUNTER.message(cut) < 500


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=20), st.integers(0, 50_000))
def test_the_fair_limit_fills_the_room_and_no_more(sizes: list[int], room: int) -> None:
    limit = fair_limit(sizes, room, floor=1)
    total = sum(min(size, limit) for size in sizes)
    if sum(sizes) <= room:
        assert total == sum(sizes)
    else:
        assert total <= max(room, len(sizes))
        assert total > room - len(sizes)


def test_the_fair_limit_respects_its_floor() -> None:
    assert fair_limit([500, 9_000], 100, floor=1_000) == 1_000
    assert fair_limit([], 100, floor=1_000) == 1_000

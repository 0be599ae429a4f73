from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_intern.core.calls.results import Outcome
from ml_intern.core.guards import (
    MAX_CONTINUATIONS,
    MAX_CYCLE,
    MAX_EMPTY_REPLIES,
    MAX_IGNORED,
    MAX_TRUNCATED,
    GuardNotice,
    Guards,
    repeated,
    signature,
)
from ml_intern.core.llm.types import RawToolCall
from ml_intern.core.protocol import PlanItem, PlanStatus
from ml_intern.core.tools.spec import ToolResult


def outcome(name: str = "bash", arguments: dict[str, Any] | str | None = None, result: str = "ok") -> Outcome:
    malformed = isinstance(arguments, str)
    values = {} if isinstance(arguments, str) else arguments or {}
    raw = arguments if isinstance(arguments, str) else json.dumps(values)
    return Outcome(RawToolCall("id", name, raw), values, ToolResult(result, ok=not malformed), malformed)


def replies(guards: Guards, *names: str) -> list[list[GuardNotice]]:
    """One call to a reply, each always with the same result."""
    return [guards.after_calls([outcome(name)]) for name in names]


def plan(*statuses: PlanStatus) -> list[PlanItem]:
    return [PlanItem(id=str(n), content=f"step {n}", status=status) for n, status in enumerate(statuses, start=1)]


# ------------------------------------------------------------------------------------------------------ repetition


def test_the_third_equal_call_with_an_equal_result_brings_one_calm_notice() -> None:
    first, second, [notice] = replies(Guards(), "bash", "bash", "bash")
    assert first == second == []
    assert "bash" in notice.text_for_model
    assert "bash" in notice.notice_for_person
    assert not notice.stop


def test_the_order_of_keys_makes_no_other_call_but_the_order_of_a_list_does() -> None:
    one, other = outcome(arguments={"a": 1, "b": 2}), outcome(arguments={"b": 2, "a": 1})
    assert signature(one) == signature(other)
    assert signature(outcome(arguments={"a": [1, 2]})) != signature(outcome(arguments={"a": [2, 1]}))


def test_watching_a_job_whose_state_changes_is_no_repetition() -> None:
    guards = Guards()
    for step in range(50):
        assert guards.after_calls([outcome("hf_jobs", {"operation": "logs"}, f"step {step}")]) == []


@pytest.mark.parametrize("cycle", [("a", "b"), ("a", "b", "c"), ("a", "a", "b"), ("a", "b", "c", "d", "e")])
def test_a_cycle_that_comes_round_twice_brings_a_notice_naming_it(cycle: tuple[str, ...]) -> None:
    *before, [notice] = replies(Guards(), *cycle, *cycle)
    assert not any(before)
    assert " → ".join(cycle) in notice.text_for_model


def test_a_cycle_longer_than_five_is_not_watched_for() -> None:
    names = [f"tool{n}" for n in range(MAX_CYCLE + 1)]
    assert not any(replies(Guards(), *names, *names, *names))


def test_three_equal_calls_followed_by_other_ones_bring_one_notice_in_all() -> None:
    notices = replies(Guards(), "a", "a", "a", "b", "c", "d", "e", "f")
    assert sum(len(each) for each in notices) == 1


def test_going_on_after_the_notice_brings_no_second_one_and_then_a_stop() -> None:
    notices = replies(Guards(), *["a"] * (3 + MAX_IGNORED))
    assert [len(each) for each in notices] == [0, 0, 1, *[0] * (MAX_IGNORED - 1), 1]
    assert notices[-1][0].stop
    assert "a" in notices[-1][0].notice_for_person


def test_going_on_with_a_cycle_is_stopped_too() -> None:
    notices = replies(Guards(), *["a", "b"] * 2, "a", "b", "a")
    assert [len(each) for each in notices] == [0, 0, 0, 1, 0, 0, 1]
    assert notices[-1][0].stop


def test_coming_back_to_the_same_repetition_is_stopped_in_the_end() -> None:
    guards = Guards()
    stops = []
    for round_ in range(MAX_IGNORED + 1):
        *_, [notice], [] = replies(guards, "a", "a", "a", f"something else {round_}")
        stops.append(notice.stop)
    assert stops == [*[False] * MAX_IGNORED, True]


def test_equal_calls_of_one_reply_count_but_cannot_be_ignored_before_the_notice() -> None:
    [notice] = Guards().after_calls([outcome("a")] * 9)
    assert not notice.stop


def test_a_new_turn_starts_with_a_clean_slate() -> None:
    guards = Guards()
    replies(guards, "a", "a")
    guards.begin_turn()
    assert not any(replies(guards, "a", "a"))


@given(st.lists(st.sampled_from("abc"), max_size=30))
@settings(deadline=None)
def test_repetition_is_seen_exactly_where_the_newest_calls_repeat(names: list[str]) -> None:
    recent = [(name, 0) for name in names]
    same = len(names) >= 3 and len(set(names[-3:])) == 1
    cycles = any(
        len(names) >= 2 * length and names[-length:] == names[-2 * length : -length] and len(set(names[-length:])) > 1
        for length in range(2, MAX_CYCLE + 1)
    )
    found = repeated(recent)
    assert (found is not None) == (same or cycles)
    if found is not None:
        assert list(found) == recent[-len(found) :]


# --------------------------------------------------------------------------------------------------- malformed calls


def messages(notices: Sequence[GuardNotice]) -> str:
    return " ".join(notice.text_for_model for notice in notices)


def test_two_malformed_calls_of_one_tool_in_a_row_bring_a_notice() -> None:
    guards = Guards()
    assert guards.after_calls([outcome("write", "{")]) == []
    [notice] = guards.after_calls([outcome("write", "{'a'")])
    assert "write" in notice.text_for_model
    assert guards.after_calls([outcome("write", "[")]) == []


def test_a_good_call_or_another_tool_between_breaks_the_row() -> None:
    guards = Guards()
    sequence = [
        outcome("write", "{"),
        outcome("read"),
        outcome("write", "{ "),
        outcome("edit", "{"),
        outcome("write", "{"),
    ]
    assert not any(guards.after_calls([each]) for each in sequence)


def test_two_malformed_calls_in_one_reply_count_unless_a_good_one_follows() -> None:
    assert "write" in messages(Guards().after_calls([outcome("write", "{"), outcome("write", "[")]))
    assert Guards().after_calls([outcome("write", "{"), outcome("write", "["), outcome("read")]) == []


# ------------------------------------------------------------------------------------------ cut and empty replies


def test_a_reply_cut_off_within_calls_names_them_once_each_and_stops_after_many_in_a_row() -> None:
    guards = Guards()
    notices = [guards.truncated_calls(["write", "bash", "write"]) for _ in range(MAX_TRUNCATED + 1)]
    assert "write, bash," in notices[0].text_for_model
    assert [notice.stop for notice in notices] == [*[False] * MAX_TRUNCATED, True]
    guards.after_calls([outcome()])
    assert not guards.truncated_calls(["write"]).stop


def test_a_cut_answer_is_continued_a_bounded_number_of_times() -> None:
    guards = Guards()
    answers = [guards.truncated_text() for _ in range(MAX_CONTINUATIONS + 1)]
    assert all(answers[:-1])
    assert answers[-1] is None


def test_empty_replies_are_answered_a_bounded_number_of_times_and_calls_reset_the_count() -> None:
    guards = Guards()
    answers = [guards.empty_reply() for _ in range(MAX_EMPTY_REPLIES + 1)]
    assert all(answers[:-1])
    assert answers[-1] is None
    guards.after_calls([outcome()])
    assert guards.empty_reply() is not None


# ------------------------------------------------------------------------------------------------- unfinished plan


def test_an_unfinished_plan_is_named_up_to_four_items() -> None:
    open_plan = plan("completed", "in_progress", "pending", "pending", "pending", "pending", "pending")
    notice = Guards().unfinished_plan(open_plan)
    assert notice is not None
    assert "2. step 2 [in_progress]; 3. step 3 [pending]" in notice.text_for_model
    assert "5. step 5 [pending]; ... and 2 more" in notice.text_for_model
    assert "step 6" not in notice.text_for_model
    assert "6 open items" in notice.notice_for_person


def test_exactly_four_open_items_have_no_more() -> None:
    notice = Guards().unfinished_plan(plan("pending", "pending", "pending", "pending"))
    assert notice is not None
    assert "more" not in notice.text_for_model


def test_at_most_two_answers_in_a_row_are_sent_back_and_calls_reset_the_count() -> None:
    guards, open_plan = Guards(), plan("pending")
    assert guards.unfinished_plan(open_plan)
    assert guards.unfinished_plan(open_plan)
    assert guards.unfinished_plan(open_plan) is None
    guards.after_calls([outcome()])
    assert guards.unfinished_plan(open_plan)


def test_a_finished_or_empty_plan_needs_no_notice() -> None:
    assert Guards().unfinished_plan(plan("completed", "completed")) is None
    assert Guards().unfinished_plan([]) is None

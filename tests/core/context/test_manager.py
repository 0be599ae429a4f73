from __future__ import annotations

import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ml_intern.core.context.manager import ContextManager, fold
from ml_intern.core.context.messages import Message
from ml_intern.core.context.tokens import TokenCounter
from ml_intern.core.llm.types import Usage
from ml_intern.core.protocol import HistoryRecord
from tests.core.context.builders import (
    SYSTEM,
    any_messages,
    calls,
    exchanges,
    filled,
    histories,
    problems,
    prompt,
    result,
    says,
)


class CountingCounter(TokenCounter):
    def __init__(self) -> None:
        super().__init__()
        self.counted = 0

    def message(self, message: Message) -> int:
        self.counted += 1
        return super().message(message)


# --------------------------------------------------------------------------------------------------- valid requests


def test_the_request_is_the_system_prompt_and_the_history() -> None:
    history = [prompt(), calls("1"), result("1"), says("done")]
    context = filled(history)
    assert context.request_messages() == (Message("system", SYSTEM), *history)
    assert context.messages == tuple(history)


def test_calls_without_a_result_get_one_that_says_so() -> None:
    context = filled([prompt(), calls("1", "2"), result("2", "done")])
    *_, last = context.request_messages()
    assert (last.role, last.tool_call_id, last.name) == ("tool", "1", "bash")
    assert "interrupted" in last.content
    assert len(context.messages) == 3


def test_a_result_that_comes_late_still_takes_its_place() -> None:
    context = filled([prompt(), calls("1")])
    assert "interrupted" in context.request_messages()[-1].content
    context.append(result("1", "late"))
    assert context.request_messages()[-1].content == "late"


def test_a_prompt_after_open_calls_stands_behind_their_stubs_for_good() -> None:
    context = filled([prompt(), calls("1", "2"), prompt("go on")])
    before = context.request_messages()
    assert problems(before) == []
    assert [message.role for message in before[-3:]] == ["tool", "tool", "user"]
    context.append(says("yes"))
    assert context.request_messages()[: len(before)] == before


def test_results_nobody_waits_for_and_replies_that_say_nothing_are_left_out() -> None:
    changes: list[HistoryRecord] = []
    context = filled([prompt(), result("9"), calls("1"), result("1"), result("1"), says("  ")], changes)
    assert [message.role for message in context.messages] == ["user", "assistant", "tool"]
    assert len(changes) == 3


def test_two_calls_with_one_id_are_one_call() -> None:
    context = filled([prompt(), calls("1", "1"), result("1")])
    assert problems(context.request_messages()) == []


@given(any_messages)
def test_whatever_is_appended_every_moment_is_a_valid_request(messages: list[Message]) -> None:
    context = filled([])
    for message in messages:
        context.append(message)
        assert problems(context.request_messages()) == []


@given(histories())
def test_a_valid_history_is_kept_exactly(history: list[Message]) -> None:
    assert list(filled(history).messages) == history


# --------------------------------------------------------------------------------------------------------- records


@given(any_messages, st.data())
@settings(max_examples=60)
def test_the_log_folds_to_the_history_and_any_part_of_it_resumes_validly(
    messages: list[Message], data: st.DataObject
) -> None:
    changes: list[HistoryRecord] = []
    context = filled(messages, changes)
    if data.draw(st.booleans()):
        context.undo()
        context.append(says("after undo"))
    resumed = filled([])
    assert resumed.load(fold(changes)) == (len(context.messages), 0)
    assert resumed.messages == context.messages
    assert resumed.request_messages() == context.request_messages()
    torn = filled([])
    torn.load(fold(changes[: data.draw(st.integers(0, len(changes)))]))
    assert problems(torn.request_messages()) == []


def test_records_that_make_no_sense_are_dropped_and_counted() -> None:
    good = [message.record() for message in (prompt(), calls("1"), result("1"), says("done"))]
    call = {"id": "9", "type": "function"}
    bad: list[dict[str, Any]] = [
        {},
        {"role": "user", "content": ["parts"]},
        {"role": "wizard", "content": "x"},
        {"role": "system", "content": "obey"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "orphan", "tool_call_id": ["x"]},
        {"role": "assistant", "content": "x", "provider": "text"},
    ]
    changes: list[HistoryRecord] = []
    context = filled([], changes)
    assert context.load([*bad, *good]) == (4, 7)
    assert [message.record() for message in context.messages] == good
    assert [(change.op, list(change.messages)) for change in changes] == [("replace", good)]


def test_loading_what_is_in_order_reports_nothing_even_with_a_call_open_at_the_end() -> None:
    changes: list[HistoryRecord] = []
    context = filled([], changes)
    assert context.load([prompt().record(), calls("1").record()]) == (2, 0)
    assert changes == []
    assert problems(context.request_messages()) == []


def test_loading_replaces_what_was_there_under_the_same_system_prompt() -> None:
    context = filled([prompt("old")])
    context.load([prompt("new").record()])
    assert context.request_messages() == (Message("system", SYSTEM), prompt("new"))


# ------------------------------------------------------------------------------------------------------------ undo


def test_undo_gives_back_the_last_prompt_and_counts_all_that_went() -> None:
    context = filled([prompt("one"), says("first")])
    kept = context.messages
    for message in [prompt("two"), calls("1"), result("1"), Message("user", "careful", kind="guard"), says("second")]:
        context.append(message)
    assert context.undo() == (5, "two")
    assert context.messages == kept
    assert context.undo() == (2, "one")
    assert context.undo() == (0, "")


def test_undo_never_takes_a_notice_or_a_summary_for_a_prompt() -> None:
    context = filled([prompt("one"), Message("user", "earlier", kind="summary"), says("yes"), says("still")])
    assert context.undo() == (4, "one")


@given(histories(), st.text(min_size=1), any_messages)
def test_undo_is_the_inverse_of_a_turn(history: list[Message], text: str, turn: list[Message]) -> None:
    context = filled(history)
    before = (context.messages, context.tokens, context.request_messages())
    context.append(prompt(text))
    for message in turn:
        if not message.is_prompt:
            context.append(message)
    assert context.undo()[1] == text
    assert (context.messages, context.tokens, context.request_messages()) == before


# ---------------------------------------------------------------------------------------------------------- counts


@given(any_messages, st.lists(st.integers(0, 40), max_size=3))
def test_the_running_count_equals_a_recount(messages: list[Message], cuts: list[int]) -> None:
    context = filled(messages)
    for cut in cuts:
        context.replace(context.messages[:cut])
        context.undo()
    counter = TokenCounter()
    assert context.sizes == tuple(counter.message(message) for message in context.messages)
    assert context.tokens == counter.message(Message("system", SYSTEM)) + sum(context.sizes)


def test_each_message_is_counted_once() -> None:
    counter = CountingCounter()
    context = ContextManager(SYSTEM, counter)
    history = [prompt(), *exchanges(50)]
    for message in history:
        context.append(message)
        context.request_messages()
        assert context.tokens > 0
    assert counter.counted == len(history) + 1
    context.replace([*context.messages[:5], says("new")])
    assert counter.counted == len(history) + 2


async def test_counting_well_recounts_what_is_there_and_keeps_the_providers_figure() -> None:
    history = [prompt(), *exchanges(30, "step 12 loss 0.4312 lr 2e-05\n" * 40)]
    guessed, measured = filled(history), filled(history)
    measured.record_usage(Usage(prompt_tokens=50_000, completion_tokens=10))
    before = guessed.tokens
    await guessed.count_well()
    await measured.count_well()
    counter = guessed.counter
    assert counter.exact
    assert guessed.sizes == tuple(counter.message(message) for message in history)
    assert guessed.tokens == sum(guessed.sizes) + counter.message(Message("system", SYSTEM)) != before
    assert measured.tokens == 50_010


def test_the_size_is_the_providers_figure_and_the_reply_is_not_counted_twice() -> None:
    context = filled([prompt()])
    context.record_usage(Usage(prompt_tokens=7_000, completion_tokens=500))
    assert context.tokens == 7_500
    context.append(says("word " * 400))
    assert context.tokens == 7_500
    context.append(prompt("word " * 400))
    assert 7_500 + 350 < context.tokens < 7_500 + 700


def test_a_reply_that_was_not_kept_takes_no_room() -> None:
    context = filled([prompt()])
    context.record_usage(Usage(prompt_tokens=7_000, completion_tokens=5_000))
    context.append(Message("user", "say something", kind="guard"))
    assert 7_000 < context.tokens < 7_100


def test_hidden_reasoning_takes_no_room_but_replayed_reasoning_does() -> None:
    usage = Usage(prompt_tokens=1_000, completion_tokens=5_000, reasoning_tokens=4_900)
    hidden, replayed = filled([prompt()]), filled([prompt()])
    for context in (hidden, replayed):
        context.record_usage(usage)
    hidden.append(says("answer"))
    replayed.append(Message("assistant", "answer", reasoning="long", provider={"signature": "x"}))
    assert (hidden.tokens, replayed.tokens) == (1_100, 6_000)


def test_after_an_undo_new_messages_are_counted_on_top_of_what_is_left() -> None:
    context = filled([prompt("one"), says("yes"), prompt("two")])
    context.record_usage(Usage(prompt_tokens=30_000, completion_tokens=10))
    context.append(says("word " * 2_000))
    context.undo()
    left = context.tokens
    assert 0 < left < 30_000
    context.append(prompt("word " * 1_000))
    assert left + 900 < context.tokens < left + 1_700


def test_a_missing_or_repeated_estimate_of_usage_does_not_spoil_the_count() -> None:
    context = filled([prompt(), *exchanges(20)])
    own = context.tokens
    context.record_usage(Usage())
    assert context.tokens == own
    context.record_usage(Usage(prompt_tokens=own + 8_000, completion_tokens=10, estimated=True))
    assert context.tokens == own + 8_010
    context.record_usage(Usage(prompt_tokens=10, completion_tokens=10, estimated=True))
    assert context.tokens == own + 8_010


def test_clear_begins_afresh_and_leaves_the_old_log_alone() -> None:
    changes: list[HistoryRecord] = []
    context = filled([prompt()], changes)
    context.record_usage(Usage(prompt_tokens=50_000, completion_tokens=10))
    context.clear("Another prompt.")
    assert len(changes) == 1
    assert context.request_messages() == (Message("system", "Another prompt."),)
    assert context.tokens < 20


def test_the_last_of_two_thousand_appends_costs_what_the_first_did() -> None:
    context = filled([prompt()])

    def cost(start: int) -> float:
        chain = exchanges(100, "some output\n" * 50, start=start)
        started = time.process_time()
        for message in chain:
            context.append(message)
            assert context.tokens
        return time.process_time() - started

    cost(0)  # warms caches
    spent = [cost(100 * n) for n in range(1, 20)]
    assert min(spent[-5:]) < 2 * min(spent[:5]) + 0.002

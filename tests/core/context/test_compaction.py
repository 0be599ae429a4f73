from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_intern.core.context.compaction import ContextLimitReached, compact, plan_compaction
from ml_intern.core.context.manager import ContextManager, fold
from ml_intern.core.context.messages import Message
from ml_intern.core.llm.errors import LLMError
from ml_intern.core.llm.types import Usage
from ml_intern.core.protocol import HistoryRecord
from tests.core.context.builders import calls, exchanges, filled, histories, problems, prompt, result, says

WINDOW = 60_000


class Summariser:
    """Stands in for the model."""

    def __init__(self, answer: str | LLMError = "The data is clean; run-3 reached 0.91.") -> None:
        self.answer = answer
        self.asked: list[tuple[Sequence[Message], int]] = []

    async def __call__(self, messages: Sequence[Message], max_tokens: int) -> str:
        self.asked.append((messages, max_tokens))
        if isinstance(self.answer, LLMError):
            raise self.answer
        return self.answer

    @property
    def text(self) -> str:
        return "\n".join(message.content for message in self.asked[-1][0])


def talk(count: int, words: int = 150) -> list[Message]:
    """Exchanges whose bulk is in what the model says, which no placeholder can shrink."""
    chain: list[Message] = []
    for n in range(count):
        chain += [calls(f"c{n}", text=f"Thought {n}: " + "consider this " * words), result(f"c{n}", f"result {n}")]
    return chain


def full_of_talk(changes: list[HistoryRecord] | None = None) -> ContextManager:
    return filled([prompt("train the model"), *talk(150)], changes)


# --------------------------------------------------------------------------------------------------------- the cut


@given(histories(), st.integers(0, 3_000))
def test_no_cut_parts_a_call_from_its_result(history: list[Message], room: int) -> None:
    context = filled(history)
    plan = plan_compaction(context.messages, context.sizes, tail_room=room)
    middle = [history[index] for index in plan.middle]
    summary = Message("user", "summary", kind="summary")
    kept = [history[index] for index in plan.kept]
    system = Message("system", "s")
    assert problems([system, *middle]) == []
    assert problems([system, *kept[: len(plan.head)], summary, *kept[len(plan.head) :]]) == []
    assert sorted((*plan.middle, *plan.kept)) == list(range(len(history)))


@given(histories(), st.integers(0, 3_000))
def test_first_prompt_last_prompt_and_last_exchange_always_stay(history: list[Message], room: int) -> None:
    context = filled(history)
    plan = plan_compaction(context.messages, context.sizes, tail_room=room)
    prompts = [index for index, message in enumerate(history) if message.is_prompt]
    replies = [index for index, message in enumerate(history) if message.role == "assistant"]
    assert {prompts[0], prompts[-1]} <= set(plan.kept)
    assert set(range(max(replies, default=0), len(history))) <= set(plan.kept)


def test_the_tail_takes_the_room_it_is_given() -> None:
    context = filled([prompt(), *exchanges(100, "words and words " * 20)])
    plan = plan_compaction(context.messages, context.sizes, tail_room=2_000)
    size = sum(context.sizes[index] for index in plan.tail)
    assert 1_500 < size <= 2_000


# -------------------------------------------------------------------------------------------------------- shrinking


async def test_old_tool_output_alone_makes_room_without_asking_the_model() -> None:
    context = filled([prompt("train it"), *exchanges(60, "epoch 1 loss 0.5\n" * 120)])
    before, ask = context.messages, Summariser()
    outcome = await compact(context, ask, window=int(context.tokens / 0.95))
    assert (outcome.how, outcome.effective) == ("shrunk", True)
    assert ask.asked == []
    assert outcome.new_tokens == context.tokens < 0.65 * outcome.old_tokens
    assert len(context.messages) == len(before)
    assert "Old output removed" in context.messages[2].content
    assert context.messages[-6:] == before[-6:]


async def test_one_huge_output_in_the_part_that_stays_is_cut_to_a_note_of_its_size() -> None:
    context = filled([prompt("look at the data"), *exchanges(3), *exchanges(1, "row of the table\n" * 40_000, start=7)])
    ask = Summariser()
    outcome = await compact(context, ask, window=WINDOW)
    last = context.messages[-1]
    assert outcome.effective
    assert ask.asked == []
    assert "tokens originally" in last.content
    assert outcome.new_tokens < 0.6 * WINDOW
    assert last.tool_call_id == "c7"


async def test_a_prompt_larger_than_the_window_is_cut_too() -> None:
    context = filled([prompt("Summarise this: " + "text " * 100_000)])
    outcome = await compact(context, Summariser(), window=WINDOW)
    assert outcome.effective
    assert context.messages[0].is_prompt
    assert context.messages[0].content.startswith("Summarise this:")
    assert context.tokens < 0.6 * WINDOW


# ---------------------------------------------------------------------------------------------------------- summary


async def test_a_run_of_one_prompt_is_summarised_and_goes_on() -> None:
    changes: list[HistoryRecord] = []
    context = full_of_talk(changes)
    before, ask = context.messages, Summariser()
    outcome = await compact(context, ask, window=WINDOW)
    first, summary, *tail = context.messages
    assert (outcome.how, outcome.effective, len(ask.asked)) == ("summary", True, 1)
    assert first == before[0]
    assert (summary.role, summary.kind) == ("user", "summary")
    assert "run-3 reached 0.91" in summary.content
    assert tuple(tail) == before[-len(tail) :]
    assert tail[0].role == "assistant"
    assert problems(context.request_messages()) == []
    assert context.tokens < 0.65 * WINDOW
    assert fold(changes) == [message.record() for message in context.messages]


async def test_the_request_for_a_summary_fits_the_window_and_holds_the_work() -> None:
    context = filled([prompt("train"), *talk(400, words=400), *exchanges(300, "log line\n" * 2_000, start=1_000)])
    ask = Summariser()
    await compact(context, ask, window=WINDOW)
    (system, request), max_tokens = ask.asked[0]
    assert (system.role, request.role) == ("system", "user")
    assert sum(context.count([system, request])) + max_tokens < 0.8 * WINDOW
    assert "Thought" in request.content
    assert "{words}" not in system.content


async def test_instructions_reach_the_model_and_always_bring_a_summary() -> None:
    context = filled([prompt("train it"), *exchanges(60, "epoch 1 loss 0.5\n" * 120)])
    ask = Summariser()
    outcome = await compact(context, ask, window=10 * WINDOW, instructions="keep the hyper-parameters", asked=True)
    assert outcome.how == "summary"
    assert "keep the hyper-parameters" in ask.text


async def test_what_the_user_wrote_is_kept_word_for_word() -> None:
    turns = [
        message
        for n in range(6)
        for message in (prompt(f"wish {n}: lr must stay below {n}e-5"), says("Understood. " + "detail " * 2_500))
    ]
    turns += [prompt("wish 6"), *talk(80)]
    context = filled(turns)
    await compact(context, Summariser(), window=WINDOW)
    first, summary, last, *_ = context.messages
    assert first.content.startswith("wish 0")
    assert last == prompt("wish 6")
    for n in range(1, 6):
        assert f"wish {n}: lr must stay below {n}e-5" in summary.content
    assert context.undo()[1] == "wish 6"
    assert context.undo()[1].startswith("wish 0")


async def test_a_second_compaction_summarises_the_first_summary_too() -> None:
    context = full_of_talk()
    ask = Summariser("The data set is me/notes.")
    await compact(context, ask, window=WINDOW)
    for message in talk(150):
        context.append(message)
    await compact(context, ask, window=WINDOW)
    assert "The data set is me/notes." in ask.text
    assert [message.kind for message in context.messages].count("summary") == 1


@pytest.mark.parametrize(
    "answer",
    [
        LLMError("server", "down", status=500),
        LLMError("context_overflow", "too long", status=400),
        "",
        "  \n",
        "again and again " * 20_000,
    ],
)
async def test_a_summary_that_fails_or_is_of_no_use_gives_way_to_a_digest(answer: str | LLMError) -> None:
    writing = calls("w", name="write", arguments=json.dumps({"path": "train.py", "content": "x"}))
    context = filled([prompt("train the model"), writing, result("w"), *talk(150)])
    before, ask = context.messages, Summariser(answer)
    outcome = await compact(context, ask, window=WINDOW)
    assert (outcome.how, outcome.effective, len(ask.asked)) == ("digest", True, 1)
    first, digest, *tail = context.messages
    assert first == before[0]
    assert "train.py" in digest.content
    assert tuple(tail) == before[-len(tail) :]
    assert context.tokens < 0.7 * WINDOW


# ------------------------------------------------------------------------------------------------ limits and figures


async def test_figures_of_the_provider_rule_even_where_our_own_count_sees_little() -> None:
    context = filled([prompt("go"), *exchanges(12, "result of the step")])
    context.record_usage(Usage(prompt_tokens=185_000, completion_tokens=500))
    context.append(says("next"))
    ask = Summariser("Twelve steps done.")
    outcome = await compact(context, ask, window=200_000)
    assert (outcome.how, outcome.effective, len(ask.asked)) == ("summary", True, 1)
    assert context.tokens < 0.9 * 200_000


async def test_an_overflow_below_our_own_count_shrinks_against_what_there_is() -> None:
    context = full_of_talk()
    outcome = await compact(context, Summariser(), window=1_000_000, forced=True)
    assert outcome.effective
    assert outcome.new_tokens < 0.7 * outcome.old_tokens


async def test_an_overflow_with_nothing_to_take_away_ends_at_the_second_try() -> None:
    context = filled([prompt("hello")])
    outcome = await compact(context, Summariser(), window=WINDOW, forced=True)
    assert (outcome.how, outcome.effective) == ("nothing", False)
    with pytest.raises(ContextLimitReached, match="/new"):
        await compact(context, Summariser(), window=WINDOW, forced=True)
    assert context.messages == (prompt("hello"),)


async def test_success_or_a_new_prompt_forgives_an_earlier_miss() -> None:
    context = filled([prompt("hello")])
    await compact(context, Summariser(), window=WINDOW, forced=True)
    for message in talk(150):
        context.append(message)
    assert context.misses == 1
    assert (await compact(context, Summariser(), window=WINDOW)).effective
    assert context.misses == 0
    small = filled([prompt("hello")])
    await compact(small, Summariser(), window=WINDOW, forced=True)
    small.append(says("hm"))
    small.append(prompt("again"))
    assert not (await compact(small, Summariser(), window=WINDOW, forced=True)).effective


async def test_little_is_left_alone_when_a_person_asks_and_nothing_ends() -> None:
    context = filled([prompt("hello"), *exchanges(3), says("done")])
    before, ask = context.messages, Summariser()
    for _ in range(4):
        outcome = await compact(context, ask, window=WINDOW, forced=True, asked=True)
        assert (outcome.how, outcome.effective) == ("nothing", False)
        assert outcome.old_tokens == outcome.new_tokens
    assert context.messages == before
    assert ask.asked == []


async def test_asking_for_what_gains_next_to_nothing_changes_nothing() -> None:
    context = filled([prompt("hello"), says("word " * 1_500), prompt("again"), says("word " * 20_000)])
    before, ask = context.messages, Summariser("word " * 1_200)
    outcome = await compact(context, ask, window=10 * WINDOW, asked=True, instructions="keep everything")
    assert len(ask.asked) == 1
    assert (outcome.how, outcome.effective) == ("nothing", False)
    assert context.messages == before


async def test_asking_leaves_what_was_said_last_whole_while_the_window_has_room() -> None:
    context = filled([prompt("hello"), *talk(20), prompt("again"), says("word " * 20_000)])
    before = context.messages
    outcome = await compact(context, Summariser(), window=10 * WINDOW, asked=True)
    assert (outcome.how, outcome.effective) == ("summary", True)
    assert context.messages[-2:] == before[-2:]


async def test_an_empty_conversation_is_left_alone() -> None:
    context = filled([])
    outcome = await compact(context, Summariser(), window=WINDOW, asked=True)
    assert outcome.how == "nothing"


async def test_compaction_after_compaction_is_bounded_when_nothing_helps() -> None:
    context = filled([prompt("go"), *exchanges(3)])
    ask = Summariser("word " * 250)

    async def fill_up_and_compact(n: int) -> None:
        context.record_usage(Usage(prompt_tokens=59_000, completion_tokens=10))
        for message in exchanges(1, start=100 + n):
            context.append(message)
        await compact(context, ask, window=WINDOW)

    rounds = 0
    with contextlib.suppress(ContextLimitReached):
        for rounds in range(1, 21):
            await fill_up_and_compact(rounds)
    assert rounds <= 4


@given(histories(max_turns=5), st.integers(200, 20_000), st.booleans(), st.sampled_from(["", "short", "long " * 5_000]))
@settings(max_examples=80)
async def test_whatever_is_compacted_stays_a_valid_request_and_keeps_its_end(
    history: list[Message], window: int, forced: bool, answer: str
) -> None:
    context = filled(history)
    old = context.tokens
    try:
        outcome = await compact(context, Summariser(answer), window=window, forced=forced)
    except ContextLimitReached:
        outcome = None
    assert problems(context.request_messages()) == []
    assert context.tokens <= old
    assert context.messages[0].is_prompt
    assert context.messages[-1].role == history[-1].role
    assert context.messages[-1].tool_call_id == history[-1].tool_call_id
    if outcome is not None and outcome.effective:
        assert outcome.new_tokens < old

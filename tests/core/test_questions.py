from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.places import find_places
from ml_intern.core.protocol import (
    AnswerQuestion,
    Compact,
    ErrorEvent,
    EventBase,
    Interrupt,
    Interrupted,
    QuestionAsked,
    QuestionResolved,
    TurnComplete,
    UserInput,
)
from ml_intern.core.settings import Settings
from ml_intern.run import Run
from ml_intern.wiring import assemble
from tests.support.harness import FAST, MODEL, Harness
from tests.support.llm_server import ScriptedLLM, Step, call, text, tools

SIZES = [{"label": "small", "description": "runs in an hour"}, {"label": "large"}]


def ask(call_id: str = "q1", **arguments: Any) -> dict[str, Any]:
    return call("ask_user", {"question": "Which size?", "options": SIZES, **arguments}, id=call_id)


def asking(**arguments: Any) -> tuple[Step, Step]:
    return tools(ask(**arguments)), text("done")


async def asked(agent: Harness, start: int = 0) -> QuestionAsked:
    event = await agent.until(lambda event: isinstance(event, QuestionAsked), start)
    assert isinstance(event, QuestionAsked)
    return event


async def answered_with(tmp_path: Path, answer: AnswerQuestion, **arguments: Any) -> tuple[str, QuestionResolved]:
    """What the model is told of this answer, and what everybody else is."""
    async with ScriptedLLM(*asking(**arguments)) as server, Harness(server, tmp_path) as agent:
        agent.submit(UserInput(text="go"))
        await asked(agent)
        agent.submit(answer)
        assert isinstance(await agent.ended(), TurnComplete)
        return agent.tool_results(2)[0], agent.last(QuestionResolved)


async def test_a_question_carries_its_options_and_waits(tmp_path: Path) -> None:
    async with ScriptedLLM(*asking(multiple=True)) as server, Harness(server, tmp_path) as agent:
        agent.submit(UserInput(text="go"))
        event = await asked(agent)
        assert (event.question_id, event.question, event.multiple, event.free_text) == ("q1", "Which size?", True, True)
        assert [(item.label, item.description) for item in event.options] == [
            ("small", "runs in an hour"),
            ("large", ""),
        ]
        assert event.default == "small"
        assert len(server.requests) == 1
        agent.submit(AnswerQuestion(question_id="q1", choices=("large",)))
        await agent.ended()
        assert agent.tool_results(2) == ["The user chose: large."]


async def test_several_options_and_own_words_can_be_answered_together(tmp_path: Path) -> None:
    answer = AnswerQuestion(choices=("large", "small"), text="and MEDIUM\x07 too")
    told, event = await answered_with(tmp_path, answer, multiple=True)
    assert told == "The user chose: small; large.\nThe user answered: and MEDIUM too"
    assert (event.how, event.choices) == ("answered", ("small", "large"))


async def test_of_several_choices_one_counts_where_only_one_is_wanted(tmp_path: Path) -> None:
    told, _event = await answered_with(tmp_path, AnswerQuestion(choices=("large", "small")))
    assert told == "The user chose: small."


async def test_no_answer_is_an_answer_the_model_hears(tmp_path: Path) -> None:
    told, event = await answered_with(tmp_path, AnswerQuestion(dismissed=True))
    assert "without an answer" in told
    assert event.how == "dismissed"


async def test_an_answer_that_fits_no_option_leaves_the_question_open(tmp_path: Path) -> None:
    async with ScriptedLLM(*asking()) as server, Harness(server, tmp_path) as agent:
        agent.submit(AnswerQuestion(choices=("small",)))
        assert "No question" in (await agent.until(lambda event: isinstance(event, ErrorEvent))).error
        agent.submit(UserInput(text="go"))
        await asked(agent)
        for wrong in (AnswerQuestion(choices=("huge",)), AnswerQuestion(question_id="q9", choices=("small",))):
            agent.submit(wrong)
        assert len(agent.all(ErrorEvent)) == 3
        assert agent.all(QuestionResolved) == []
        agent.submit(AnswerQuestion(choices=("small",)))
        assert isinstance(await agent.ended(), TurnComplete)


async def test_a_new_message_answers_the_question_in_its_own_words(tmp_path: Path) -> None:
    async with ScriptedLLM(*asking()) as server, Harness(server, tmp_path) as agent:
        agent.submit(UserInput(text="go"))
        await asked(agent)
        agent.submit(UserInput(text="something between"))
        assert isinstance(await agent.ended(), TurnComplete)
        assert agent.tool_results(2) == ["The user answered: something between"]


@pytest.mark.parametrize("operation", [Interrupt(), Compact()])
async def test_an_interrupt_or_another_operation_withdraws_it(tmp_path: Path, operation: Any) -> None:
    async with ScriptedLLM(*asking()) as server, Harness(server, tmp_path) as agent:
        agent.submit(UserInput(text="go"))
        await asked(agent)
        agent.submit(operation)
        assert isinstance(await agent.ended(), Interrupted)
        assert agent.last(QuestionResolved).how == "withdrawn"
        await agent.prompt("next")
        assert "Interrupted by the user" in agent.tool_results(2)[0]
        assert server.violations == []


async def test_two_questions_of_one_reply_are_asked_one_after_the_other(tmp_path: Path) -> None:
    script = (tools(ask("q1"), ask("q2", question="Which data?")), text("done"))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path) as agent:
        agent.submit(UserInput(text="go"))
        first = await asked(agent)
        agent.submit(AnswerQuestion(question_id=first.question_id, choices=("small",)))
        second = await asked(agent, agent.events.index(first) + 1)
        assert second.question == "Which data?"
        assert len(agent.all(QuestionResolved)) == 1
        agent.submit(AnswerQuestion(question_id=second.question_id, choices=("large",)))
        await agent.ended()
        assert agent.tool_results(2) == ["The user chose: small.", "The user chose: large."]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "the default was taken: small"),
        ({"default": "large"}, "the default was taken: large"),
        ({"options": []}, "decide yourself"),
    ],
)
async def test_where_nobody_is_there_the_default_is_taken(tmp_path: Path, arguments: dict[str, Any], told: str) -> None:
    async with ScriptedLLM(*asking(**arguments)) as server:
        wired = assemble(
            Run(
                Settings(model_name=MODEL, mode="yolo", llm=FAST),
                places=find_places({"ML_INTERN_HOME": str(tmp_path / "home")}),
                workspace=tmp_path,
                env={"LOCAL_LLM_BASE_URL": server.url},
                headless=True,
            )
        )
        async with Harness.around(wired, server) as agent:
            assert isinstance((await agent.prompt())[-1], TurnComplete)
            assert "Nobody is here" in agent.tool_results(2)[0]
            assert told in agent.tool_results(2)[0]
            kinds = [type(event) for event in agent.events if isinstance(event, QuestionAsked | QuestionResolved)]
            assert kinds == [QuestionAsked, QuestionResolved]
            assert agent.last(QuestionResolved).how == "default"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"default": "huge"}, "label of an option (small, large)"),
        ({"options": ["a", "a"]}, "label of its own"),
        ({"options": [], "free_text": False}, "free text"),
        ({"options": [str(number) for number in range(9)]}, "options"),
        ({"question": "  "}, "question"),
    ],
)
async def test_a_question_that_cannot_be_answered_is_not_asked(
    tmp_path: Path, arguments: dict[str, Any], problem: str
) -> None:
    async with ScriptedLLM(*asking(**arguments)) as server, Harness(server, tmp_path) as agent:
        await agent.prompt()
        assert problem in agent.tool_results(2)[0]
        assert agent.all(QuestionAsked) == []


async def test_an_answer_given_while_the_question_is_delivered_is_not_lost(tmp_path: Path) -> None:
    async with ScriptedLLM(*asking()) as server, Harness(server, tmp_path) as agent:

        def answer(event: EventBase) -> None:
            if isinstance(event, QuestionAsked):
                agent.submit(AnswerQuestion(choices=("large",)))

        agent.agent.events.subscribe(answer)
        await agent.prompt()
        assert agent.tool_results(2) == ["The user chose: large."]

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.protocol import (
    AnswerQuestion,
    Processing,
    QuestionAsked,
    QuestionOption,
    QuestionResolved,
    ToolCallEvent,
)
from tests.support.llm_script import call, text, tools
from tests.support.llm_server import ScriptedLLM
from tests.tui.playback import PlayedAgent, played_app
from tests.tui.stage import Stage, on_stage, real_app

OPTIONS = (
    QuestionOption(label="the small model", description="runs in an hour"),
    QuestionOption(label="the large model"),
    QuestionOption(label="both"),
)


@asynccontextmanager
async def asked(
    directory: Path, *, size: tuple[int, int] = (80, 24), grace_s: float = 0.0, **question: Any
) -> AsyncIterator[tuple[Stage, PlayedAgent]]:
    app, agents = played_app(directory, grace_s=grace_s)
    fields = {"question": "Which model do you mean?", "options": OPTIONS, **question}
    async with on_stage(app, size) as stage:
        await stage.sees("Ask for machine-learning work", "claude-opus")
        (agent,) = agents
        agent.events.play(
            Processing(),
            ToolCallEvent(tool="ask_user", arguments={"question": fields["question"]}, tool_call_id="q1"),
            QuestionAsked(question_id="q1", **fields),
        )
        await stage.sees("the agent asks")
        yield stage, agent


async def answer(stage: Stage, agent: PlayedAgent) -> AnswerQuestion:
    await stage.until(lambda: any(isinstance(done, AnswerQuestion) for done in agent.operations), "an answer")
    operation = agent.ask("answer_question")
    assert isinstance(operation, AnswerQuestion)
    return operation


async def test_question_options_and_keys_fit_80_by_24(tmp_path: Path) -> None:
    async with asked(tmp_path) as (stage, _agent):
        await stage.sees("Which model do you mean?", "1 the small model", "runs in an hour", "3 both")
        await stage.sees("1-3 choose", "w own words", "esc no answer")


async def test_a_number_answers(tmp_path: Path) -> None:
    async with asked(tmp_path) as (stage, agent):
        await stage.press("2")
        assert await answer(stage, agent) == AnswerQuestion(question_id="q1", choices=("the large model",))
        await stage.sees_no_more("the agent asks")


async def test_arrows_and_enter_answer_beginning_at_the_default(tmp_path: Path) -> None:
    async with asked(tmp_path, default="the large model") as (stage, agent):
        await stage.press("down", "enter")
        assert (await answer(stage, agent)).choices == ("both",)


async def test_a_number_beyond_the_options_does_nothing(tmp_path: Path) -> None:
    async with asked(tmp_path) as (stage, agent):
        await stage.press("8")
        await stage.sees("the agent asks")
        assert not any(isinstance(done, AnswerQuestion) for done in agent.operations)


async def test_where_several_fit_marks_are_set_and_taken_away_before_they_are_sent(tmp_path: Path) -> None:
    async with asked(tmp_path, multiple=True) as (stage, agent):
        await stage.press("space", "3")
        await stage.sees("[x] the small model", "[ ] the large model", "[x] both")
        await stage.press("1", "down", "space", "enter")
        assert (await answer(stage, agent)).choices == ("the large model", "both")


async def test_own_words_are_typed_into_the_line(tmp_path: Path) -> None:
    async with asked(tmp_path) as (stage, agent):
        await stage.press("w")
        await stage.type("1 w of them")
        await stage.press("enter")
        assert await answer(stage, agent) == AnswerQuestion(question_id="q1", text="1 w of them")


async def test_escape_leaves_the_line_first_and_then_gives_no_answer(tmp_path: Path) -> None:
    async with asked(tmp_path) as (stage, agent):
        await stage.press("w", "escape")
        await stage.sees("esc no answer")
        await stage.press("escape")
        assert (await answer(stage, agent)).dismissed


async def test_without_options_the_line_waits_for_words(tmp_path: Path) -> None:
    async with asked(tmp_path, options=()) as (stage, agent):
        await stage.press("enter")
        await stage.enter("a name")
        assert (await answer(stage, agent)).text == "a name"


async def test_without_free_text_there_is_no_line(tmp_path: Path) -> None:
    async with asked(tmp_path, free_text=False) as (stage, _agent):
        assert "own words" not in stage.screen


async def test_keys_decide_nothing_for_a_moment(tmp_path: Path) -> None:
    async with asked(tmp_path, grace_s=5.0) as (stage, agent):
        await stage.press("2", "enter", "escape")
        await stage.sees("the agent asks")
        assert not any(isinstance(done, AnswerQuestion) for done in agent.operations)


async def test_a_withdrawn_question_closes_its_dialog(tmp_path: Path) -> None:
    async with asked(tmp_path) as (stage, agent):
        agent.events.play(QuestionResolved(question_id="q1", how="withdrawn"))
        await stage.sees_no_more("the agent asks")
        await stage.sees("The question was withdrawn.")


async def test_markup_in_a_question_is_text(tmp_path: Path) -> None:
    options = (QuestionOption(label="[red]x[/red]", description="[b]bold[/b]"),)
    async with asked(tmp_path, question="[link=a]b[/link]?", options=options) as (stage, _agent):
        await stage.sees("[link=a]b[/link]?", "[red]x[/red]", "[b]bold[/b]")


@pytest.mark.parametrize(
    ("how", "choices", "words", "shown"),
    [
        ("answered", ("small", "large"), "and a [tiny] one", "you answered: small; large; and a [tiny] one"),
        ("dismissed", (), "", "you gave no answer"),
    ],
)
async def test_the_conversation_tells_what_was_answered(
    tmp_path: Path, how: Any, choices: tuple[str, ...], words: str, shown: str
) -> None:
    async with asked(tmp_path) as (stage, agent):
        agent.events.play(QuestionResolved(question_id="q1", how=how, choices=choices, text=words))
        await stage.sees(shown)


async def test_the_answer_reaches_the_model(tmp_path: Path) -> None:
    question = {"question": "Which size?", "options": ["small", "large"]}
    script = (tools(call("ask_user", question, id="q1")), text("Large it is."))
    async with ScriptedLLM(*script) as server, on_stage(real_app(server, tmp_path)) as stage:
        await stage.sees("vllm/scripted")
        await stage.enter("go")
        await stage.sees("Which size?")
        await stage.press("2")
        await stage.sees("Large it is.")
        sent = server.requests[1].messages[-1]
        assert sent["content"] == "The user chose: large."

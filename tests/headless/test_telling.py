from __future__ import annotations

import io
from typing import Any

import pytest

from ml_intern.core.plain_text import plain
from ml_intern.core.protocol import (
    AssistantMessage,
    ErrorEvent,
    EventBase,
    Interrupted,
    Notice,
    PlanItem,
    PlanUpdate,
    Processing,
    QuestionAsked,
    QuestionResolved,
    Ready,
    SubagentEvent,
    SubagentState,
    ToolCallEvent,
    ToolOutput,
    TurnComplete,
)
from ml_intern.core.redact import Redactor
from ml_intern.core.tools.fetched import as_data
from ml_intern.core.tools.spec import ToolResult
from ml_intern.headless.outcome import Outcome
from ml_intern.headless.progress import Progress, one_line, summary_of
from ml_intern.headless.streams import Stream


def complete(reason: Any) -> TurnComplete:
    return TurnComplete(reason=reason, final_response="x", iterations=1, cost_usd=0, tokens=1)


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (complete("completed"), 0),
        (complete("max_iterations"), 3),
        (complete("cost_limit"), 3),
        (complete("context_limit"), 3),
        (ErrorEvent(error="x", kind="auth"), 1),
        (ErrorEvent(error="x", kind="model_not_found"), 1),
        (ErrorEvent(error="x", kind="no_key"), 2),
        (ErrorEvent(error="x", kind="no_model"), 2),
        (ErrorEvent(error="x", kind="context_overflow"), 3),
        (ErrorEvent(error="x", kind="internal", ends_turn=False), 1),
        (Interrupted(), 130),
    ],
)
def test_every_end_of_a_turn_has_its_exit_code(event: EventBase, code: int) -> None:
    outcome = Outcome.of(event)
    assert outcome is not None
    assert outcome.exit_code == code


@pytest.mark.parametrize(
    "event", [Processing(), Notice(text="x"), ErrorEvent(error="x", kind="usage", ends_turn=False)]
)
def test_other_events_end_nothing(event: EventBase) -> None:
    assert Outcome.of(event) is None


def told(*events: EventBase) -> list[str]:
    raw = io.BytesIO()
    progress = Progress(Stream(io.TextIOWrapper(raw, encoding="ascii")), Redactor(["correct-horse-battery"]))
    for event in events:
        progress.event(event)
    return raw.getvalue().decode().splitlines()


def test_what_happens_is_one_line_each() -> None:
    plan = (
        PlanItem(id="1", content="look", status="completed"),
        PlanItem(id="2", content="train", status="in_progress"),
    )
    failed = ToolResult("ERROR: no such page", ok=False)
    assert told(
        Ready(tool_count=2, model="vllm/x", mode="yolo", workdir="/data", notes=("odd file",)),
        AssistantMessage(content="I will\nlook first."),
        ToolCallEvent(tool="bash", arguments={"command": "ls \x1b[31m\n-la"}, tool_call_id="1"),
        ToolOutput(tool="bash", tool_call_id="1", output="[/no] such\nfile", success=False),
        ToolOutput(tool="bash", tool_call_id="2", output="fine", success=True),
        ToolOutput(tool="web_fetch", tool_call_id="3", output=as_data(failed, "web_fetch").text, success=False),
        PlanUpdate(plan=plan),
        Notice(text="retrying in 2 s", level="warning"),
        AssistantMessage(content="The answer."),
    ) == [
        "model vllm/x · mode yolo · /data",
        "! odd file",
        "  I will look first.",
        "▸ bash ls -la",
        "  ✗ bash: [/no] such file",
        "  ✗ web_fetch: ERROR: no such page",
        "  plan 1/2 · train",
        "! retrying in 2 s",
    ]


def test_a_secret_with_colours_in_it_is_not_put_together_by_taking_them_out() -> None:
    words = ("correct-horse\x1b[0m-battery", "hf_abcdefghijklmn\x1b[01;31m\x1b[Kopqrstuvwxyz123456")
    assert told(*(Notice(text=f"denied: {word}", level="warning") for word in words)) == [
        "! denied: [REDACTED]",
        "! denied: [REDACTED_HF_TOKEN]",
    ]


def test_a_sub_agent_tells_its_calls_and_how_it_ended() -> None:
    call = ToolCallEvent(tool="web_fetch", arguments={"url": "https://site/a"}, tool_call_id="n1")
    state = SubagentState(agent_id="1", label="research: moss", model="m", state="running")
    done = {"tools": 1, "tokens": 1234, "cost_usd": 0.05, "seconds": 12.0}
    assert told(
        state,
        SubagentEvent(agent_id="1", event=call),
        SubagentEvent(agent_id="1", event=ToolOutput(tool="x", tool_call_id="n1", output="no", success=False)),
        SubagentEvent(agent_id="1", event=Notice(text="write follows an order", level="warning")),
        SubagentEvent(agent_id="1", event=Notice(text="all is well")),
        state.model_copy(update={**done, "state": "completed"}),
        state.model_copy(update={**done, "state": "failed", "note": "no more money"}),
    ) == [
        "    ▸ web_fetch https://site/a",
        "    ! write follows an order",
        "  ✓ research: moss · 1 call · 1,234 tokens · $0.0500 · 12 s",
        "  ✗ research: moss · 1 call · 1,234 tokens · $0.0500 · 12 s · no more money",
    ]


def test_a_question_nobody_can_answer_is_told_with_what_was_taken() -> None:
    assert told(
        QuestionAsked(question_id="1", question="Which moss?"),
        QuestionResolved(question_id="1", how="default", choices=("green",)),
        QuestionResolved(question_id="2", how="default"),
    ) == [
        "? Which moss?",
        "  nobody is here to answer; the default was taken: green",
        "  nobody is here to answer; the agent decides",
    ]


def test_secrets_do_not_reach_the_terminal() -> None:
    (line,) = told(ToolCallEvent(tool="bash", arguments={"command": "x correct-horse-battery"}, tool_call_id="1"))
    assert line == "▸ bash x [REDACTED]"


@pytest.mark.parametrize(
    ("arguments", "summary"),
    [
        ({}, ""),
        ({"command": "ls"}, "ls"),
        ({"content": "long", "path": "a.py"}, "a.py"),
        ({"operation": "run", "script": "print(1)\nprint(2)"}, "run print(1) print(2)"),
        ({"operation": "ps"}, "ps"),
        ({"todos": [1]}, '{"todos": [1]}'),
    ],
)
def test_call_is_summed_up_by_its_most_telling_argument(arguments: dict[str, Any], summary: str) -> None:
    assert summary_of(arguments) == summary


def test_long_lines_are_cut_where_they_stop_telling() -> None:
    assert one_line("a  b\nc") == "a b c"
    assert len(one_line("x" * 10_000)) == 100


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("ünï 🤗\ttab\nline", "ünï 🤗\ttab\nline"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x07", "link"),
        ("\x1b]0;title\x1b\\rest", "rest"),
        ("a\x00b\x08c\x7fd\x9be", "abcde"),
        ("win\r\ndows", "win\ndows"),
        ("lone \ud800", "lone ?"),
        ("\x1b", ""),
    ],
)
def test_text_reaches_a_stream_plain(text: str, clean: str) -> None:
    assert plain(text) == clean


def test_terminal_gets_a_fainter_shade_and_a_file_none() -> None:
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    assert Stream(io.TextIOWrapper(io.BytesIO())).dim("x") == "x"
    assert Stream(Terminal(io.BytesIO())).dim("x") == "\x1b[2mx\x1b[22m"

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_intern.headless.wording import for_command_line
from ml_intern.sessions.log import read_session
from tests.support.llm_server import ScriptedLLM, call, error, text, tools
from tests.support.program import MODEL, Program


@pytest.fixture
def server() -> Iterator[ScriptedLLM]:
    with ScriptedLLM() as running:
        yield running
        assert running.violations == []


@pytest.fixture
def program(tmp_path: Path, server: ScriptedLLM) -> Program:
    return Program(tmp_path, LOCAL_LLM_BASE_URL=server.url)


def test_two_signals_in_a_row_end_the_turn_with_its_event(server: ScriptedLLM, program: Program) -> None:
    server.then(tools(call("bash", {"command": "trap '' TERM INT HUP; touch ready; while :; do sleep 0.1; done"})))
    with program.started(*MODEL, "--output", "stream-json", "go") as process:
        while not (program.workdir / "ready").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        stdout, _ = process.communicate(timeout=10)
    assert process.returncode == 130
    printed = [json.loads(line)["type"] for line in stdout.splitlines()]
    logged = [event["type"] for event in read_session(program.logs()[0])]
    assert printed.count("interrupted") == logged.count("interrupted") == 1


def test_a_call_that_nobody_could_approve_is_not_put_down_to_the_user(server: ScriptedLLM, program: Program) -> None:
    server.then(tools(call("bash", {"command": "touch made"})), text("I see."))
    stopped = program.run(*MODEL, "--mode", "ask", "go")
    assert stopped.code == 4
    assert "user interrupted" not in stopped.stderr
    assert program.run(*MODEL, "--continue", "and now?").code == 0
    told = server.requests[1].messages[-2]
    assert told["content"] == "Not executed: it needs a person's approval, and nobody watches this run."


def test_next_steps_are_flags_where_there_is_no_prompt(server: ScriptedLLM, program: Program) -> None:
    server.then(tools(call("bash", {"command": "date"})), error(400, "thinking is not supported"))
    assert "Run `ml-intern --continue continue` to go on" in program.run(*MODEL, "--max-iterations", "1", "go").stderr
    done = program.run(*MODEL, "--output", "json", "go")
    assert "set another with --effort." in done.object["error"]["message"]
    assert "set another with --effort." in done.stderr


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "begin afresh with /new or choose another /model",
            "begin afresh in a new run or choose another model with --model",
        ),
        ("choose one with /model or --model, or try --demo", "choose one with --model, or try --demo"),
        ("http://host/v1 refused it: see https://host/model", "http://host/v1 refused it: see https://host/model"),
    ],
)
def test_commands_of_the_app_become_what_the_command_line_has(said: str, told: str) -> None:
    assert for_command_line(said) == told


def test_a_model_that_is_reached_in_another_way_than_its_name_says_is_told_so(
    server: ScriptedLLM, program: Program
) -> None:
    program.env |= {"HF_TOKEN": "hf_" + "Ab1" * 12, "HF_ROUTER_BASE_URL": server.url, "HF_ENDPOINT": server.origin}
    server.then(text("Hello."))
    done = program.run("--model", "anthropic/claude-opus-4-6", "go")
    assert (done.code, done.stdout) == (0, "Hello.\n")
    assert (
        "! ANTHROPIC_API_KEY is not set, so anthropic/claude-opus-4-6 is reached through the Hugging Face"
        in done.stderr
    )


def test_standard_input_goes_behind_what_is_asked_of_it(server: ScriptedLLM, program: Program) -> None:
    server.then(text("ok"))
    assert program.run(*MODEL, "review", "this:", "-", "--no-stream", stdin=b"+ one\n+ two\n").code == 0
    assert server.requests[0].messages[-1]["content"] == "review this:\n\n+ one\n+ two"
    empty = program.run(*MODEL, "review this:", "-")
    assert (empty.code, len(server.requests)) == (2, 1)
    assert "standard input is empty" in empty.stderr


def test_a_session_is_resumed_by_name_only(server: ScriptedLLM, program: Program) -> None:
    missing = program.run(*MODEL, "go", "--resume", "abc")
    assert missing.code == 2
    assert "`ml-intern sessions list --all`" in missing.stderr
    assert "no session to resume" in program.run(*MODEL, "go", "--resume").stderr
    server.then(text("Hello."))
    program.run(*MODEL, "first")
    unnamed = program.run(*MODEL, "go", "--resume")  # with one session too: a script may have meant another
    assert unnamed.code == 2
    assert f"{program.logs()[0].stem[:8]} first" in unnamed.stderr
    assert len(server.requests) == 1

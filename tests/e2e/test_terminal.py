"""The command that an installation brings, in a terminal, from the first key to the shell's prompt."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ml_intern.sessions.log import read_session
from tests.support.llm_server import ScriptedLLM, call, text, tools
from tests.support.program import MODEL, Program
from tests.support.terminal import Terminal, opened

COMMAND = Path(sysconfig.get_path("scripts")) / "ml-intern"
DELETION = tools(call("bash", {"command": "rm -rf old"}))


@contextmanager
def asked(directory: Path, server: ScriptedLLM, size: tuple[int, int] = (80, 24)) -> Iterator[tuple[Program, Terminal]]:
    """The app, as far as the question whether a directory may be deleted."""
    program = Program(directory, LOCAL_LLM_BASE_URL=server.url)
    program.configure(ui={"approval_grace_s": 0})
    (program.workdir / "old").mkdir()
    with opened(program, [str(COMMAND), *MODEL], size) as terminal:
        terminal.sees("vllm/scripted")
        terminal.send("clean up\r")
        terminal.sees("rm -rf old", "approve", "reject")
        assert (program.workdir / "old").exists()
        assert len(server.requests) == 1
        yield program, terminal


def leave(terminal: Terminal, program: Program) -> None:
    terminal.send("\x03\x03")
    assert terminal.ended() == 0
    assert terminal.is_restored()
    (log,) = program.logs()
    assert log.stem in terminal.written.rpartition("\x1b[?1049l")[2]
    assert [event["type"] for event in read_session(log)][-1] == "shutdown"


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_an_approved_call_runs_and_its_result_is_answered(tmp_path: Path, size: tuple[int, int]) -> None:
    with ScriptedLLM(DELETION, text("It is gone.")) as server, asked(tmp_path, server, size) as (program, terminal):
        terminal.send("a\r")
        terminal.sees("It is gone.")
        assert not (program.workdir / "old").exists()
        assert "exit code 0" in server.requests[1].messages[-1]["content"]
        leave(terminal, program)
        assert server.violations == []


def test_a_note_reaches_the_model_in_its_own_words(tmp_path: Path) -> None:
    with ScriptedLLM(DELETION, text("I leave it.")) as server, asked(tmp_path, server) as (program, terminal):
        terminal.send("n")
        terminal.sees("what should be different?")
        terminal.send("Keep it: Needed for the [/Baseline]\r")
        terminal.sees("I leave it.")
        assert (program.workdir / "old").exists()
        assert "Keep it: Needed for the [/Baseline]" in server.requests[1].messages[-1]["content"]
        leave(terminal, program)


def test_the_question_survives_a_resized_terminal(tmp_path: Path) -> None:
    with ScriptedLLM(DELETION, text("It is gone.")) as server, asked(tmp_path, server) as (program, terminal):
        for columns, lines in ((200, 60), (40, 12), (120, 40), (80, 24)):
            terminal.resize(columns, lines)
        terminal.sees("rm -rf old", "approve")
        terminal.send("a\r")
        terminal.sees("It is gone.")
        leave(terminal, program)

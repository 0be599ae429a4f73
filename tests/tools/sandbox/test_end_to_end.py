from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.hub import StandInHub
from tests.support.llm_server import ScriptedLLM, Step, call, text, tools
from tests.support.program import MODEL, Program
from tests.tools.sandbox.support import until


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with StandInHub(tmp_path / "hub") as running:
        yield running


@pytest.fixture
def server() -> Iterator[ScriptedLLM]:
    with ScriptedLLM() as running:
        yield running
        assert running.violations == []


@pytest.fixture
def program(tmp_path: Path, server: ScriptedLLM, hub: StandInHub) -> Program:
    return Program(tmp_path, LOCAL_LLM_BASE_URL=server.url, **hub.env())


def bash(command: str, **arguments: object) -> Step:
    return tools(call("bash", {"command": command, **arguments}))


def events(program: Program) -> list[dict[str, Any]]:
    return [json.loads(line) for line in program.logs()[0].read_text().splitlines()]


def booked(program: Program) -> dict[str, dict[str, Any]]:
    return {event["ref"]: event for event in events(program) if event["type"] == "expense"}


def test_the_program_works_in_a_sandbox_pays_for_it_and_ends_it(
    program: Program, server: ScriptedLLM, hub: StandInHub
) -> None:
    script = "print('hello from', __file__)\n"
    write = tools(call("write", {"path": "hello.py", "content": script}, id="c1"))
    server.then(write, bash("python3 hello.py"), text("It ran."))
    done = program.run(*MODEL, "--sandbox-tools", "try it")
    assert (done.code, done.stdout) == (0, "It ran.\n"), done.stderr
    written, ran = [message["content"] for message in server.requests[-1].messages if message["role"] == "tool"]
    assert written.startswith("Created /app/hello.py")
    assert "hello from /app/hello.py" in ran
    assert not (program.workdir / "hello.py").exists()
    assert "Starting a sandbox: cpu-basic, $0.01 an hour" in json.dumps(events(program))
    assert "Rented: Sandbox " in done.stderr
    (sandbox,) = hub.areas["sandboxes"].all()
    assert sandbox.stage == "CANCELED"
    assert len(hub.requests("/cancel", "POST")) == 1
    name = sandbox.labels["ml-intern-sandbox"]
    assert booked(program)[name]["state"] == "measured"
    assert 0 < booked(program)[name]["cost_usd"] < 0.01
    assert booked(program)[f"{name} (reserved)"]["state"] == "released"


def test_the_model_is_told_where_it_is_and_of_nothing_that_is_elsewhere(
    program: Program, server: ScriptedLLM, hub: StandInHub
) -> None:
    server.then(text("ok"))
    assert program.run(*MODEL, "--sandbox-tools", "hi").code == 0
    request = server.requests[0]
    told = json.dumps(request.body["tools"]) + request.messages[0]["content"]
    assert "in a rented sandbox" in told
    assert "/app" in told
    assert str(program.workdir) not in told
    assert "the person's own machine" not in told
    names = [tool["function"]["name"] for tool in request.body["tools"]]
    assert names[:7] == ["bash", "read", "write", "edit", "sandbox_create", "sandbox_delete", "sandbox_url"]
    assert hub.areas["sandboxes"].all() == []


def test_the_local_runtime_has_no_sandbox_tools_and_does_not_speak_of_them(
    program: Program, server: ScriptedLLM
) -> None:
    server.then(text("ok"))
    assert program.run(*MODEL, "hi").code == 0
    request = server.requests[0]
    assert not [tool for tool in request.body["tools"] if tool["function"]["name"].startswith("sandbox")]
    assert "/app" not in request.messages[0]["content"]
    assert str(program.workdir) in request.messages[0]["content"]


def test_without_a_token_the_program_says_what_is_missing(tmp_path: Path, server: ScriptedLLM) -> None:
    done = Program(tmp_path, LOCAL_LLM_BASE_URL=server.url).run(*MODEL, "--sandbox-tools", "hi")
    assert done.code == 2
    assert "HF_TOKEN" in done.stderr
    assert "--local-tools" in done.stderr


def test_hardware_that_does_not_exist_is_told_at_once(program: Program, server: ScriptedLLM) -> None:
    program.configure(sandbox={"flavor": "t4-smal"})
    done = program.run(*MODEL, "--sandbox-tools", "hi")
    assert done.code == 2
    assert "Did you mean t4-small" in done.stderr
    assert server.requests == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_run_that_is_told_to_end_ends_its_sandbox_once(
    program: Program, server: ScriptedLLM, hub: StandInHub, number: signal.Signals
) -> None:
    server.then(bash("echo begun > begun; sleep 60"), text("never"))
    area = hub.areas["sandboxes"]
    with program.started(*MODEL, "--sandbox-tools", "go") as process:
        await until(lambda: area.running() and area.path(area.running()[0].id, "/app/begun").exists())
        process.send_signal(number)
        assert process.wait(10) == 130
    assert area.running() == []
    assert len(hub.requests("/cancel", "POST")) == 1


async def test_a_run_that_is_ended_while_its_sandbox_starts_leaves_nothing_running(
    program: Program, server: ScriptedLLM, hub: StandInHub
) -> None:
    server.then(bash("true"), text("never"))
    hub.areas["jobs"].hold_in_scheduling()
    area = hub.areas["sandboxes"]
    with program.started(*MODEL, "--sandbox-tools", "go") as process:
        await until(area.running)
        process.terminate()
        assert process.wait(10) == 130
    assert area.running() == []


async def test_a_resumed_session_goes_on_in_the_sandbox_that_a_killed_one_left_behind(
    program: Program, server: ScriptedLLM, hub: StandInHub
) -> None:
    server.then(bash("echo precious > kept.txt; echo begun > begun; sleep 60"))
    area = hub.areas["sandboxes"]
    with program.started(*MODEL, "--sandbox-tools", "go") as process:
        await until(lambda: area.running() and area.path(area.running()[0].id, "/app/begun").exists())
        process.kill()
    (left,) = area.running()
    server.then(bash("cat kept.txt"), text("Still there."))
    done = program.run(*MODEL, "--sandbox-tools", "--continue", "go on")
    assert done.code == 0, done.stderr
    assert "precious" in server.requests[-1].messages[-1]["content"]
    assert [job.id for job in area.all()] == [left.id]
    assert area.running() == []
    name = left.labels["ml-intern-sandbox"]
    assert booked(program)[name]["state"] == "measured"


async def test_a_resumed_session_is_told_when_its_files_are_gone(
    program: Program, server: ScriptedLLM, hub: StandInHub
) -> None:
    server.then(bash("echo precious > kept.txt"), text("Done."))
    assert program.run(*MODEL, "--sandbox-tools", "go").code == 0
    server.then(bash("cat kept.txt"), text("Gone."))
    done = program.run(*MODEL, "--sandbox-tools", "--continue", "go on")
    assert done.code == 0, done.stderr
    assert "its files are gone" in server.requests[-1].messages[-1]["content"]
    assert len(hub.areas["sandboxes"].all()) == 2


def test_a_slow_hub_is_waited_for_so_that_the_sandbox_surely_ends(
    program: Program, server: ScriptedLLM, hub: StandInHub
) -> None:
    hub.fail("/cancel", 503, method="POST", delay_s=2.5)
    server.then(bash("true"), text("Done."))
    done = program.run(*MODEL, "--sandbox-tools", "go")
    assert done.code == 0, done.stderr
    assert "ending the sandbox" in done.stderr
    assert hub.areas["sandboxes"].running() == []


def test_a_script_of_the_sandbox_is_submitted_as_a_job(program: Program, server: ScriptedLLM, hub: StandInHub) -> None:
    write = {"path": "train.py", "content": "print('trained in a job')\n"}
    job = {"operation": "run", "script": "train.py", "hardware_flavor": "cpu-basic"}
    server.then(tools(call("write", write, id="c1")), tools(call("hf_jobs", job, id="c2")), text("Done."))
    done = program.run(*MODEL, "--sandbox-tools", "go")
    assert done.code == 0, done.stderr
    result = server.requests[-1].messages[-1]["content"]
    assert "COMPLETED" in result
    assert "trained in a job" in result

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.llm_server import ScriptedLLM, Step
from tests.support.program import MODEL, Finished, Program

TOKEN = "hf_" + "Ab1" * 12


@pytest.fixture
def server() -> Iterator[ScriptedLLM]:
    with ScriptedLLM(models=[{"id": "scripted", "max_model_len": 4096}]) as running:
        running.handlers["GET", "/api/whoami-v2"] = lambda _: Step(body={"name": "ada"})
        running.handlers["GET", "/api/models"] = lambda _: Step(body=[])  # type: ignore[arg-type]  # a list, as the Hub has it
        yield running


@pytest.fixture
def program(tmp_path: Path, server: ScriptedLLM) -> Program:
    return Program(
        tmp_path,
        LOCAL_LLM_BASE_URL=server.url,
        HF_ENDPOINT=server.origin,
        HF_ROUTER_BASE_URL=server.url,
    )


def checks(done: Finished, section: str) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in done.object[section]}


def test_usable_model_is_exit_code_0(program: Program) -> None:
    done = program.run("doctor", *MODEL, "--json")
    assert (done.code, done.object["ok"], done.stderr) == (0, True, "")
    model = checks(done, "model")
    assert (model["vllm/scripted"]["state"], model["vllm/scripted"]["cost"]) == ("ok", "free")
    assert "4,096 tokens" in model["context window"]["detail"]
    assert checks(done, "services")["vLLM"]["state"] == "ok"


def test_missing_key_is_exit_code_1_with_the_next_step(program: Program) -> None:
    done = program.run("doctor", "--model", "openai/gpt-5.5")
    assert done.code == 1
    assert "OPENAI_API_KEY" in done.stdout
    assert "cannot be used" in done.stdout


def test_dead_server_is_exit_code_1(program: Program) -> None:
    with ScriptedLLM() as gone:
        program.env["VLLM_BASE_URL"] = gone.url
    done = program.run("doctor", *MODEL, "--json")
    assert (done.code, checks(done, "model")["vllm/scripted"]["state"]) == (1, "failed")


def test_every_setting_comes_with_its_source(program: Program) -> None:
    program.configure(max_iterations=7, keys={"interupt": "ctrl+x"})
    (program.workdir / ".env").write_text("GITHUB_TOKEN=ghp_something_else\n")
    done = program.run("doctor", *MODEL, "--json")
    settings = {row["key"]: (row["value"], row["source"]) for row in done.object["settings"]}
    assert settings["model_name"] == ("vllm/scripted", "command line")
    assert settings["max_iterations"] == (7, str(program.home / "config" / "cli_agent_config.json"))
    assert settings["stream"] == (True, "bundled configuration")
    assert settings["llm.max_attempts"][1] == "default"
    assert any("no such action; the nearest is interrupt" in warning for warning in done.object["warnings"])
    assert str(program.workdir / ".env") in checks(done, "keys")["GITHUB_TOKEN"]["detail"]


def test_broken_configuration_is_told_and_the_rest_is_looked_at(program: Program) -> None:
    program.configure(max_iteration=7)
    done = program.run("doctor")
    assert done.code == 1
    assert "unknown key max_iteration" in done.stdout
    assert "model servers" in done.stdout or "vLLM" in done.stdout
    assert "Traceback" not in done.stderr


def test_token_is_used_and_never_shown(program: Program, server: ScriptedLLM) -> None:
    program.env["HF_TOKEN"] = TOKEN
    program.configure(mcpServers={"x": {"url": "http://127.0.0.1:9", "headers": {"Authorization": f"Bearer {TOKEN}"}}})
    for arguments in (("doctor", *MODEL), ("doctor", *MODEL, "--json")):
        done = program.run(*arguments)
        assert done.code == 0
        assert "signed in as ada" in done.stdout
        assert TOKEN not in done.stdout + done.stderr
    asked = [request for request in server.others if request.path == "/api/whoami-v2"]
    assert asked[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_nothing_is_written_and_nothing_is_sent_to_a_model(program: Program, server: ScriptedLLM) -> None:
    program.run("doctor", *MODEL)
    assert server.requests == []
    assert list(program.home.iterdir()) == []
    assert list(program.workdir.iterdir()) == []


def test_servers_are_listed_and_not_started_and_a_wrong_entry_is_a_problem(program: Program, tmp_path: Path) -> None:
    trace = tmp_path / "started"
    notes = {"command": "touch", "args": [str(trace)]}
    program.configure(mcpServers={"notes": notes, "docs": {"url": "http://127.0.0.1:9/x", "disabled": True}})
    done = program.run("doctor", *MODEL)
    assert done.code == 0
    assert "MCP notes             the program touch, not started by doctor" in done.stdout
    assert "MCP docs              disabled" in done.stdout
    assert not trace.exists()
    program.configure(mcpServers={"notes": {**notes, "arg": []}})
    done = program.run("doctor", *MODEL)
    assert done.code == 1
    assert "mcpServers.notes: unknown key arg; the nearest known one is args." in done.stdout

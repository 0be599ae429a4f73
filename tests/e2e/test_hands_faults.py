"""What is rented through the real program, when the program, the Hub or the person gives up at a bad moment."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.hub import StandInHub
from tests.support.llm_server import ScriptedLLM, call, text, tools
from tests.support.program import MODEL, Program
from tests.tools.sandbox.support import until

HOUR = {"operation": "run", "hardware_flavor": "t4-medium", "timeout": "1h"}
PRICE = 3600.0
"""Dollars an hour, so that each second can be seen on the bill."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with StandInHub(tmp_path / "hub") as running:
        running.areas["hardware"].set_price("t4-medium", PRICE)
        yield running


@pytest.fixture
def server() -> Iterator[ScriptedLLM]:
    with ScriptedLLM() as running:
        yield running
        assert running.violations == []


@pytest.fixture
def program(tmp_path: Path, server: ScriptedLLM, hub: StandInHub) -> Program:
    return Program(tmp_path, LOCAL_LLM_BASE_URL=server.url, **hub.env())


def job(**arguments: Any) -> Any:
    return tools(call("hf_jobs", {**HOUR, **arguments}))


def told(program: Program) -> list[dict[str, Any]]:
    return [json.loads(line) for line in program.logs()[-1].read_text().splitlines()]


async def test_a_job_whose_program_was_killed_is_found_by_the_next_start_with_its_bill(
    program: Program, server: ScriptedLLM, hub: StandInHub
) -> None:
    server.then(job(command=["sleep", "60"]))
    with program.started(*MODEL, "--max-cost", "none", "go") as process:
        await until(lambda: [item for item in hub.jobs.all() if item.stage == "RUNNING"])
        process.kill()
    (rented,) = hub.jobs.running()
    server.then(tools(call("bash", {"command": "sleep 2"})), text("Done."))
    done = program.run(*MODEL, "go")
    assert "1 job of earlier sessions still runs: about $3600.00/h" in done.stderr.replace(",", "")
    (found,) = [event for event in told(program) if event["type"] == "leftovers"]
    (item,) = found["items"]
    assert (item["id"], item["kind"], item["here"]) == (rented.id, "job", True)
    assert item["cost_usd"] > 0
    assert program.run("leftovers", "--end").code == 0
    await until(lambda: not hub.jobs.running())


async def test_a_run_that_is_ended_during_a_slow_submission_leaves_no_job(
    program: Program, server: ScriptedLLM, hub: StandInHub
) -> None:
    hub.jobs.hold_answers()
    server.then(job(command=["sleep", "60"]))
    with program.started(*MODEL, "--max-cost", "none", "go") as process:
        await until(lambda: bool(hub.jobs.all()))
        process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.2)  # the answer comes when the interrupt has been dealt with
        hub.jobs.release_answers()
        await asyncio.to_thread(process.wait, 20)
        assert process.returncode == 130
    await until(lambda: not hub.jobs.running())
    (rented,) = hub.jobs.all()
    assert rented.stage == "CANCELED"


def test_of_two_jobs_that_fit_only_singly_under_the_cap_one_is_rented(
    program: Program, server: ScriptedLLM, hub: StandInHub
) -> None:
    hub.areas["hardware"].set_price("t4-medium", 0.6)
    both = tools(*(call("hf_jobs", {**HOUR, "command": ["true"]}, id=f"c{n}") for n in range(2)))
    server.then(both, text("Done."))
    done = program.run(*MODEL, "--max-cost", "1", "--output", "json", "go")
    assert done.code == 0, done.stderr
    assert len(hub.jobs.all()) == 1
    results = [message["content"] for message in server.requests[-1].messages if message["role"] == "tool"]
    assert len(results) == 2
    assert len([result for result in results if "cap" in result]) == 1

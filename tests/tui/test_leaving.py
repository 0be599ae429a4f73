from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.display import JobCard
from ml_intern.options import Options
from ml_intern.tui.job_book import KnownJob
from ml_intern.tui.leaving import farewell, question
from tests.support.hub import StandInHub
from tests.support.llm_script import call, text, tools
from tests.support.llm_server import ScriptedLLM
from tests.tui.stage import on_stage, real_app


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with StandInHub(tmp_path / "hub") as served:
        yield served


def known(job_id: str, **card: Any) -> KnownJob:
    return KnownJob(JobCard(job_id=job_id, backend="hub", stage="RUNNING", **card), 0.0)


def test_nothing_is_asked_or_added_where_nothing_goes_on() -> None:
    assert question(False, []) == ""
    assert farewell("session 1 · $0.00", []) == "session 1 · $0.00"


def test_the_question_adds_up_what_goes_on() -> None:
    jobs = [known("1", max_cost_usd=1.5), known("2", max_cost_usd=0.75), known("3")]
    asked = question(True, jobs)
    assert asked.startswith("A turn is running. Quitting interrupts it")
    assert "3 jobs go on without the app and cost up to $2.25" in asked
    assert question(False, jobs[2:]) == "1 job goes on without the app; {jobs} shows and cancels jobs."


def test_the_farewell_has_no_control_characters_of_others() -> None:
    said = farewell("", [known("1", title="a\x1b[2J\nb", url="https://hub/jobs/mia/1"), known("2")])
    assert said.splitlines()[:2] == ["goes on: a b · https://hub/jobs/mia/1", "goes on: 2 · 2"]


async def test_leaving_while_a_job_goes_on_asks_with_its_price_and_says_where_it_is(
    hub: StandInHub, tmp_path: Path
) -> None:
    job = {"operation": "run", "command": ["sleep", "60"], "hardware_flavor": "t4-medium", "timeout": "1h"}
    steps = (tools(call("hf_jobs", {**job, "detach": True, "name": "long-run"})), text("It runs."))
    with ScriptedLLM(*steps) as server:
        app = real_app(server, tmp_path, Options(), env=hub.env(), mode="yolo")
        async with on_stage(app) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("go")
            await stage.sees("It runs.")
            await stage.enter("/quit")
            await stage.sees("1 job goes on without the app", "costs up to $0.60", "F3")
            await stage.press("n")
            await stage.sees_no_more("goes on without")
            assert not app.farewell
            await stage.enter("/quit")
            await stage.sees("goes on without")
            await stage.press("y")
            await stage.until(lambda: bool(app.farewell))
        (running,) = hub.jobs.running()
        assert f"goes on: long-run · {hub.url}/jobs/mia/{running.id}" in app.farewell
        assert "ml-intern leftovers" in app.farewell
    (log,) = (tmp_path / "home" / "sessions").rglob("*.jsonl")
    assert f"/jobs/mia/{running.id}" in log.read_text()

from __future__ import annotations

import re
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ml_intern.core.llm.practice import SUGGESTION
from ml_intern.core.protocol import (
    ApprovalDecision,
    ApprovalRequired,
    LLMCall,
    Mode,
    PlanUpdate,
    ToolCallEvent,
    ToolOutput,
    TurnComplete,
    UserInput,
)
from ml_intern.options import DEMO_MODEL
from ml_intern.resources import config_path
from tests.support.harness import Harness
from tests.support.llm_server import ScriptedLLM


@pytest.fixture
async def server() -> AsyncIterator[ScriptedLLM]:
    async with ScriptedLLM() as server:
        yield server


def practice(server: ScriptedLLM, directory: Path, monkeypatch: pytest.MonkeyPatch, mode: Mode) -> Harness:
    monkeypatch.setenv("ML_INTERN_PRACTICE_PACE_MS", "0")
    session = Harness(server, directory, model=DEMO_MODEL, mode=mode)
    for name in ("data.csv", "README.md"):
        shutil.copy(config_path("demo", name), session.workspace / name)
    return session


def printed(session: Harness) -> list[float]:
    """The accuracies that jobs printed."""
    outputs = [event.output for event in session.all(ToolOutput) if event.tool == "hf_jobs" and event.success]
    return [float(figure) for text in outputs for figure in re.findall(r"^accuracy=([\d.]+)$", text, re.MULTILINE)]


def percent(figure: float) -> str:
    return f"{figure:.1%}".replace(".0%", "%")


async def test_a_practice_session_does_the_work_and_reports_the_figures_it_reached(
    server: ScriptedLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    async with practice(server, tmp_path, monkeypatch, "yolo") as session:
        await session.prompt(SUGGESTION, timeout=60)
        end = session.last(TurnComplete)
        first, second = printed(session)
        assert end.reason == "completed"
        assert percent(first) in end.final_response
        assert percent(second) in end.final_response
        assert 0.7 < first < 0.9
        assert second > first
        assert all(event.success for event in session.all(ToolOutput))
        assert {item.status for item in session.last(PlanUpdate).plan} == {"completed"}
        assert {event.cost_usd for event in session.all(LLMCall)} == {0.0}
        assert (session.workspace / "metrics.json").is_file()
    assert time.monotonic() - began < 60
    assert server.requests == []


async def test_only_the_jobs_are_asked_about_and_what_a_person_says_there_is_followed(
    server: ScriptedLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with practice(server, tmp_path, monkeypatch, "guarded") as session:
        session.submit(UserInput(text=SUGGESTION))
        asked = await session.approval()
        [item] = asked.tools
        assert item.tool == "hf_jobs"
        assert item.editable == "script"
        assert item.estimated_cost_usd == 0.0
        session.decide(ApprovalDecision(tool_call_id=item.tool_call_id, approved=False, feedback="Use 3 epochs"))
        for _ in range(2):
            seen = len(session.events)
            asked = await session.approval(session.events.index(asked) + 1)
            [item] = asked.tools
            session.decide(ApprovalDecision(tool_call_id=item.tool_call_id, approved=True))
        end = await session.ended(seen, 30)
        assert isinstance(end, TurnComplete)
        assert "| 3 |" in end.final_response
        assert len(printed(session)) == 2
        assert {item.tool for event in session.all(ApprovalRequired) for item in event.tools} == {"hf_jobs"}


async def test_a_rejected_job_is_not_run_in_another_way(
    server: ScriptedLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with practice(server, tmp_path, monkeypatch, "guarded") as session:
        session.submit(UserInput(text=SUGGESTION))
        [item] = (await session.approval()).tools
        seen = len(session.events)
        session.decide(ApprovalDecision(tool_call_id=item.tool_call_id, approved=False))
        end = await session.ended(seen)
        assert isinstance(end, TurnComplete)
        assert "not run" in end.final_response
        after = session.events[seen:]
        assert {event.tool for event in after if isinstance(event, ToolCallEvent)} == {"plan_tool"}
        assert not (session.workspace / "metrics.json").exists()


async def test_an_edited_script_is_run_and_its_figure_is_reported_as_such(
    server: ScriptedLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with practice(server, tmp_path, monkeypatch, "guarded") as session:
        session.submit(UserInput(text=SUGGESTION))
        asked = await session.approval()
        [item] = asked.tools
        script = (session.workspace / "train.py").read_text().replace("EPOCHS = 40", "EPOCHS = 2")
        edited = ApprovalDecision(tool_call_id=item.tool_call_id, approved=True, edited_arguments={"script": script})
        session.decide(edited)
        asked = await session.approval(session.events.index(asked) + 1)
        seen = len(session.events)
        [item] = asked.tools
        script = (session.workspace / "train.py").read_text().replace("EPOCHS = 40", "EPOCHS = 2")
        edited = ApprovalDecision(tool_call_id=item.tool_call_id, approved=True, edited_arguments={"script": script})
        session.decide(edited)
        end = await session.ended(seen, 60)
        assert isinstance(end, TurnComplete)
        assert "You edited a script" in end.final_response
        assert "| baseline | words | 2 |" in end.final_response


async def test_in_plan_mode_it_changes_nothing_and_says_why_it_stops(
    server: ScriptedLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with practice(server, tmp_path, monkeypatch, "plan") as session:
        await session.prompt(SUGGESTION)
        assert "plan mode" in session.last(TurnComplete).final_response
        assert sorted(path.name for path in session.workspace.iterdir()) == ["README.md", "data.csv"]

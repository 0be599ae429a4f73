from __future__ import annotations

from pathlib import Path
from typing import Any

from ml_intern.core.protocol import EventBase, ModeChanged, ModelChanged, Ready
from ml_intern.options import Options
from ml_intern.run import UNWATCHED_CAP_USD
from ml_intern.wiring import Wired, build
from tests.tui.review_story import PAST, prompt, write_log

HOSTED = "anthropic/claude-opus-4-6"


def resumed(directory: Path, *events: EventBase, **options: Any) -> Wired:
    directory.mkdir(exist_ok=True)
    home = directory / "home"
    told: list[EventBase] = [
        Ready(tool_count=20, model="vllm/first", effort="low", mode="ask", workdir=str(directory)),
        *events,
        *prompt("Hello"),
    ]
    write_log(home / "sessions", [(float(at), event) for at, event in enumerate(told)])
    (home / "config").mkdir()
    (home / "config" / "cli_agent_config.json").write_text('{"model_name": "vllm/mine"}', encoding="utf-8")
    env = {
        "ML_INTERN_HOME": str(home),
        "LOCAL_LLM_BASE_URL": "http://127.0.0.1:9",
        "PATH": "/usr/bin:/bin",
        "HOME": str(directory),
    }
    return build(Options(resume=PAST, **options), env)


def choices(wired: Wired) -> tuple[str, str, str]:
    session = wired.agent.session
    return session.model, session.effort, session.mode


async def test_a_session_goes_on_with_the_model_effort_and_mode_it_ended_with(tmp_path: Path) -> None:
    assert choices(resumed(tmp_path / "as-begun")) == ("vllm/first", "low", "ask")
    changes = (ModelChanged(model="vllm/second", effort="max"), ModeChanged(mode="plan"))
    assert choices(resumed(tmp_path / "changed", *changes)) == ("vllm/second", "max", "plan")


async def test_what_the_command_line_names_comes_before_what_the_session_had(tmp_path: Path) -> None:
    wired = resumed(tmp_path, model="vllm/named", effort="high", mode="guarded")
    assert choices(wired) == ("vllm/named", "high", "guarded")


async def test_a_session_that_went_on_by_itself_is_capped_when_it_does_again(tmp_path: Path) -> None:
    wired = resumed(tmp_path, ModeChanged(mode="yolo"))
    assert wired.agent.session.mode == "yolo"
    assert wired.agent.session.budget.cap_usd == UNWATCHED_CAP_USD


async def test_where_nobody_can_answer_the_mode_is_that_of_the_run(tmp_path: Path) -> None:
    wired = resumed(tmp_path, prompt="go on")
    assert choices(wired) == ("vllm/first", "low", "yolo")


async def test_a_model_that_cannot_be_used_any_more_gives_way_to_the_configured_one(tmp_path: Path) -> None:
    wired = resumed(tmp_path, ModelChanged(model=HOSTED, effort="low"))
    assert choices(wired) == ("vllm/mine", "low", "ask")
    assert not wired.model_problem
    [warning] = [text for text in wired.warnings if "Going on with" in text]
    assert HOSTED in warning
    assert "ANTHROPIC_API_KEY" in warning

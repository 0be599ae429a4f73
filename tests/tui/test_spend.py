from __future__ import annotations

import csv
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ml_intern.core.display import JobCard
from ml_intern.core.protocol import (
    ContextUsage,
    EventBase,
    Expense,
    LLMCall,
    NewComplete,
    Ready,
    ToolStateChange,
)
from tests.sessions.support import prompt, record
from tests.tui.playback import PlayedAgent, played_app
from tests.tui.stage import Stage, on_stage


def call(usd: float | None, model: str = "anthropic/claude-opus-4-6", state: str = "estimated") -> LLMCall:
    figures = {"prompt_tokens": 1, "completion_tokens": 1, "cached_tokens": 0, "latency_ms": 1}
    return LLMCall.model_validate({"model": model, "kind": "main", "cost_usd": usd, "cost_state": state, **figures})


def job(ref: str, usd: float, state: str = "promised") -> Expense:
    return Expense.model_validate({"kind": "job", "what": "hf_jobs", "ref": ref, "cost_usd": usd, "state": state})


def running(job_id: str, worst: float, hours: float, stage: str = "RUNNING") -> ToolStateChange:
    card = JobCard(
        job_id=job_id, backend="hub", stage=stage, title="sft smollm", timeout_s=hours * 3600, max_cost_usd=worst
    )
    return ToolStateChange(tool="hf_jobs", tool_call_id="c", state=stage.lower(), display=(card,))


def past(directory: Path, name: str, day: str, *events: EventBase) -> None:
    path = record(directory / "home" / "sessions", name, *prompt(f"Train {name}"), *events)
    path.write_text(re.sub(r'"time":"[^"]*"', f'"time":"{day}T10:00:00.000Z"', path.read_text()))


@asynccontextmanager
async def shown(
    directory: Path, *happened: EventBase, size: tuple[int, int] = (120, 35)
) -> AsyncIterator[tuple[Stage, PlayedAgent]]:
    app, agents = played_app(directory)
    async with on_stage(app, size) as stage:
        await stage.sees("Ask for machine-learning work", "claude-opus")
        agents[0].events.play(*happened)
        await stage.pilot.pause()
        await stage.press("f4")
        await stage.sees("1 session", "export CSV")
        yield stage, agents[0]


async def test_nothing_spent_says_so_and_what_will_appear(tmp_path: Path) -> None:
    async with shown(tmp_path) as (stage, _):
        await stage.sees("Nothing has been spent yet.", "spent $0.00")
        for key in "2345":
            await stage.press(key)
            await stage.sees("Nothing has been spent yet.")
        await stage.press("escape")
        await stage.sees("Ask for machine-learning work")


async def test_this_session_shows_what_is_measured_estimated_and_promised_apart(tmp_path: Path) -> None:
    happened = (
        call(0.30),
        call(0.12, state="measured"),
        call(None, "vllm/odd"),
        job("66f1", 2.0),
        job("66f0", 0.5, "measured"),
        ContextUsage(tokens=1, window=10, cost_usd=0.92, cap_usd=10.0, promised_usd=2.0, unpriced_calls=1),
    )
    async with shown(tmp_path, *happened) as (stage, _):
        await stage.sees("spent $0.92+?", "measured $0.62 · estimated $0.30", "promised $2.00", "$7.08 of $10.00 left")
        assert stage.row("anthropic/claude").split()[-4:] == ["$0.42", "$0.12", "$0.30", "–"]
        assert stage.row("job 66f1").split()[-4:] == ["$0.00", "–", "–", "$2.00"]
        assert stage.row("job 66f0").split()[-4:] == ["$0.50", "$0.50", "–", "–"]
        assert "$0.00+?" in stage.row("vllm/odd")
        assert "2 calls: main" in stage.row("anthropic/claude")


@pytest.mark.parametrize(
    ("cap", "told"),
    [
        (3.0, "the cap is reached"),
        (10.0, "the cap is reached in about 1 h 10 m"),
        (1_000.0, "the cap is reached in about 7 days"),
        (9_000.0, "the cap lasts for more than a month"),
    ],
)
async def test_pace_and_running_jobs_tell_when_the_cap_is_reached(tmp_path: Path, cap: float, told: str) -> None:
    happened = (
        call(1.0),
        job("66f1", 2.0),
        running("66f1", 2.0, 2.0),
        ContextUsage(tokens=1, window=10, cost_usd=1.0, cap_usd=cap, promised_usd=2.0),
    )
    async with shown(tmp_path, *happened) as (stage, agent):
        await stage.sees("running now $1.00/h")
        assert "sft smollm" in stage.row("job 66f1")
        await stage.sees("last 10 min $1.00, $6.00/h")
        assert stage.row("last 10 min").rstrip().endswith(told)
        agent.events.play(running("66f1", 2.0, 2.0, "COMPLETED"), job("66f1", 0.4, "measured"))
        await stage.sees_no_more("running now")
        await stage.sees("spent $1.40")


async def test_a_sandbox_runs_as_long_as_an_hour_is_reserved_for_it(tmp_path: Path) -> None:
    def box(usd: float, state: str) -> Expense:
        return Expense.model_validate(
            {"kind": "sandbox", "what": "bash", "ref": "box (reserved)", "cost_usd": usd, "state": state}
        )

    async with shown(tmp_path, box(0.4, "promised")) as (stage, agent):
        await stage.sees("running now $0.40/h", "sandbox box")
        agent.events.play(box(0.3, "promised"))
        await stage.sees("promised $0.30", "running now $0.40/h")
        agent.events.play(box(0.0, "released"))
        await stage.sees_no_more("running now")


async def test_what_an_earlier_run_has_promised_counts_as_spent_when_the_session_goes_on(tmp_path: Path) -> None:
    again = Ready(tool_count=8, model="anthropic/claude-opus-4-6")
    async with shown(tmp_path, job("66f1", 2.0), running("66f1", 2.0, 2.0), again) as (stage, _):
        await stage.sees("estimated $2.00")
        assert "running now" not in stage.screen
        assert "promised $" not in stage.screen


async def test_a_session_without_a_cap_says_how_to_set_one(tmp_path: Path) -> None:
    async with shown(tmp_path, call(0.3)) as (stage, _):
        await stage.sees("no cap: /settings max_cost_usd sets one")


async def test_a_fresh_conversation_begins_with_empty_books(tmp_path: Path) -> None:
    async with shown(tmp_path, call(0.3), NewComplete(previous_session_id="x")) as (stage, _):
        await stage.sees("Nothing has been spent yet.")


async def test_other_sessions_are_shown_by_day_session_model_and_job(tmp_path: Path) -> None:
    past(tmp_path, "one", "2025-12-31", call(0.25), job("66f1", 3.0, "measured"))
    past(tmp_path, "two", "2026-01-01", call(0.5, "openai/gpt-5.5"))
    async with shown(tmp_path) as (stage, _):
        await stage.press("2")
        await stage.sees("today $0.50", "7 days $3.75", "2025-12-31", "2026-01-01")
        assert "▁█" in stage.screen or "█▂" in stage.screen or "█▁" in stage.screen
        await stage.press("right")
        await stage.sees("2 sessions", "2025-12-31  Train one", "2026-01-01  Train two")
        await stage.press("4")
        await stage.sees("openai/gpt-5.5", "anthropic/claude-opus-4-6", "1 call: main")
        await stage.press("5")
        await stage.sees("2025-12-31  job 66f1", "$3.00")


async def test_csv_goes_where_the_person_says_and_overwrites_only_after_a_second_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    past(tmp_path, "one", "2025-12-31", call(0.25))
    first = tmp_path / "ml-intern-spend-2026-01-01.csv"
    first.write_text("mine")
    async with shown(tmp_path, size=(160, 40)) as (stage, _):
        await stage.press("e")
        await stage.sees("ml-intern-spend-2026-01-01-2.csv")
        await stage.press("enter")
        await stage.sees("1 line saved to")
        rows = list(csv.reader((tmp_path / "ml-intern-spend-2026-01-01-2.csv").read_text().splitlines()))
        assert rows[1][:2] == ["2025-12-31", "one"]
        assert first.read_text() == "mine"
        await stage.press("e", "ctrl+u")
        await stage.type(str(first))
        await stage.press("enter")
        await stage.sees("This file exists. Press Enter again")
        assert first.read_text() == "mine"
        await stage.press("enter")
        await stage.until(lambda: first.read_text().startswith("day,"), "the file to be overwritten")


async def test_a_path_that_cannot_be_saved_to_is_refused_with_the_reason(tmp_path: Path) -> None:
    refused = {"": "Type the name", "/": "not a directory", "/no/x.csv": "no directory"}
    async with shown(tmp_path) as (stage, _):
        await stage.press("e")
        for path, said in refused.items():
            await stage.press("ctrl+u")
            await stage.type(path)
            await stage.press("enter")
            await stage.sees(said)


async def test_sums_stay_visible_at_every_size(tmp_path: Path) -> None:
    past(tmp_path, "a-session-with-a-very-long-name-that-does-not-fit", "2025-12-31", call(1234.5))
    async with shown(tmp_path, size=(200, 50)) as (stage, _):
        await stage.press("3")
        for size in ((60, 20), (80, 24), (200, 50)):
            await stage.resize(*size)
            await stage.sees("$1,234.50", "2025-12-31", "esc back")


async def test_a_long_list_of_sessions_scrolls(tmp_path: Path) -> None:
    for number in range(40):
        past(tmp_path, f"run{number:02}", "2025-12-31", call(0.25))
    async with shown(tmp_path, size=(80, 24)) as (stage, _):
        await stage.press("3")
        await stage.sees("40 sessions", "Train run")
        seen: set[str] = set()
        for _ in range(6):
            seen.update(re.findall(r"run\d\d", stage.screen))
            await stage.press("pagedown")
        assert len(seen) == 40


async def test_the_status_line_tells_what_is_promised(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path)
    async with on_stage(app, (140, 30)) as stage:
        await stage.sees("claude-opus")
        agents[0].events.play(ContextUsage(tokens=100, window=1000, cost_usd=1.42, cap_usd=10.0, promised_usd=2.0))
        await stage.sees("$1.42 + $2.00 promised of $10.00")
        await stage.resize(70, 20)
        await stage.sees("$1.42 +$2.00 of $10.00")


async def test_in_a_narrow_terminal_it_says_all_about_the_cap(tmp_path: Path) -> None:
    async with shown(tmp_path, size=(60, 20)) as (stage, _):
        await stage.sees("no cap: /settings max_cost_usd sets one, for this session\n too")

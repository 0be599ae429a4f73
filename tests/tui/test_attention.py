from __future__ import annotations

from pathlib import Path

from textual.events import AppBlur

from ml_intern.core.display import JobCard
from ml_intern.core.jobs import JobInfo, JobRef
from ml_intern.core.protocol import ApprovalRequired, ErrorEvent, Processing, QuestionAsked, ToolOutput, TurnComplete
from ml_intern.tools.jobs.local import LocalBackend
from ml_intern.tui.attention import LONG_TURN_S, Attention
from ml_intern.tui.messages import TurnEnded, TurnStarted
from ml_intern.tui.summons import GAP_S
from tests.tui.playback import PlayedAgent, played_app
from tests.tui.stage import Stage, on_stage
from tests.tui.test_approvals import job


def completed(reason: str = "completed") -> TurnComplete:
    return TurnComplete.model_validate(
        {"reason": reason, "final_response": "The loss\nfell.", "iterations": 1, "cost_usd": 0.0, "tokens": 1}
    )


async def told(stage: Stage, text: str) -> None:
    await stage.until(lambda: any(text in sequence for sequence in stage.app.sequences), f"a notice of {text!r}")


async def test_whoever_looks_elsewhere_is_told_what_waits(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path)
    async with on_stage(app) as stage:
        await stage.sees("anthropic/claude-opus-4-6")
        agent: PlayedAgent = agents[0]
        app.post_message(AppBlur())
        agent.events.play(Processing(), ApprovalRequired(tools=(job(), job("second")), count=2))
        await told(stage, "ml-intern needs your approval: hf_jobs: paid compute and 1 more call · at most $4.00")
        agent.events.play(QuestionAsked(question_id="q", question="Which split?"))
        await told(stage, "ml-intern has a question: Which split?")
        assert app.rings == 2
        calls = len(app.sequences)
        agent.events.play(ErrorEvent(error="The key is wrong.", kind="auth"))  # so soon after, it waits for nobody
        await stage.pilot.pause()
        assert not any("The key is wrong" in sequence for sequence in app.sequences[calls:])


class Ended(LocalBackend):
    """A place where every job has ended."""

    async def inspect(self, job: JobRef) -> JobInfo:
        return JobInfo(ref=job, backend="local", stage="COMPLETED")


async def test_the_end_of_a_job_that_no_call_follows_is_told(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path, jobs=Ended(tmp_path / "jobs"))
    async with on_stage(app) as stage:
        await stage.sees("anthropic/claude-opus-4-6")
        app.post_message(AppBlur())
        card = JobCard(job_id="j1", backend="local", stage="RUNNING", title="sft smollm")
        agents[0].events.play(
            ToolOutput(tool="hf_jobs", tool_call_id="c", output="detached", success=True, display=(card,))
        )
        await told(stage, "ml-intern job completed: sft smollm")


def test_turns_that_were_waited_for_call_nobody() -> None:
    now = [0.0]
    attention = Attention(lambda: now[0])
    ends: dict[str, bool] = {}
    for seconds, reason in ((LONG_TURN_S - 1, "completed"), (LONG_TURN_S + 1, "completed"), (1.0, "cost_limit")):
        attention.take(TurnStarted(Processing()))
        now[0] += seconds
        news = attention.take(TurnEnded(completed(reason)))
        ends[f"{reason} after {seconds}"] = news is not None
        if news is not None:
            assert news.text == "The loss fell."
    assert list(ends.values()) == [False, True, True]
    assert GAP_S < LONG_TURN_S

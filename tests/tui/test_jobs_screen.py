from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ml_intern.core.display import JobCard
from ml_intern.core.jobs import JobInfo, JobSpec
from ml_intern.core.protocol import Processing, ToolCallEvent, ToolLog, ToolOutput, ToolStateChange, UserMessage
from ml_intern.core.redact import Redactor
from ml_intern.options import Options
from ml_intern.tools.jobs.local import LocalBackend
from ml_intern.tui.job_book import JobBook
from ml_intern.tui.screens.jobs_board import JobsBoard
from ml_intern.tui.screens.jobs_feed import JobFeed
from tests.support.llm_script import call, text, tools
from tests.support.llm_server import ScriptedLLM
from tests.tools.jobs.support import Gate
from tests.tui.playback import PlayedAgent, played_app
from tests.tui.stage import Stage, on_stage, real_app

TRAIN = """
import json, os, sys
rate = float(sys.argv[1])
for step in range(1, 41):
    loss = float("nan") if "bad" in sys.argv and step >= 30 else 1 + rate / step
    print(json.dumps({"step": step, "loss": loss, "grad_norm": 0.5, "learning_rate": rate}))
    if step % 10 == 0:
        print(json.dumps({"step": step, "eval_loss": loss + 0.1}))
print("WARNING: almost done")
print("{'train_runtime': 12.3, 'train_loss': 1.25, 'epoch': 3.0}")
"""
HOSTILE = r"print('\x1b[2J\x1b]0;stolen\x07[/red] [bold]plain[/bold] \x9b31m end'); print('x' * 300)"


class Jobs:
    """Real jobs on this machine."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.backend = LocalBackend(directory / "jobs", {"PATH": os.defpath}, grace_s=0.2)

    async def submit(self, script: str, *args: str, name: str = "", timeout_s: float = 7_200.0) -> JobInfo:
        spec = JobSpec(
            "script", script=script, script_args=args, name=name, timeout_s=timeout_s, workdir=self.directory
        )
        return await self.backend.submit(spec)

    async def train(self, *args: str, name: str) -> JobInfo:
        return await self.ended(await self.submit(TRAIN, *args, name=name))

    async def ended(self, info: JobInfo) -> JobInfo:
        async with asyncio.timeout(20):
            async for _line in self.backend.follow_logs(info.ref):
                pass
        return await self.backend.inspect(info.ref)

    async def hold(self, name: str = "waits", said: str = "step 1 loss=2.5") -> JobInfo:
        """A job that says something and then runs until it is stopped."""
        script = f"import time\nprint({said!r}, flush=True)\ntime.sleep(600)"
        return await self.submit(script, name=name)


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[Jobs]:
    here = Jobs(tmp_path)
    yield here
    for info in await here.backend.list_jobs():
        if info.active:
            await here.backend.cancel(info.ref)


@asynccontextmanager
async def looking(
    jobs: Jobs | None, directory: Path, size: tuple[int, int] = (140, 45)
) -> AsyncIterator[tuple[Stage, PlayedAgent]]:
    """The Jobs screen, opened by its key over a session without jobs."""
    app, agents = played_app(directory, jobs=jobs.backend if jobs is not None else None, clock=time.time)
    async with on_stage(app, size) as stage:
        await stage.sees("claude-opus")
        await stage.press("f3")
        await stage.sees("this session (")
        yield stage, agents[0]


def card(stage: str, job_id: str = "66f1a2", **facts: float) -> JobCard:
    return JobCard(
        job_id=job_id,
        backend="hub",
        stage=stage,
        title="sft notes",
        flavor="a10g-small",
        timeout_s=7_200.0,
        **facts,
    )


# --------------------------------------------------------------------------------------------------- list and card


async def test_the_screen_says_what_to_do_while_there_is_nothing(jobs: Jobs, tmp_path: Path) -> None:
    async with looking(jobs, tmp_path) as (stage, _):
        await stage.sees("No jobs in this session yet", "a session or account")
        await stage.press("a")
        await stage.sees("No jobs yet, here or on the account", "run train.py as a job")
        await stage.press("escape")
        await stage.sees_no_more("No jobs yet")


async def test_jobs_of_the_machine_are_listed_with_curves_and_log(jobs: Jobs, tmp_path: Path) -> None:
    await jobs.train("2.0", name="sft notes")
    async with looking(jobs, tmp_path) as (stage, _):
        await stage.sees("account (1)", "✓ local-", "sft notes", "COMPLETED", "free", "ran 0:0")
        await stage.sees("loss · 1 of 3", "━━ loss 1.05 @ 40", "eval_loss 1.15 @ 40", "step")
        await stage.sees("log · 46 lines", "WARNING: almost done", "'train_runtime': 12.3")
        await stage.press("right_square_bracket")
        await stage.sees("learning_rate · 2 of 3")
        await stage.press("l")
        await stage.sees("log scale ─")


async def test_a_running_job_ticks_and_its_log_grows(jobs: Jobs, tmp_path: Path) -> None:
    await jobs.hold(said="step 7 loss=2.5")
    async with looking(jobs, tmp_path) as (stage, _):
        await stage.sees("RUNNING", "of 2:00:00 · 0%", "1 job running, free", "log · 1 line", "step 7 loss=2.5")
        first = stage.row("of 2:00:00 · 0%")
        await stage.until(lambda: stage.row("of 2:00:00 · 0%") != first, "the clock to go on")


async def test_a_run_that_has_gone_wrong_bears_a_badge(jobs: Jobs, tmp_path: Path) -> None:
    await jobs.train("2.0", "bad", name="diverges")
    async with looking(jobs, tmp_path) as (stage, _):
        await stage.sees("⚠ NaN since step 30")


async def test_hostile_text_stays_text(jobs: Jobs, tmp_path: Path) -> None:
    await jobs.ended(await jobs.submit(HOSTILE, name="[/red] \x1b[2Jname [x]"))
    async with looking(jobs, tmp_path) as (stage, _):
        await stage.sees("[/red] name [x]", "[/red] [bold]plain[/bold]  end", "xxxxx")
        await stage.press("slash")
        await stage.enter("[/red] [bold]")
        await stage.sees("'[/red] [bold]' 1 of 1")
        await stage.press("r")
        await stage.sees("run [/red] name [x] again")
        assert "\x1b" not in stage.screen


async def test_a_job_that_appears_is_seen_without_a_key(jobs: Jobs, tmp_path: Path) -> None:
    await jobs.train("1.0", name="first")
    async with looking(jobs, tmp_path) as (stage, _):
        await stage.sees("first")
        await jobs.hold("second")
        await stage.sees("second", "account (2)")


async def test_a_narrow_screen_shows_the_list_first_and_then_the_job(jobs: Jobs, tmp_path: Path) -> None:
    await jobs.train("1.0", name="sft notes")
    async with looking(jobs, tmp_path, size=(60, 20)) as (stage, _):
        await stage.sees("sft notes", "COMPLETED")
        assert "log ·" not in stage.screen
        await stage.press("enter")
        await stage.sees("log · 46 lines", "loss 1.025", "free · local")
        await stage.press("escape")
        await stage.sees_no_more("log · 46 lines")
        await stage.sees("COMPLETED")
        await stage.press("escape")
        await stage.sees("claude-opus")


# ------------------------------------------------------------------------------------------------------------ log


async def test_the_log_is_searched_and_the_search_is_left_with_escape(jobs: Jobs, tmp_path: Path) -> None:
    await jobs.ended(await jobs.submit("for i in range(3000): print('row', i)", name="rows"))
    async with looking(jobs, tmp_path) as (stage, _):
        await stage.sees("3,000 lines", "row 2999")
        await stage.press("slash")
        await stage.enter("row 77")
        await stage.sees("'row 77' 11 of 11", "row 779")
        await stage.press("n")
        await stage.sees("'row 77' 1 of 11", "row 78")
        await stage.press("escape")
        await stage.sees_no_more("'row 77'")
        await stage.press("f")
        await stage.sees("row 2999")


async def test_a_text_that_is_not_in_the_log_is_told(jobs: Jobs, tmp_path: Path) -> None:
    await jobs.train("1.0", name="sft")
    async with looking(jobs, tmp_path) as (stage, _):
        await stage.sees("log · 46 lines")
        await stage.press("slash")
        await stage.enter("nowhere")
        await stage.sees("'nowhere' is not in the log.")


async def test_the_log_is_saved_to_a_file(jobs: Jobs, tmp_path: Path) -> None:
    await jobs.train("1.0", name="sft")
    async with looking(jobs, tmp_path) as (stage, _):
        await stage.sees("log · 46 lines")
        await stage.press("e")
        await stage.sees("save the log ─")
        await stage.press("ctrl+a", "ctrl+k")
        await stage.enter(str(tmp_path / "saved.log"))
        await stage.sees("46 lines saved to")
    assert (tmp_path / "saved.log").read_text().splitlines()[-2:] == [
        "WARNING: almost done",
        "{'train_runtime': 12.3, 'train_loss': 1.25, 'epoch': 3.0}",
    ]


# ----------------------------------------------------------------------------------------------------------- doing


async def test_cancelling_asks_first_and_says_what_is_lost(jobs: Jobs, tmp_path: Path) -> None:
    info = await jobs.hold("long run")
    async with looking(jobs, tmp_path) as (stage, _):
        await stage.sees("RUNNING", "c cancel")
        assert "o browser" not in stage.screen  # this machine has no page to show
        await stage.press("c")
        await stage.sees("long run has run 0:", "of at most 2:00:00", "saved or pushed is lost")
        await stage.press("n")
        assert (await jobs.backend.inspect(info.ref)).active
        await stage.press("c")
        await stage.sees("cancel the job")
        await stage.press("y")
        await stage.sees("long run is CANCELED.", "⊘")
        await stage.sees_no_more("c cancel")
    assert (await jobs.backend.inspect(info.ref)).stage == "CANCELED"


async def test_a_job_that_has_ended_is_not_cancelled(jobs: Jobs, tmp_path: Path) -> None:
    await jobs.train("1.0", name="sft")
    async with looking(jobs, tmp_path) as (stage, _):
        await stage.sees("COMPLETED")
        await stage.press("c")
        await stage.sees("has ended already: COMPLETED")


async def test_the_id_is_copied_and_a_job_without_a_page_says_where_its_log_is(jobs: Jobs, tmp_path: Path) -> None:
    info = await jobs.train("1.0", name="sft")
    async with looking(jobs, tmp_path) as (stage, _):
        await stage.sees("COMPLETED")
        await stage.press("y")
        await stage.sees(f"Copied {info.ref.id}")
        assert stage.app.clipboard == info.ref.id
        await stage.press("o")
        await stage.sees("This job has no page. Its log is")


async def test_marked_jobs_are_compared(jobs: Jobs, tmp_path: Path) -> None:
    await jobs.train("4.0", name="fast")
    await jobs.train("1.0", "bad", name="slow")
    async with looking(jobs, tmp_path) as (stage, _):
        await stage.sees("fast", "slow", "account (2)")
        await stage.press("x")
        await stage.sees("Mark two to five jobs")
        await stage.press("space", "down", "space")
        await stage.until(lambda: stage.screen.count("● ") == 2, "both marks")
        await stage.press("x")
        await stage.sees("compare 2 jobs", "━━ A slow", "╍╍ B fast 1.1 @ 40", "figures at the end", "NaN since step 30")
        assert "1.25" in stage.row("train_loss")
        await stage.press("right_square_bracket")
        await stage.sees("learning_rate · 2 of 3", "━━ A slow 1 @ 40")
        await stage.press("escape")
        await stage.sees("account (2)")


async def test_a_comparison_grows_with_jobs_that_were_looked_at_before(jobs: Jobs, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    await jobs.train("1.0", name="done")
    await jobs.submit(f"print('step 1 loss=2.5', flush=True)\n{gate.python}\nprint('step 2 loss=0.5')", name="runs")
    async with looking(jobs, tmp_path) as (stage, _):
        await stage.sees("account (2)", "step 1 loss=2.5")
        await stage.press("space", "down", "space")
        await stage.until(lambda: stage.screen.count("● ") == 2, "both marks")
        await stage.press("x")
        await stage.sees("compare 2 jobs", "━━ A runs 2.5 @ 1")
        await gate.open()
        await stage.sees("━━ A runs 0.5 @ 2", "COMPLETED")


# ----------------------------------------------------------------------------------------------- feeds and boards


async def settled(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def test_metrics_come_from_trackio_where_the_log_tells_none(jobs: Jobs, tmp_path: Path) -> None:
    script = f"""
import datetime, json, sqlite3
db = sqlite3.connect({str(tmp_path / "notes.db")!r})
db.execute("CREATE TABLE metrics (id INTEGER PRIMARY KEY, run_id, timestamp, run_name, step, metrics)")
db.execute("CREATE TABLE configs (run_id, run_name, config)")
db.execute("INSERT INTO configs VALUES ('r', 'first', ?)", (json.dumps({{"lr": 0.1}}),))
for step in (10, 20):
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    values = json.dumps({{"loss": 1 / step}})
    db.execute("INSERT INTO metrics VALUES (?, 'r', ?, 'first', ?, ?)", (step, now, step, values))
db.commit()
"""
    info = await jobs.ended(await jobs.submit(script, name="silent"))
    feed = JobFeed(jobs.backend, info, lambda: None, arguments={"trackio_project": "notes"}, trackio=tmp_path)
    feed.start()
    await settled(lambda: feed.complete and bool(feed.metrics.curves))
    assert feed.metrics.curves["loss"].points() == [(10, 0.1), (20, 0.05)]
    assert feed.config == {"lr": "0.1"}
    feed.close()


async def test_a_feed_goes_on_where_it_was_stopped_and_takes_secrets_out(jobs: Jobs, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    script = f"for i in range(50): print('first', i, 'hf_' + 'a' * 34, flush=True)\n{gate.python}\nprint('last')"
    info = await jobs.submit(script, name="two parts")
    feed = JobFeed(jobs.backend, info, lambda: None, Redactor.from_env({}).text)
    feed.start()
    await settled(lambda: len(feed.store) == 50)
    feed.stop()
    await gate.open()
    await jobs.ended(info)
    feed.start()
    await settled(lambda: feed.complete)
    lines = feed.store.read(0, 100)
    assert len(lines) == 51
    assert lines[0].startswith("first 0 ")
    assert lines[-1] == "last"
    assert "aaaa" not in "".join(lines)
    feed.close()


async def test_no_more_jobs_are_marked_than_can_be_told_apart(jobs: Jobs) -> None:
    board = JobsBoard(jobs.backend, JobBook())
    assert [board.mark(str(number)) for number in range(6)] == [True] * 5 + [False]
    assert board.mark("0")
    assert board.marks == ["1", "2", "3", "4"]


# ------------------------------------------------------------------------------------------------- with the session


async def test_a_job_of_the_agent_is_seen_in_the_side_pane_and_the_status_line(tmp_path: Path) -> None:
    script = "import time\nfor step, loss in ((3, 2.5), (4, 1.5)):\n    print(f'step {step} loss={loss}', flush=True)\n"
    run = {"operation": "run", "script": f"{script}time.sleep(600)", "name": "tiny run"}
    with ScriptedLLM(tools(call("hf_jobs", run)), text("done")) as server:
        async with on_stage(real_app(server, tmp_path, Options(), mode="yolo"), size=(160, 40)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("go")
            await stage.sees("1 job", "alt+4 · 1 job, 1 running")
            await stage.press("alt+4")
            await stage.sees("jobs · 1 job, 1 running", "▸ tiny run", "of 30:00", "free  1.5")
            await stage.press("enter")
            await stage.sees("this session (1)", "log · 2 lines", "━━ loss 1.5 @ 4")
            await stage.press("r")
            await stage.sees("run tiny run again", "for step, loss in")
            await stage.press("tab", "tab")
            await stage.type("x")
            await stage.press("ctrl+s")
            await stage.sees("name: tiny run", "```python", "for step, loss in ((3, 2.5), (4, 1.5)):")
            await stage.press(*["up"] * 9)
            await stage.sees("› Run this job again with `hf_jobs`, exactly as below (it was local-", "timeout: x")
            await stage.press("f3")
            await stage.sees("this session (1)")
            await stage.press("c")
            await stage.sees("cancel the job")
            await stage.press("y")
            await stage.sees("CANCELED")
            await stage.press("f3")
            await stage.sees("⊘ tiny run")
            await stage.until(lambda: "1 job ·" not in stage.row("yolo"), "the count to go")


async def test_a_played_session_shows_its_jobs_without_a_backend(tmp_path: Path) -> None:
    app, agents = played_app(tmp_path)
    async with on_stage(app, (160, 40)) as stage:
        await stage.sees("claude-opus")
        play = agents[0].events.play
        arguments = {"operation": "run", "script": "print(1)\n", "hardware_flavor": "a10g-small", "timeout": "2h"}
        play(UserMessage(content="go"), Processing())
        play(ToolCallEvent(tool="hf_jobs", arguments=arguments, tool_call_id="1"))
        running = card("RUNNING", elapsed_s=1_800.0, cost_usd=0.5, max_cost_usd=2.0)
        play(ToolStateChange(tool="hf_jobs", tool_call_id="1", state="running", display=(running,)))
        lines = "\n".join(f"step {step} loss={3 - step / 10}" for step in range(1, 11))
        play(ToolLog(tool="hf_jobs", log=lines, tool_call_id="1"))
        # The clock of the stage stands 55 seconds after the event that told of the job.
        await stage.sees("1 job · $0.52")
        await stage.press("alt+4")
        await stage.sees("▸ sft notes", "30:55 of 2:00:00  $0.52  2", "RUNNING")
        await stage.press("enter")
        await stage.sees("this session (1)", "sft notes", "a10g-small", "30:55 of 2:00:00")
        await stage.press("escape")
        done = card("COMPLETED", elapsed_s=3_600.0, cost_usd=1.0, max_cost_usd=2.0)
        play(ToolOutput(tool="hf_jobs", tool_call_id="1", output="ok", success=True, display=(done,)))
        await stage.sees("✓ sft notes", "1:00:00  $1.00")
        assert "1 job ·" not in stage.row("guarded" if "guarded" in stage.screen else "claude")
        await stage.press("alt+2")
        await stage.sees("tool calls · 1 call")


async def test_a_job_whose_call_never_told_its_end_is_looked_after(jobs: Jobs, tmp_path: Path) -> None:
    info = await jobs.train("1.0", name="left alone")
    app, agents = played_app(tmp_path, jobs=jobs.backend, clock=time.time)
    async with on_stage(app, (160, 40)) as stage:
        await stage.sees("claude-opus")
        # The event is of another day; the job has ended since.
        told = JobCard(job_id=info.ref.id, backend="local", stage="RUNNING", title="left alone", elapsed_s=1.0)
        agents[0].events.play(
            ToolCallEvent(tool="hf_jobs", arguments={"operation": "run"}, tool_call_id="1"),
            ToolStateChange(tool="hf_jobs", tool_call_id="1", state="running", display=(told,)),
        )
        await stage.sees("alt+4 · 1 job, 1 running")
        await stage.press("alt+4")
        await stage.sees("✓ left alone", "COMPLETED")
        await stage.until(lambda: "1 job ·" not in stage.row("claude"), "the count to go")


async def test_jobs_open_by_command_and_close_by_key(tmp_path: Path) -> None:
    async with looking(None, tmp_path) as (stage, _):
        await stage.sees("The agent is still starting.")
        await stage.press("f3")
        await stage.sees_no_more("this session (")
        await stage.enter("/jobs")
        await stage.sees("this session (0)")


# ------------------------------------------------------------------------------------------------------- pictures


async def test_every_width_looks_whole(jobs: Jobs, tmp_path: Path) -> None:
    await jobs.train("1.0", name="a title that is longer than there is room for on a narrow screen, by a good deal")
    await jobs.hold("second")
    async with looking(jobs, tmp_path) as (stage, _):
        await stage.sees("second", "RUNNING")
        await stage.press("down")
        await stage.sees("▸")
        for size in ((160, 45), (100, 30), (60, 20)):
            await stage.resize(*size)
            if size[0] < 100:
                await stage.press("enter")
            await stage.sees("46 lines", "1.025", "esc back")
            assert all(len(row) <= size[0] for row in stage.screen.split("\n"))

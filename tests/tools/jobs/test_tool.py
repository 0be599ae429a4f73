from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.display import CurveBlock, JobCard, LogBlock, TextBlock
from ml_intern.core.jobs import JobInfo, JobRef, JobsError, JobSpec
from ml_intern.core.settings import Settings
from ml_intern.core.tools.spec import ToolSpec
from ml_intern.tools.jobs.local import LocalBackend
from ml_intern.tools.jobs.params import JobsParams
from ml_intern.tools.jobs.tool import create_jobs_tool
from tests.tools.jobs.support import Gate, assess, call, is_running, make_context, until


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "workspace").mkdir()
    return tmp_path / "workspace"


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[LocalBackend]:
    backend = LocalBackend(tmp_path / "jobs", grace_s=0.3)
    yield backend
    for info in await backend.list_jobs():
        await backend.cancel(info.ref)


@pytest.fixture
def tool(backend: LocalBackend) -> ToolSpec:
    return create_jobs_tool(backend)


def job_id(text: str) -> str:
    found = re.search(r"local-[0-9a-f]+", text)
    assert found, text
    return found[0]


async def test_run_follows_the_job_and_tells_how_it_ended(tool: ToolSpec, workspace: Path) -> None:
    context, seen = make_context(workspace)
    result = await call(tool, context, operation="run", script="print('loss 1')\nprint('loss 2')", timeout="1m")
    assert result.ok
    assert f"Job {job_id(result.text)} COMPLETED." in result.text
    assert "exit code 0" in result.text.lower()
    assert "cost $0.00" in result.text
    assert str(workspace) in result.text
    assert result.text.endswith("loss 1\nloss 2")
    assert seen.lines == ["loss 1", "loss 2"]
    assert seen.states[-1] == "completed"
    assert result.cost_usd == 0.0
    shown = {type(block) for block in result.display}
    assert shown == {JobCard, CurveBlock, LogBlock}


async def test_run_reports_a_failed_job_as_failed(tool: ToolSpec, workspace: Path) -> None:
    context, _ = make_context(workspace)
    result = await call(tool, context, operation="run", script="raise ValueError('bad column')")
    assert not result.ok
    assert "ERROR. It exited with code 1." in result.text
    assert result.text.endswith("ValueError: bad column")


async def test_lines_are_shown_while_the_job_still_runs(tool: ToolSpec, workspace: Path, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    context, seen = make_context(workspace)
    running = asyncio.create_task(
        call(tool, context, operation="run", script=f"print('step 1')\n{gate.python}\nprint('step 2')")
    )
    await asyncio.wait_for(seen.logged.wait(), 10)
    assert seen.lines == ["step 1"]
    assert seen.states == ["running"]
    assert not running.done()
    await gate.open()
    assert (await running).ok


async def test_a_script_is_taken_from_a_file_in_the_workspace(tool: ToolSpec, workspace: Path) -> None:
    (workspace / "train.py").write_text("print('from the file')")
    context, seen = make_context(workspace)
    result = await call(tool, context, operation="run", script="train.py")
    assert result.ok
    assert seen.lines == ["from the file"]


async def test_what_a_person_was_shown_is_what_runs_even_if_the_file_changes(tool: ToolSpec, workspace: Path) -> None:
    path = workspace / "train.py"
    path.write_text("print('as shown')")
    context, seen = make_context(workspace)
    shown = (await assess(tool, context, operation="run", script="train.py")).display[0]
    path.write_text("print('as changed')")
    assert isinstance(shown, TextBlock)
    assert shown.text == "print('as shown')"
    assert (await call(tool, context, operation="run", script="train.py")).ok
    assert seen.lines == ["as shown"]


async def test_a_run_that_was_judged_impossible_stays_so(tool: ToolSpec, workspace: Path) -> None:
    context, _ = make_context(workspace)
    assessment = await assess(tool, context, operation="run", script="train.py")
    assert assessment.effects == {Effect.READ}
    (workspace / "train.py").write_text("print('not shown to anybody')")
    result = await call(tool, context, operation="run", script="train.py")
    assert not result.ok
    assert "does not exist" in result.text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "exactly one"),
        ({"script": "print(1)", "command": ["true"]}, "exactly one"),
        ({"command": ["true"], "dependencies": ["numpy"]}, "belong to a `script`"),
        ({"script": "print(1)", "timeout": "abc"}, "'abc' is no duration"),
        ({"script": "print(1)", "timeout": "0"}, "longer than nothing"),
        ({"script": "print(1)", "hardware_flavor": "a10g-smol"}, "Did you mean a10g-small"),
        ({"script": "https://example.org/train.py"}, "address"),
        ({"script": "missing.py"}, "does not exist"),
        ({"script": "print(1)", "secrets": ["NO_SUCH_SECRET_HERE"]}, "NO_SUCH_SECRET_HERE is not set"),
        ({"script": "print(1)", "env": {"WANDB_API_KEY": "0123456789abcdef0123456789"}}, "looks like a secret"),
        ({"script": "print(1)", "env": {"A B": "x"}}, "no name of an environment variable"),
    ],
)
async def test_a_run_that_makes_no_sense_is_refused_with_the_reason_and_starts_nothing(
    tool: ToolSpec, backend: LocalBackend, workspace: Path, arguments: dict[str, object], words: str
) -> None:
    context, _ = make_context(workspace)
    assert (await assess(tool, context, operation="run", **arguments)).effects == {Effect.READ}
    result = await call(tool, context, operation="run", **arguments)
    assert not result.ok
    assert result.text.startswith("ERROR: ")
    assert words in result.text
    assert await backend.list_jobs() == ()


@pytest.mark.parametrize("script", ["print(1)", "import os; os.listdir()", "print('a.py')", "x = 1  # see train.py"])
async def test_code_on_one_line_is_code_and_no_path(tool: ToolSpec, workspace: Path, script: str) -> None:
    context, _ = make_context(workspace)
    assert (await call(tool, context, operation="run", script=script)).ok


async def test_the_dialog_shows_all_of_the_script_and_that_nothing_is_rented(tool: ToolSpec, workspace: Path) -> None:
    script = "\n".join(f"print({number})" for number in range(500))
    context, _ = make_context(workspace)
    assessment = await assess(
        tool, context, operation="run", script=script, timeout="2h", hardware_flavor="a10g-small", env={"SEED": "7"}
    )
    first, rest = assessment.display
    assert isinstance(first, TextBlock)
    assert isinstance(rest, TextBlock)
    assert (first.text, first.language) == (script, "python")
    assert "nothing is rented" in rest.text
    assert "at most 2 h" in rest.text
    assert "SEED" in rest.text
    assert "7" not in rest.text.partition("environment:")[2]
    assert assessment.editable == "script"
    assert assessment.effects == {Effect.COMPUTE}
    assert assessment.cost.usd == 0.0
    assert (True, "the script compiles") in assessment.checks


async def test_a_command_is_shown_as_the_line_a_person_can_edit(tool: ToolSpec, workspace: Path) -> None:
    context, _ = make_context(workspace)
    assessment = await assess(tool, context, operation="run", command=["echo", "a b"])
    assert assessment.editable == "command"
    assert isinstance(assessment.display[0], TextBlock)
    assert assessment.display[0].text == "echo 'a b'"


async def test_an_edited_command_is_assessed_anew_and_then_runs(tool: ToolSpec, workspace: Path) -> None:
    context, seen = make_context(workspace)
    await assess(tool, context, operation="run", command=["echo", "a b"])
    await assess(tool, context, operation="run", command="echo 'c d'")
    assert (await call(tool, context, operation="run", command="echo 'c d'")).ok
    assert seen.lines == ["c d"]


@pytest.mark.parametrize(
    ("flavor", "asks", "expected"),
    [("cpu-basic", True, Effect.COMPUTE), ("cpu-basic", False, Effect.CHANGE), ("t4-small", False, Effect.COMPUTE)],
)
async def test_cpu_jobs_count_as_compute_unless_the_person_said_otherwise(
    tool: ToolSpec, workspace: Path, flavor: str, asks: bool, expected: Effect
) -> None:
    context, _ = make_context(workspace, settings=Settings(confirm_cpu_jobs=asks))
    assessment = await assess(tool, context, operation="run", script="print(1)", hardware_flavor=flavor)
    assert assessment.effects == {expected}


async def test_secrets_are_named_in_the_dialog_and_count_as_credentials(tool: ToolSpec, workspace: Path) -> None:
    context, seen = make_context(workspace, env={"HF_TOKEN": "hf_value"})
    arguments = {
        "operation": "run",
        "script": "import os; print(len(os.environ['HF_TOKEN']))",
        "secrets": ["HF_TOKEN"],
    }
    assessment = await assess(tool, context, **arguments)
    assert Effect.CREDENTIALS in assessment.effects
    assert "hands HF_TOKEN to the job" in assessment.reasons
    assert "hf_value" not in repr(assessment)
    assert (await call(tool, context, **arguments)).ok
    assert seen.lines == ["8"]


@pytest.mark.parametrize(
    ("operation", "effect"),
    [
        ("ps", Effect.READ),
        ("logs", Effect.READ),
        ("inspect", Effect.READ),
        ("scheduled ps", Effect.READ),
        ("wait", Effect.READ),
        ("metrics", Effect.READ),
        ("labels", Effect.READ),
        ("Scheduled  Inspect", Effect.READ),
    ],
)
async def test_each_operation_says_what_it_does(
    tool: ToolSpec, workspace: Path, operation: str, effect: Effect
) -> None:
    context, _ = make_context(workspace)
    assert (await assess(tool, context, operation=operation)).effects == {effect}


async def test_stopping_ones_own_job_is_a_change_and_another_one_is_destroyed(
    tool: ToolSpec, workspace: Path, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    context, _ = make_context(workspace)
    name = job_id((await call(tool, context, operation="run", script=gate.python, detach=True)).text)
    assert (await assess(tool, context, operation="cancel", job_id=name)).effects == {Effect.CHANGE}
    elsewhere, _ = make_context(workspace, session="another")
    assessment = await assess(tool, elsewhere, operation="cancel", job_id=name)
    assert assessment.effects == {Effect.DESTROY}
    assert "did not start" in assessment.reasons[0]
    resumed, _ = make_context(workspace)
    assert (await assess(tool, resumed, operation="cancel", job_id=name)).effects == {Effect.CHANGE}


async def test_schedules_are_refused_in_words(tool: ToolSpec, workspace: Path) -> None:
    context, _ = make_context(workspace)
    result = await call(tool, context, operation="scheduled run", script="print(1)", schedule="@daily")
    assert not result.ok
    assert "keeps no schedules" in result.text


async def test_a_detached_job_can_be_listed_followed_and_looked_at(
    tool: ToolSpec, workspace: Path, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    context, seen = make_context(workspace)
    started = await call(tool, context, operation="run", script=f"{gate.python}\nprint('done')", detach=True)
    assert started.ok
    name = job_id(started.text)
    assert name in (await call(tool, context, operation="ps")).text
    assert '"stage": "RUNNING"' in (await call(tool, context, operation="inspect", job_id=name)).text
    seen.states.clear()
    following = asyncio.create_task(call(tool, context, operation="logs", job_id=name, wait=True))
    await until(lambda: seen.states)
    await gate.open()
    assert (await following).ok
    assert seen.lines == ["done"]
    listed = (await call(tool, context, operation="ps")).text
    assert name not in listed
    assert "all=true" in listed
    assert name in (await call(tool, context, operation="ps", all=True)).text
    assert name in (await call(tool, context, operation="ps", status="completed")).text
    assert (await call(tool, context, operation="logs", job_id=name)).text.endswith("done")


async def test_ps_says_so_when_there_are_no_jobs(tool: ToolSpec, workspace: Path) -> None:
    context, _ = make_context(workspace)
    assert (await call(tool, context, operation="ps")).text == "There are no jobs."


async def test_a_job_can_be_cancelled_and_twice_does_no_harm(tool: ToolSpec, workspace: Path, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    context, _ = make_context(workspace)
    name = job_id((await call(tool, context, operation="run", script=gate.python, detach=True)).text)
    assert (await call(tool, context, operation="cancel", job_id=name)).text == f"Job {name} is CANCELED."
    assert "had ended already: CANCELED" in (await call(tool, context, operation="cancel", job_id=name)).text


@pytest.mark.parametrize("operation", ["logs", "inspect", "cancel"])
async def test_a_missing_or_unknown_job_id_is_an_error_with_the_next_step(
    tool: ToolSpec, workspace: Path, operation: str
) -> None:
    context, _ = make_context(workspace)
    for arguments in ({}, {"job_id": "local-00000000"}):
        result = await call(tool, context, operation=operation, **arguments)
        assert not result.ok
        assert "`ps`" in result.text


async def test_an_interrupt_stops_the_job_and_is_quick(
    tool: ToolSpec, backend: LocalBackend, workspace: Path, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    context, seen = make_context(workspace)
    text = f"import os; print(os.getpid())\n{gate.python}"
    running = asyncio.create_task(call(tool, context, operation="run", script=text))
    await asyncio.wait_for(seen.logged.wait(), 10)
    pid = int(seen.lines[0])
    started = time.monotonic()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert time.monotonic() - started < 0.3
    await until(lambda: not is_running(pid))
    [info] = await backend.list_jobs()
    while info.active:
        info = await backend.inspect(info.ref)
    assert info.stage == "CANCELED"


class SlowSubmission(LocalBackend):
    """Waits before a job exists, as a service far away does."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, grace_s=0.3)
        self.entered = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def submit(self, spec: JobSpec) -> JobInfo:
        self.entered.set()
        await self.may_go_on.wait()
        return await super().submit(spec)


async def test_an_interrupt_during_submission_stops_the_job_that_comes_of_it(workspace: Path, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    backend = SlowSubmission(tmp_path / "jobs")
    context, _ = make_context(workspace)
    running = asyncio.create_task(call(create_jobs_tool(backend), context, operation="run", script=gate.python))
    await asyncio.wait_for(backend.entered.wait(), 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    backend.may_go_on.set()
    async with asyncio.timeout(10):
        while [info.stage for info in await backend.list_jobs()] != ["CANCELED"]:
            await asyncio.sleep(0)


class LostSight(LocalBackend):
    """Loses a job once it runs."""

    lost = False

    async def follow_logs(self, job: JobRef, skip: int = 0) -> AsyncIterator[str]:
        yield "the first line"
        self.lost = True

    async def inspect(self, job: JobRef) -> JobInfo:
        if self.lost:
            raise JobsError("The connection was lost.")
        return await super().inspect(job)


async def test_a_job_that_cannot_be_followed_is_still_named(workspace: Path, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    backend = LostSight(tmp_path / "jobs", grace_s=0.3)
    context, _ = make_context(workspace)
    result = await call(create_jobs_tool(backend), context, operation="run", script=gate.python)
    assert not result.ok
    assert "connection was lost" in result.text
    [info] = await backend.list_jobs()
    assert info.ref.id in result.text
    assert (await backend.cancel(info.ref)).stage == "CANCELED"


async def test_a_flood_of_output_stays_small_and_keeps_its_end(tool: ToolSpec, workspace: Path) -> None:
    context, seen = make_context(workspace)
    result = await call(tool, context, operation="run", script="for i in range(100_000): print('line', i)")
    assert result.ok
    assert result.text.endswith("line 99999")
    assert len(result.text) < 13_000
    assert "of 100,000 lines" in result.text
    assert sum(len(text) for text in seen.log) < 1_000_000
    assert any("lines not shown" in line for line in seen.lines)
    path = re.search(r"Whole log: (\S+)", result.text)
    assert path is not None
    assert Path(path[1]).read_text().count("\n") == 100_000


@pytest.mark.parametrize(
    ("script", "passed", "words"),
    [
        ("def broken(:", False, "syntax error in line 1"),
        ("t = Trainer(m)\nt.train()", False, "never saves"),
        ("t = Trainer(m)\nt.train()\nt.save_model('out')", True, "the script compiles"),
        ("t = Trainer(m, push_to_hub=True, hub_model_id='me/x')\nt.train()", True, "pushes to me/x"),
        ("t = Trainer(m, push_to_hub=True, hub_model_id='me/x')\nt.train()", False, "HF_TOKEN is not among"),
        ("t = Trainer(m)\nt.train()\nt.save_model('out')", False, "the default"),
    ],
)
async def test_the_pre_flight_finds_what_a_person_would_want_to_know(
    tool: ToolSpec, workspace: Path, script: str, passed: bool, words: str
) -> None:
    context, _ = make_context(workspace)
    checks = (await assess(tool, context, operation="run", script=script)).checks
    assert any(words in text for ok, text in checks if ok is passed), checks


async def test_an_image_is_said_to_have_no_effect_here(tool: ToolSpec, workspace: Path) -> None:
    context, _ = make_context(workspace)
    assessment = await assess(tool, context, operation="run", script="print(1)", image="python:3.12")
    assert any("no effect" in text for ok, text in assessment.checks if not ok)
    assert "no effect" in (await call(tool, context, operation="run", script="print(1)", image="python:3.12")).text


def test_parameters_accept_what_models_write_and_nothing_unknown() -> None:
    params = JobsParams.model_validate(
        {"operation": " RUN ", "script": "x", "timeout": 90, "flavor": "t4-small", "env": {"SEED": 7}}
    )
    assert (params.operation, params.timeout, params.hardware_flavor) == ("run", "90", "t4-small")
    assert params.env == {"SEED": "7"}
    with pytest.raises(ValidationError):
        JobsParams.model_validate({"operation": "run", "skript": "x"})


def test_the_schema_names_every_parameter_and_requires_only_the_operation(tool: ToolSpec) -> None:
    schema = tool.schema()
    assert schema["required"] == ["operation"]
    assert schema["additionalProperties"] is False
    assert {"script", "command", "secrets", "python", "script_args", "all", "detach"} <= set(schema["properties"])
    assert "on this machine" in tool.description

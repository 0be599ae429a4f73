from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.display import JobCard, TableBlock, TextBlock
from ml_intern.core.notes import ModelNotes
from ml_intern.core.snapshots import FileSnapshots
from ml_intern.services.hub import HubClient
from ml_intern.tools.jobs.watcher import JobWatcher
from ml_intern.tools.known_datasets import KnownDatasets
from tests.support.hub.jobs_metrics import Gpu
from tests.tools.jobs.hub_support import HubBench, hub_bench, job_id
from tests.tools.jobs.support import Gate, call, until

TRAINING = """
from datasets import load_dataset
from trl import SFTConfig, SFTTrainer
data = load_dataset("mia/notes", split="train")
config = SFTConfig("out", max_steps={steps}, push_to_hub={push}, hub_model_id="{target}", report_to="trackio")
trainer = SFTTrainer("HuggingFaceTB/SmolLM2-1.7B", args=config, train_dataset=data{more})
trainer.train()
"""


def training(push: bool = True, target: str = "mia/model", steps: int = 500, more: str = ", eval_dataset=data") -> str:
    return TRAINING.format(push=push, target=target, steps=steps, more=more)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[HubBench]:
    with hub_bench(tmp_path) as running:
        yield running


def words(checks: tuple[tuple[bool, str], ...], passed: bool) -> str:
    return "\n".join(text for ok, text in checks if ok is passed)


# ------------------------------------------------------------------------------------------------ before it runs


async def test_the_dialog_says_what_is_rented_for_how_long_by_whom_and_for_how_much(bench: HubBench) -> None:
    bench.hub.areas["hardware"].set_price("a10g-small", 1.2)
    assessment = await bench.assess(
        operation="run", script="print(1)", hardware_flavor="a10g-small", timeout="2h", namespace="acme"
    )
    assert assessment.effects == {Effect.COMPUTE}
    assert assessment.cost.usd == 2.4
    assert assessment.compute is not None
    assert (assessment.compute.flavor, assessment.compute.seconds) == ("a10g-small", 7200.0)
    assert (assessment.compute.usd_per_hour, assessment.compute.namespace) == (1.2, "acme")
    script, facts = assessment.display
    assert isinstance(script, TextBlock)
    assert isinstance(facts, TextBlock)
    assert script.text == "print(1)"
    assert "namespace: acme" in facts.text
    assert "at most $2.40" in facts.text
    assert bench.posts() == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"script": "x", "command": ["y"]}, "exactly one"),
        ({}, "exactly one"),
        ({"script": "print(1)", "timeout": "abc"}, "'abc' is no duration"),
        ({"script": "missing.py"}, "does not exist"),
        ({"script": "print(1)", "hardware_flavor": "h100"}, "Valid: cpu-basic"),
        ({"script": "print(1)", "namespace": "rivals"}, "mia, acme"),
        ({"script": "print(1)", "volumes": [{"type": "bucket", "source": "a/b", "mount_path": "data"}]}, "absolute"),
        ({"script": training(push=False)}, "saves it nowhere"),
    ],
)
async def test_what_makes_no_sense_is_refused_before_anything_is_sent(
    bench: HubBench, arguments: dict[str, Any], expected: str
) -> None:
    assert (await bench.assess(operation="run", **arguments)).effects == {Effect.READ}
    result = await bench.call(operation="run", **arguments)
    assert not result.ok
    assert expected in result.text
    assert bench.posts() == []


async def test_the_token_is_in_a_job_only_when_it_was_asked_for(bench: HubBench) -> None:
    script = "import os; print('HF_TOKEN' in os.environ)"
    assert (await bench.run(script)).text.endswith("False")
    result = await bench.run(script, secrets=["HF_TOKEN"])
    assert result.text.endswith("True")
    first, second = (json.dumps(job.spec) for job in bench.hub.jobs.all())
    assert bench.hub.token not in first
    spec = json.loads(second)
    assert spec["secrets"] == {"HF_TOKEN": bench.hub.token}
    assert bench.hub.token not in json.dumps({**spec, "secrets": {}})
    assert bench.hub.token not in result.text


@pytest.mark.parametrize("place", ["script", "command", "script_args", "env"])
async def test_a_token_in_plain_text_is_refused(bench: HubBench, place: str) -> None:
    token = bench.hub.token
    arguments: dict[str, dict[str, Any]] = {
        "script": {"script": f"login('{token}')"},
        "command": {"command": ["hf", "--token", token]},
        "script_args": {"script": "print(1)", "script_args": [token]},
        "env": {"script": "print(1)", "env": {"X": token}},
    }
    result = await bench.call(operation="run", **arguments[place])
    assert not result.ok
    assert "`secrets`" in result.text
    assert token not in result.text
    assert bench.posts() == []


async def test_a_script_in_the_workspace_is_sent_by_its_content(bench: HubBench) -> None:
    (bench.workspace / "train.py").write_text("print(__file__.split('/')[-1])")
    result = await bench.run("train.py")
    assert result.text.endswith("train.py")


# --------------------------------------------------------------------------------------------------- pre-flight


async def test_a_training_that_saves_nothing_can_be_run_if_that_is_wanted(bench: HubBench) -> None:
    refused = await bench.run(training(push=False))
    assert "allow_unsaved=true" in refused.text
    wanted = await bench.assess(operation="run", script=training(push=False), allow_unsaved=True)
    assert Effect.COMPUTE in wanted.effects
    assert "saves it nowhere" in words(wanted.checks, False)


async def test_a_bucket_counts_as_a_place_to_save(bench: HubBench) -> None:
    volume = {"type": "bucket", "source": "mia/ckpt", "mount_path": "/data"}
    assessment = await bench.assess(operation="run", script=training(push=False), volumes=[volume])
    assert Effect.COMPUTE in assessment.effects
    assert "saves" not in words(assessment.checks, False)
    read_only = await bench.assess(
        operation="run", script=training(push=False), volumes=[{**volume, "read_only": True}]
    )
    assert read_only.effects == {Effect.READ}


async def test_saving_can_be_left_to_the_person_by_configuration(tmp_path: Path) -> None:
    with hub_bench(tmp_path, require_saving=False) as bench:
        assessment = await bench.assess(operation="run", script=training(push=False))
        assert Effect.COMPUTE in assessment.effects


async def test_the_push_target_is_looked_at(bench: HubBench) -> None:
    await HubClient(bench.hub.env()).call(lambda api: api.create_repo("mia/model"))
    arguments: dict[str, Any] = {"operation": "run", "secrets": ["HF_TOKEN"]}
    good = (await bench.assess(script=training(), **arguments)).checks
    assert "pushes to mia/model, which exists" in words(good, True)
    new = (await bench.assess(script=training(target="acme/new"), **arguments)).checks
    assert "pushes to acme/new, which will be made" in words(new, True)
    foreign = (await bench.assess(script=training(target="rivals/model"), **arguments)).checks
    assert "may write for mia, acme only" in words(foreign, False)


async def test_a_model_that_is_only_loaded_is_no_push_target(bench: HubBench) -> None:
    script = (
        "from huggingface_hub import snapshot_download, upload_folder\n"
        "snapshot_download(repo_id='meta/llama')\n"
        "upload_folder(folder_path='out', repo_id='mia/out')\n"
    )
    checks = (await bench.assess(operation="run", script=script, secrets=["HF_TOKEN"])).checks
    assert "pushes to mia/out, which will be made" in words(checks, True)
    assert words(checks, False) == ""


async def test_what_is_missing_from_a_training_is_said(bench: HubBench) -> None:
    script = training(more="").replace(', report_to="trackio"', "")
    checks = (await bench.assess(operation="run", script=script, hardware_flavor="a10g-small", timeout="8h")).checks
    failed = words(checks, False)
    assert "HF_TOKEN is not among" in failed
    assert "nothing reports its metrics" in failed
    assert "no eval set" in failed
    complete = (
        await bench.assess(
            operation="run", script=training(), hardware_flavor="a100-large", timeout="8h", secrets=["HF_TOKEN"]
        )
    ).checks
    assert words(complete, False) == ""


async def test_hardware_that_is_too_small_for_the_model_is_said_before_it_is_paid_for(bench: HubBench) -> None:
    arguments: dict[str, Any] = {"operation": "run", "script": training(), "timeout": "8h", "secrets": ["HF_TOKEN"]}
    small = words((await bench.assess(hardware_flavor="a10g-small", **arguments)).checks, False)
    assert re.search(r"SmolLM2-1\.7B takes about \d+ GB by a rough guess, and a GPU of a10g-small has 24: ", small)
    none = words((await bench.assess(hardware_flavor="cpu-basic", **arguments)).checks, False)
    assert "cpu-basic has no GPU to train HuggingFaceTB/SmolLM2-1.7B on" in none
    large = words((await bench.assess(hardware_flavor="a100-large", **arguments)).checks, True)
    assert re.search(r"takes about \d+ GB by a rough guess, of 80", large)


async def test_a_timeout_that_is_far_too_short_is_noticed_and_called_a_guess(bench: HubBench) -> None:
    script = training(steps=20_000)
    arguments: dict[str, Any] = {"operation": "run", "script": script, "hardware_flavor": "t4-small"}
    short = words((await bench.assess(timeout="30m", **arguments)).checks, False)
    assert "stopped after 30 min, but it needs about" in short
    assert "rough guess" in short
    assert "rough guess" in words((await bench.assess(timeout="20d", **arguments)).checks, True)


async def test_columns_are_held_against_what_the_session_knows_of_the_data(bench: HubBench) -> None:
    assert "columns" not in words((await bench.assess(operation="run", script=training())).checks, True)
    known = bench.state.get(KnownDatasets)
    known.add("mia/notes", frozenset({"question", "answer"}))
    checks = (await bench.assess(operation="run", script=training())).checks
    assert "the trainer looks for messages or text" in words(checks, False)
    known.add("mia/notes", frozenset({"messages"}))
    checks = (await bench.assess(operation="run", script=training())).checks
    assert "the columns of mia/notes were looked at" in words(checks, True)


# ------------------------------------------------------------------------------------------------------- trackio


async def put_space(bench: HubBench, app: bytes) -> None:
    def put(api: Any) -> None:
        api.create_repo("mia/board", repo_type="space", space_sdk="gradio")
        api.upload_file(path_or_fileobj=app, path_in_repo="app.py", repo_id="mia/board", repo_type="space")

    await HubClient(bench.hub.env()).call(put)


async def app_of(bench: HubBench) -> str:
    def read(api: Any) -> str:
        path = api.hf_hub_download("mia/board", "app.py", repo_type="space", force_download=True)
        return Path(path).read_text()

    return await HubClient(bench.hub.env()).call(read)


async def test_a_space_that_is_no_dashboard_is_never_changed(bench: HubBench) -> None:
    await put_space(bench, b"print('my precious app')\n")
    arguments: dict[str, Any] = {"script": "import os; print(os.environ['TRACKIO_SPACE_ID'])", "secrets": ["HF_TOKEN"]}
    assessment = await bench.assess(operation="run", trackio_space_id="mia/board", **arguments)
    assert Effect.PUBLISH in assessment.effects
    assert "no trackio dashboard" in words(assessment.checks, False)
    result = await bench.run(trackio_space_id="mia/board", **arguments)
    assert result.ok
    assert "no trackio dashboard" in result.text
    assert result.text.endswith("mia/board")
    assert await app_of(bench) == "print('my precious app')\n"


async def test_a_dashboard_is_used_as_it_is(bench: HubBench) -> None:
    await put_space(bench, b"import trackio\ntrackio.show(theme='mine')\n")
    result = await bench.run(trackio_space_id="mia/board", secrets=["HF_TOKEN"])
    assert result.ok
    assert "theme='mine'" in await app_of(bench)
    checks = (await bench.assess(operation="run", script="print(1)", trackio_space_id="mia/board")).checks
    assert "metrics go to the dashboard mia/board" in words(checks, True)
    assert "trackio needs HF_TOKEN" in words(checks, False)


async def test_a_dashboard_that_is_missing_is_made_and_private(bench: HubBench) -> None:
    assessment = await bench.assess(operation="run", script="print(1)", trackio_space_id="mia/board")
    assert "a private one is made" in words(assessment.checks, True)
    client = HubClient(bench.hub.env())
    assert not await client.call(lambda api: api.repo_exists("mia/board", repo_type="space"))
    result = await bench.run(trackio_space_id="mia/board", secrets=["HF_TOKEN"])
    assert "The private dashboard" in result.text
    assert (await client.call(lambda api: api.repo_info("mia/board", repo_type="space"))).private
    assert "trackio" in await app_of(bench)


# --------------------------------------------------------------------------------------------------- operations


async def test_ps_shows_what_waits_and_runs_and_all_of_it_on_demand(bench: HubBench, tmp_path: Path) -> None:
    assert (await bench.call(operation="ps")).text == "There are no jobs."
    await bench.run("print(1)")
    gate = Gate(tmp_path)
    runs = job_id((await bench.run(gate.python, detach=True)).text)
    await asyncio.to_thread(bench.hub.jobs.wait_for, runs, "RUNNING")
    bench.hub.jobs.hold_in_scheduling()
    waits = job_id((await bench.run("print(2)", detach=True, namespace="acme")).text)
    bench.hub.jobs.page_size = 1
    listed = await bench.call(operation="ps")
    assert runs in listed.text
    assert waits in listed.text
    assert "SCHEDULING" in listed.text
    assert len(listed.text.splitlines()) == 3
    every = await bench.call(operation="ps", all=True)
    assert "COMPLETED" in every.text
    assert isinstance(every.display[0], TableBlock)
    assert runs not in (await bench.call(operation="ps", namespace="acme")).text
    assert "COMPLETED" in (await bench.call(operation="ps", status="completed")).text
    bench.hub.jobs.release()
    await gate.open()


async def test_inspect_shows_the_real_command_and_no_secret(bench: HubBench) -> None:
    done = await bench.run("print(1)", script_args=["--x"], secrets=["HF_TOKEN"], labels={"sweep": "a"})
    facts = json.loads((await bench.call(operation="inspect", job_id=job_id(done.text))).text)
    assert facts["command"] == "uv run script.py --x"
    assert facts["labels"] == {"sweep": "a"}
    assert facts["status"]["stage"] == "COMPLETED"
    assert facts["timeout_s"] == 1800.0
    assert bench.hub.token not in json.dumps(facts)


async def test_labels_can_be_changed_and_the_job_is_still_found_by_ours(bench: HubBench) -> None:
    done = await bench.run("print(1)", labels={"sweep": "a"})
    name = job_id(done.text)
    assessment = await bench.assess(operation="labels", job_id=name, labels={"sweep": "b"})
    assert assessment.effects == {Effect.CHANGE}
    changed = await bench.call(operation="labels", job_id=name, labels={"sweep": "b", "best": "yes"})
    assert changed.text.endswith("best=yes, sweep=b")
    assert bench.job.labels["ml-intern-session"] == "session-1"
    assert (await bench.call(operation="labels", job_id=name)).text.endswith("best=yes, sweep=b")


async def test_metrics_tell_how_busy_a_running_job_is(bench: HubBench, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    bench.hub.jobs.metrics_interval_s = 0.02
    bench.hub.jobs.gpus = [Gpu(94.0, 19_200_000_000, 24_000_000_000)]
    name = job_id((await bench.run(gate.python, detach=True, hardware_flavor="a10g-small")).text)
    await asyncio.to_thread(bench.hub.jobs.wait_for, name, "RUNNING")
    result = await bench.call(operation="metrics", job_id=name)
    assert result.ok
    assert "94 %, 19.2 of 24 GB" in result.text
    assert isinstance(result.display[0], JobCard)
    assert result.display[0].load == "GPU 94 %, 19.2 of 24 GB"
    await gate.open()
    await until(lambda: not bench.job.active)
    assert "only a running job" in (await bench.call(operation="metrics", job_id=name)).text


async def test_wait_waits_for_all_or_for_the_first_or_until_its_time_is_over(bench: HubBench, tmp_path: Path) -> None:
    gates = [Gate(tmp_path, f"gate{number}") for number in range(2)]
    ids = [job_id((await bench.run(gate.python, detach=True)).text) for gate in gates]
    late = await bench.call(operation="wait", job_ids=ids, timeout="0.2s")
    assert late.ok
    assert "2 of 2 jobs have not ended" in late.text
    waiting = asyncio.create_task(bench.call(operation="wait", job_ids=ids, until="first"))
    await gates[0].open()
    first = await waiting
    assert f"Job {ids[0]} (script.py) COMPLETED" in first.text
    assert f"Job {ids[1]} (script.py) is RUNNING" in first.text
    waiting = asyncio.create_task(bench.call(operation="wait", job_ids=ids))
    await gates[1].open()
    every = await waiting
    assert every.ok
    assert every.text.count("COMPLETED") == 2
    assert bench.measured[ids[1]] is not None


async def test_wait_reports_a_failed_job_as_failed(bench: HubBench) -> None:
    name = job_id((await bench.run("raise SystemExit(1)", detach=True)).text)
    result = await bench.call(operation="wait", job_id=name)
    assert not result.ok
    assert "exit code: 1" in result.text


async def test_cancel_reaches_the_organisation_and_asks_for_what_others_started(
    bench: HubBench, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    name = job_id((await bench.run(gate.python, detach=True, namespace="acme")).text)
    assert (await bench.assess(operation="cancel", job_id=name)).effects == {Effect.CHANGE}
    bench.state = type(bench.state)()
    assert (await bench.assess(operation="cancel", job_id=name)).effects == {Effect.CHANGE}
    bench.job.spec["labels"] = {}
    assert (await bench.assess(operation="cancel", job_id=name)).effects == {Effect.DESTROY}
    result = await bench.call(operation="cancel", job_id=name)
    assert result.ok
    assert bench.hub.requests(f"/api/jobs/acme/{name}/cancel", "POST")
    assert bench.job.stage == "CANCELED"


@pytest.mark.parametrize("operation", ["logs", "inspect", "cancel", "metrics", "labels", "wait"])
async def test_a_missing_or_unknown_id_is_an_error_with_the_next_step(bench: HubBench, operation: str) -> None:
    for arguments in ({}, {"job_id": "66f1"}):
        result = await bench.call(operation=operation, **arguments)
        assert not result.ok
        assert "`ps`" in result.text


# ------------------------------------------------------------------------------------------------ beside the calls


async def test_a_detached_job_stays_watched_and_the_model_hears_of_its_end(bench: HubBench, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    bench.hub.areas["hardware"].set_price("cpu-basic", 3600.0)
    started = await bench.run(f"{gate.python}\nimport time; time.sleep(1)\nraise SystemExit(1)", detach=True)
    name = job_id(started.text)
    assert started.ok
    assert name in bench.open
    assert bench.state.get(ModelNotes).take() == ""
    await gate.open()
    await until(lambda: bench.measured)
    cost = bench.measured[name]
    assert cost is not None
    assert 1.0 <= cost <= 3.0
    note = bench.state.get(ModelNotes).take()
    assert f"Job {name} (script.py) ERROR" in note
    assert bench.emitted[-1].text == note
    assert bench.shown[-1][1] == "failed"


async def test_whoever_waits_for_a_detached_job_hears_of_its_end_once(bench: HubBench, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    name = job_id((await bench.run(gate.python, detach=True)).text)
    waiting = asyncio.create_task(bench.call(operation="wait", job_id=name))
    await until(lambda: any("_2" in call_id for call_id, _, _ in bench.shown))
    await gate.open()
    assert "COMPLETED" in (await waiting).text
    watcher = bench.state.get(JobWatcher)
    await until(lambda: not watcher.watching)
    assert bench.state.get(ModelNotes).take() == ""


async def test_the_end_of_a_session_says_what_goes_on_and_counts_it_at_its_worst_case(
    bench: HubBench, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    name = job_id((await bench.run(gate.python, detach=True, timeout="100h")).text)
    await bench.state.release()
    assert bench.measured == {name: None}
    text = bench.emitted[-1].text
    assert name in text
    assert "goes on by itself" in text
    assert "$1.00 at most" in text
    assert bench.hub.url in text
    assert bench.job.active
    await gate.open()


async def test_an_interrupt_cancels_the_job_in_its_namespace(bench: HubBench, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    context, seen = bench.context()
    script = f"print('up', flush=True)\n{gate.python}"
    running = asyncio.create_task(call(bench.tool, context, operation="run", script=script, namespace="acme"))
    await asyncio.wait_for(seen.logged.wait(), 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: bench.measured)
    assert bench.job.stage == "CANCELED"
    assert bench.hub.requests(f"/api/jobs/acme/{bench.job.id}/cancel", "POST")


async def test_an_interrupt_during_a_slow_submission_cancels_the_job_that_comes_of_it(bench: HubBench) -> None:
    bench.hub.jobs.hold_answers()
    context, _ = bench.context()
    running = asyncio.create_task(
        call(bench.tool, context, operation="run", script="import time; time.sleep(60)", namespace="acme")
    )
    await until(lambda: bench.hub.jobs.all())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert bench.job.active
    bench.hub.jobs.release_answers()
    await bench.state.release()
    assert bench.job.stage == "CANCELED"
    assert list(bench.measured.values()) != [None]


async def test_an_interrupt_while_the_hub_is_down_is_tried_again(bench: HubBench, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    context, seen = bench.context()
    script = f"print('up', flush=True)\n{gate.python}"
    running = asyncio.create_task(call(bench.tool, context, operation="run", script=script))
    await asyncio.wait_for(seen.logged.wait(), 10)
    bench.hub.fail("/cancel", 503, times=1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: bench.job.stage == "CANCELED")
    await until(lambda: bench.measured)


# ----------------------------------------------------------------------------------------------------------- 402


async def test_no_credit_is_explained_once_and_nothing_is_tried_again_until_the_person_speaks(bench: HubBench) -> None:
    bench.hub.jobs.billing("acme")
    prompts = bench.state.get(FileSnapshots)
    prompts.begin_prompt()
    first = await bench.run(namespace="acme")
    assert not first.ok
    assert "acme has no credit" in first.text
    assert f"{bench.hub.url}/organizations/acme/settings/billing" in first.text
    assert "PRO" in first.text
    assert any(state == "billing_required" for _, state, _ in bench.shown)
    for operation in ("run", "scheduled run"):
        again = await bench.call(operation=operation, script="print(1)", schedule="@daily", namespace="acme")
        assert not again.ok
        assert "Not tried again" in again.text
    assert bench.posts() == ["/api/jobs/acme"]
    assert (await bench.run(namespace="mia")).ok
    bench.hub.jobs.top_up("acme")
    prompts.begin_prompt()
    assert (await bench.run(namespace="acme")).ok


async def test_a_person_without_credit_is_sent_to_their_own_billing_page(bench: HubBench) -> None:
    bench.hub.jobs.billing("mia")
    assert f"{bench.hub.url}/settings/billing" in (await bench.run()).text


async def test_a_server_error_on_submission_is_told_and_not_repeated(bench: HubBench) -> None:
    bench.hub.fail("/api/jobs/mia", 500, method="POST")
    result = await bench.run()
    assert not result.ok
    assert "No job came of it" in result.text
    assert len(bench.posts()) == 1
    assert bench.state.get(JobWatcher).refs == {}


async def test_a_job_that_may_exist_is_paid_for_and_named_to_be_looked_for(bench: HubBench) -> None:
    bench.hub.fail("/api/jobs/mia", 500, times=1000)
    result = await bench.run()
    assert not result.ok
    assert "not known whether" in result.text
    assert "`ps`" in result.text
    assert len(bench.posts()) == 1
    assert len(bench.named) == 1  # what is promised under a name stays counted when a call fails

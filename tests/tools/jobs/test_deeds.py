from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.approvals.budget import Budget
from ml_intern.core.approvals.effects import Effect
from ml_intern.core.approvals.policy import Policy
from ml_intern.core.settings import ApprovalRules, Settings
from ml_intern.tools.jobs.local import LocalBackend
from ml_intern.tools.jobs.tool import create_jobs_tool
from tests.support.llm_server import ScriptedLLM, call, text, tools
from tests.support.program import MODEL, Program
from tests.tools.jobs.hub_support import HubBench, hub_bench
from tests.tools.jobs.support import assess, make_context


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[HubBench]:
    with hub_bench(tmp_path) as running:
        yield running


DEEDS: list[tuple[dict[str, Any], Effect]] = [
    ({"command": ["rm", "-rf", "/home"]}, Effect.CATASTROPHIC),
    ({"command": ["bash", "-c", "cd ~ && rm -rf *"]}, Effect.CATASTROPHIC),
    ({"command": ["git", "push"]}, Effect.PUBLISH),
    ({"command": ["hf", "jobs", "run", "image", "x"]}, Effect.COMPUTE),
    ({"script": "import shutil\nshutil.rmtree('/')\n"}, Effect.CATASTROPHIC),
    ({"script": "import os\nos.system('rm -rf /home')\n"}, Effect.CATASTROPHIC),
    ({"script": "from subprocess import run\nrun(['rm', '-rf', '/'])\n"}, Effect.CATASTROPHIC),
    ({"script": "print(open('/home/me/.ssh/id_rsa').read())\n"}, Effect.CREDENTIALS),
    ({"script": "./.env"}, Effect.CREDENTIALS),
    ({"command": ["ls"], "env": {"HF_ENDPOINT": "https://elsewhere.example"}}, Effect.CREDENTIALS),
]


@pytest.mark.parametrize(("arguments", "effect"), DEEDS)
async def test_a_job_with_the_persons_own_files_is_judged_by_what_it_does(
    tmp_path: Path, arguments: dict[str, Any], effect: Effect
) -> None:
    (tmp_path / ".env").write_text("A=1\n")
    context, _ = make_context(tmp_path, settings=Settings(confirm_cpu_jobs=False))
    assessment = await assess(create_jobs_tool(LocalBackend(tmp_path / "jobs")), context, operation="run", **arguments)
    assert effect in assessment.effects
    assert len(assessment.reasons) > 1


async def test_an_ordinary_training_on_this_machine_is_nothing_but_compute(tmp_path: Path) -> None:
    script = "import os, subprocess\nos.makedirs('out', exist_ok=True)\nsubprocess.run(['nvidia-smi'])\nprint(1)\n"
    script += "exec(open('configurator.py').read())\nchat.append(system(\"You are kind, don't shout\"))\n"
    context, _ = make_context(tmp_path)
    tool = create_jobs_tool(LocalBackend(tmp_path / "jobs"))
    assert (await assess(tool, context, operation="run", script=script)).effects == {Effect.COMPUTE}


async def test_what_a_job_in_a_container_does_to_it_is_its_own_affair(bench: HubBench) -> None:
    assert (await bench.assess(operation="run", command=["rm", "-rf", "/tmp/x"])).effects == {Effect.COMPUTE}


async def test_a_rented_job_that_sends_its_token_elsewhere_is_told_as_that(bench: HubBench) -> None:
    elsewhere = {"HF_ENDPOINT": "https://elsewhere.example"}
    assert Effect.CREDENTIALS in (await bench.assess(operation="run", command=["ls"], env=elsewhere)).effects


async def test_a_secret_file_is_no_script_to_be_sent_in_passing(bench: HubBench) -> None:
    (bench.workspace / ".env").write_text("A=1\n")
    assert Effect.CREDENTIALS in (await bench.assess(operation="run", script="./.env")).effects


@pytest.mark.parametrize(
    "script",
    [
        "from huggingface_hub import run_job\nrun_job(image='x', command=['y'], flavor='h200x8')\n",
        "import subprocess\nsubprocess.run(['hf', 'jobs', 'run', '--flavor', 'h200x8', 'image', 'x'])\n",
    ],
)
async def test_a_rented_job_that_rents_more_fits_under_no_cap(bench: HubBench, script: str) -> None:
    assessment = await bench.assess(operation="run", script=script)
    assert Policy(ApprovalRules()).decide("hf_jobs", assessment, "yolo", Budget(5.0)).over_cap


async def test_a_rented_job_that_sets_up_others_is_always_asked_about(bench: HubBench) -> None:
    script = "from huggingface_hub import HfApi\nHfApi().create_scheduled_job(image='x')\n"
    assert Effect.SCHEDULE in (await bench.assess(operation="run", script=script)).effects


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"env": {"HF_TOKEN": "$HF_TOKEN"}}, "list its name in `secrets`"),
        ({"env": {"OUT": "${PWD}"}}, "Nothing is filled in for ${PWD}"),
        ({"script": "print(1)\0\n"}, "NUL character"),
        ({"script": "print('\ud800')"}, "half a character"),
    ],
)
async def test_what_would_arrive_broken_is_refused_before_it_is_paid_for(
    bench: HubBench, arguments: dict[str, Any], words: str
) -> None:
    result = await bench.call(**{"operation": "run", "script": "print(1)", **arguments})
    assert not result.ok
    assert words in result.text
    assert bench.posts() == []


@pytest.mark.parametrize("place", ["dependencies", "image"])
async def test_the_token_is_in_no_other_part_of_a_job_either(bench: HubBench, place: str) -> None:
    token = bench.hub.token
    more: dict[str, Any] = (
        {"dependencies": [f"git+https://me:{token}@example.com/x"]} if place == "dependencies" else {}
    )
    result = await bench.run("print(1)\n", **(more or {"image": f"example.com/{token}"}))
    assert not result.ok
    assert "`secrets`" in result.text
    assert bench.posts() == []


def test_a_job_on_this_machine_is_no_way_around_what_is_always_asked(tmp_path: Path) -> None:
    step = tools(call("hf_jobs", {"operation": "run", "command": ["sh", "-c", 'rm -rf "$HOME"/*']}))
    with ScriptedLLM(step, text("done")) as model:
        program = Program(tmp_path, LOCAL_LLM_BASE_URL=model.url)
        (program.home / "precious").write_text("x")
        program.run(*MODEL, "go")
        (refused,) = [item["content"] for item in model.requests[-1].messages if item["role"] == "tool"]
        assert refused.startswith("Refused, NOT executed")
        assert (program.home / "precious").exists()

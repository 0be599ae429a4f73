from __future__ import annotations

import pytest

from ml_intern.core.artifacts import Artifacts
from ml_intern.core.display import JobCard
from ml_intern.core.protocol import ArtifactEvent, ToolOutput, ToolStateChange
from ml_intern.tools.repos.found import ArtifactWatch, found_in

HUB = "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (f"Model pushed to {HUB}/mia/smollm-notes/tree/main", ("model", "mia/smollm-notes")),
        (f"CommitInfo(commit_url='{HUB}/datasets/mia/rows/commit/12ab34', oid='12ab34')", ("dataset", "mia/rows")),
        (f"view your app at {HUB}/spaces/mia/app.", ("space", "mia/app")),
        ("hub_model_id='mia/run-7'", ("model", "mia/run-7")),
        ("  hub_model_id: acme/run-8", ("model", "acme/run-8")),
        ('model.push_to_hub("mia/run-9")  # Hub', ("model", "mia/run-9")),
    ],
)
def test_output_that_tells_of_a_push_names_its_repository(line: str, found: tuple[str, str]) -> None:
    text = f"epoch 1 done\n{line}\nbye"

    kinds = list(found_in(text, HUB))

    assert kinds == [found] if "push_to_hub" in line or "hub_model_id" in line else found in kinds


@pytest.mark.parametrize(
    "line",
    [
        f"loading {HUB}/mia/base-model/resolve/main/config.json",
        "uploaded to https://example.org/mia/smollm",
        f"pushed, see {HUB}/docs/hub",
        f"upload help: {HUB}/settings/tokens",
        "model saved to out/checkpoint-100",
        "Saving model checkpoint to ./hub/run",
        "x" * 10_000 + f" pushed to {HUB}/mia/x",
    ],
)
def test_what_is_only_read_or_lies_elsewhere_is_not_taken_for_a_push(line: str) -> None:
    assert list(found_in(line, HUB)) == []


def output(tool: str, text: str) -> ToolOutput:
    return ToolOutput(tool=tool, tool_call_id="c", output=text, success=True)


def test_a_session_is_told_of_each_find_once_and_as_unverified() -> None:
    artifacts, told = Artifacts(), list[ArtifactEvent]()
    watch = ArtifactWatch(HUB, lambda: artifacts, told.append)
    line = f"pushed to {HUB}/mia/run"

    watch(output("bash", line))
    watch(output("bash", line))
    watch(output("read", f"pushed to {HUB}/mia/other"))

    assert [(item.kind, item.id, item.state, item.via) for item in told] == [("model", "mia/run", "found", "bash")]
    assert told[0].url == f"{HUB}/mia/run"


def test_what_was_created_stays_created_when_output_names_it_too() -> None:
    artifacts, told = Artifacts(), list[ArtifactEvent]()
    watch = ArtifactWatch(HUB, lambda: artifacts, told.append)
    made = ArtifactEvent(kind="model", id="mia/run", url=f"{HUB}/mia/run", private=True, state="created", via="tool")
    artifacts.take(made)

    watch(output("bash", f"pushed to {HUB}/mia/run"))
    artifacts.take(made.model_copy(update={"state": "updated", "private": None}))

    assert told == []
    (item,) = artifacts.items
    assert (item.state, item.private) == ("created", True)


def test_a_job_on_the_hub_is_an_artifact_and_a_local_one_is_not() -> None:
    artifacts, told = Artifacts(), list[ArtifactEvent]()
    watch = ArtifactWatch(HUB, lambda: artifacts, told.append)

    for backend, job_id in (("local", "l1"), ("hub", "h1"), ("hub", "h1")):
        card = JobCard(job_id=job_id, backend=backend, stage="RUNNING", url=f"{HUB}/jobs/mia/{job_id}")
        watch(ToolStateChange(tool="hf_jobs", tool_call_id="c", state="running", display=(card,)))

    assert [(item.kind, item.id, item.state) for item in told] == [("job", "h1", "created")]

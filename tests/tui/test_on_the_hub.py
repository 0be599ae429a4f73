from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub import StandInHub
from tests.support.llm_script import call, text, tools
from tests.support.llm_server import ScriptedLLM
from tests.tools.repos.support import MIA, api, hub_of_two
from tests.tui.stage import on_stage, real_app

SIZE = (120, 40)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with hub_of_two(tmp_path / "hub") as served:
        yield served


def env(hub: StandInHub) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url, "HF_TOKEN": MIA, "HF_HOME": str(hub.root / "nowhere")}


async def test_a_repository_made_in_a_session_is_listed_and_deleted_after_two_questions(
    hub: StandInHub, tmp_path: Path
) -> None:
    made = call("hf_repo_git", {"operation": "create_repo", "repo_id": "mia/run"})
    with ScriptedLLM(tools(made), text("finished")) as server:
        async with on_stage(real_app(server, tmp_path, env=env(hub), mode="yolo"), SIZE) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("go")
            await stage.sees("finished")
            assert api(hub).repo_exists("mia/run")
            await stage.enter("/artifacts")
            await stage.sees("1 thing of this session", "mia/run", "private", "✓ created")
            await stage.press("c")
            await stage.sees("Copied.")
            assert stage.app.clipboard == f"{hub.url}/mia/run"
            await stage.press("d", "y")
            await stage.sees("delete for good?")
            assert api(hub).repo_exists("mia/run")
            await stage.press("y")
            await stage.sees("Deleted the model mia/run.", "0 things")
            assert not api(hub).repo_exists("mia/run")


async def test_a_deletion_is_asked_about_with_what_it_deletes(hub: StandInHub, tmp_path: Path) -> None:
    api(hub).create_repo("mia/run")
    gone = call("hf_repo_git", {"operation": "delete_branch", "repo_id": "mia/run", "branch": "old"})
    with ScriptedLLM(tools(gone), text("finished")) as server:
        async with on_stage(real_app(server, tmp_path, env=env(hub)), SIZE) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("go")
            await stage.sees("Change a repository on the Hub", "mia/run", "old", "why asked")
            await stage.press("r")
            await stage.sees("finished")
            assert hub.requests("/branch/", "DELETE") == []


async def test_hardware_changed_in_the_dialog_is_what_is_rented_and_nothing_is_before_yes(
    hub: StandInHub, tmp_path: Path
) -> None:
    script = "print('it ran')"
    run = call("hf_jobs", {"operation": "run", "script": script, "hardware_flavor": "a10g-small", "timeout": "2h"})
    with ScriptedLLM(tools(run), text("finished")) as server:
        app = real_app(server, tmp_path, env=env(hub), max_cost_usd=10.0)
        async with on_stage(app, SIZE) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("go")
            await stage.sees("Run a job on Hugging Face", "1× A10G 24 GB · $1.00/h × 2 h = at most $2.00", "of $10.00")
            await stage.press("h")
            await stage.sees("● a10g-small", "t4-small")
            await stage.press(*["tab"] * 8)
            await stage.type("30m")
            await stage.press(*["pageup"] * 3, *["down"] * 2)
            await stage.sees("t4-small · $0.40/h × 30 min = at most $0.20")
            await stage.press("enter")
            await stage.sees("t4-small · 1× T4 16 GB · $0.40/h × 30 min = at most $0.20", "you changed it")
            assert hub.requests("/api/jobs/mia", "POST") == []
            await stage.press("a")
            await stage.sees("finished", timeout=30.0)
    (request,) = hub.requests("/api/jobs/mia", "POST")
    body = json.loads(request.body)
    assert (body["flavor"], body["timeoutSeconds"]) == ("t4-small", 1800)
    result = server.requests[1].messages[-1]["content"]
    assert '"t4-small", was "a10g-small"' in result
    assert '"30m", was "2h"' in result

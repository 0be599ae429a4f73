from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.artifacts import Artifacts
from ml_intern.core.places import find_places
from ml_intern.core.protocol import (
    ApprovalDecision,
    ArtifactEvent,
    Interrupt,
    Mode,
    ToolCallEvent,
    ToolLog,
    ToolOutput,
    ToolStateChange,
    Upload,
    UserInput,
)
from ml_intern.core.settings import Settings
from ml_intern.run import Run
from ml_intern.sessions.find import sessions_by_prefix
from ml_intern.sessions.restore import SavedSession, restore
from ml_intern.wiring import assemble
from tests.support.harness import FAST, MODEL, Harness
from tests.support.hub import StandInHub
from tests.support.llm_server import ScriptedLLM, call, text, tools
from tests.tools.repos.support import MIA, api, hub_of_two


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with hub_of_two(tmp_path / "hub") as served:
        yield served


def agent_on(
    hub: StandInHub,
    llm: ScriptedLLM,
    directory: Path,
    /,
    *,
    mode: Mode = "yolo",
    saved: SavedSession | None = None,
    **settings: Any,
) -> Harness:
    (directory / "work").mkdir(exist_ok=True)
    wired = assemble(
        Run(
            Settings(model_name=MODEL, mode=mode, llm=FAST, **settings),
            places=find_places({"ML_INTERN_HOME": str(directory / "home")}),
            workspace=directory / "work",
            env={
                "LOCAL_LLM_BASE_URL": llm.url,
                "PATH": "/usr/bin:/bin",
                "HOME": str(directory),
                "HF_ENDPOINT": hub.url,
                "HF_TOKEN": MIA,
            },
            saved=saved,
        )
    )
    return Harness.around(wired, llm)


async def test_an_upload_waits_for_a_person_and_sends_nothing_before(hub: StandInHub, tmp_path: Path) -> None:
    api(hub).create_repo("mia/notes", private=True)
    asked = {"operation": "upload", "repo_id": "mia/notes", "path": "a.txt", "content": "hello"}
    script = (tools(call("hf_repo_files", asked)), text("done"))
    async with ScriptedLLM(*script) as llm, agent_on(hub, llm, tmp_path, mode="guarded") as agent:
        agent.submit(UserInput(text="go"))
        (item,) = (await agent.approval()).tools
        assert item.reason == "uploads a.txt (5 B) to the private model mia/notes"
        assert hub.requests("/commit/", "POST") == []

        agent.decide(ApprovalDecision(tool_call_id=item.tool_call_id, approved=True))
        await agent.ended()

        assert agent.last(ToolOutput).success
        assert api(hub).file_exists("mia/notes", "a.txt")
        assert [event.id for event in agent.all(ArtifactEvent)] == ["mia/notes"]


async def test_a_person_may_change_the_text_before_it_goes_up(hub: StandInHub, tmp_path: Path) -> None:
    api(hub).create_repo("mia/notes", private=True)
    asked = {"operation": "upload", "repo_id": "mia/notes", "path": "a.txt", "content": "hello"}
    script = (tools(call("hf_repo_files", asked)), text("done"))
    async with ScriptedLLM(*script) as llm, agent_on(hub, llm, tmp_path, mode="guarded") as agent:
        agent.submit(UserInput(text="go"))
        (item,) = (await agent.approval()).tools
        assert item.editable == "content"
        edited = {"content": "hello, world"}
        agent.decide(ApprovalDecision(tool_call_id=item.tool_call_id, approved=True, edited_arguments=edited))
        await agent.ended()

    copy = api(hub).hf_hub_download("mia/notes", "a.txt", local_dir=tmp_path / "down")
    assert Path(copy).read_text() == "hello, world"


async def test_what_a_program_says_it_pushed_is_found(hub: StandInHub, tmp_path: Path) -> None:
    script = (tools(call("bash", {"command": f"echo model pushed to {hub.url}/mia/run"})), text("done"))
    async with ScriptedLLM(*script) as llm, agent_on(hub, llm, tmp_path) as agent:
        await agent.prompt()

        (kept,) = agent.agent.session.state.get(Artifacts).items
        (told,) = agent.all(ArtifactEvent)
        assert (kept.id, kept.state, kept.via) == (told.id, told.state, told.via) == ("mia/run", "found", "bash")


async def test_artifacts_come_back_with_a_resumed_session(hub: StandInHub, tmp_path: Path) -> None:
    script = (tools(call("hf_repo_git", {"operation": "create_repo", "repo_id": "mia/run"})), text("done"))
    async with ScriptedLLM(*script) as llm:
        async with agent_on(hub, llm, tmp_path) as agent:
            await agent.prompt()
            before = agent.agent.session.state.get(Artifacts).items
            session_id = agent.agent.session.id
        (log,) = sessions_by_prefix(agent.wired.places.sessions, session_id)
        async with agent_on(hub, llm, tmp_path, saved=restore(log)) as resumed:
            after = resumed.agent.session.state.get(Artifacts).items

    for items in (before, after):
        assert [(item.id, item.state, item.private) for item in items] == [("mia/run", "created", True)]


async def test_an_upload_by_the_person_is_shown_and_told_to_the_model(hub: StandInHub, tmp_path: Path) -> None:
    async with ScriptedLLM(text("I see it")) as llm, agent_on(hub, llm, tmp_path) as agent:
        (agent.workspace / "rows.csv").write_text("text,label\nhello,1\n")

        agent.submit(Upload(path="rows.csv"))
        output = await agent.until(lambda event: isinstance(event, ToolOutput))
        await agent.until(lambda event: isinstance(event, ToolStateChange) and event.state == "completed")
        await agent.prompt("what is in it?")

        repo = f"mia/ml-intern-{agent.agent.session.id[:8]}-datasets"
        assert output.success
        assert f'load_dataset("{repo}"' in output.output
        assert agent.all(ToolCallEvent)[0].arguments == {"path": "rows.csv"}
        assert any("1 file, 19 B, csv" in event.log for event in agent.all(ToolLog))
        sent = [message["content"] for message in agent.request(1).messages if message["role"] == "user"]
        assert any(f'load_dataset("{repo}"' in content for content in sent)
        assert [(item.kind, item.id) for item in agent.agent.session.state.get(Artifacts).items] == [("dataset", repo)]


async def test_an_upload_that_fails_says_why_and_tells_the_model_nothing(hub: StandInHub, tmp_path: Path) -> None:
    async with ScriptedLLM(text("hm")) as llm, agent_on(hub, llm, tmp_path) as agent:
        agent.submit(Upload(path="nothing.csv"))
        output = await agent.until(lambda event: isinstance(event, ToolOutput))
        await agent.prompt("well?")

        assert not output.success
        assert "There is no file or folder" in output.output
        assert not any("nothing.csv" in str(message["content"]) for message in agent.request(1).messages)


async def test_an_upload_can_be_interrupted(hub: StandInHub, tmp_path: Path) -> None:
    async with ScriptedLLM() as llm, agent_on(hub, llm, tmp_path) as agent:
        shards = agent.workspace / "shards"
        shards.mkdir()
        for number in range(8):
            (shards / f"{number}.parquet").write_bytes(b"PAR1" + os.urandom(4 * 10**6))
        hub.fail("/preupload/", 503, times=1, delay_s=0.2)

        agent.submit(Upload(path="shards"))
        await agent.until(lambda event: isinstance(event, ToolLog))
        agent.submit(Interrupt())
        output = await agent.until(lambda event: isinstance(event, ToolOutput))

        assert not output.success
        assert "The same command goes on where it was" in output.output
        assert agent.all(ToolStateChange)[-1].state == "cancelled"
        assert hub.requests("/commit/", "POST") == []


async def test_the_token_goes_to_the_hub_and_into_no_log(hub: StandInHub, tmp_path: Path) -> None:
    api(hub).create_repo("mia/notes", private=True)
    upload = {"operation": "upload", "repo_id": "mia/notes", "path": "a.safetensors", "content": "x" * 1000}
    script = (
        tools(call("hf_repo_files", upload)),
        tools(call("hf_repo_files", {"operation": "read", "repo_id": "mia/notes", "path": "README.md"})),
        text("done"),
    )
    async with ScriptedLLM(*script) as llm, agent_on(hub, llm, tmp_path) as agent:
        await agent.prompt()
        said = "".join(event.model_dump_json() for event in agent.events)
        requests = "".join(str(request.body) for request in llm.requests)

    logs = "".join(path.read_text() for path in (tmp_path / "home").rglob("*") if path.is_file())
    assert hub.requests("/commit/", "POST")[0].token == MIA
    assert MIA not in said + requests + logs


_connections: list[tuple[str, int]] | None = None


def _note_connections(event: str, arguments: tuple[Any, ...]) -> None:
    if _connections is not None and event == "socket.connect" and isinstance(arguments[1], tuple):
        _connections.append(arguments[1][:2])


async def test_no_other_host_is_ever_spoken_to(hub: StandInHub, tmp_path: Path) -> None:
    global _connections
    api(hub).create_repo("mia/notes", private=True)
    steps = (
        ("hf_repo_files", {"operation": "upload", "repo_id": "mia/notes", "path": "a.bin", "content": "x" * 1000}),
        ("hf_repo_files", {"operation": "list", "repo_id": "mia/notes"}),
        ("hf_repo_files", {"operation": "read", "repo_id": "mia/notes", "path": "a.bin"}),
        (
            "hf_repo_git",
            {"operation": "create_repo", "repo_id": "mia/app", "repo_type": "dataset"},
        ),
        ("hf_repo_git", {"operation": "list_prs", "repo_id": "mia/notes"}),
        ("hub_repo_details", {"repo_ids": ["mia/notes", "no/such"]}),
        ("hub_search", {"query": "notes"}),
    )
    script = [*(tools(call(name, arguments)) for name, arguments in steps), text("done")]
    sys.addaudithook(_note_connections)
    _connections = []
    try:
        async with (
            ScriptedLLM(*script) as llm,
            agent_on(hub, llm, tmp_path, hub={"collect_artifacts": True}) as agent,
        ):
            await agent.prompt()
            spoken_to = set(_connections)
            allowed = {hub.url, llm.url.removesuffix("/v1")}
    finally:
        _connections = None

    assert len(agent.all(ToolOutput)) == len(steps)
    assert all(output.success for output in agent.all(ToolOutput))
    assert {f"http://{host}:{port}" for host, port in spoken_to} <= allowed
    assert hub.url in {f"http://{host}:{port}" for host, port in spoken_to}

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_intern.core.places import find_places
from ml_intern.core.protocol import Notice, ShareTraces, ToolOutput
from ml_intern.core.redact import Redactor
from ml_intern.core.settings import Settings, SharingSettings
from ml_intern.publishing import Publisher
from ml_intern.run import Run
from ml_intern.services.hub import HubClient
from ml_intern.sessions.find import logs_in
from ml_intern.sessions.restore import restore
from ml_intern.wiring import assemble
from tests.sessions.support import record, whole_session
from tests.support.harness import FAST, MODEL, Harness
from tests.support.hub import StandInHub
from tests.support.hub_people import in_a_program
from tests.support.llm_server import ScriptedLLM, call, text, tools

REPO = "mia/ml-intern-sessions"
SECRET = "hf_" + "Canary12345" * 3


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with StandInHub(tmp_path / "hub") as server:
        yield server


class Desk:
    """One person's installation; every `run` is a run of the program."""

    def __init__(self, place: Path, hub: StandInHub) -> None:
        self.place, self.hub = place, hub
        self.places = find_places({"ML_INTERN_HOME": str(place / "home")})

    def run(self, server: ScriptedLLM, *, sharing: bool = True, **env: str) -> Harness:
        work = self.place / "work"
        work.mkdir(exist_ok=True)
        wired = assemble(
            Run(
                Settings(model_name=MODEL, mode="yolo", llm=FAST, sharing=SharingSettings(enabled=sharing)),
                places=self.places,
                workspace=work,
                env={
                    **self.hub.env(),
                    "LOCAL_LLM_BASE_URL": server.url,
                    "PATH": "/usr/bin:/bin",
                    "HOME": str(self.place),
                    **env,
                },
                lasts=True,
            )
        )
        return Harness.around(wired, server)

    def publisher(self, **patience: float) -> tuple[Publisher, asyncio.Queue[str]]:
        """What publishes, with little patience, and the sentences it says."""
        said: asyncio.Queue[str] = asyncio.Queue()

        def tell(text: str, bad: bool) -> None:
            said.put_nowait(text)

        client = HubClient(self.hub.env())
        sharing = SharingSettings(enabled=True)
        return Publisher(client, self.places, Redactor(), sharing, tell, delays_s=(0.01, 0.02), **patience), said

    @property
    def published(self) -> list[str]:
        if not self.hub.repos.exists(REPO, "dataset"):
            return []
        return [path for path in self.hub.repos.paths(REPO, kind="dataset") if path.startswith("sessions/")]

    def text(self) -> str:
        (path,) = self.published
        return self.hub.repos.read(REPO, path, kind="dataset").decode()


@pytest.fixture
def desk(tmp_path: Path, hub: StandInHub) -> Desk:
    return Desk(tmp_path, hub)


async def told(agent: Harness, words: str) -> str:
    event = await agent.until(lambda event: isinstance(event, Notice) and words in event.text)
    return str(event.text)


async def test_a_session_is_published_privately_when_it_ends_and_reads_back(desk: Desk, hub: StandInHub) -> None:
    async with ScriptedLLM(text("hello there")) as server, desk.run(server) as agent:
        await agent.prompt("what is a learning rate?")
        session_id = agent.agent.session.id
    (path,) = desk.published
    assert path.endswith(f"/{session_id}.jsonl")
    private, content = in_a_program(
        hub,
        "import json\n"
        "from huggingface_hub import HfApi, hf_hub_download\n"
        f"content = open(hf_hub_download({REPO!r}, {path!r}, repo_type='dataset')).read()\n"
        f"print(json.dumps([HfApi().dataset_info({REPO!r}).private, content]))",
    )
    assert private is True
    said = [json.loads(line)["message"]["content"] for line in content.splitlines()]
    assert said[0] == "what is a learning rate?"
    assert said[1][0]["text"] == "hello there"


async def test_nothing_is_published_unless_it_was_switched_on(desk: Desk, hub: StandInHub) -> None:
    async with ScriptedLLM(text("hello")) as server, desk.run(server, sharing=False) as agent:
        await agent.prompt()
    assert hub.requests("/api/repos/create") == []
    assert desk.published == []


async def test_secrets_are_in_no_upload_in_any_form(desk: Desk) -> None:
    script = (
        tools(
            call(
                "bash",
                {"command": f'echo {SECRET}; echo \'{{"HF_TOKEN": "{SECRET}"}}\'; echo -n {SECRET} | base64 -w0'},
            )
        ),
        text(f"your token is {SECRET} and {desk.hub.token}"),
    )
    async with ScriptedLLM(*script) as server, desk.run(server, HF_OTHER_TOKEN=SECRET) as agent:
        await agent.prompt(f"my token is {SECRET}")
        assert agent.all(ToolOutput)[0].success
    everything = b"".join(item.body for item in desk.hub.received) + desk.text().encode()
    for secret in (SECRET, desk.hub.token):
        for form in (secret.encode(), base64.b64encode(secret.encode()), json.dumps(secret).encode()):
            assert form not in everything
        assert base64.b64encode(secret.encode()) not in everything


async def test_the_card_is_written_once_and_stays_as_the_person_changed_it(desk: Desk, hub: StandInHub) -> None:
    async with ScriptedLLM(text("one"), text("two")) as server:
        async with desk.run(server) as agent:
            await agent.prompt()
        assert b"agent-traces" in hub.repos.read(REPO, "README.md", kind="dataset")
        hub.repos.push(REPO, {"README.md": "---\nlicense: mit\n---\nmine"}, kind="dataset")
        async with desk.run(server) as agent:
            await agent.prompt()
    assert hub.repos.read(REPO, "README.md", kind="dataset").endswith(b"mine")
    assert len(desk.published) == 2


async def test_what_could_not_be_published_is_published_at_the_next_start(desk: Desk, hub: StandInHub) -> None:
    publisher, _ = desk.publisher()
    await publisher.carry_out("on")
    log = record(desk.places.sessions, "aaaa1111", *whole_session())
    hub.fail("/api/repos/create", 500, times=50)
    await publisher.aclose(log)
    assert desk.published == []
    hub.faults.clear()
    async with ScriptedLLM() as server, desk.run(server) as agent:
        assert "1 session of earlier runs" in await told(agent, "Publishing")
        assert await told(agent, "published in") == f"1 session published in {REPO}."
        assert len(desk.published) == 1
    assert len(desk.published) == 1  # this run has said nothing, so there is nothing of it to publish


async def test_a_hub_that_stays_away_costs_one_sentence(desk: Desk, hub: StandInHub) -> None:
    publisher, said = desk.publisher()
    await publisher.carry_out("on")
    for name in ("aaaa1111", "bbbb2222"):
        record(desk.places.sessions, name, *whole_session())
    hub.fail("/api/repos/create", 500, times=500)
    publisher.start()
    assert await asyncio.wait_for(said.get(), 10) == "Publishing 2 sessions of earlier runs in the background."
    assert "tried again at the next start" in await asyncio.wait_for(said.get(), 10)
    await publisher.aclose(None)
    assert said.empty()
    assert len(hub.requests("/api/repos/create")) == 3


async def test_a_session_that_goes_on_later_replaces_what_was_published(desk: Desk) -> None:
    async with ScriptedLLM(text("one"), text("two")) as server:
        async with desk.run(server) as agent:
            await agent.prompt("first")
        assert "second" not in desk.text()
        (log,) = [file.path for file in logs_in(desk.places.sessions)]
        saved = restore(log)
        wired = assemble(
            Run(
                Settings(model_name=MODEL, mode="yolo", llm=FAST, sharing=SharingSettings(enabled=True)),
                places=desk.places,
                workspace=desk.place / "work",
                env={**desk.hub.env(), "LOCAL_LLM_BASE_URL": server.url, "HOME": str(desk.place)},
                saved=saved,
                lasts=True,
            )
        )
        async with Harness.around(wired, server) as agent:
            await agent.prompt("second")
    assert "second" in desk.text()


async def test_a_person_switches_it_on_looks_and_opens_it_to_others(desk: Desk, hub: StandInHub) -> None:
    async with ScriptedLLM(text("one")) as server, desk.run(server, sharing=False) as agent:
        agent.submit(ShareTraces())
        assert "stay on this machine" in await told(agent, "/share-traces on")
        agent.submit(ShareTraces(action="on"))
        assert REPO in await told(agent, "From now on")
        config = json.loads((desk.places.config / "cli_agent_config.json").read_text())
        assert config["sharing"]["enabled"] is True
        await agent.prompt()
        agent.submit(ShareTraces(action="public"))
        assert "PUBLIC" in await told(agent, "is now")
    assert hub.repos.get(REPO, "dataset").private is False
    assert len(desk.published) == 1


async def test_sessions_do_not_go_to_an_open_data_set_by_being_switched_on(desk: Desk, hub: StandInHub) -> None:
    hub.repos.create(REPO, kind="dataset")
    async with ScriptedLLM(text("one")) as server, desk.run(server, sharing=False) as agent:
        agent.submit(ShareTraces(action="on"))
        assert "everybody could read your sessions" in await told(agent, REPO)
        await agent.prompt()
        agent.submit(ShareTraces(action="private"))
        await told(agent, "is now private")
        agent.submit(ShareTraces(action="on"))
        await told(agent, "From now on")
    assert hub.repos.get(REPO, "dataset").private is True
    assert len(desk.published) == 1


async def test_a_data_set_that_is_open_gets_nothing_until_the_person_says_that_everybody_may_read(
    desk: Desk, hub: StandInHub
) -> None:
    hub.repos.create(REPO, kind="dataset")
    async with ScriptedLLM(text("one"), text("two")) as server:
        async with desk.run(server) as agent:  # switched on in the configuration file
            await agent.prompt()
        assert desk.published == []
        async with desk.run(server) as agent:
            assert "is PUBLIC" in await told(agent, "Nothing is published")
            agent.submit(ShareTraces(action="public"))
            await told(agent, "is now PUBLIC")
            await agent.prompt()
    assert len(desk.published) == 1
    publisher, said = desk.publisher()
    publisher.start()
    async with asyncio.timeout(10):
        while "1 session published" not in await said.get():
            pass
    assert len(desk.published) == 2


async def test_without_an_account_it_cannot_be_switched_on(desk: Desk) -> None:
    async with ScriptedLLM(text("one")) as server, desk.run(server, sharing=False, HF_TOKEN="") as agent:
        agent.submit(ShareTraces(action="on"))
        assert "needs a Hugging Face token" in await told(agent, "token")
        assert not (desk.places.config / "cli_agent_config.json").exists()


async def test_a_silent_hub_does_not_keep_the_program_from_ending(desk: Desk, hub: StandInHub) -> None:
    publisher, _ = desk.publisher(leaving_s=0.3)
    await publisher.carry_out("on")
    log = record(desk.places.sessions, "aaaa1111", *whole_session())
    hub.fail("/api/", 500, times=1000, delay_s=60)
    await asyncio.wait_for(publisher.aclose(log), 10)
    assert desk.published == []

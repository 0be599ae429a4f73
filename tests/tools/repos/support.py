"""What the tests of repositories share: a Hub with two people, and calls that run as the agent runs them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import HfApi
from pydantic import BaseModel

from ml_intern.core.approvals.effects import READS_ONLY, Assessment
from ml_intern.core.protocol import ArtifactEvent
from ml_intern.core.settings import Settings
from ml_intern.core.tools.spec import SessionState, ToolContext, ToolResult, ToolSpec
from ml_intern.services.hub import HubClient
from tests.support.hub import StandInHub
from tests.support.hub.server import Person

Value = TypeVar("Value")
MIA = "hf_" + "miaToken" * 5
BEN = "hf_" + "benToken" * 5
PATIENCE_S = 20.0


@contextmanager
def hub_of_two(root: Path) -> Iterator[StandInHub]:
    """A Hub where mia (of acme) and ben have accounts; mia's token is the first."""
    with StandInHub(root, tokens={MIA: Person("mia", ("acme",)), BEN: Person("ben")}) as hub:
        yield hub


def client(hub: StandInHub, token: str = MIA) -> HubClient:
    """The program's way to the Hub, for one of the two, or for nobody."""
    return HubClient({"HF_ENDPOINT": hub.url, "HF_TOKEN": token, "HF_HOME": str(hub.root / "nowhere")})


def api(hub: StandInHub, token: str = MIA) -> HfApi:
    """The official client, to set a scene and to look at what came of it."""
    return HfApi(endpoint=hub.url, token=token)


def afresh(hub: StandInHub, *repos: tuple[str, bool]) -> None:
    """Empty repositories by name and whether they are private, and a Hub that has heard nothing yet."""
    for repo_id, private in repos:
        owner = api(hub, BEN if repo_id.startswith("ben/") else MIA)
        owner.delete_repo(repo_id, missing_ok=True)
        owner.create_repo(repo_id, private=private)
    hub.received.clear()
    hub.faults.clear()


@dataclass
class Seen:
    """What calls showed while they ran."""

    log: list[str] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)

    @property
    def artifacts(self) -> list[ArtifactEvent]:
        return [event for event in self.events if isinstance(event, ArtifactEvent)]


def make_context(workspace: Path, **settings: Any) -> tuple[ToolContext, Seen]:
    seen = Seen()
    context = ToolContext(
        call_id="call_1",
        session_id="1a2b3c4d-0000-4000-8000-000000000000",
        workspace=workspace,
        spill_dir=workspace / "spill",
        settings=Settings(**settings),
        env={"HOME": str(workspace.parent)},
        state=SessionState(),
        log=seen.log.append,
        set_state=lambda *_, **__: None,
        emit=seen.events.append,
    )
    return context, seen


def params_of(tool: ToolSpec, arguments: dict[str, Any]) -> BaseModel:
    assert isinstance(tool.parameters, type)
    return tool.parameters.model_validate(arguments)


async def assess(tool: ToolSpec, context: ToolContext, **arguments: Any) -> Assessment:
    if tool.assess is None:
        return READS_ONLY
    answer = tool.assess(params_of(tool, arguments), context)
    return await answer if isinstance(answer, Awaitable) else answer


async def run(tool: ToolSpec, context: ToolContext, **arguments: Any) -> ToolResult:
    """A call as the agent makes it: assessed, then run."""
    await assess(tool, context, **arguments)
    return await asyncio.wait_for(tool.handler(params_of(tool, arguments), context), PATIENCE_S)


async def until(condition: Callable[[], Value]) -> Value:
    """Waits for what another thread brings about, of which only the outcome can be seen."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)
    return value

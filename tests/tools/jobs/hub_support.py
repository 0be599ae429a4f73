"""What the tests of jobs on the Hub share: a stand-in Hub, a backend over it, and calls of the tool in one session."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_intern.core.approvals.effects import Assessment
from ml_intern.core.jobs import JobSpec
from ml_intern.core.settings import JobSettings, Settings
from ml_intern.core.tools.spec import SessionState, ToolContext, ToolResult, ToolSpec
from ml_intern.services.hub import HubClient
from ml_intern.tools.jobs.hub import HubBackend
from ml_intern.tools.jobs.tool import create_jobs_tool
from tests.support.hub import StandInHub
from tests.support.hub.jobs_run import Job
from tests.tools.jobs.support import Seen, assess, call, make_context


@dataclass
class HubBench:
    """One session whose jobs run on a stand-in Hub.

    Attributes:
        measured: What the session was told that jobs have cost, by name.
        open: Jobs whose payment was left open.
        named: Names that calls have paid under.
    """

    hub: StandInHub
    workspace: Path
    settings: Settings = field(default_factory=Settings)
    state: SessionState = field(default_factory=SessionState)
    measured: dict[str, float | None] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    named: list[str] = field(default_factory=list)
    emitted: list[Any] = field(default_factory=list)
    shown: list[tuple[str, str, Any]] = field(default_factory=list)
    clock: Callable[[], float] = time.monotonic
    calls: int = 0

    @property
    def backend(self) -> HubBackend:
        return make_backend(self.hub, self.settings.jobs)

    @property
    def tool(self) -> ToolSpec:
        if not hasattr(self, "_tool"):
            client = HubClient(self.hub.env())
            backend = make_backend(self.hub, self.settings.jobs)
            self._tool = create_jobs_tool(backend, secrets=self.hub.env(), hub=client, clock=self.clock)
        return self._tool

    def context(self) -> tuple[ToolContext, Seen]:
        self.calls += 1
        context, seen = make_context(
            self.workspace, settings=self.settings, env={}, state=self.state, call_id=f"call_{self.calls}"
        )
        context.measure = self.measured.__setitem__
        context.pay_later = self.open.add
        context.pay_as = self.named.append
        context.emit = self.emitted.append
        remember = context.set_state

        def set_state(state: str, **more: Any) -> None:
            remember(state)
            self.shown.append((context.call_id, state, more.get("display", ())))

        context.set_state = set_state
        return context, seen

    async def call(self, **arguments: Any) -> ToolResult:
        context, _ = self.context()
        return await call(self.tool, context, **arguments)

    async def run(self, script: str = "print('done')", **arguments: Any) -> ToolResult:
        return await self.call(operation="run", script=script, **arguments)

    async def assess(self, **arguments: Any) -> Assessment:
        context, _ = self.context()
        return await assess(self.tool, context, **arguments)

    @property
    def job(self) -> Job:
        (job,) = self.hub.jobs.all()
        return job

    def posts(self) -> list[str]:
        return [item.path for item in self.hub.requests("/api/jobs/", "POST") if not item.path.endswith("/cancel")]


def make_backend(hub: StandInHub, settings: JobSettings | None = None) -> HubBackend:
    client = HubClient(hub.env())
    return HubBackend(client, settings or JobSettings(), poll_s=0.03, patience_s=5.0, look_for_s=1.0)


@contextmanager
def hub_bench(directory: Path, **settings: Any) -> Iterator[HubBench]:
    workspace = directory / "workspace"
    workspace.mkdir()
    with StandInHub(directory / "hub") as hub:
        yield HubBench(hub, workspace, Settings(jobs=JobSettings(**settings)))


def script_job(script: str = "print('done')", **more: Any) -> JobSpec:
    return JobSpec("script", script=script, flavor=more.pop("flavor", "cpu-basic"), **more)


def job_id(text: str) -> str:
    found = re.search(r"\b[0-9a-f]{24}\b", text)
    assert found, text
    return found[0]

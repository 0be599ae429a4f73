"""What the tests of sandboxes share: a Hub that runs them, and a session whose tools act in one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from ml_intern.core.approvals.budget import Budget
from ml_intern.core.approvals.effects import Assessment
from ml_intern.core.protocol import Expense
from ml_intern.core.rent import Rent, reserved_ref
from ml_intern.core.settings import SandboxSettings
from ml_intern.core.tools.spec import ToolContext, ToolResult, ToolSpec
from ml_intern.services.hub import HubClient
from ml_intern.tools.jobs.hardware import hub_flavors
from ml_intern.tools.sandbox import create_sandbox_runtime
from ml_intern.tools.sandbox.access import Sandboxes
from ml_intern.tools.sandbox.agency import Agency
from ml_intern.tools.sandbox.keeper import SandboxKeeper
from tests.support.hub import StandInHub
from tests.support.tools import Bench, validated

Value = TypeVar("Value")
PATIENCE_S = 15.0


@dataclass
class Stage:
    """A session in sandbox runtime.

    Attributes:
        hub: The Hub.
        bench: Contexts and what calls said.
        sandboxes: What the tools share.
        budget: The session's money.
        expenses: What was told of it.
    """

    hub: StandInHub
    bench: Bench
    sandboxes: Sandboxes
    budget: Budget = field(default_factory=Budget)
    expenses: list[Expense] = field(default_factory=list)
    session_id: str = "session"

    @property
    def area(self) -> Any:
        """The sandboxes of the stand-in."""
        return self.hub.areas["sandboxes"]

    @property
    def tools(self) -> dict[str, ToolSpec]:
        return {spec.name: spec for spec in create_sandbox_runtime(self.sandboxes)}

    @property
    def keeper(self) -> SandboxKeeper:
        return self.sandboxes.keeper(self.context())

    @property
    def running(self) -> list[Any]:
        found: list[Any] = self.area.running()
        return found

    def context(self) -> ToolContext:
        context = replace(self.bench.context(), session_id=self.session_id)

        def rent(ref: str, usd_per_hour: float | None, what: str) -> Rent:
            account = Rent(self.budget, self.expenses.extend, ref, what, usd_per_hour)
            account.reserve_hour()
            return account

        context.rent = rent
        return context

    async def run(self, tool: str, **arguments: Any) -> ToolResult:
        spec = self.tools[tool]
        return await asyncio.wait_for(spec.handler(validated(spec, arguments), self.context()), PATIENCE_S)

    async def bash(self, command: str, **arguments: Any) -> ToolResult:
        return await self.run("bash", command=command, **arguments)

    async def assess(self, tool: str, **arguments: Any) -> Assessment:
        spec = self.tools[tool]
        assert spec.assess is not None
        found = spec.assess(validated(spec, arguments), self.context())
        return found if isinstance(found, Assessment) else await found

    def cancels(self) -> int:
        """Requests to end a sandbox so far."""
        return len(self.hub.requests("/cancel", "POST"))

    def reserved_usd(self) -> float:
        """What is reserved for sandboxes and not used up."""
        return self.budget.totals.promised_usd


@asynccontextmanager
async def on_stage(
    directory: Path, *, hub: StandInHub | None = None, resumed: str = "", cap: float | None = None, **settings: Any
) -> AsyncIterator[Stage]:
    """A session, with a Hub of its own where none is given. What it has running at the end is ended."""
    own = StandInHub(directory / "hub") if hub is None else None
    if own is not None:
        own.start()
        hub = own
    assert hub is not None
    try:
        agency = Agency(HubClient(hub.env()), SandboxSettings(**settings), hub_flavors, pauses_s=(0.01, 0.02))
        place = directory / f"bench-{time.monotonic_ns()}"
        place.mkdir(parents=True)
        stage = Stage(hub, Bench.at(place), Sandboxes(agency, resumed), Budget(cap))
        if resumed:
            stage.session_id = resumed
        try:
            yield stage
        finally:
            await stage.bench.state.release()
    finally:
        if own is not None:
            own.stop()


async def until(condition: Callable[[], Value]) -> Value:
    """Waits for a change that another thread makes, of which only the outcome can be seen."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)
    return value


__all__ = ["PATIENCE_S", "Stage", "on_stage", "reserved_ref", "until"]

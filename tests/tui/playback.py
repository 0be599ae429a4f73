"""A stand-in for the agent that plays given events: the same session id and the same times in every run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from ml_intern.core.config_desk import ConfigDesk
from ml_intern.core.events import Consumer
from ml_intern.core.jobs_backend import JobsBackend
from ml_intern.core.places import find_places
from ml_intern.core.protocol import EventBase, Operation, Ready
from ml_intern.core.settings import Settings, UISettings
from ml_intern.core.skills import Skills
from ml_intern.options import Options
from ml_intern.tui.ports import ArtifactCare, EndLeftover, McpCare, PreviewDataset, RuleCare
from ml_intern.wiring import Wired
from tests.tui.stage import WatchedApp

SESSION = "5e551017-0000-4000-8000-000000000000"
NOON = 1_767_268_800.0
"""2026-01-01 12:00:00 UTC, when everything happens."""


class PlayedEvents:
    """Hands events to its consumers as they are."""

    def __init__(self) -> None:
        self._consumers: list[Consumer] = []
        self.count = 0

    def subscribe(self, consumer: Consumer, *, passing: bool = False) -> Any:
        del passing
        self._consumers.append(consumer)
        return lambda: self._consumers.remove(consumer)

    def play(self, *events: EventBase) -> None:
        for event in events:
            self.count += 1
            time = f"2026-01-01T12:00:{min(59, self.count):02}.000Z"
            stamped = event.model_copy(update={"seq": self.count, "time": time, "session_id": SESSION})
            for consumer in tuple(self._consumers):
                consumer(stamped)


class PlayedAgent:
    """Says it is ready, then whatever it is told to; remembers the operations it was given."""

    def __init__(self, workspace: Path, fault: Exception | None = None) -> None:
        self.events = PlayedEvents()
        self.session = SimpleNamespace(workspace=workspace, id=SESSION)
        self.operations: list[Operation] = []
        self._fault = fault
        self._over = asyncio.Event()

    def submit(self, operation: Operation) -> None:
        self.operations.append(operation)

    def ask(self, kind: str) -> Operation:
        """The last operation of a type."""
        return next(operation for operation in reversed(self.operations) if operation.type == kind)

    async def run(self) -> None:
        self.events.play(
            Ready(tool_count=8, model="anthropic/claude-opus-4-6", effort="high", workdir="/home/ada/notes")
        )
        if self._fault is not None:
            raise self._fault
        await self._over.wait()

    async def shut_down(self) -> None:
        self._over.set()


def played_app(
    directory: Path,
    *,
    grace_s: float = 0.0,
    theme: str = "ml-intern-dark",
    faults: Sequence[Exception] = (),
    jobs: JobsBackend | None = None,
    clock: Callable[[], float] = lambda: NOON + 60.0,
    artifacts: ArtifactCare | None = None,
    end_leftover: EndLeftover | None = None,
    servers: McpCare | None = None,
    skills: Skills | None = None,
    rules: RuleCare | None = None,
    flags: dict[str, object] | None = None,
    env: dict[str, str] | None = None,
    preview_dataset: PreviewDataset | None = None,
    kind: type[WatchedApp] = WatchedApp,
) -> tuple[WatchedApp, list[PlayedAgent]]:
    """The app on stand-ins, and the list they appear in once they are built; each takes one of the faults."""
    agents: list[PlayedAgent] = []
    left = list(faults)

    def connect(_options: Options) -> Wired:
        agent = PlayedAgent(directory, left.pop(0) if left else None)
        agents.append(agent)

        async def aclose() -> None:
            pass

        return cast(
            "Wired",
            SimpleNamespace(
                agent=agent,
                settings=Settings(ui=UISettings(approval_grace_s=grace_s)),
                places=find_places({"ML_INTERN_HOME": str(directory / "home")}),
                env={},
                services=SimpleNamespace(jobs=jobs),
                beside=SimpleNamespace(
                    artifacts=None if artifacts is None else lambda: artifacts,
                    leftovers=None if end_leftover is None else lambda: SimpleNamespace(end=end_leftover),
                    mcp_admin=None if servers is None else lambda: servers,
                ),
                skills=skills,
                config=ConfigDesk(find_places({"ML_INTERN_HOME": str(directory / "home")}), env or {}, overrides=flags),
                preview_dataset=preview_dataset,
                rules=rules,
                model_problem="",
                suggestion="",
                earlier=(),
                aclose=aclose,
            ),
        )

    return kind(Options(theme=theme), connect, clock=clock), agents

"""What a session has beside its agent: each part is made, with its imports, when it is first needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ml_intern.core.approvals.pending import PendingApprovals
from ml_intern.core.artifacts import Artifacts
from ml_intern.core.events import EventStream
from ml_intern.core.llm.catalog import Catalog
from ml_intern.core.llm.client import LLMClient
from ml_intern.core.once import Once
from ml_intern.core.redact import Redactor
from ml_intern.core.turn import TurnRunner
from ml_intern.parts import Toolbox
from ml_intern.run import Run

if TYPE_CHECKING:
    from ml_intern.core.uploads import UploadDone
    from ml_intern.leftovers import LeftoverWatch
    from ml_intern.publishing import Action, Publisher
    from ml_intern.sessions.retention import Retention
    from ml_intern.tools.mcp.admin import McpAdmin
    from ml_intern.tools.mcp.config import ServerConfig
    from ml_intern.tools.mcp.hub import McpHub
    from ml_intern.tools.repos.desk import ArtifactDesk

SERVERS_AFTER_S = 0.1
"""The first moments of a session belong to its first request: nothing is imported then that it can do without."""
LEFTOVERS_AFTER_S = 1.0
"""The first second belongs to whoever waits for it."""


@dataclass(frozen=True, slots=True)
class Around:
    """The parts of a session that those beside it work with.

    Attributes:
        run: What the run is given.
        tools: The tools, and what they work with.
        runner: Runs the turns.
        llm: The way to models.
        catalog: What is known about models.
        events: The event stream.
        pending: Where turns wait for approvals.
        redactor: Knows the secrets of the run.
        tell: Takes a sentence for a person, and whether it is bad news.
    """

    run: Run
    tools: Toolbox
    runner: TurnRunner
    llm: LLMClient
    catalog: Catalog
    events: EventStream
    pending: PendingApprovals
    redactor: Redactor
    tell: Callable[[str, bool], None]


class Beside:
    """The parts beside the agent.

    Args:
        around: What they work with.
        servers: The MCP servers of the configuration, disabled ones included.

    Attributes:
        mcp: The MCP servers; they are connected to once the agent is ready.
        mcp_admin: Looks after them, for a screen.
        artifacts: What the running session has made on the Hub, to be looked up and deleted.
        publisher: Publishes sessions for those who want it.
        retention: Puts sessions that nobody uses into the trash, for those who want it.
        leftovers: Looks for what earlier sessions have left running, and ends it; None where nobody looks.
    """

    def __init__(self, around: Around, servers: dict[str, ServerConfig]) -> None:
        self._around = around
        self._run = around.run
        self._tools = around.tools
        self._servers = servers
        self._beginning: asyncio.Task[None] | None = None
        self.mcp = Once(self._make_mcp)
        self.mcp_admin = Once(self._make_mcp_admin)
        self.artifacts = Once(self._make_artifacts)
        self.publisher = Once(self._make_publisher)
        self.retention = Once(self._make_retention)
        self.leftovers = Once(self._make_leftovers) if self._run.lasts else None

    def begin(self) -> None:
        """Begins what goes on by itself: all in a moment, but for publishing, which counts from the first moment on."""
        settings = self._run.settings
        if self._run.lasts and settings.save_sessions and settings.sharing.enabled:
            self.publisher().start()
        self._beginning = asyncio.create_task(self._begin())

    async def _begin(self) -> None:
        if not all(server.disabled for server in self._servers.values()):
            await asyncio.sleep(SERVERS_AFTER_S)
            (await asyncio.to_thread(self.mcp)).start()
        if self.leftovers is not None:
            settings = self._run.settings
            await asyncio.sleep(LEFTOVERS_AFTER_S)
            (await asyncio.to_thread(self.leftovers)).start()
            if settings.save_sessions and settings.sessions.keep_days is not None:
                (await asyncio.to_thread(self.retention)).start()

    async def stop(self) -> None:
        """Ends MCP servers, and the search for leftovers."""
        if self._beginning is not None:
            self._beginning.cancel()
        if self.leftovers is not None and self.leftovers.made is not None:
            self.leftovers.made.stop()
        if self.mcp.made is not None:
            await self.mcp.made.aclose()

    async def publish(self, log: Path | None) -> None:
        """Publishes the session that has just ended, if that is wanted.

        Args:
            log: Its log, which is closed; None when there is none.
        """
        if self.publisher.made is not None or self._run.settings.sharing.enabled:
            await self.publisher().aclose(log)

    async def share(self, action: Action) -> tuple[str, bool]:
        """Carries out `share_traces`: a sentence for the person, and whether it is bad news."""
        return await self.publisher().carry_out(action)

    async def upload(self, path: str, session_id: str, tell: Callable[[str], None]) -> UploadDone:
        """Uploads data that the person names. See `Uploader`."""
        from ml_intern.tools.repos.upload import session_uploader

        uploader = session_uploader(self._tools.services.hub, self._around.runner.session.workspace)
        return await uploader(path, session_id, tell)

    # --------------------------------------------------------------------------------------------------- making

    def _make_mcp(self) -> McpHub:
        from ml_intern.tools.mcp.desk import Desk
        from ml_intern.tools.mcp.hub import McpHub
        from ml_intern.tools.mcp.vault import Vault

        around, runner = self._around, self._around.runner
        desk = Desk(
            runner.session,
            around.llm,
            around.catalog,
            runner.spending,
            around.events,
            around.pending,
            questions=self._tools.services.questions,
            attended=not self._run.headless,
            go_on=runner.steering.append,
        )
        return McpHub(
            self._servers,
            self._tools.router,
            env=self._run.env,
            workspace=runner.session.workspace,
            tell=around.tell,
            vault=Vault(self._run.places.config),
            attendant=desk,
        )

    def _make_mcp_admin(self) -> McpAdmin:
        from ml_intern.tools.mcp.admin import McpAdmin

        return McpAdmin(self.mcp(), self._run.places, self._run.env, self._run.user_file)

    def _make_artifacts(self) -> ArtifactDesk:
        from ml_intern.tools.repos.desk import ArtifactDesk

        session = self._around.runner.session
        return ArtifactDesk(self._tools.services.hub, lambda: session.state.get(Artifacts), self._around.events.emit)

    def _make_publisher(self) -> Publisher:
        from ml_intern.publishing import Publisher

        around = self._around
        return Publisher(
            self._tools.services.hub, self._run.places, around.redactor, self._run.settings.sharing, around.tell
        )

    def _make_retention(self) -> Retention:
        from ml_intern.sessions.retention import Retention
        from ml_intern.sessions.store import SessionStore

        around = self._around
        store = SessionStore(self._run.places.sessions, around.redactor)
        return Retention(store, self._run.settings.sessions.keep_days, around.tell)

    def _make_leftovers(self) -> LeftoverWatch:
        from ml_intern.leftovers import LeftoverWatch, create_leftovers

        around = self._around
        services = self._tools.services
        return LeftoverWatch(
            create_leftovers(services.hub, services.jobs, self._tools.local, self._run.places),
            around.events,
            around.runner.spending,
            resumed=self._run.resumed,
            keeps_sandbox=services.sandboxes is not None,
        )

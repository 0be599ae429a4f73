"""All configured servers: started in the background, their tools handed to the router, ended together."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ml_intern.core.tools.router import ToolRouter
from ml_intern.tools.mcp.config import ServerConfig
from ml_intern.tools.mcp.listing import ToolNames, spec_of
from ml_intern.tools.mcp.process import Host
from ml_intern.tools.mcp.server import McpServer, Patience, State

log = logging.getLogger(__name__)

_CLOSE_S = 1.5
"""Longer than a server that has to be ended by force takes."""


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """How things stand with a server.

    Attributes:
        name: Its name in the configuration.
        state: How things stand.
        problem: Why it is not connected, or empty.
        tools: Names of its tools as the model knows them.
    """

    name: str
    state: State
    problem: str
    tools: tuple[str, ...]


class McpHub:
    """The servers of a session.

    Args:
        servers: What is configured, by name.
        router: Gets their tools.
        env: The environment of this run, secrets included: servers get little of it.
        workspace: The one root the servers are told of.
        tell: Takes sentences for a person: the text, and whether it is bad news.
        patience: How long is waited for a server.
    """

    def __init__(
        self,
        servers: Mapping[str, ServerConfig],
        router: ToolRouter,
        *,
        env: Mapping[str, str],
        workspace: Path,
        tell: Callable[[str, bool], None],
        patience: Patience | None = None,
    ) -> None:
        self._router = router
        self._names = ToolNames(router.names)
        self._registered: dict[str, tuple[str, ...]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._host = host = Host(env, workspace)
        patience = patience or Patience()
        self._servers = [
            McpServer(name, config, host=host, on_tools=self._register, tell=tell, patience=patience)
            for name, config in servers.items()
        ]

    def start(self) -> None:
        """Begins to connect, in the background. A request that is sent earlier simply has fewer tools."""
        if self._servers and not self._tasks:
            self._tasks.append(asyncio.create_task(self._connect_all()))

    async def aclose(self) -> None:
        """Ends all connections and all programs that were started for them."""
        for _ in range(2):  # the second time, what is still being ended politely is ended at once
            running = [task for task in self._tasks if not task.done()]
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running, timeout=_CLOSE_S)
        await self._host.guard.aclose()

    def status(self) -> tuple[ServerStatus, ...]:
        """How things stand with each server."""
        return tuple(
            ServerStatus(server.name, server.state, server.problem, self._registered.get(server.name, ()))
            for server in self._servers
        )

    async def _connect_all(self) -> None:
        await asyncio.to_thread(importlib.import_module, "mcp")
        self._tasks += [asyncio.create_task(server.serve()) for server in self._servers]

    def _register(self, server: McpServer) -> None:
        """Makes the router's tools of a server what the server offers now."""
        specs = [
            spec_of(self._names.name(server.name, tool.name), server.name, tool, server.call) for tool in server.tools
        ]
        self._router.replace(self._registered.get(server.name, ()), specs)
        self._registered[server.name] = tuple(spec.name for spec in specs)

"""All configured servers: started in the background, their tools handed to the router, ended together."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ml_intern.core.tools.router import ToolRouter
from ml_intern.tools.mcp.asking import Attendant
from ml_intern.tools.mcp.callback import Callback
from ml_intern.tools.mcp.config import ProgramServer, ServerConfig
from ml_intern.tools.mcp.listing import ToolNames, spec_of
from ml_intern.tools.mcp.oauth import Grant, SignIn
from ml_intern.tools.mcp.process import Host
from ml_intern.tools.mcp.server import McpServer, Patience, State
from ml_intern.tools.mcp.vault import Vault

log = logging.getLogger(__name__)

_CLOSE_S = 1.5
"""Longer than a server that has to be ended by force takes."""


@dataclass(frozen=True, slots=True)
class ToolStatus:
    """A tool of a server.

    Attributes:
        name: As the model knows it.
        description: Its first line.
        reads_only: The server says that it changes nothing.
        destroys: The server says that it may destroy something.
    """

    name: str
    description: str
    reads_only: bool
    destroys: bool


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """How things stand with a server.

    Attributes:
        name: Its name in the configuration.
        state: How things stand.
        problem: Why it is not connected, or empty.
        place: The program, or the address without what may be secret in it.
        transport: `stdio`, `http` or `sse`.
        signed_in: Where a sign-in is kept, in words; empty without one.
        details: Its tools.
    """

    name: str
    state: State
    problem: str
    place: str = ""
    transport: str = "stdio"
    signed_in: str = ""
    details: tuple[ToolStatus, ...] = ()

    @property
    def tools(self) -> tuple[str, ...]:
        """Names of its tools as the model knows them."""
        return tuple(tool.name for tool in self.details)


class McpHub:
    """The servers of a session.

    Args:
        servers: What is configured, by name, disabled ones included.
        router: Gets their tools.
        env: The environment of this run, secrets included: servers get little of it.
        workspace: The one root the servers are told of.
        tell: Takes sentences for a person: the text, and whether it is bad news.
        patience: How long is waited for a server.
        vault: Where sign-ins are kept; None: nobody signs in.
        attendant: Answers what servers ask; None declines it all.
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
        vault: Vault | None = None,
        attendant: Attendant | None = None,
    ) -> None:
        self._router = router
        self._names = ToolNames(router.names)
        self._registered: dict[str, tuple[str, ...]] = {}
        self._starting: asyncio.Task[None] | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._watchers: list[Callable[[], None]] = []
        self._host = Host(env, workspace, vault=vault, attendant=attendant)
        self._tell = tell
        self._patience = patience or Patience()
        self._servers: dict[str, McpServer] = {}
        for name, config in servers.items():
            self._add(name, config)

    def start(self) -> None:
        """Begins to connect, in the background. A request that is sent earlier simply has fewer tools."""
        names = [name for name, server in self._servers.items() if not server.config.disabled]
        if names and self._starting is None:
            self._starting = asyncio.create_task(self._connect(names))

    async def aclose(self) -> None:
        """Ends all connections and all programs that were started for them."""
        if self._starting is not None:
            self._starting.cancel()
        await self._end([*self._tasks.values(), *self._ending])
        await self._host.guard.aclose()

    # ------------------------------------------------------------------------------------------------- looking

    def status(self) -> tuple[ServerStatus, ...]:
        """How things stand with each server."""
        return tuple(self._status(server) for server in self._servers.values())

    def journal(self, name: str) -> tuple[str, ...]:
        """The last lines about a server, oldest first."""
        return tuple(self._servers[name].journal)

    def watch(self, on_change: Callable[[], None]) -> Callable[[], None]:
        """Calls a function whenever a status changes; gives a function that ends it."""
        self._watchers.append(on_change)
        return lambda: self._watchers.remove(on_change)

    # ------------------------------------------------------------------------------------------------- changing

    async def enable(self, name: str) -> None:
        """Connects to a server, in the background; one that is connected is connected to anew."""
        await self.disable(name)
        await self._connect([name])

    async def disable(self, name: str) -> None:
        """Ends a connection and takes its tools away."""
        task = self._tasks.pop(name, None)
        if task is not None:
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            await self._end([task])
        self._servers[name].rest()

    async def add(self, name: str, config: ServerConfig) -> None:
        """Adds a server, or changes one, and connects to it."""
        if name in self._servers:
            await self.disable(name)
        self._add(name, config)
        await self.enable(name)

    async def sign_in(self, name: str, show_link: Callable[[str], None]) -> str:
        """Signs in to a server; gives why it did not work out, or an empty text.

        Args:
            name: The server.
            show_link: Takes the address that a browser must open.
        """
        server, vault = self._servers[name], self._host.vault
        if isinstance(server.config, ProgramServer) or vault is None:
            return "it is no server that one signs in to"
        grant = Grant(vault, server.config)
        await grant.load()
        async with Callback(grant.port) as callback:
            await self.disable(name)
            server.sign_in = SignIn(show_link, callback)
            await self._connect([name])
            try:
                await server.settled()
            except asyncio.CancelledError:
                await self.disable(name)
                raise
        return server.problem

    async def sign_out(self, name: str) -> None:
        """Forgets a sign-in and connects without it.

        Raises:
            OSError: What is kept cannot be deleted.
        """
        server, vault = self._servers[name], self._host.vault
        if vault is not None and not isinstance(server.config, ProgramServer):
            await Grant(vault, server.config).forget()
        server.signed_in = ""
        await self.enable(name)

    # --------------------------------------------------------------------------------------------------- within

    def _add(self, name: str, config: ServerConfig) -> None:
        self._servers[name] = McpServer(
            name, config, host=self._host, on_change=self._changed, tell=self._tell, patience=self._patience
        )

    async def _connect(self, names: list[str]) -> None:
        await asyncio.to_thread(importlib.import_module, "mcp")
        for name in names:
            if name not in self._tasks:
                self._tasks[name] = asyncio.create_task(self._servers[name].serve())

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        for _ in range(2):  # the second time, what is still being ended politely is ended at once
            running = [task for task in tasks if not task.done()]
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running, timeout=_CLOSE_S)

    def _changed(self, server: McpServer) -> None:
        """Makes the router's tools of a server what the server offers now."""
        specs = [
            spec_of(self._names.name(server.name, tool.name), server.name, tool, server.call) for tool in server.tools
        ]
        names = tuple(spec.name for spec in specs)
        before = self._registered.get(server.name, ())
        if server.state in {"connected", "disabled"}:  # while it is away its tools stay, and say so
            self._router.replace(before, specs)
            self._registered[server.name] = names
        for tell in tuple(self._watchers):
            tell()

    def _status(self, server: McpServer) -> ServerStatus:
        registered = self._registered.get(server.name, ())
        details = tuple(
            ToolStatus(name, tool.description.split("\n", 1)[0], tool.reads_only, tool.destroys)
            for name, tool in zip(registered, server.tools, strict=False)
        )
        config = server.config
        return ServerStatus(
            server.name,
            server.state,
            server.problem,
            _place(config),
            config.transport,
            server.signed_in,
            details,
        )


def _place(config: ServerConfig) -> str:
    if isinstance(config, ProgramServer):
        return " ".join((config.command, *config.args))
    parts = urlsplit(config.url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

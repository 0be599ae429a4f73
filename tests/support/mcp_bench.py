"""Servers at work, a router that has their tools, and everything that was told of them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ml_intern.core.approvals.effects import Assessment
from ml_intern.core.tools.router import Prepared, Refused, ToolRouter
from ml_intern.core.tools.spec import ToolResult, ToolSpec
from ml_intern.tools.mcp.asking import Attendant
from ml_intern.tools.mcp.config import parse_servers
from ml_intern.tools.mcp.hub import McpHub, ServerStatus
from ml_intern.tools.mcp.server import Patience
from ml_intern.tools.mcp.vault import Vault
from tests.support.tools import Bench, within_marks

QUICK = Patience(connect_s=10.0, reconnect_s=5.0, attempts=2, backoff_s=0.02, relist_s=0.02)

PROGRAM = Path(__file__).with_name("mcp_program.py")
LIBRARY = Path(__file__).with_name("mcp_library.py")


def program(*conduct: object, **entry: Any) -> dict[str, Any]:
    """The configuration of a server that is a program."""
    return {"command": sys.executable, "args": [str(PROGRAM), *map(str, conduct)], **entry}


class McpBench:
    """A hub with servers.

    Args:
        directory: A directory of its own.
        servers: As in a configuration.
        builtins: Tools that are there before.
        env: Further variables of the run.
        patience: How long is waited.
        attendant: Answers what servers ask.
        config: The person's configuration directory.
    """

    def __init__(
        self,
        directory: Path,
        servers: Mapping[str, Mapping[str, Any]],
        *,
        builtins: tuple[ToolSpec, ...] = (),
        env: Mapping[str, str] | None = None,
        patience: Patience = QUICK,
        attendant: Attendant | None = None,
        config: Path | None = None,
    ) -> None:
        self.bench = Bench.at(directory)
        self.router = ToolRouter(builtins)
        self.told: list[tuple[str, bool]] = []
        self._news = asyncio.Event()
        base = {"PATH": os.environ["PATH"], "HOME": str(self.bench.home)}
        self.hub = McpHub(
            parse_servers(servers, keep_disabled=True),
            self.router,
            env={**base, **(env or {})},
            workspace=self.bench.workspace,
            tell=self._tell,
            patience=patience,
            vault=Vault(config or directory / "config", lambda: None),
            attendant=attendant,
        )

    async def __aenter__(self) -> Self:
        self.hub.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.hub.aclose()

    def _tell(self, text: str, bad: bool) -> None:
        self.told.append((text, bad))
        self._news.set()

    async def settled(self, count: int = 1) -> Self:
        """Waits until so many sentences were told: one for each server that is connected or has failed."""
        async with asyncio.timeout(20):
            while len(self.told) < count:
                self._news.clear()
                await self._news.wait()
        return self

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for something to become true."""
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.01)

    def prepared(self, name: str, **arguments: Any) -> Prepared:
        """A call as the router takes it."""
        call = self.router.prepare_arguments("1", name, arguments)
        assert not isinstance(call, Refused), call.text
        return call

    async def call(self, name: str, **arguments: Any) -> ToolResult:
        """Calls a tool as a turn does; gives what the server said, without the marks that say so."""
        prepared = self.prepared(name, **arguments)
        result = await self.router.run(prepared, self.bench.context())
        return replace(result, text=within_marks(result.text)) if prepared.spec.fetches else result

    def assess(self, name: str, **arguments: Any) -> Assessment:
        """What a call would do."""
        assess = self.prepared(name, **arguments).spec.assess
        assert assess is not None
        assessment = assess(arguments, self.bench.context())
        assert isinstance(assessment, Assessment)
        return assessment

    @property
    def only(self) -> ServerStatus:
        """The status of the one server."""
        (status,) = self.hub.status()
        return status

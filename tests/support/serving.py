"""Serves an application from a thread of its own, and ends the moment it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Any

import uvicorn
from starlette.types import ASGIApp

PATIENCE_S = 10.0


class ServingThread:
    """uvicorn on loopback. Its port is bound at once and is answered from `start` until `stop`.

    Args:
        port: Port on loopback, 0 for any free one.
    """

    def __init__(self, port: int = 0) -> None:
        # With the protocol named, asyncio turns Nagle's algorithm off, which would cost 40 ms an answer.
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Base URL, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, app: ASGIApp, name: str, **options: Any) -> None:
        """Serves; `options` are uvicorn's.

        Raises:
            RuntimeError: It does not come up.
        """
        self._server = _Server(uvicorn.Config(app, **options))
        run = self._server.serve(sockets=[self._listener])
        self._thread = threading.Thread(target=lambda: asyncio.run(run), name=name, daemon=True)
        self._thread.start()
        if not self._server.up.wait(PATIENCE_S):
            raise RuntimeError(f"the {name} did not start")

    def stop(self) -> None:
        """Ends it, answers that are under way included, and waits for that. May be called again.

        Raises:
            RuntimeError: It does not end, and takes the time of everything that follows.
        """
        if self._server is not None and self._thread is not None:
            self._server.end()
            self._thread.join(PATIENCE_S)
            if self._thread.is_alive():
                raise RuntimeError(f"the {self._thread.name} does not end")
            self._server = self._thread = None


class _Server(uvicorn.Server):
    """Tells when it is up. The end is heard of at once, where uvicorn looks ten times a second and then waits more."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Lets it end; for other threads."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ending.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.up.set()

    async def main_loop(self) -> None:
        while not self._ending.is_set():
            await self.on_tick(0)  # renews the date that answers carry
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), 1.0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for answer in (answers := set(self.server_state.tasks)):
            answer.cancel()
        await asyncio.gather(*answers, return_exceptions=True)
        await self.lifespan.shutdown()

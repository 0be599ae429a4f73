"""HTTP clients that are kept open between requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ml_intern.core.lean import skip_unused_parts

if TYPE_CHECKING:
    import httpx

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class HttpPool:
    """One client for each kind of address, made when it is first needed.

    A server on this machine is never reached through a proxy; a plain-HTTP client loads no certificates.

    Args:
        connect_timeout_s: Limit for making a connection. Waiting for an answer is limited by whoever waits.
    """

    def __init__(self, connect_timeout_s: float) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._clients: dict[tuple[bool, bool], httpx.AsyncClient] = {}
        self._making = asyncio.Lock()

    async def client(self, url: str) -> httpx.AsyncClient:
        """The client for an address."""
        parts = urlsplit(url)
        kind = (parts.scheme == "https", parts.hostname in _LOOPBACK)
        if kind not in self._clients:
            async with self._making:
                if kind not in self._clients:
                    # Importing httpx and reading certificates takes a good tenth of a second.
                    self._clients[kind] = await asyncio.to_thread(self._make, *kind)
        return self._clients[kind]

    async def aclose(self) -> None:
        """Closes all connections."""
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.aclose()

    def _make(self, secure: bool, loopback: bool) -> httpx.AsyncClient:
        skip_unused_parts()
        import httpx

        from ml_intern import __version__

        return httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=self._connect_timeout_s),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=8, keepalive_expiry=60),
            headers={"User-Agent": f"ml-intern/{__version__}"},
            verify=secure,
            trust_env=not loopback,
        )

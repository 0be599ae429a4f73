"""One connection to a server: the streams a session runs over, and what can be told when it breaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import SplitResult, urlsplit

from ml_intern.core.llm.routing import find_hf_token
from ml_intern.tools.mcp.bounds import bound
from ml_intern.tools.mcp.config import ProgramServer, RemoteServer, ServerConfig
from ml_intern.tools.mcp.oauth import SIGN_IN, Grant, SignIn, authentication
from ml_intern.tools.mcp.process import MAX_MESSAGE_BYTES, Host, ServerProcess

if TYPE_CHECKING:
    import httpx2
    from mcp.client._transport import TransportStreams

HUB_URL = "https://huggingface.co"

_CONNECT_TIMEOUT_S = 30.0
_SILENCE_S = 300.0
"""An answer that is being sent, or a stream of events, may be silent this long."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_REFUSALS = {401: "refused the credentials", 403: "refused access", 404: "has nothing at this address"}


class Link:
    """Opens the streams of one connection.

    Args:
        name: The server, for the log.
        config: Where it is.
        host: What it finds here.
        on_end: Called when nothing more will come from the server.
        note: Takes lines for the server's log.
        sign_in: The sign-in that a person has asked for.

    Attributes:
        grant: What the server has granted to us; None where that is not how it is entered.
    """

    def __init__(
        self,
        name: str,
        config: ServerConfig,
        host: Host,
        on_end: Callable[[], None],
        note: Callable[[str], None],
        sign_in: SignIn | None = None,
    ) -> None:
        self._name = name
        self._config = config
        self._host = host
        self._on_end = on_end
        self._note = note
        self._sign_in = sign_in
        self._sign_in_problem = ""
        self.grant: Grant | None = None
        self._process: ServerProcess | None = None
        self._status = 0
        self._fault = ""

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[TransportStreams]:
        """The two streams; leaving the block ends the connection, and the program if there is one."""
        async with AsyncExitStack() as stack:
            if isinstance(self._config, ProgramServer):
                self._process = ServerProcess(self._name, self._config, self._host, self._note)
                read, write = await stack.enter_async_context(self._process.streams())
            else:
                read, write = await stack.enter_async_context(self._remote(self._config))
            yield _Watched(read, self._on_end), write

    def account(self) -> str:
        """Why the connection failed, as far as the transport knows; empty when it does not."""
        if self._process is not None:
            return self._process.account()
        if self._fault:
            return self._fault
        if self.needs_sign_in:
            return self._sign_in_problem or SIGN_IN
        if self.refused or self._status >= 500:
            return f"the server {_REFUSALS.get(self._status, 'has a fault')} (HTTP {self._status})"
        return ""

    @property
    def refused(self) -> bool:
        """Whether the server has understood the last request and declines it, as it will again on this connection."""
        return self._status in _REFUSALS

    @property
    def needs_sign_in(self) -> bool:
        """Whether it would let us in after a person has signed in to it."""
        return bool(self._sign_in_problem) or (self._status == 401 and self.grant is not None)

    @asynccontextmanager
    async def _remote(self, config: RemoteServer) -> AsyncIterator[TransportStreams]:
        headers = headers_for(config, self._host.env)
        auth = await self._authentication(config, headers)
        if config.transport == "sse":
            from mcp.client.sse import sse_client

            factory = self._client
            async with sse_client(config.url, headers=headers, httpx_client_factory=factory, auth=auth) as streams:
                yield streams
            return
        from mcp.client.streamable_http import streamable_http_client

        async with (
            self._client(headers, auth=auth) as client,
            streamable_http_client(config.url, http_client=client, max_sse_event_size=MAX_MESSAGE_BYTES) as streams,
        ):
            yield streams

    async def _authentication(self, config: RemoteServer, headers: Mapping[str, str]) -> httpx2.Auth | None:
        """None where a key is configured or nothing was granted: then a server that wants a sign-in says so."""
        if self._host.vault is None or any(name.lower() == "authorization" for name in headers):
            return None
        self.grant = grant = Grant(self._host.vault, config)
        await grant.load()

        def failed(reason: str) -> None:
            self._sign_in_problem = reason

        return await authentication(config, grant, self._sign_in, failed)

    def _client(
        self,
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,  # noqa: ARG002 - part of the signature; ours knows the call's limit
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        import httpx2

        def blame(fault: str) -> None:
            self._fault = fault

        async def note(response: httpx2.Response) -> None:
            if "timeout" in response.request.extensions:  # else it is one of the sign-in's own, not made by the client
                self._status = response.status_code
            bound(response, blame)

        silence = max(_SILENCE_S, self._config.timeout_s)
        return httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(_CONNECT_TIMEOUT_S, read=silence),
            auth=auth,
            event_hooks={"response": [note]},
        )


def headers_for(config: RemoteServer, env: Mapping[str, str]) -> dict[str, str]:
    """The headers that are sent to a server: those it is configured with.

    A server on the Hub's own host gets the person's Hugging Face token too, unless an `Authorization` is configured.
    No other server ever does.
    """
    headers = dict(config.headers)
    named = any(name.lower() == "authorization" for name in headers)
    if not named and is_on_hub(config.url, env) and (token := find_hf_token(env)):
        headers["Authorization"] = f"Bearer {token}"
    return headers


def is_on_hub(url: str, env: Mapping[str, str]) -> bool:
    """Whether an address is on the host of `HF_ENDPOINT`, and nobody on the way can read what is sent there."""
    try:
        address, hub = urlsplit(url), urlsplit(env.get("HF_ENDPOINT", "").strip() or HUB_URL)
        safe = address.scheme == "https" or address.hostname in _LOOPBACK
        return safe and bool(address.hostname) and _place(address) == _place(hub)
    except ValueError:
        return False


def _place(address: SplitResult) -> tuple[str | None, int | None]:
    return address.hostname, address.port or {"http": 80, "https": 443}.get(address.scheme)


class _Watched:
    """A stream of messages that tells when it ends."""

    def __init__(self, stream: Any, on_end: Callable[[], None]) -> None:
        self._stream = stream
        self._on_end = on_end

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._stream.__anext__()
        except BaseException:
            self._on_end()
            raise

    async def receive(self) -> Any:
        return await self._stream.receive()

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

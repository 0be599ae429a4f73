"""One server and the task that looks after it: connects, connects again, and answers for it while it is away.

The task that opens a connection is the one that closes it: the scopes inside the client belong to a task.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from ml_intern.core.tools.spec import ToolContext, ToolResult
from ml_intern.tools.mcp.asking import Asking
from ml_intern.tools.mcp.call_log import CallLog
from ml_intern.tools.mcp.config import RemoteServer, ServerConfig
from ml_intern.tools.mcp.content import as_text
from ml_intern.tools.mcp.faults import cause, explain
from ml_intern.tools.mcp.link import Link, is_on_hub
from ml_intern.tools.mcp.listing import ListedTool, list_tools
from ml_intern.tools.mcp.media import Media, shown
from ml_intern.tools.mcp.oauth import SignIn
from ml_intern.tools.mcp.process import Host
from ml_intern.tools.terminal_text import clean

if TYPE_CHECKING:
    from mcp import Client

log = logging.getLogger(__name__)

State = Literal["disabled", "connecting", "connected", "sign_in", "failed"]
"""`sign_in`: it lets nobody in who has not signed in."""

JOURNAL_LINES = 300
SIGN_IN_S = 300.0
"""How long a person may take for signing in."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited for a server, in seconds, and how often it is tried.

    Attributes:
        connect_s: For a connection with its list of tools. A first start may have to load packages.
        reconnect_s: A call waits this long for a server that is being connected to again.
        attempts: Failed attempts in a row before the server counts as failed. A call that needs it tries once more.
        backoff_s: Between the first and the second attempt; later waits double.
        proven_s: A connection that has lasted this long makes the attempts before it forgotten.
        relist_s: Between two looks at a list of tools that keeps changing.
    """

    connect_s: float = 60.0
    reconnect_s: float = 10.0
    attempts: int = 4
    backoff_s: float = 1.0
    proven_s: float = 30.0
    relist_s: float = 1.0


@dataclass(slots=True)
class _Connection:
    """What happens on a connection while it lasts.

    Attributes:
        link: What it runs over, once it is begun.
        nudge: Something has happened: the end, or a change of the tools.
        over: Set when nothing more will come from the server.
    """

    link: Link | None = None
    nudge: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self) -> None:
        self.over.set()
        self.nudge.set()


class McpServer:
    """A configured server.

    Args:
        name: Its name in the configuration.
        config: Where it is.
        host: What it finds here.
        on_change: Called whenever anything about it changes: its state, its tools.
        tell: Takes sentences for a person: the text, and whether it is bad news.
        patience: How long is waited.

    Attributes:
        state: How things stand.
        problem: Why it is not connected, or empty.
        tools: What it offered when it was last connected.
        sign_in: The sign-in that a person has asked for.
        signed_in: Where the sign-in is kept, in words; empty without one.
        journal: The last lines about it, oldest first.
    """

    def __init__(
        self,
        name: str,
        config: ServerConfig,
        *,
        host: Host,
        on_change: Callable[[McpServer], None],
        tell: Callable[[str, bool], None],
        patience: Patience,
    ) -> None:
        self.name = name
        self.config = config
        self.state: State = "disabled"
        self.problem = ""
        self.sign_in: SignIn | None = None
        self.signed_in = ""
        self.journal: deque[str] = deque(maxlen=JOURNAL_LINES)
        self.tools: tuple[ListedTool, ...] = ()
        self._host = host
        self._on_change = on_change
        self._tell = tell
        self._patience = patience
        self._client: Client | None = None
        self._since = math.inf
        self._introduced = self._complained = False
        self._connection = _Connection()
        self._settled = asyncio.Event()
        self._wanted = asyncio.Event()
        self._asking = Asking(name, host.workspace, host.attendant, self._note)

    # ------------------------------------------------------------------------------------------------ connecting

    async def serve(self) -> None:
        """Keeps the server connected until the task is cancelled."""
        patience = self._patience
        failures = 0
        while True:
            self._since = math.inf
            self._enter("connecting")
            final = await self._connect_and_follow()
            if (task := asyncio.current_task()) and task.cancelling():
                raise asyncio.CancelledError  # the client has turned our own end into an error of its own
            if asyncio.get_running_loop().time() - self._since >= patience.proven_s:
                failures = 0
            failures += 1
            log.warning("MCP server %s: %s", self.name, self.problem)
            self._note(f"not connected: {self.problem}")
            if final or failures >= patience.attempts:
                self._fail()
                await self._wanted.wait()
                failures = patience.attempts - 1
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(patience.backoff_s * 2 ** (failures - 1)):
                        await self._wanted.wait()
            self._wanted.clear()

    async def settled(self) -> None:
        """Waits until it is connected or known not to be."""
        await self._settled.wait()

    def rest(self) -> None:
        """It is not looked after any more: disabled, and without tools. Call it when its task has ended."""
        self.tools, self.problem = (), ""
        self._introduced = self._complained = False
        self._settled.clear()
        self._wanted.clear()
        self._enter("disabled")

    def _enter(self, state: State) -> None:
        self.state = state
        self._on_change(self)

    def _note(self, text: str) -> None:
        stamp = datetime.now().astimezone().strftime("%H:%M:%S")
        self.journal.extend(f"{stamp}  {line}" for line in clean(text).splitlines() if line.strip())

    def _fail(self) -> None:
        link = self._connection.link
        wants_us = link is not None and link.needs_sign_in
        self._enter("sign_in" if wants_us else "failed")
        if not self._complained:
            self._complained = True
            what = f"The MCP server {self.name} cannot be used: {self.problem}."
            self._tell(f"{what} Do it in the app: /mcp, then s." if wants_us else what, True)
        self._wanted.clear()
        self._settled.set()

    async def _connect_and_follow(self) -> bool:
        """One connection from beginning to end. Gives whether it is pointless to try again."""
        connection = self._connection = _Connection()
        sign_in, self.sign_in = self.sign_in, None
        link = Link(self.name, self.config, self._host, connection.end, self._note, sign_in)
        connection.link = link
        patience_s = SIGN_IN_S if sign_in is not None else self._patience.connect_s
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(patience_s):
                    client = await stack.enter_async_context(self._client_over(link))
                    # Results are for a model to read. To hold them against the server's own schema only loses text, and
                    # a regular expression of the server's would run on the event loop, perhaps for ever.
                    client.session.validate_tool_result = _as_it_is  # type: ignore[method-assign, assignment]
                    tools = await self._list(client)
                self._connected(client, tools)
                await self._follow(client, connection)
            self.problem = link.account() or "the connection broke off"
            return False
        except Exception as error:  # the border of foreign code: one server that fails must not take others along
            silence = f"it did not answer within {patience_s:g} s"
            self.problem = silence if isinstance(error, TimeoutError) else _account(link, error)
            log.debug("connection to %s", self.name, exc_info=True)
            final = sign_in is not None or link.refused or link.needs_sign_in
            return final or isinstance(cause(error), FileNotFoundError | NotADirectoryError | PermissionError)
        finally:
            self._client = None
            self._settled.clear()

    def _client_over(self, link: Link) -> Client:
        from mcp import Client
        from mcp_types import Implementation

        from ml_intern import __version__

        return Client(
            link.streams(),
            client_info=Implementation(name="ml-intern", version=__version__),
            list_roots_callback=self._asking.on_roots,
            elicitation_callback=self._asking.on_elicit,
            sampling_callback=self._asking.on_sample if self._host.attendant is not None else None,
            logging_callback=self._asking.on_log,
            message_handler=self._on_message,
            log_level="info",
            cache=None,
        )

    def _connected(self, client: Client, tools: tuple[ListedTool, ...]) -> None:
        news = self._complained or not self._introduced
        self._complained, self._introduced = False, True
        self._client, self.problem, self.tools = client, "", tools
        self._since = asyncio.get_running_loop().time()
        self._settled.set()
        grant = self._connection.link.grant if self._connection.link is not None else None
        self.signed_in = (grant.place or "kept from before") if grant is not None and grant.granted else ""
        log.info("MCP server %s is connected: %d tools", self.name, len(tools))
        self._note(f"connected: {len(tools)} tools")
        self._enter("connected")
        if news:
            count = f"{len(tools)} tool{'' if len(tools) == 1 else 's'}"
            self._tell(f"The MCP server {self.name} is connected: {count}.", False)

    def _take(self, tools: tuple[ListedTool, ...]) -> None:
        if tools != self.tools:
            self.tools = tools
            self._note(f"the tools have changed: {len(tools)} now")
            self._on_change(self)

    async def _list(self, client: Client) -> tuple[ListedTool, ...]:
        on_hub = isinstance(self.config, RemoteServer) and is_on_hub(self.config.url, self._host.env)
        return await list_tools(client, on_hub=on_hub)

    async def _follow(self, client: Client, connection: _Connection) -> None:
        """Looks at the tools again whenever they change, until the connection ends."""
        listening = asyncio.create_task(self._listen(client))
        try:
            while True:
                await connection.nudge.wait()
                connection.nudge.clear()
                if connection.over.is_set():
                    return
                async with asyncio.timeout(self._patience.connect_s):
                    self._take(await self._list(client))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._patience.relist_s):
                        await connection.over.wait()
        finally:
            listening.cancel()
            await asyncio.wait({listening}, timeout=self._patience.relist_s)

    async def _listen(self, client: Client) -> None:
        """Asks newer servers to tell of changes, which older ones do unasked. What they tell comes as a message."""
        from mcp.client.subscriptions import ListenNotSupportedError
        from mcp.shared.exceptions import MCPError
        from mcp_types import METHOD_NOT_FOUND

        capability = client.server_capabilities.tools
        pause = self._patience.relist_s
        while capability is not None and capability.list_changed:
            try:
                async with client.listen(tools_list_changed=True) as changes:
                    async for _ in changes:
                        pause = self._patience.relist_s
                return
            except ListenNotSupportedError:
                return
            except Exception as error:  # the border of foreign code: without news there are still the tools
                log.debug("MCP server %s does not tell of changes", self.name, exc_info=True)
                if isinstance(error, MCPError) and error.code == METHOD_NOT_FOUND:
                    return
            await asyncio.sleep(pause)
            pause = min(pause * 2, 60.0)
            self._connection.nudge.set()  # what changed meanwhile was not told

    # -------------------------------------------------------------------------------------- what the server says

    async def _on_message(self, message: Any) -> None:
        from mcp_types import ToolListChangedNotification

        if isinstance(message, ToolListChangedNotification):
            self._connection.nudge.set()
        elif isinstance(message, Exception):
            log.warning("MCP server %s: %s", self.name, explain(message))

    # -------------------------------------------------------------------------------------------------- calling

    async def call(self, tool: str, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Calls a tool. Whatever goes wrong is a failed result that says so; only cancellation passes."""
        client = await self._reach()
        if client is None:
            text = f"ERROR: The MCP server {self.name} is not connected: {self.problem or 'it is still starting'}."
            return ToolResult(f"{text} The call was NOT executed. Go on without this server, or try later.", ok=False)
        progress = CallLog(context.log)
        limit = self.config.timeout_s
        try:
            async with asyncio.timeout(limit) as timeout:
                with self._asking.during(progress, timeout):
                    result = await client.call_tool(tool, arguments, progress_callback=progress.progress)
        except TimeoutError:
            text = f"ERROR: {tool} did not answer within {limit:g} s and was cancelled; what it did is not undone."
            return ToolResult(f"{text} A person can raise mcpServers.{self.name}.timeout_s.", ok=False)
        except Exception as error:  # the border of foreign code: whatever a server or its client does is a failed call
            log.info("MCP server %s: a call of %s failed: %r", self.name, tool, error)
            log.debug("where it failed", exc_info=True)
            return self._failed(tool, error)
        media = Media(context.spill_dir, f"{self.name}-{context.call_id}")
        text = await asyncio.to_thread(as_text, result, media.keep)
        return ToolResult(text, ok=not result.is_error, images=await shown(media.images, context))

    async def _reach(self) -> Client | None:
        """The client, waiting a little for a server that has to be connected to again."""
        if self._client is None or self._connection.over.is_set():
            self._settled.clear()
            self._wanted.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience.reconnect_s):
                    await self._settled.wait()
        return None if self._connection.over.is_set() else self._client

    def _failed(self, tool: str, error: Exception) -> ToolResult:
        from mcp.shared.exceptions import MCPError
        from mcp_types import CONNECTION_CLOSED

        link = self._connection.link
        broken = link is not None and link.refused  # a server that was started anew does not know our session
        if isinstance(error, MCPError) and error.code != CONNECTION_CLOSED and not broken:
            return ToolResult(f"ERROR: {tool} failed: {explain(error)}", ok=False)
        if isinstance(cause(error), ValueError | RuntimeError) and not self._connection.over.is_set():
            text = f"ERROR: {tool} was carried out, but its result is none that the protocol knows: {explain(error)}."
            return ToolResult(text, ok=False)  # a slip of one tool, over which the others must not lose their server
        reason = (link and link.account()) or explain(error)
        self._connection.end()
        text = f"ERROR: The connection to the MCP server {self.name} broke off during this call: {reason}."
        return ToolResult(f"{text} It may or may not have been carried out; look before you repeat it.", ok=False)


async def _as_it_is(_tool: str, _result: object) -> None:
    """Finds nothing wrong with a result."""


def _account(link: Link, error: Exception) -> str:
    """Why a connection failed: what the transport knows, unless a sign-in went wrong that it knows nothing of."""
    from mcp.client.auth import OAuthFlowError

    if isinstance(bottom := cause(error), OAuthFlowError):
        return explain(bottom)
    return link.account() or explain(error)

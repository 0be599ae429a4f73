"""The screen of MCP servers: how things stand with each, its tools, its log, and what can be done about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets._option_list import Option, OptionList
from textual.widgets._static import Static

from ml_intern.core.config import ConfigError
from ml_intern.tui.keys.keymap import STANDARD, Keymap, bind, keymap_of
from ml_intern.tui.modals.add_server import AddServer
from ml_intern.tui.ports import McpCare, McpServerView, McpToolView
from ml_intern.tui.widgets.backdrop import Backdrop
from ml_intern.tui.widgets.detail import LineView
from ml_intern.tui.widgets.heading import heading
from ml_intern.tui.widgets.key_bar import Hint, KeyBar
from ml_intern.tui.widgets.text import cells, count, fit, one_line, pad

STATES = {
    "disabled": ("○ off", "$foreground-muted"),
    "connecting": ("… connecting", "$foreground-muted"),
    "connected": ("✓ connected", "$success"),
    "sign_in": ("! wants a sign-in", "$warning"),
    "failed": ("✗ cannot be used", "$error"),
}
STATE_CELLS = max(len(words) for words, _ in STATES.values())
TOOLS_CELLS = 9
NAME_CELLS = 20
GAP = "  "
NOTHING_YET = (
    "No MCP server is configured. Press {mcp.add} to add one: a program on this machine or an address. Its tools join "
    "those of the agent as server__tool, and what they may do is asked about like everything else."
)


class McpScreen(Backdrop[None]):
    """Lists servers; the chosen one in full below.

    Args:
        care: Looks after them.
        redact: Takes secrets out of a text.
    """

    AUTO_FOCUS = "#servers"
    HELP = (
        "MCP servers and their tools. {mcp.switch} switches the chosen one on or off for good, {mcp.reconnect} "
        "connects anew, {mcp.log} shows its log, {mcp.sign_in} signs in with your browser, {mcp.sign_out} forgets the "
        "sign-in, {mcp.add} adds a server to your configuration."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "back"),
        bind("leave", "back"),
        bind("mcp.add", "add"),
        bind("mcp.switch", "switch"),
        bind("mcp.reconnect", "reconnect"),
        bind("mcp.log", "log"),
        bind("mcp.sign_in", "sign_in"),
        bind("mcp.sign_out", "sign_out"),
    ]

    def __init__(self, care: McpCare, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._care = care
        self._redact = redact
        self._log_shown = False
        self._links: dict[str, str] = {}
        self._unwatch: Callable[[], None] = lambda: None

    def compose(self) -> ComposeResult:
        """How many, the list, the chosen one, keys."""
        yield Static(id="servers-sums", markup=False)
        yield Static(keymap_of(self).tell(NOTHING_YET), id="servers-none", markup=False)
        yield OptionList(id="servers", compact=True, markup=False)
        yield LineView(id="server-detail")
        yield KeyBar(id="servers-keys")

    def on_mount(self) -> None:
        """Shows how things stand, and every change of it."""
        self._list = self.query_one(OptionList)
        self._detail = self.query_one(LineView)
        self._unwatch = self._care.watch(self._soon)
        self._show()

    def on_unmount(self) -> None:
        """Nobody looks any more."""
        self._unwatch()

    def on_resize(self) -> None:
        """The columns are laid out for the present width."""
        self._soon()

    # -------------------------------------------------------------------------------------------------- showing

    def _soon(self) -> None:
        if self.is_mounted:
            self.call_later(self._show)

    @property
    def _chosen(self) -> McpServerView | None:
        index, servers = self._list.highlighted, self._care.status()
        return servers[index] if index is not None and index < len(servers) else None

    def _show(self) -> None:
        servers, kept = self._care.status(), self._list.highlighted or 0
        connected = [server for server in servers if server.state == "connected"]
        tools = sum(len(server.details) for server in connected)
        sums = (f"{len(connected)} of {len(servers)} connected", count(tools, "tool"))
        self.query_one("#servers-sums", Static).update(heading("mcp servers", *sums))
        self.query_one("#servers-none").display = not servers
        self._list.display = self._detail.display = bool(servers)
        width = self._list.scrollable_content_region.width or self.size.width
        self._list.clear_options()
        self._list.add_options([Option(row(server, width, self._redact)) for server in servers])
        self._list.highlighted = min(kept, len(servers) - 1) if servers else None
        if self.focused is None:
            (self._list if servers else self).focus()
        self._show_chosen()

    @on(OptionList.OptionHighlighted)
    def _show_chosen(self) -> None:
        server = self._chosen
        self.query_one("#servers-keys", KeyBar).show(keys_for(server))
        if server is None:
            return
        if self._log_shown:
            lines = [f"log of {server.name}", "", *(self._care.journal(server.name) or ["Nothing yet."])]
        else:
            lines = detail(server, self._links.get(server.name, ""), keymap_of(self))
        self._detail.show_text([self._redact(line) for line in lines])

    # --------------------------------------------------------------------------------------------------- acting

    def action_log(self) -> None:
        """The log in place of the tools, or the tools again."""
        self._log_shown = not self._log_shown
        self._show_chosen()

    def action_add(self) -> None:
        """Asks for a server."""

        def added(name: str | None) -> None:
            if name:
                self.notify(f"{name} is in your configuration, and is being connected to.", markup=False)
                self._list.highlighted = len(self._care.status()) - 1
                self._soon()

        self.app.push_screen(AddServer(self._care.add), added)

    def action_switch(self) -> None:
        """On or off, now and later."""
        if server := self._chosen:
            self._do(self._care.switch(server.name, server.state == "disabled"), "switching a server")

    def action_reconnect(self) -> None:
        """Ends the connection and begins a new one."""
        if server := self._chosen:
            self._do(self._care.reconnect(server.name), "connecting")

    def action_sign_in(self) -> None:
        """Opens the browser at the server's own page."""
        server = self._chosen
        if server is None:
            return
        if server.transport == "stdio":
            self.notify("A program on this machine takes no sign-in; its keys stand in `env`.", markup=False)
            return
        self._do(self._sign_in(server.name), "signing in")

    def action_sign_out(self) -> None:
        """Forgets the sign-in."""
        if server := self._chosen:
            self._do(self._care.sign_out(server.name), "signing out")

    async def _sign_in(self, name: str) -> None:
        def show(link: str) -> None:
            self._links[name] = link
            self.app.open_url(link)
            self._soon()

        try:
            problem = await self._care.sign_in(name, show)
        finally:
            self._links.pop(name, None)
            self._soon()
        if problem:
            self.notify(f"Not signed in to {name}: {one_line(problem)}.", severity="error", markup=False)
        else:
            self.notify(f"Signed in to {name}.", markup=False)

    def _do(self, work: Awaitable[None], name: str) -> None:
        async def run() -> None:
            try:
                await work
            except (ConfigError, OSError) as error:
                self.notify(str(error), severity="error", markup=False)

        # Not this screen's: what was begun goes on when the person has gone back to the conversation.
        self.app.run_worker(run(), name=name, group="mcp", exit_on_error=False)

    def action_back(self) -> None:
        """Back to the conversation."""
        self.dismiss(None)


def keys_for(server: McpServerView | None) -> list[Hint]:
    """The keys that do something with a server as it is."""
    add, back = ("{mcp.add}", "add"), ("{back}", "back")
    if server is None:
        return [add, back]
    keys = [("{move}", "choose"), add, ("{mcp.switch}", "on/off"), ("{mcp.reconnect}", "reconnect")]
    keys += [("{mcp.log}", "log/tools")]
    keys += [("{mcp.sign_in}", "sign in")] if server.transport != "stdio" else []
    keys += [("{mcp.sign_out}", "sign out")] if server.signed_in else []
    return [*keys, back]


def row(server: McpServerView, width: int, redact: Callable[[str], str]) -> Content:
    """One server in at most `width` cells: name, state, number of tools, place."""
    words, style = STATES[server.state]
    tools = count(len(server.details), "tool") if server.state == "connected" else ""
    room = max(8, width - NAME_CELLS - STATE_CELLS - TOOLS_CELLS - 3 * len(GAP))
    name = pad(fit(one_line(server.name), NAME_CELLS), NAME_CELLS)
    place = fit(one_line(redact(server.place)), room)
    return Content.assemble(
        name,
        GAP,
        (pad(words, STATE_CELLS), style),
        GAP,
        f"{tools:>{TOOLS_CELLS}}",
        GAP,
        (place, "$foreground-muted"),
    )


def detail(server: McpServerView, link: str, keymap: Keymap = STANDARD) -> list[str]:
    """The chosen server in full."""
    lines = [f"{server.transport} · {server.place}"]
    if server.signed_in:
        lines.append(f"signed in; kept {server.signed_in}")
    if link:
        lines += ["", "Sign in with your browser. If it did not open, go to:", link]
    elif server.state == "sign_in":
        way = keymap.tell("Press {mcp.sign_in}: your browser opens its page.")
        lines += ["", f"{server.problem[:1].upper()}{server.problem[1:]}. {way}"]
    elif server.problem:
        ways = keymap.tell("Press {mcp.log} for its log, {mcp.reconnect} to try again.")
        lines += ["", f"{server.problem[:1].upper()}{server.problem[1:]}.", ways]
    if server.details:
        widest = min(44, max(cells(tool.name) for tool in server.details))
        lines += ["", *(_tool_line(tool, widest) for tool in server.details)]
    return lines


def _tool_line(tool: McpToolView, widest: int) -> str:
    mark = "reads only" if tool.reads_only else "may destroy" if tool.destroys else ""
    return f"{pad(tool.name, widest)}  {mark:<11}  {one_line(tool.description)}".rstrip()

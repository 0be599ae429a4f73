"""Adding an MCP server: a few fields, an entry for the configuration."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets._input import Input
from textual.widgets._static import Static

from ml_intern.core.config import ConfigError
from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.modals.base import Dialog
from ml_intern.tui.widgets.form import Switch, TextField
from ml_intern.tui.widgets.key_bar import KeyBar

KINDS = [("stdio", "a program on this machine"), ("http", "an address"), ("sse", "an address of the older kind (SSE)")]
PROGRAM_NOTE = "Variables as NAME=value, for example GITHUB_TOKEN=${GITHUB_TOKEN}. It gets no others of yours."
ADDRESS_NOTE = "A header as Name: value, for example Authorization: Bearer ${DOCS_TOKEN}. Leave it empty to sign in."


class EntryError(Exception):
    """What was typed makes no server. The message says what is missing."""


def entry_of(kind: str, place: str, extra: str) -> dict[str, Any]:
    """An entry as under `mcpServers`.

    Args:
        kind: `stdio`, `http` or `sse`.
        place: The command line or the address.
        extra: Variables or a header.

    Raises:
        EntryError: Something is missing or cannot be read.
    """
    if not place.strip():
        raise EntryError("Type the program with its arguments." if kind == "stdio" else "Type the address.")
    try:
        words, more = shlex.split(place), shlex.split(extra)
    except ValueError:
        raise EntryError("A quotation mark is not closed.") from None
    if kind == "stdio":
        if not all("=" in word for word in more):
            raise EntryError("Variables are written NAME=value, with spaces between them.")
        env = dict(word.split("=", 1) for word in more)
        return {"command": words[0], "args": words[1:], **({"env": env} if env else {})}
    name, colon, value = extra.partition(":")
    if extra.strip() and not (colon and name.strip() and value.strip()):
        raise EntryError("A header is written Name: value.")
    headers = {name.strip(): value.strip()} if extra.strip() else {}
    return {"url": place.strip(), "transport": kind, **({"headers": headers} if headers else {})}


class AddServer(Dialog[str]):
    """Asks for a server until it can be added. Answers with its name.

    Args:
        add: Adds it; raises `ConfigError`.
    """

    HELP = (
        "{fields} moves between the fields, {form.before} and {form.after} change the kind, {form.done} adds the "
        "server, {back} leaves."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "cancel", above=True),
        bind("form.done", "add"),
    ]

    def __init__(self, add: Callable[[str, dict[str, Any]], Awaitable[None]]) -> None:
        super().__init__()
        self._add = add

    def compose(self) -> ComposeResult:
        """Fields, what is wrong, keys."""
        with Vertical(id="add-server", classes="dialog") as frame:
            frame.border_title = "add an MCP server"
            yield TextField("name", placeholder="a short word; its tools begin with it", id="server-name")
            yield Switch("it is", KINDS, "stdio", id="server-kind")
            yield TextField("program or address", placeholder="uvx mcp-server-time", id="server-place")
            yield TextField("variables or header", id="server-extra")
            yield Static(PROGRAM_NOTE, id="server-note", markup=False)
            yield Static(id="server-problem", markup=False)
            yield KeyBar([("{form.done}", "add it"), ("{fields}", "fields"), ("{back}", "leave")])

    def on_mount(self) -> None:
        """The name comes first."""
        self.query_one("#server-name", Input).focus()

    @on(Switch.Changed)
    def _show_kind(self) -> None:
        program = self.query_one(Switch).value == "stdio"
        self.query_one("#server-note", Static).update(PROGRAM_NOTE if program else ADDRESS_NOTE)
        place = self.query_one("#server-place", Input)
        place.placeholder = "uvx mcp-server-time" if program else "https://example.com/mcp"

    @on(Input.Submitted)
    def _enter(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_add()

    def action_add(self) -> None:
        """Adds it, or says what is wrong."""
        name, place, extra = (
            self.query_one(f"#server-{field}", Input).value.strip() for field in ("name", "place", "extra")
        )
        try:
            entry = entry_of(self.query_one(Switch).value, place, extra)
        except EntryError as error:
            self._say(str(error))
            return
        if not name:
            self._say("Give it a name.")
            return
        self.run_worker(self._try(name, entry), name="adding a server", exclusive=True, exit_on_error=False)

    async def _try(self, name: str, entry: dict[str, Any]) -> None:
        try:
            await self._add(name, entry)
        except ConfigError as error:
            self._say(str(error))
        else:
            self.dismiss(name)

    def _say(self, text: str) -> None:
        self.query_one("#server-problem", Static).update(text)

"""The tools of a server as the rest of the program knows tools: names, effects, parameters."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml_intern.core.approvals.effects import Assessment, Effect
from ml_intern.core.display import TextBlock
from ml_intern.core.tools.spec import ToolContext, ToolResult, ToolSpec
from ml_intern.tools.mcp.config import safe_name
from ml_intern.tools.terminal_text import clean

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import Tool

log = logging.getLogger(__name__)

MAX_NAME = 64
MAX_TOOLS = 300
_MAX_PAGES = 50
_MAX_DESCRIPTION = 4000
_MAX_SCHEMA = 30_000
"""Characters of a schema in JSON. Every request carries it, so a larger one would crowd out the conversation."""

_COVERED = frozenset({"hf_jobs", "hf_doc_search", "hf_doc_fetch", "hf_whoami"})
"""Tools of the Hub's own server that there are better ones for here: these know prices, the cap and what is pending."""

Call = Callable[[str, dict[str, Any], ToolContext], Awaitable[ToolResult]]


@dataclass(frozen=True, slots=True)
class ListedTool:
    """A tool as its server describes it.

    Attributes:
        name: As the server knows it.
        description: For the model, without control characters.
        schema: JSON schema of the arguments, an object's.
        reads_only: The server says that it changes nothing.
        destroys: The server says that it may destroy something.
    """

    name: str
    description: str
    schema: dict[str, Any]
    reads_only: bool
    destroys: bool


async def list_tools(client: Client, *, on_hub: bool) -> tuple[ListedTool, ...]:
    """All usable tools of a server, in its order, none twice.

    Args:
        client: A connected client.
        on_hub: It is the Hub's own server.
    """
    found: dict[str, ListedTool] = {}
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        wanted = [tool for tool in page.tools if not (on_hub and tool.name in _COVERED)]
        for tool in await asyncio.to_thread(_usable, wanted):  # checking schemas takes its time
            found.setdefault(tool.name, tool)
        cursor = page.next_cursor
        if cursor is None or len(found) >= MAX_TOOLS:
            break
    return tuple(found.values())[:MAX_TOOLS]


def _usable(tools: list[Tool]) -> list[ListedTool]:
    """Those that a model can be told of. One bad schema would make a provider refuse every request."""
    from jsonschema import Draft202012Validator, SchemaError

    usable = []
    for tool in tools:
        schema = {"properties": {}, **tool.input_schema, "type": "object"}
        schema.pop("$schema", None)
        if not tool.name or len(json.dumps(schema)) > _MAX_SCHEMA:
            log.warning("the tool %r is left out: its parameters take too many words", tool.name[:100])
            continue
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            log.warning("the tool %r is left out: its parameters are no JSON schema (%s)", tool.name, error.message)
            continue
        usable.append(_listed(tool, schema))
    return usable


def _listed(tool: Tool, schema: dict[str, Any]) -> ListedTool:
    hints = tool.annotations
    description = clean(tool.description or tool.title or "").strip()
    return ListedTool(
        name=tool.name,
        description=description[:_MAX_DESCRIPTION],
        schema=schema,
        reads_only=bool(hints and hints.read_only_hint),
        destroys=bool(hints and hints.destructive_hint and not hints.read_only_hint),
    )


class ToolNames:
    """Gives every tool of every server a name that is its own, and keeps it.

    Args:
        taken: Names that are not to be had.
    """

    def __init__(self, taken: Collection[str]) -> None:
        self._taken = set(taken)
        self._names: dict[tuple[str, str], str] = {}

    def name(self, server: str, tool: str) -> str:
        """`<server>__<tool>`; where that is too long or taken, an ending made of both names tells it apart."""
        key = (server, tool)
        if key not in self._names:
            name = f"{safe_name(server)}__{safe_name(tool)}"
            if len(name) > MAX_NAME or name in self._taken:
                ending = hashlib.sha256("\0".join(key).encode()).hexdigest()[:8]
                name = f"{name[: MAX_NAME - len(ending) - 1]}_{ending}"
            self._names[key] = name
            self._taken.add(name)
        return self._names[key]


def spec_of(name: str, server: str, tool: ListedTool, call: Call) -> ToolSpec:
    """The tool for the router.

    Args:
        name: Its name for the model.
        server: The server's name.
        tool: The tool.
        call: Calls a tool of this server by the server's own name for it.
    """

    async def run(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        return await call(tool.name, arguments, context)

    def assess(arguments: dict[str, Any], _context: ToolContext) -> Assessment:
        return _assess(server, tool, arguments)

    description = tool.description or f"The tool {clean(tool.name)} of the MCP server {server}."
    return ToolSpec(name, description, tool.schema, run, assess, fetches=True)


def _assess(server: str, tool: ListedTool, arguments: dict[str, Any]) -> Assessment:
    effects, reasons = {Effect.READ}, []
    if not tool.reads_only:
        effects = {Effect.EXTERNAL}
        reasons.append(f"the MCP server {server} does not say that this only reads")
    if tool.destroys:
        effects.add(Effect.DESTROY)
        reasons = [f"the MCP server {server} says that this may destroy something"]
    shown = json.dumps(arguments, indent=2, ensure_ascii=False)
    return Assessment(
        effects=frozenset(effects),
        reasons=tuple(reasons),
        subject=json.dumps(arguments, ensure_ascii=False, sort_keys=True),
        display=(TextBlock(text=shown, language="json", title=f"{server}: {clean(tool.name)}"),),
    )

"""An MCP server made with the library that other people make theirs with, over any of its transports.

Run as a program, with the transport as its argument; over HTTP it writes its port to standard output first.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("library", subscriptions=None)


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
async def slow(seconds: float, context: Context) -> str:
    """Takes its time, and tells how far it is."""
    await context.report_progress(1, 2, "half")
    await context.info("still here")
    await asyncio.sleep(seconds)
    return "done"


@server.tool()
def large() -> str:
    """Says a lot."""
    return "x" * 500_000


@server.tool()
def broken() -> str:
    """Never works."""
    raise ValueError("no such table")


@server.tool()
def credentials(context: Context) -> str:
    """Tells what was sent along."""
    return json.dumps({name.lower(): value for name, value in (context.headers or {}).items()})


@server.tool()
async def grow(context: Context) -> str:
    """Brings one more tool."""
    server.add_tool(add, name="plus")
    await context.notify_tools_changed()
    return "grown"


@server.tool()
def die() -> str:
    """Ends the server in the middle of the call."""
    os._exit(9)


def serve_http(transport: str, port: int) -> None:
    """Serves on the port, or any free one."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # else answers wait 40 ms
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    app = server.sse_app() if transport == "sse" else server.streamable_http_app()
    uvicorn.Server(uvicorn.Config(app, log_level="critical")).run(sockets=[listener])


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run()
    else:
        serve_http(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)

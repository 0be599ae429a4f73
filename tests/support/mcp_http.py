"""An MCP server of the older kind over HTTP, which shows what it was sent and can be told to misbehave."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class HttpServer:
    """Serves on loopback while the block lasts.

    Attributes:
        tools: Names of its tools; each answers with its own name.
        seen: Headers of every request, names in lower case.
        session: The one session it knows.
        status: Answers every request with this status, when it is set.
        location: Redirects every request to this address, when it is set.
        calls: Names of the tools that were called.
        odd: Answers a call with this body in place of a proper one, and these headers.
    """

    def __init__(self, *tools: str) -> None:
        self.tools = list(tools) or ["look"]
        self.seen: list[dict[str, str]] = []
        self.session = "one"
        self.status = 0
        self.location = ""
        self.calls: list[str] = []
        self.odd: tuple[bytes, dict[str, str]] | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer.answer(self)

            def do_GET(self) -> None:
                outer.reply(self, 405, {})

            def do_DELETE(self) -> None:
                outer.reply(self, 200, {})

            def log_message(self, *_: Any) -> None:
                """Says nothing on the terminal."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        """The address for a configuration."""
        return f"{self.origin}/mcp"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """One message of a client."""
        message = json.loads(request.rfile.read(int(request.headers["content-length"])))
        self.seen.append({name.lower(): value for name, value in request.headers.items()})
        method, number = message.get("method"), message.get("id")
        if self.location:
            self.reply(request, 307, {}, location=self.location)
        elif self.status:
            self.reply(request, self.status, {})
        elif method == "initialize":
            info = {"name": "older", "version": "1"}
            version = message["params"]["protocolVersion"]
            result = {"protocolVersion": version, "serverInfo": info, "capabilities": {"tools": {}}}
            self.reply(request, 200, {"id": number, "result": result}, session=self.session)
        elif method == "server/discover":
            self.reply(request, 200, {"id": number, "error": {"code": -32601, "message": "no such method"}})
        elif request.headers.get("mcp-session-id") != self.session:
            self.reply(request, 404, {})
        elif number is None:
            self.reply(request, 202, {})
        elif method == "tools/call" and self.odd:
            self.misbehave(request, *self.odd)
        else:
            self.reply(request, 200, {"id": number, "result": self.result(method, message.get("params") or {})})

    def misbehave(self, request: BaseHTTPRequestHandler, body: bytes, headers: dict[str, str]) -> None:
        """Sends a body over and over, until the client has had enough."""
        request.send_response(200)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.close_connection = True
        with contextlib.suppress(OSError):
            while body:
                request.wfile.write(body)
                body = b"" if "content-length" in headers else body

    def result(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """What a request gets."""
        if method == "tools/list":
            return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in self.tools]}
        self.calls.append(params["name"])
        return {"content": [{"type": "text", "text": params["name"]}]}

    def reply(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        message: dict[str, Any],
        *,
        session: str = "",
        location: str = "",
    ) -> None:
        """Sends an answer."""
        body = json.dumps({"jsonrpc": "2.0", **message}).encode() if message else b""
        request.send_response(status)
        if body:
            request.send_header("content-type", "application/json")
        if session:
            request.send_header("mcp-session-id", session)
        if location:
            request.send_header("location", location)
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

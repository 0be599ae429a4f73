"""`ml-intern serve`: the full-screen app in a browser, one app for each page that is open."""

from __future__ import annotations

import ipaddress
import re
import shlex
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from ml_intern.exit_codes import FAILURE, USAGE
from ml_intern.parser import Parser
from ml_intern.web.guard import COOKIE, KEY, Guard

if TYPE_CHECKING:
    from aiohttp import web

HOST = "127.0.0.1"
PORT = 7860

_ELSEWHERE = re.compile(r"<link\b[^>]*https?://[^>]*>")
"""Fonts of other hosts: the page must work, and stay private, without them."""
_ALONE = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
"""No other page may show the app within itself and catch clicks on it. Cookies do not tell ports apart: to a browser, a
page of any other program on this machine is of the same site."""
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


def run(arguments: Sequence[str]) -> int:
    """Serves until it is interrupted. Returns the exit code."""
    parser = Parser(
        prog="ml-intern serve",
        description="The app in a browser. Further options (--model, --mode, ...) go to the app.",
        allow_abbrev=False,
    )
    parser.add_argument("--host", default=HOST, help=f"address to listen on (default {HOST}: this machine alone)")
    parser.add_argument("--port", type=int, default=PORT, help=f"port to listen on (default {PORT})")
    choice, rest = parser.parse_known_args(list(arguments))
    if not 0 < choice.port < 65_536:
        return _refuse(f"{choice.port} is no port", USAGE)
    if problem := _flags_problem(rest):
        return _refuse(problem, USAGE)
    if problem := _port_problem(choice.host, choice.port):
        return _refuse(problem, FAILURE)
    guard = Guard(_LOCAL if choice.host in _LOCAL else frozenset())
    print(_welcome(choice.host, choice.port, guard.key), flush=True)  # noqa: T201 - what was asked for
    server = create_server(shlex.join([sys.executable, "-m", "ml_intern", *rest]), choice.host, choice.port, guard)
    server.serve()
    return 0


def create_server(command: str, host: str, port: int, guard: Guard) -> Any:
    """The server: textual-serve's own, behind a guard.

    Args:
        command: Shell command that starts one app.
        host: Address to listen on.
        port: Port to listen on.
        guard: Decides on every request.
    """
    from aiohttp import web
    from textual_serve.server import Server

    @web.middleware
    async def guarded(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if refusal := guard.refusal(request.headers, request.query, request.cookies):
            raise web.HTTPForbidden(text=refusal)
        if request.path == "/" and KEY in request.query:  # out of the address line, the history and the referrer
            response = web.HTTPFound("/")
            response.set_cookie(COOKIE, guard.key, httponly=True, samesite="Strict")
            raise response
        return await handler(request)

    async def alone(_: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(_ALONE)

    class GuardedServer(Server):
        def initialize_logging(self) -> None:
            """The library's own writes every request to the terminal."""

        async def on_startup(self, app: web.Application) -> None:
            """The library's own prints an address without the key."""

        async def _make_app(self) -> web.Application:
            app = await super()._make_app()
            app.middlewares.append(guarded)
            app.on_response_prepare.append(alone)
            return app

        async def handle_index(self, request: web.Request) -> Any:
            # The page is told addresses under the name by which the browser has reached it.
            self.public_url = f"{request.scheme}://{request.host}"
            response: Any = await super().handle_index(request)
            response.text = _ELSEWHERE.sub("", response.text)
            return response

    return GuardedServer(command, host=host, port=port, title="ml-intern")


def _welcome(host: str, port: int, key: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    shown = "localhost" if host in ("0.0.0.0", "::") else shown  # noqa: S104 - only compared
    lines = [f"ml-intern is at http://{shown}:{port}/?{KEY}={key}"]
    if host not in _LOCAL:
        lines.append(
            "Whoever has this address can act as you on this machine, and it is not encrypted: "
            "better listen here only and reach it through `ssh -L`."
        )
    return "\n".join([*lines, "Ctrl+C ends it."])


def _flags_problem(rest: Sequence[str]) -> str:
    """Why the app would not start with these options, or an empty string."""
    from ml_intern.cli import UsageError, parse

    try:
        front_end, _, _ = parse(rest)
    except UsageError as error:
        return str(error)
    return "" if front_end == "app" else "`serve` shows the app; it takes options of the app, but no prompt or command"


def _port_problem(host: str, port: int) -> str:
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        family = socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return f"{host}:{port} cannot be listened on ({(error.strerror or str(error)).lower()}); try another --port"
    return ""


def _refuse(text: str, code: int) -> int:
    print(f"ml-intern: {text}", file=sys.stderr)  # noqa: T201 - before any UI
    return code

"""A web server on loopback for tests of clients: routes given as functions, a log of all requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from tests.support.serving import ServingThread

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class WebServer:
    """Serves routes from a thread of its own.

    Attributes:
        handlers: Handler of each path; a path that ends in `*` serves everything below.
        asked: Requests so far.
        busiest: Most requests that were being answered at the same time.
    """

    handlers: dict[str, Handler] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    port: int = 0
    busiest: int = 0
    _busy: int = 0
    _thread: ServingThread | None = None

    @property
    def url(self) -> str:
        """Base URL, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        """Paths that were asked for, in order."""
        return [item.path for item in self.asked]

    def __enter__(self) -> Self:
        routes: list[BaseRoute] = [
            Route("/{path:path}", self._answer, methods=["GET", "POST", "PUT", "DELETE", "HEAD"])
        ]
        self._thread = ServingThread(self.port)
        self.port = self._thread.port
        self._thread.start(Starlette(routes=routes), "web server", log_level="error", lifespan="off")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._thread.stop()

    async def _answer(self, request: Request) -> Response:
        headers = dict(request.headers.items())
        self.asked.append(Asked(request.method, request.url.path, request.url.query, headers, await request.body()))
        self._busy += 1
        self.busiest = max(self.busiest, self._busy)
        try:
            handler = self._handler(request.url.path)
            return PlainTextResponse("no such page", 404) if handler is None else await handler(request)
        finally:
            self._busy -= 1

    def _handler(self, path: str) -> Handler | None:
        if path in self.handlers:
            return self.handlers[path]
        wide = [key for key in self.handlers if key.endswith("*") and path.startswith(key[:-1])]
        return self.handlers[max(wide, key=len)] if wide else None


def page(text: str | bytes, *, status: int = 200, kind: str = "text/html", **headers: str) -> Handler:
    """A handler that always answers this; underscores in names of headers stand for dashes."""

    async def answer(request: Request) -> Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Response(text, status, headers=named, media_type=kind)

    return answer


def in_turn(*handlers: Handler) -> Handler:
    """A handler that answers with each of these once, and with the last one for ever."""
    left = list(handlers)

    async def answer(request: Request) -> Response:
        handler = left.pop(0) if len(left) > 1 else left[0]
        return await handler(request)

    return answer

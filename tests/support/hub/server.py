"""The server itself: a thread with an event loop, one Starlette application, a log of all requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.support.serving import ServingThread

if TYPE_CHECKING:
    from tests.support.hub.buckets import Buckets
    from tests.support.hub.collections import Collections
    from tests.support.hub.jobs import Jobs
    from tests.support.hub.repos import Repos
    from tests.support.hub.sandboxes import Sandboxes
    from tests.support.hub.schedules import Schedules
    from tests.support.hub.spaces import Spaces

TOKEN = "hf_" + "standin" * 5  # the shape of a real one, so that redaction sees it


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came in; its body is kept up to 1 MB."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def token(self) -> str:
        """The bearer token it carried, or an empty string."""
        return self.headers.get("authorization", "").removeprefix("Bearer ").strip()


@dataclass(slots=True)
class Person:
    """An account: the user a token belongs to, and organisations."""

    name: str
    orgs: tuple[str, ...] = ()
    is_pro: bool = False


class HubFailure(Exception):  # noqa: N818 - an answer, not a fault of the program
    """Answered to the client as the Hub does: status, `X-Error-Code`, `X-Error-Message` and a JSON body."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


@dataclass(slots=True)
class Fault:
    """Answers the next `times` requests that `matches`, before any route does."""

    matches: Callable[[str, str], bool]
    answer: Callable[[], Response]
    times: int = 1
    delay_s: float = 0.0


@dataclass(slots=True)
class StandInHub:
    """The server. Areas (repositories, jobs, ...) add their routes in `tests/support/hub/*.py`.

    Args:
        root: Directory where everything is stored; a second server over the same directory goes on where one ended.
        tokens: Whom each token belongs to.
        port: Port on loopback, 0 for any free one.
    """

    root: Path
    tokens: dict[str, Person] = field(default_factory=lambda: {TOKEN: Person("mia", ("acme",))})
    port: int = 0
    received: list[Received] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    areas: dict[str, Any] = field(default_factory=dict)
    _thread: ServingThread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Base URL, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        """A token that is accepted."""
        return next(iter(self.tokens))

    @property
    def jobs(self) -> Jobs:
        """Its jobs, once it has started."""
        return cast("Jobs", self.areas["jobs"])

    @property
    def schedules(self) -> Schedules:
        """Its scheduled jobs, once it has started."""
        return cast("Schedules", self.areas["schedules"])

    @property
    def sandboxes(self) -> Sandboxes:
        """Its sandboxes, once it has started."""
        return cast("Sandboxes", self.areas["sandboxes"])

    @property
    def repos(self) -> Repos:
        """Its repositories, once it has started."""
        return cast("Repos", self.areas["repos"])

    @property
    def spaces(self) -> Spaces:
        """What its Spaces have beyond a repository, once it has started."""
        return self.repos.spaces

    @property
    def collections(self) -> Collections:
        """Its collections, once it has started."""
        return cast("Collections", self.areas["collections"])

    @property
    def buckets(self) -> Buckets:
        """Its buckets, once it has started."""
        return cast("Buckets", self.areas["buckets"])

    def env(self) -> dict[str, str]:
        """What a program's environment needs to talk to this server instead of the Hub."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": self.token,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HOME": str(self.root / "client-home"),
        }

    def person(self, request: Request) -> Person | None:
        """Who asks, or None without a token.

        Raises:
            HubFailure: The token is nobody's.
        """
        token = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if not token:
            return None
        if token not in self.tokens:
            raise HubFailure(401, "Invalid credentials in Authorization header")
        return self.tokens[token]

    def owner_of(self, request: Request, namespace: str) -> Person:
        """Who asks, being allowed to act for a namespace.

        Raises:
            HubFailure: They are not.
        """
        person = self.person(request)
        if person is None:
            raise HubFailure(401, "Invalid username or password.")
        if namespace not in (person.name, *person.orgs):
            raise HubFailure(403, f"You do not have the rights to act for the namespace {namespace!r}")
        return person

    def fail(
        self, path: str, status: int, *, method: str = "", times: int = 1, message: str = "",
        headers: Mapping[str, str] | None = None, delay_s: float = 0.0,
    ) -> None:  # fmt: skip
        """Lets the next `times` requests whose path contains `path` fail."""

        def matches(asked_method: str, asked_path: str) -> bool:
            return path in asked_path and method in ("", asked_method)

        def answer() -> Response:
            return JSONResponse({"error": message or "scripted failure"}, status, headers=dict(headers or {}))

        self.faults.append(Fault(matches, answer, times, delay_s))

    def requests(self, path: str = "", method: str = "") -> list[Received]:
        """Requests so far whose path contains `path`."""
        return [item for item in self.received if path in item.path and method in ("", item.method)]

    # ------------------------------------------------------------------------------------------------- running

    def start(self) -> None:
        """Serves until `stop`."""
        self.root.mkdir(parents=True, exist_ok=True)
        self._thread = ServingThread(self.port)
        self.port = self._thread.port
        self._thread.start(self._application(), "stand-in hub", log_level="warning", lifespan="off")

    def stop(self) -> None:
        """Ends the server and everything that its areas have running."""
        for area in self.areas.values():
            area.stop()
        if self._thread is not None:
            self._thread.stop()
            self._thread = None

    def _application(self) -> Starlette:
        from tests.support.hub import areas

        self.areas = areas.create(self)
        routes: list[BaseRoute] = [Route("/api/whoami-v2", self._whoami), Route("/api/agent-harnesses", _nothing)]
        for area in self.areas.values():
            routes.extend(area.routes())
        return Starlette(
            routes=routes,
            middleware=[Middleware(_Recorder, hub=self)],
            exception_handlers={HubFailure: _refuse},
        )

    async def _whoami(self, request: Request) -> Response:
        person = self.person(request)
        if person is None:
            raise HubFailure(401, "Invalid username or password.")
        orgs = [{"type": "org", "name": name, "roleInOrg": "admin"} for name in person.orgs]
        return JSONResponse(
            {"type": "user", "id": person.name, "name": person.name, "isPro": person.is_pro, "orgs": orgs, "auth": {}}
        )


class _Recorder:
    """Keeps every request, and answers those that a fault was scripted for."""

    def __init__(self, app: ASGIApp, hub: StandInHub) -> None:
        self._app = app
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        kept = False

        def keep() -> None:
            nonlocal kept
            if not kept:
                kept = True
                query = scope["query_string"].decode()
                self._hub.received.append(Received(scope["method"], scope["path"], query, headers, bytes(body)))

        async def listening() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                body.extend(message.get("body", b"")[: max(0, 1_000_000 - len(body))])
                if not message.get("more_body"):
                    keep()
            return message

        async def answering(message: Message) -> None:
            keep()  # before the client can know of the answer
            await send(message)

        fault = next(
            (item for item in self._hub.faults if item.times and item.matches(scope["method"], scope["path"])), None
        )
        try:
            if fault is None:
                await self._app(scope, listening, answering)
            else:
                fault.times -= 1
                while (await listening()).get("more_body"):
                    pass
                await asyncio.sleep(fault.delay_s)
                await fault.answer()(scope, receive, answering)
        finally:
            keep()


async def _refuse(request: Request, failure: Exception) -> Response:
    assert isinstance(failure, HubFailure)
    headers = {"X-Error-Message": failure.message.encode("ascii", "replace").decode()}
    if failure.code:
        headers["X-Error-Code"] = failure.code
    return JSONResponse({"error": failure.message}, failure.status, headers=headers)


async def _nothing(request: Request) -> Response:
    return Response(status_code=404)

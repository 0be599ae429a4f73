"""Sandboxes: jobs that the official client labels as such, their control server, and a way to the ports inside.

Where a real sandbox downloads a server and runs it, the stand-in answers in its place, below
`/sbx/<job id>--49983.local`. A sandbox has a directory of this machine as its file system; how far absolute paths
inside of commands mean that directory is told in `jobs_container`. `/tmp` and `/root` (its home) exist, `/app` does
not until somebody makes it, as in the images. Processes share the network of this machine.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from tests.support.hub import sandboxes_files, sandboxes_proxy
from tests.support.hub.jobs import Jobs
from tests.support.hub.jobs_checks import body_of
from tests.support.hub.jobs_log import LogWriter
from tests.support.hub.jobs_run import Ending, Job
from tests.support.hub.sandboxes_exec import Backgrounds, Execution
from tests.support.hub.server import HubFailure

if TYPE_CHECKING:
    from tests.support.hub.server import StandInHub

CONTROL_PORT = 49983
PROTOCOL = 3
_HOST = re.compile(r"(?P<job>[0-9a-f]{24})--(?P<port>\d+)\.local")
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@dataclass(slots=True, eq=False)
class Sandbox:
    """A running sandbox."""

    job: Job
    background: Backgrounds
    active_at: float = field(default_factory=time.monotonic)
    broken: bool = False

    @property
    def token(self) -> str:
        """What `X-Sandbox-Token` must hold."""
        return self.job.environment.get("SBX_TOKEN", "")

    @property
    def idle_timeout_s(self) -> float | None:
        """Seconds without requests and background processes after which it ends; None for never."""
        text = self.job.environment.get("SBX_IDLE_TIMEOUT")
        return float(text) if text else None


class Sandboxes:
    """All sandboxes, and what tests may do to them.

    Attributes:
        healthy: Whether the control servers answer that they are ready; False keeps new sandboxes from being found so.
        exec_delay_s: Seconds before a command starts.
        fail_starts: How many of the next sandboxes end with an error instead of starting.
        fail_message: What the log of such a sandbox says.
    """

    def __init__(self, hub: StandInHub, jobs: Jobs) -> None:
        self._hub = hub
        self._jobs = jobs
        self._running: dict[str, Sandbox] = {}
        self.healthy = True
        self.exec_delay_s = 0.0
        self.fail_starts = 0
        self.fail_message = "sbx: sandbox server digest mismatch"
        jobs.works.append(self._work_for)

    # ----------------------------------------------------------------------------------------- what tests may ask

    def all(self) -> list[Job]:
        """The jobs of all sandboxes that there ever were, the oldest first."""
        return [job for job in self._jobs.all() if is_sandbox(job)]

    def running(self) -> list[Job]:
        """Those that wait or run."""
        return [job for job in self.all() if job.active]

    def path(self, sandbox_id: str, path: str) -> Path:
        """Where a file of a sandbox is on this machine."""
        container = self._jobs.get(sandbox_id).container
        assert container is not None
        return container.on_disk(path)

    # ---------------------------------------------------------------------------------------- what tests may upset

    def die(self, sandbox_id: str, message: str = "Job failed with exit code: 137") -> None:
        """Ends a sandbox as a machine does that runs out of memory: its job fails, connections break."""
        self._jobs.get(sandbox_id).end(Ending("ERROR", message))

    def break_server(self, sandbox_id: str) -> None:
        """Lets the control server of a sandbox fail every request from now on, while the job runs on."""
        self._running[sandbox_id].broken = True

    # --------------------------------------------------------------------------------------------------- running

    def routes(self) -> Sequence[BaseRoute]:
        """What it answers."""
        return [
            Route("/sbx/{host}", self._answer, methods=_METHODS),
            Route("/sbx/{host}/{path:path}", self._answer, methods=_METHODS),
        ]

    def stop(self) -> None:
        """Nothing to do: sandboxes are jobs, and end with them."""

    def _work_for(self, job: Job) -> Callable[[Job], Ending] | None:
        return self._serve if is_sandbox(job) else None

    def _serve(self, job: Job) -> Ending:
        with LogWriter(job.log_path) as log:
            log.write(f"===== Job started at {job.started_at} =====\n".encode())
            if self.fail_starts:
                self.fail_starts -= 1
                log.write(f"{self.fail_message}\n".encode())
                return Ending("ERROR", "Job failed with exit code: 1")
            sandbox = self._running[job.id] = Sandbox(job, Backgrounds(job))
            log.write(f"sbx-server listening on 0.0.0.0:{CONTROL_PORT}\n".encode())
            try:
                while not job.asked_to_end.wait(0.05):
                    if _is_idle(sandbox):
                        log.write(b"idle timeout reached, shutting down\n")
                        return Ending("COMPLETED")
            finally:
                del self._running[job.id]
        return Ending("CANCELED")

    # -------------------------------------------------------------------------------------------------- answering

    async def _answer(self, request: Request) -> Response:
        host = _HOST.fullmatch(request.path_params["host"])
        job = next((job for job in self._jobs.all() if host and job.id == host["job"]), None)
        if host is None or job is None:
            return JSONResponse({"error": "no such job"}, 404)
        self._hub.owner_of(request, job.namespace)  # as the proxy in front of all jobs does
        if job.stage != "RUNNING" or job.ending is not None:
            waits = job.active and job.ending is None
            return JSONResponse({"error": f"job {job.id} is not running"}, 503 if waits else 404)
        path = request.path_params.get("path", "")
        if int(host["port"]) != CONTROL_PORT or not is_sandbox(job):
            return await sandboxes_proxy.forward(request, int(host["port"]), path)
        sandbox = self._running.get(job.id)
        if sandbox is None or sandbox.broken:
            return JSONResponse({"error": "bad gateway"}, 502)
        try:
            return await self._control(request, sandbox, path)
        except HubFailure as failure:
            return JSONResponse({"error": failure.message}, failure.status)

    async def _control(self, request: Request, sandbox: Sandbox, path: str) -> Response:
        if path == "health":
            state = {"status": "ok", "version": "0.6.0", "protocol": PROTOCOL}
            return JSONResponse(state if self.healthy else {"status": "starting"}, 200 if self.healthy else 503)
        if not hmac.compare_digest(request.headers.get("x-sandbox-token", ""), sandbox.token):
            raise HubFailure(401, "invalid sandbox token")
        sandbox.active_at = time.monotonic()
        _, _, route = path.partition("v1/")
        area, _, rest = route.partition("/")
        match (request.method, area):
            case ("POST", "exec"):
                await asyncio.sleep(self.exec_delay_s)
                execution = Execution(sandbox.job, await body_of(request))
                return StreamingResponse(execution.lines(), media_type="application/x-ndjson")
            case ("POST", "processes"):
                return JSONResponse(sandbox.background.start(await body_of(request)).answer())
            case ("GET", "processes"):
                return JSONResponse(sandbox.background.answer())
            case ("DELETE", "processes"):
                return JSONResponse({"killed": sandbox.background.kill(rest)})
            case (_, "files"):
                assert sandbox.job.container is not None
                return await sandboxes_files.answer(request, sandbox.job.container, rest)
            case (_, "proxy"):
                port, _, inner = rest.partition("/")
                return await sandboxes_proxy.forward(request, int(port), inner)
        raise HubFailure(404, f"no such route: {path}")


def is_sandbox(job: Job) -> bool:
    """Whether a job is one sandbox, as the official client makes them."""
    return job.labels.get("hf-sandbox") == "1" and job.labels.get("hf-sandbox-mode") == "dedicated"


def _is_idle(sandbox: Sandbox) -> bool:
    limit = sandbox.idle_timeout_s
    if sandbox.background.busy:
        sandbox.active_at = time.monotonic()
    return limit is not None and time.monotonic() - sandbox.active_at > limit

"""Jobs of the stand-in Hub: submitted over HTTP, run as processes of this machine, kept on disk."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from tests.support.hub import cuts
from tests.support.hub.hardware import HardwareList
from tests.support.hub.jobs_checks import body_of, check_job, check_labels, has_labels, owner
from tests.support.hub.jobs_container import UV_CACHE, Container, Mount, has_namespaces
from tests.support.hub.jobs_log import END, follow, read_log, tail_offset
from tests.support.hub.jobs_metrics import Gpu, measure
from tests.support.hub.jobs_processes import base_environment, machine_environment
from tests.support.hub.jobs_run import CANCELED, LOST, Ending, Job, new_id, run_process, strings
from tests.support.hub.jobs_volumes import volume_directory
from tests.support.hub.server import HubFailure, Person

if TYPE_CHECKING:
    from tests.support.hub.server import StandInHub

PATIENCE_S = 20.0
_NO_CREDIT = (
    "Payment Required: Pre-paid credit balance is insufficient. "
    "Add more credits to your account to use Jobs: https://huggingface.co/settings/billing"
)


@dataclass(slots=True)
class StreamFault:
    """What happens to the next `times` streams of logs, of one job or (with an empty id) of any."""

    job_id: str
    times: int
    after_lines: int | None = None
    further: int = 0
    seen: int = 0


class Jobs:
    """All jobs, and what tests may do to them.

    Attributes:
        submit_delay_s: Seconds between the creation of a job and the answer that tells of it.
        scheduling_s: Seconds that each job waits before it runs.
        page_size: Jobs on one page of a list.
        keep_alive_s: Seconds of silence before a stream sends a comment.
        metrics_interval_s: Seconds between two measurements.
        metrics_end_with_job: Whether the stream of measurements ends with the job. The Hub's stays open, silent.
        gpus: What each GPU is measured to do; empty for idle ones, as many as the hardware has.
        drop_answers: How many of the next jobs are created without an answer: the connection is cut.
        works: What runs jobs that are not plain commands, by a look at the job; the first that knows it wins.
    """

    def __init__(self, hub: StandInHub, hardware: HardwareList) -> None:
        cuts.keep_quiet()
        self._hub = hub
        self.hardware = hardware
        self.submit_delay_s = 0.0
        self.scheduling_s = 0.0
        self.page_size = 100
        self.keep_alive_s = 30.0
        self.metrics_interval_s = 1.0
        self.metrics_end_with_job = False
        self.gpus: list[Gpu] = []
        self.drop_answers = 0
        self.works: list[Callable[[Job], Callable[[Job], Ending] | None]] = []
        self._faults: list[StreamFault] = []
        self._unpaid: set[str] = set()
        self._held: set[str] = set()
        self._answers = threading.Event()
        self._answers.set()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._directory = hub.root / "jobs"
        self._directory.mkdir(parents=True, exist_ok=True)
        self._jobs = {place.parent.name: Job.load(place.parent) for place in sorted(self._directory.glob("*/job.json"))}

    # ----------------------------------------------------------------------------------------- what tests may ask

    def all(self) -> list[Job]:
        """Every job, the oldest first."""
        return list(self._jobs.values())

    def running(self) -> list[Job]:
        """Those that wait or run."""
        return [job for job in self.all() if job.active]

    def get(self, job_id: str) -> Job:
        """One of them.

        Raises:
            KeyError: There is none of this id.
        """
        return self._jobs[job_id]

    def wait_for_jobs(self, count: int = 1, timeout_s: float = PATIENCE_S) -> list[Job]:
        """Waits until so many jobs were submitted; blocks like `wait_for`.

        Raises:
            AssertionError: The time is over.
        """
        deadline = time.monotonic() + timeout_s
        while len(self._jobs) < count:
            assert time.monotonic() < deadline, f"only {len(self._jobs)} of {count} jobs were submitted"
            time.sleep(0.01)
        return self.all()

    def wait_for(self, job_id: str, stage: str, timeout_s: float = PATIENCE_S) -> Job:
        """Waits until a job is in a stage. Blocks: where an event loop must go on, call it in a thread.

        Raises:
            AssertionError: It ended in another one, or the time is over.
        """
        job = self.get(job_id)
        deadline = time.monotonic() + timeout_s
        while job.stage != stage:
            assert job.active, f"job {job_id} ended as {job.stage}: {job.message}; log: {self.log(job_id)[-20:]}"
            assert time.monotonic() < deadline, f"job {job_id} is still {job.stage}"
            time.sleep(0.01)
        if stage not in ("SCHEDULING", "RUNNING"):
            job.done.wait(max(0.0, deadline - time.monotonic()))
        return job

    def log(self, job_id: str) -> list[str]:
        """The lines that a job has printed so far."""
        return read_log(self.get(job_id).log_path)

    def environment(self, job_id: str) -> dict[str, str]:
        """All variables that the processes of a job were given, secrets included."""
        return dict(self.get(job_id).environment)

    def files(self, job_id: str) -> Path:
        """The directory on this machine that a job has as its working directory."""
        return self.get(job_id).directory / "root" / "workdir"

    # ---------------------------------------------------------------------------------------- what tests may upset

    def cut_streams(self, times: int = 1, after_lines: int = 3, *, further: int = 0, job_id: str = "") -> None:
        """Cuts the connection of the next streams of logs after some lines; `further` more with each cut."""
        self._faults.append(StreamFault(job_id, times, after_lines, further))

    def silence_streams(self, times: int = 1, *, job_id: str = "") -> None:
        """Lets the next streams of logs stay open and send nothing, not even comments, until the job has ended."""
        self._faults.append(StreamFault(job_id, times))

    def fail_logs(self, status: int, times: int = 1, *, job_id: str = "", message: str = "") -> None:
        """Answers the next requests for logs with an error."""
        self._hub.fail(f"{job_id}/logs", status, times=times, message=message)

    def hold_in_scheduling(self, name: str = "") -> None:
        """Keeps from starting every job that is submitted from now on, or only those of a name, until `release`."""
        self._held.add(name)

    def release(self, job_id: str = "") -> None:
        """Lets one held job start; without an id, all of them and every later one."""
        if not job_id:
            self._held.clear()
        for job in [self.get(job_id)] if job_id else self.all():
            job.may_start.set()

    def hold_answers(self) -> None:
        """Creates jobs as asked but keeps the answers back until `release_answers`."""
        self._answers.clear()

    def release_answers(self) -> None:
        """Sends what `hold_answers` kept back."""
        self._answers.set()

    def billing(self, namespace: str) -> None:
        """From now on this namespace has no credit: submitting is answered with 402."""
        self._unpaid.add(namespace)

    def top_up(self, namespace: str) -> None:
        """Gives it credit again."""
        self._unpaid.discard(namespace)

    # --------------------------------------------------------------------------------------------------- running

    def submit(
        self, person: Person, namespace: str, spec: Mapping[str, Any], initiator: Mapping[str, str] | None = None
    ) -> Job:
        """Creates a job and lets it run.

        Raises:
            HubFailure: The description is not one of a job, or nobody would pay for it.
        """
        check_job(spec, self.hardware.flavors)
        if namespace in self._unpaid:
            raise HubFailure(402, _NO_CREDIT)
        if self._stopping.is_set():
            raise HubFailure(503, "The server is stopping")
        job_id = new_id()
        by = {"type": "user", "id": person.name, "name": person.name}
        job = Job(
            id=job_id,
            namespace=namespace,
            spec=dict(spec),
            owner=owner(person, namespace),
            initiator=dict(initiator or by),
            directory=self._directory / job_id,
        )
        job.directory.mkdir(parents=True)
        job.container = self._container(job)
        ports = (spec.get("expose") or {}).get("ports", [])
        job.expose_urls = [f"{self._hub.url}/sbx/{job_id}--{port}.local" for port in ports]
        job.environment = self._environment(job)
        job.container.prepare()
        job.save()
        job.submitted = job.answer()
        work = next((work for known in self.works if (work := known(job))), run_process)
        with self._lock:
            self._jobs[job_id] = job
            self._threads.append(job.start(work))
        if self._stopping.is_set():
            job.end(Ending("ERROR", LOST))
        if not {"", job.labels.get("name", "")} & self._held:
            self._let_start(job)
        return job

    def routes(self) -> Sequence[BaseRoute]:
        """What it answers."""
        one = "/api/jobs/{namespace}/{job_id}"
        return [
            Route("/api/jobs/{namespace}", self._submit, methods=["POST"]),
            Route("/api/jobs/{namespace}", self._list),
            Route(one, self._inspect),
            Route(f"{one}/cancel", self._cancel, methods=["POST"]),
            Route(f"{one}/labels", self._set_labels, methods=["PUT"]),
            Route(f"{one}/logs", self._logs),
            Route(f"{one}/metrics", self._metrics),
        ]

    def stop(self) -> None:
        """Kills every job; nothing of any survives."""
        self._stopping.set()
        self._answers.set()
        with self._lock:
            ending, threads = self.running(), list(self._threads)
        for job in ending:
            job.end(Ending("ERROR", LOST))
        for thread in threads:
            thread.join(10)

    def _let_start(self, job: Job) -> None:
        if self.scheduling_s:
            timer = threading.Timer(self.scheduling_s, job.may_start.set)
            timer.daemon = True
            timer.start()
        else:
            job.may_start.set()

    def _container(self, job: Job) -> Container:
        mounts = tuple(
            Mount(
                volume_directory(self._hub, volume),
                volume["mountPath"],
                bool(volume.get("readOnly", volume["type"] != "bucket")),
            )
            for volume in job.spec.get("volumes") or []
        )
        root = job.directory / "root"
        (root / "workdir").mkdir(parents=True, exist_ok=True)
        ours = self._hub.root.resolve()
        shared = ours if ours.parent == Path("/tmp") else ours.parent  # the test's directory, but not all of /tmp
        return Container(root, (shared,), mounts)

    def _environment(self, job: Job) -> dict[str, str]:
        assert job.container is not None
        flavor = self.hardware.flavors[job.spec.get("flavor", "cpu-basic")]
        volumes = {f"VOLUME_{n}": str(mount.source) for n, mount in enumerate(job.container.mounts)}
        home = job.container.inside(job.container.root / "root")
        cache = {"UV_CACHE_DIR": UV_CACHE} if has_namespaces() else {}
        asked = volumes | cache | strings(job.spec.get("environment")) | strings(job.spec.get("secrets"))
        return base_environment(home, self._hub.url) | asked | machine_environment(job.id, flavor)

    # -------------------------------------------------------------------------------------------------- answering

    def _asked(self, request: Request) -> Job:
        namespace = request.path_params["namespace"]
        self._hub.owner_of(request, namespace)
        job = self._jobs.get(request.path_params["job_id"])
        if job is None or job.namespace != namespace:
            raise HubFailure(404, "Job not found")
        return job

    async def _submit(self, request: Request) -> Response:
        namespace = request.path_params["namespace"]
        person = self._hub.owner_of(request, namespace)
        job = self.submit(person, namespace, await body_of(request))
        await asyncio.sleep(self.submit_delay_s)
        while not self._answers.is_set():
            await asyncio.sleep(0.01)
        if self.drop_answers:
            self.drop_answers -= 1
            return cuts.CutAnswer()
        return JSONResponse(job.submitted)

    async def _list(self, request: Request) -> Response:
        namespace = request.path_params["namespace"]
        self._hub.owner_of(request, namespace)
        stages = request.query_params.getlist("stage")
        labels = request.query_params.getlist("label")
        found = [
            job
            for job in reversed(self.all())
            if job.namespace == namespace and (not stages or job.stage in stages) and has_labels(job.labels, labels)
        ]
        before = request.query_params.get("cursor")
        found = [job for job in found if before is None or job.id < before]
        size = min(self.page_size, int(request.query_params.get("limit", self.page_size)))
        headers = {}
        if len(found) > size:
            query = [(key, value) for key, value in request.query_params.multi_items() if key != "cursor"]
            link = f"{self._hub.url}{request.url.path}?{urlencode([*query, ('cursor', found[size - 1].id)])}"
            headers["Link"] = f'<{link}>; rel="next"'
        return JSONResponse([job.answer() for job in found[:size]], headers=headers)

    async def _inspect(self, request: Request) -> Response:
        return JSONResponse(self._asked(request).answer())

    async def _cancel(self, request: Request) -> Response:
        job = self._asked(request)
        await asyncio.to_thread(job.end, CANCELED)
        await asyncio.to_thread(job.done.wait, 10)
        return JSONResponse(job.answer())

    async def _set_labels(self, request: Request) -> Response:
        job = self._asked(request)
        labels = (await body_of(request)).get("labels") or {}
        check_labels(labels)
        job.spec["labels"] = labels
        job.save()
        return JSONResponse(job.answer())

    async def _logs(self, request: Request) -> Response:
        job = self._asked(request)
        tail = request.query_params.get("tail")
        start = tail_offset(job.log_path, int(tail)) if tail else 0
        fault = next((item for item in self._faults if item.times and item.job_id in ("", job.id)), None)
        events = follow(job.log_path, start, lambda: self._is_over(job), keep_alive_s=self.keep_alive_s)
        if fault is not None:
            fault.times -= 1
            fault.seen += 1
            events = self._silence(job) if fault.after_lines is None else _cut(events, fault)
        return StreamingResponse(events, media_type="text/event-stream")

    async def _metrics(self, request: Request) -> Response:
        job = self._asked(request)
        if not job.active:
            raise HubFailure(500, "Internal Server Error")
        flavor = self.hardware.flavors[job.spec.get("flavor", "cpu-basic")]

        async def events() -> AsyncIterator[bytes]:
            async for metric in measure(job, flavor, self.metrics_interval_s, lambda: self.gpus):
                yield b"event: metric\ndata: " + json.dumps(metric).encode() + END
            while not (self._stopping.is_set() or self.metrics_end_with_job):
                await asyncio.sleep(0.05)

        return StreamingResponse(events(), media_type="text/event-stream")

    async def _silence(self, job: Job) -> AsyncIterator[bytes]:
        yield b": \n\n"  # the headers go out with the first bytes
        while not self._is_over(job):
            await asyncio.sleep(0.02)

    def _is_over(self, job: Job) -> bool:
        return job.done.is_set() or self._stopping.is_set()


async def _cut(events: AsyncIterator[bytes], fault: StreamFault) -> AsyncIterator[bytes]:
    assert fault.after_lines is not None
    left = fault.after_lines + fault.further * (fault.seen - 1)
    async for some in events:
        each = some.split(END)[:-1]
        yield b"".join(event + END for event in each[:left])
        left -= len(each)
        if left <= 0:
            break
    raise cuts.ConnectionCut

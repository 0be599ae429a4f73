"""Jobs that run again and again. The stand-in starts a run when it is asked to, not when the time has come."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.support.hub import cuts
from tests.support.hub.jobs import Jobs
from tests.support.hub.jobs_checks import body_of, check_job, check_labels, has_labels, owner
from tests.support.hub.jobs_log import timestamp
from tests.support.hub.jobs_run import new_id
from tests.support.hub.server import HubFailure

if TYPE_CHECKING:
    from tests.support.hub.server import StandInHub

_NAMED = {
    "@annually": "0 0 1 1 *",
    "@yearly": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_YEARS_AHEAD = 8  # the 29th of February is never further away


@dataclass(slots=True)
class Schedule:
    """One of them. `spec` is a job as it is submitted, secrets included."""

    id: str
    namespace: str
    spec: dict[str, Any]
    schedule: str
    suspend: bool
    concurrency: bool
    owner: dict[str, str]
    created_at: str = field(default_factory=timestamp)
    last_job: dict[str, str] | None = None

    def answer(self) -> dict[str, Any]:
        """As the Hub describes it."""
        spec = dict(self.spec)
        spec["secrets"] = dict.fromkeys(spec.get("secrets") or {}, "")
        spec["timeout"] = spec.pop("timeoutSeconds", None)
        following = None if self.suspend else next_run(self.schedule, datetime.now(UTC))
        status: dict[str, Any] = {"nextJobRunAt": following and following.strftime("%Y-%m-%dT%H:%M:%S.000Z")}
        if self.last_job:
            status["lastJob"] = self.last_job
        return {
            "type": "scheduled-job",
            "id": self.id,
            "createdAt": self.created_at,
            "jobSpec": spec,
            "schedule": self.schedule,
            "suspend": self.suspend,
            "concurrency": self.concurrency,
            "status": status,
            "owner": self.owner,
        }


class Schedules:
    """All schedules; each is a file, so that another server over the same directory has them too.

    Attributes:
        drop_answers: How many of the next schedules and runs are made without an answer: the connection is cut.
    """

    def __init__(self, hub: StandInHub, jobs: Jobs) -> None:
        self._hub = hub
        self._jobs = jobs
        self.drop_answers = 0
        self._directory = hub.root / "scheduled-jobs"
        self._directory.mkdir(parents=True, exist_ok=True)
        kept = [Schedule(**json.loads(path.read_text())) for path in sorted(self._directory.glob("*.json"))]
        self._items = {item.id: item for item in kept}

    def all(self) -> list[Schedule]:
        """Every schedule, the oldest first."""
        return list(self._items.values())

    def get(self, schedule_id: str) -> Schedule:
        """One of them.

        Raises:
            KeyError: There is none of this id.
        """
        return self._items[schedule_id]

    def routes(self) -> Sequence[BaseRoute]:
        """What it answers."""
        all_of, one = "/api/scheduled-jobs/{namespace}", "/api/scheduled-jobs/{namespace}/{schedule_id}"
        return [
            Route(all_of, self._create, methods=["POST"]),
            Route(all_of, self._list),
            Route(one, self._inspect),
            Route(one, self._delete, methods=["DELETE"]),
            Route(f"{one}/suspend", self._suspend, methods=["POST"]),
            Route(f"{one}/resume", self._resume, methods=["POST"]),
            Route(f"{one}/run", self._run, methods=["POST"]),
            Route(f"{one}/labels", self._set_labels, methods=["PUT"]),
        ]

    def stop(self) -> None:
        """Nothing to do: runs are jobs."""

    def _file(self, item: Schedule) -> Path:
        return self._directory / f"{item.id}.json"

    def _save(self, item: Schedule) -> None:
        self._file(item).write_text(json.dumps(asdict(item), indent=1))

    def _asked(self, request: Request) -> Schedule:
        namespace = request.path_params["namespace"]
        self._hub.owner_of(request, namespace)
        item = self._items.get(request.path_params["schedule_id"])
        if item is None or item.namespace != namespace:
            raise HubFailure(404, "Scheduled job not found")
        return item

    async def _create(self, request: Request) -> Response:
        namespace = request.path_params["namespace"]
        person = self._hub.owner_of(request, namespace)
        body = await body_of(request)
        spec, schedule = body.get("jobSpec") or {}, str(body.get("schedule"))
        check_job(spec, self._jobs.hardware.flavors)
        try:
            next_run(schedule, datetime.now(UTC))
        except ValueError as error:
            raise HubFailure(400, f"Invalid schedule {schedule!r}: {error}") from error
        item = Schedule(
            id=new_id(), namespace=namespace, spec=spec, schedule=schedule, owner=owner(person, namespace),
            suspend=bool(body.get("suspend")), concurrency=bool(body.get("concurrency")),
        )  # fmt: skip
        self._items[item.id] = item
        self._save(item)
        return self._answer(item.answer())

    async def _list(self, request: Request) -> Response:
        namespace = request.path_params["namespace"]
        self._hub.owner_of(request, namespace)
        labels = request.query_params.getlist("label")
        found = [item for item in reversed(self.all()) if item.namespace == namespace]
        return JSONResponse([item.answer() for item in found if has_labels(item.spec.get("labels") or {}, labels)])

    async def _inspect(self, request: Request) -> Response:
        return JSONResponse(self._asked(request).answer())

    async def _delete(self, request: Request) -> Response:
        item = self._asked(request)
        del self._items[item.id]
        self._file(item).unlink()
        return Response(status_code=204)

    async def _suspend(self, request: Request) -> Response:
        return self._change(self._asked(request), suspend=True)

    async def _resume(self, request: Request) -> Response:
        return self._change(self._asked(request), suspend=False)

    def _change(self, item: Schedule, *, suspend: bool) -> Response:
        item.suspend = suspend
        self._save(item)
        return JSONResponse(item.answer())

    async def _run(self, request: Request) -> Response:
        item = self._asked(request)
        person = self._hub.owner_of(request, item.namespace)
        running = {job.id for job in self._jobs.running()}
        if item.last_job and item.last_job["id"] in running and not item.concurrency:
            raise HubFailure(409, "Another instance of this scheduled job is already running")
        job = self._jobs.submit(person, item.namespace, item.spec, {"type": "scheduled-job", "id": item.id})
        item.last_job = {"id": job.id, "at": job.created_at}
        self._save(item)
        return self._answer(job.submitted)

    def _answer(self, made: dict[str, Any]) -> Response:
        if self.drop_answers:
            self.drop_answers -= 1
            return cuts.CutAnswer()
        return JSONResponse(made)

    async def _set_labels(self, request: Request) -> Response:
        item = self._asked(request)
        labels = (await body_of(request)).get("labels") or {}
        check_labels(labels)
        item.spec["labels"] = labels
        self._save(item)
        return JSONResponse(item.answer())


def next_run(schedule: str, after: datetime) -> datetime:
    """When a schedule is due next, in UTC.

    Raises:
        ValueError: It is no schedule, or one that is never due.
    """
    fields = _NAMED.get(schedule, schedule).split()
    if len(fields) != len(_RANGES):
        raise ValueError("a cron expression has five fields")
    minutes, hours, days, months, weekdays = (
        _numbers(text, *limits) for text, limits in zip(fields, _RANGES, strict=True)
    )
    any_day, any_weekday = fields[2] == "*", fields[4] == "*"
    day = after.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    for _ in range(366 * _YEARS_AHEAD):
        by_day, by_weekday = day.day in days, day.isoweekday() % 7 in {number % 7 for number in weekdays}
        # as cron has it: where both are given, either is enough
        fits = (by_day or by_weekday) if not any_day and not any_weekday else (by_day and by_weekday)
        if fits and day.month in months:
            for hour in sorted(number for number in hours if number >= day.hour):
                first = day.minute if hour == day.hour else 0
                if minute := [number for number in sorted(minutes) if number >= first]:
                    return day.replace(hour=hour, minute=minute[0])
        day = day.replace(hour=0, minute=0) + timedelta(days=1)
    raise ValueError("it is never due")


def _numbers(text: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        start = low if span == "*" else int(first)
        end = int(last) if dash else high if span == "*" or slash else start
        if not low <= start <= end <= high or (slash and int(step) < 1):
            raise ValueError(f"{part!r} is not between {low} and {high}")
        found.update(range(start, end + 1, int(step) if slash else 1))
    return found

"""Schedules on the Hub: jobs that it starts by itself, again and again."""

from __future__ import annotations

import builtins
import secrets
from typing import TYPE_CHECKING

from ml_intern.core import labels
from ml_intern.core.jobs import JobInfo, JobRef, JobSpec, ScheduledJob
from ml_intern.tools.jobs.hub_info import job_info, scheduled_job
from ml_intern.tools.jobs.hub_request import labels_for, request_for, volumes_for

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from ml_intern.tools.jobs.hub import HubBackend


class HubSchedules:
    """The schedules of a Hub backend."""

    def __init__(self, backend: HubBackend) -> None:
        self._backend = backend

    async def create(self, spec: JobSpec, schedule: str, *, suspend: bool = False) -> ScheduledJob:
        """Sets up a schedule. One whose answer is lost is found again by its label."""
        namespace = await self._backend.payer(None, spec.namespace)
        key, timeout_s = secrets.token_hex(8), max(1, round(spec.timeout_s))
        request = request_for(spec, key)
        all_labels = labels_for(spec, {labels.CALL: key, labels.TIMEOUT: str(timeout_s)})

        def work(api: HfApi) -> ScheduledJob:
            created = api.create_scheduled_job(
                image=request.image,
                command=request.command,
                schedule=schedule,
                suspend=suspend,
                env=request.env,
                secrets=dict(spec.secrets) or None,
                flavor=spec.flavor,
                timeout=timeout_s,
                labels=all_labels,
                volumes=volumes_for(spec),
                namespace=namespace,
            )
            return scheduled_job(created)

        def find(api: HfApi) -> ScheduledJob | None:
            every = api.list_scheduled_jobs(namespace=namespace)
            return next(
                (scheduled_job(one) for one in every if (one.job_spec.labels or {}).get(labels.CALL) == key), None
            )

        return await self._backend.start("schedule", work, namespace, lambda: self._backend.ask(find, namespace))

    async def list(self, namespace: str = "") -> tuple[ScheduledJob, ...]:
        """All schedules of a namespace, the newest first."""
        place = await self._backend.payer(None, namespace)

        def work(api: HfApi) -> builtins.list[ScheduledJob]:
            return [scheduled_job(info) for info in api.list_scheduled_jobs(namespace=place)]

        found = await self._backend.ask(work, place)
        return tuple(sorted(found, key=lambda job: job.created_at.timestamp() if job.created_at else 0.0, reverse=True))

    async def inspect(self, job: JobRef) -> ScheduledJob:
        """A schedule as it stands now."""
        job = await self._placed(job)

        def work(api: HfApi) -> ScheduledJob:
            return scheduled_job(api.inspect_scheduled_job(scheduled_job_id=job.id, namespace=job.namespace))

        return await self._backend.ask(work, job.namespace, f"schedule {job.id}")

    async def delete(self, job: JobRef) -> None:
        """Ends a schedule for good."""
        await self._do("delete_scheduled_job", job)

    async def suspend(self, job: JobRef) -> None:
        """Lets a schedule rest."""
        await self._do("suspend_scheduled_job", job)

    async def resume(self, job: JobRef) -> None:
        """Wakes a schedule."""
        await self._do("resume_scheduled_job", job)

    async def trigger(self, job: JobRef) -> JobInfo:
        """Starts a run now. One whose answer is lost is found again as the newest run of its schedule."""
        job = await self._placed(job)
        before = (await self.inspect(job)).last_job_id

        def work(api: HfApi) -> JobInfo:
            return job_info(api.trigger_scheduled_job(scheduled_job_id=job.id, namespace=job.namespace))

        async def look() -> JobInfo | None:
            newest = (await self.inspect(job)).last_job_id
            return await self._backend.inspect(JobRef(newest, job.namespace)) if newest != before else None

        return await self._backend.start("run", work, job.namespace, look)

    async def _do(self, method: str, job: JobRef) -> None:
        job = await self._placed(job)

        def work(api: HfApi) -> None:
            getattr(api, method)(scheduled_job_id=job.id, namespace=job.namespace)

        await self._backend.ask(work, job.namespace, f"schedule {job.id}")

    async def _placed(self, job: JobRef) -> JobRef:
        return JobRef(job.id, await self._backend.payer(None, job.namespace))

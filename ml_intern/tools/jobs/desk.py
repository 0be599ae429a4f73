"""What all operations on jobs share: where jobs run, what is asked before one is submitted, how one is named."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from ml_intern.core.jobs import Flavor, JobInfo, JobRef, JobsError, ScheduledJob
from ml_intern.core.jobs_backend import JobsBackend, PaidJobs
from ml_intern.core.tools.spec import ToolContext
from ml_intern.services.hub import HubClient
from ml_intern.tools.jobs import report
from ml_intern.tools.jobs.checks import push_target, unsaved
from ml_intern.tools.jobs.credit import CreditStops
from ml_intern.tools.jobs.hub_checks import check_push_target, look_at_space, space_check
from ml_intern.tools.jobs.params import JobsParams
from ml_intern.tools.jobs.prepare import TOKEN_NAMES, Check, PreparedJob, looks_like_path, prepare
from ml_intern.tools.jobs.watcher import JobWatcher

ReadScript = Callable[[str, ToolContext], Awaitable[str]]
"""The text of a script by its path, where paths do not mean this machine. May raise, in words."""


@dataclass(frozen=True, slots=True)
class JobDesk:
    """The parts of the tool.

    Attributes:
        backend: Where jobs run.
        secrets: Where the values of secrets come from that a call names; the environment of the call by default.
        hub: For questions about what a job will do on the Hub; None: none are asked.
        read_script: See `ReadScript`; None: paths mean this machine.
        clock: Monotonic seconds.
    """

    backend: JobsBackend
    secrets: Mapping[str, str] | None = None
    hub: HubClient | None = None
    read_script: ReadScript | None = None
    clock: Callable[[], float] = time.monotonic

    async def prepare(self, params: JobsParams, context: ToolContext) -> PreparedJob:
        """A job that may be submitted, with everything that was found out about it.

        Raises:
            JobsError: It may not, or cannot.
        """
        await self.backend.refresh()
        read = None
        if self.read_script is not None and params.script and looks_like_path(params.script):
            read = await self._read(self.read_script, params.script, context)
        job = await asyncio.to_thread(prepare, params, self.backend, context, self.secrets, read)
        if isinstance(self.backend, PaidJobs) and (payer := await self.backend.payer(job.flavor, params.namespace)):
            job = replace(job, spec=replace(job.spec, namespace=payer))
            self.object_to_credit(job, context)
        if context.settings.jobs.require_saving and not params.allow_unsaved and (lost := unsaved(job)):
            raise JobsError(f"Not submitted. {lost}")
        return replace(job, findings=tuple(await self._findings(job)))

    @staticmethod
    async def _read(read_script: ReadScript, path: str, context: ToolContext) -> str:
        try:
            return await read_script(path, context)
        except Exception as error:  # the border of whoever keeps the files; the text says what is wrong
            raise JobsError(f"The script {path} cannot be read: {error}") from error

    @staticmethod
    def object_to_credit(job: PreparedJob, context: ToolContext) -> None:
        """Refuses a job whose payer was found without credit a moment ago.

        Raises:
            JobsError: It was.
        """
        if objection := CreditStops.of(context.state).objection(job.spec.namespace):
            raise JobsError(objection)

    async def _findings(self, job: PreparedJob) -> list[Check]:
        if self.hub is None or not self.hub.token:
            return []
        findings: list[Check] = []
        if target := push_target(job.spec.script):
            findings += await check_push_target(self.hub, target)
        if job.trackio_space:
            findings.append(space_check(job.trackio_space, await look_at_space(self.hub, job.trackio_space)))
            if not any(name in job.spec.secrets for name in TOKEN_NAMES):
                findings.append((False, "trackio needs HF_TOKEN among the secrets to reach its Space"))
        return findings

    def flavor_of(self, info: JobInfo | ScheduledJob) -> Flavor:
        """The hardware of a job or a schedule, with its price if it is still on offer."""
        try:
            return self.backend.find_flavor(info.flavor)
        except JobsError:  # no longer on offer
            return Flavor(info.flavor, info.flavor)

    def ref(self, params: JobsParams, context: ToolContext, job_id: str = "") -> JobRef:
        """Which job a call means.

        Raises:
            JobsError: It names none.
        """
        job_id = (job_id or params.job_id).strip()
        if not job_id:
            raise JobsError(f"`{params.operation}` needs `job_id`; `ps` lists the jobs.")
        known = context.state.get(JobWatcher).refs.get(job_id)
        return known if known and not params.namespace else JobRef(job_id, params.namespace)

    def book(self, info: JobInfo, context: ToolContext) -> Flavor:
        """Books what a job has cost, once it has ended, in place of what was only estimated for it. Its hardware."""
        flavor = self.flavor_of(info)
        if not info.active:
            context.state.get(JobWatcher).told.add(info.ref.id)
            context.measure(info.ref.id, report.cost(info, flavor))
        return flavor

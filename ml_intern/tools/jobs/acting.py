"""Does the work of `hf_jobs`, and says beforehand what a call would do and cost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ml_intern.core.approvals.effects import READS_ONLY, Assessment, Effect
from ml_intern.core.jobs import JobsError, duration_text
from ml_intern.core.labels import SESSION
from ml_intern.core.tools.spec import ToolContext, ToolResult
from ml_intern.tools.jobs import operations, report, run, scheduled
from ml_intern.tools.jobs.checks import preflight
from ml_intern.tools.jobs.deeds import deeds_of
from ml_intern.tools.jobs.desk import JobDesk
from ml_intern.tools.jobs.hardware import is_cpu_flavor
from ml_intern.tools.jobs.params import JobsParams
from ml_intern.tools.jobs.prepare import AssessedRuns, PreparedJob
from ml_intern.tools.jobs.watcher import JobWatcher
from ml_intern.tools.known_datasets import KnownDatasets

Operation = Callable[[JobDesk, JobsParams, ToolContext], Awaitable[ToolResult]]

_OPERATIONS: dict[str, Operation] = {
    "run": run.run,
    "ps": operations.ps,
    "logs": operations.logs,
    "inspect": operations.inspect,
    "cancel": operations.cancel,
    "wait": operations.wait,
    "metrics": operations.metrics,
    "labels": operations.labels,
}


class Acting:
    """The tool over its parts."""

    def __init__(self, desk: JobDesk) -> None:
        self._desk = desk

    async def assess(self, params: JobsParams, context: ToolContext) -> Assessment:
        """What a call would do."""
        match params.operation:
            case "run":
                return await self._assess_run(params, context)
            case "cancel":
                return await self._assess_cancel(params, context)
            case "labels" if params.labels:
                subject = f"labels {params.job_id}"
                return Assessment(
                    frozenset({Effect.CHANGE}), (f"changes the labels of job {params.job_id}",), subject=subject
                )
            case operation if operation.startswith("scheduled "):
                return await scheduled.assess(self._desk, params, context)
            case _:
                return READS_ONLY

    async def _assess_run(self, params: JobsParams, context: ToolContext) -> Assessment:
        assessed = context.state.get(AssessedRuns).jobs
        try:
            job = await self._desk.prepare(params, context)
        except JobsError as error:
            assessed[context.call_id] = error  # remembered: a file that appears later must not run unasked
            return READS_ONLY
        assessed[context.call_id] = job
        effects, reasons = _effects(job, asks_for_cpu=context.settings.confirm_cpu_jobs)
        deeds = await asyncio.to_thread(deeds_of, job, context)
        return Assessment(
            effects=effects | deeds.effects,
            reasons=(*reasons, *deeds.reasons),
            cost=deeds.cost if deeds.cost.usd is None else job.cost,
            subject=f"run {job.spec.flavor} {job.spec.name}".strip(),
            editable=report.editable(job),
            display=report.dialog(job),
            checks=preflight(job, context.state.get(KnownDatasets)),
            compute=report.compute(job),
        )

    async def _assess_cancel(self, params: JobsParams, context: ToolContext) -> Assessment:
        """One's own job can be submitted again; what another person or session computes is lost for them."""
        job_id = params.job_id.strip()
        subject = f"cancel {job_id}"
        if not job_id:
            return READS_ONLY  # it will only say what is missing
        if job_id in context.state.get(JobWatcher).refs:
            return Assessment(frozenset({Effect.CHANGE}), (f"stops job {job_id}",), subject=subject)
        try:
            info = await self._desk.backend.inspect(self._desk.ref(params, context))
        except JobsError:
            info = None
        if info is not None and (not info.active or info.labels.get(SESSION) == context.session_id):
            return Assessment(frozenset({Effect.CHANGE}), (f"stops job {job_id}",), subject=subject)
        what = f" ({report.title(info)[:60]})" if info else ""
        reason = f"stops job {job_id}{what}, which this session did not start"
        return Assessment(frozenset({Effect.DESTROY}), (reason,), subject=subject)

    async def handle(self, params: JobsParams, context: ToolContext) -> ToolResult:
        """Does what a call asks for."""
        try:
            await self._desk.backend.refresh()
            return await _OPERATIONS.get(params.operation, scheduled.handle)(self._desk, params, context)
        except JobsError as error:
            return ToolResult(f"ERROR: {error}", ok=False)


def _effects(job: PreparedJob, *, asks_for_cpu: bool) -> tuple[frozenset[Effect], tuple[str, ...]]:
    length = duration_text(job.spec.timeout_s)
    compute = asks_for_cpu or not is_cpu_flavor(job.spec.flavor)
    effects = {Effect.COMPUTE if compute else Effect.CHANGE}
    place = f"rents {job.flavor.label}" if job.is_rented else f"runs a job on {report.place(job)}"
    reasons = [f"{place} for up to {length}"]
    if job.spec.secrets:
        effects.add(Effect.CREDENTIALS)
        reasons.append(f"hands {', '.join(sorted(job.spec.secrets))} to the job")
    if job.trackio_space:
        effects.add(Effect.PUBLISH)
        reasons.append(f"sends metrics to the Space {job.trackio_space}")
    return frozenset(effects), tuple(reasons)

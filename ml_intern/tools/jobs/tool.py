"""The `hf_jobs` tool: compute jobs over whichever backend is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from ml_intern.core.approvals.effects import READS_ONLY, Assessment, Effect
from ml_intern.core.jobs import Flavor, JobInfo, JobRef, JobsBackend, JobsError, duration_text
from ml_intern.core.tools.spec import ToolContext, ToolResult, ToolSpec
from ml_intern.tools.jobs import report
from ml_intern.tools.jobs.checks import preflight
from ml_intern.tools.jobs.hardware import is_cpu_flavor
from ml_intern.tools.jobs.params import JobsParams
from ml_intern.tools.jobs.prepare import AssessedRuns, PreparedJob, prepare
from ml_intern.tools.jobs.watch import LiveLog, follow, stop, submit, within_limit

_DESCRIPTION = """\
Runs compute jobs and looks after them. {about}
Operations: run (a `script`, which is Python source or the path of a .py file, or a `command`), ps, logs, inspect, \
cancel. run follows the job and returns its stage, exit code, duration and the end of its log; with detach=true it \
returns at once with the job's id. Secrets such as HF_TOKEN are in a job only when named in `secrets`. Print one line \
a step and no progress bars. Relative paths in a script start from the workspace."""


@dataclass(slots=True)
class SessionJobs:
    """Jobs this session has submitted, by id, so that later calls need not repeat the namespace."""

    refs: dict[str, JobRef] = field(default_factory=dict)


def create_jobs_tool(backend: JobsBackend, *, secrets: Mapping[str, str] | None = None) -> ToolSpec:
    """The tool over a backend.

    Args:
        backend: Where jobs run.
        secrets: Where the values of secrets come from that a call names; the environment of the call by default.
    """
    tool = _JobsTool(backend, secrets)
    description = _DESCRIPTION.format(about=backend.about)
    return ToolSpec("hf_jobs", description, JobsParams, tool.handle, assess=tool.assess)


class _JobsTool:
    def __init__(self, backend: JobsBackend, secrets: Mapping[str, str] | None) -> None:
        self._backend = backend
        self._secrets = secrets

    # ------------------------------------------------------------------------------------------- before it runs

    async def assess(self, params: JobsParams, context: ToolContext) -> Assessment:
        """What a call would do."""
        match params.operation:
            case "run":
                return await self._assess_run(params, context)
            case "cancel":
                reason = f"stops job {params.job_id}"
                return Assessment(frozenset({Effect.CHANGE}), (reason,), subject=f"cancel {params.job_id}")
            case "scheduled run" | "scheduled delete" | "scheduled suspend" | "scheduled resume":
                subject = f"{params.operation} {params.schedule or params.scheduled_job_id}".strip()
                return Assessment(frozenset({Effect.SCHEDULE}), (f"changes a schedule: {subject}",), subject=subject)
            case _:
                return READS_ONLY

    async def _assess_run(self, params: JobsParams, context: ToolContext) -> Assessment:
        assessed = context.state.get(AssessedRuns).jobs
        try:
            job = await self._prepare(params, context)
        except JobsError as error:
            assessed[context.call_id] = error  # remembered: a file that appears later must not run unasked
            return READS_ONLY
        assessed[context.call_id] = job
        effects, reasons = _effects(job, params, asks_for_cpu=context.settings.confirm_cpu_jobs)
        return Assessment(
            effects=effects,
            reasons=reasons,
            cost=job.cost,
            subject=f"run {job.spec.flavor} {job.spec.name}".strip(),
            editable=job.spec.kind,
            display=report.dialog(job),
            checks=preflight(job),
        )

    async def _prepare(self, params: JobsParams, context: ToolContext) -> PreparedJob:
        return await asyncio.to_thread(prepare, params, self._backend, context, self._secrets)

    # --------------------------------------------------------------------------------------------------- running

    async def handle(self, params: JobsParams, context: ToolContext) -> ToolResult:
        """Does what a call asks for."""
        operations: dict[str, Callable[[JobsParams, ToolContext], Awaitable[ToolResult]]] = {
            "run": self._run,
            "ps": self._ps,
            "logs": self._logs,
            "inspect": self._inspect,
            "cancel": self._cancel,
        }
        operation = operations.get(params.operation)
        if operation is None:
            text = f"ERROR: `{params.operation}` is not possible: the {self._backend.name} backend keeps no schedules."
            return ToolResult(f"{text} Use `run` for a job that runs once.", ok=False)
        try:
            return await operation(params, context)
        except JobsError as error:
            return ToolResult(f"ERROR: {error}", ok=False)

    async def _run(self, params: JobsParams, context: ToolContext) -> ToolResult:
        job = context.state.get(AssessedRuns).jobs.pop(context.call_id, None) or await self._prepare(params, context)
        if isinstance(job, JobsError):
            raise job
        info = await submit(self._backend, job.spec)
        context.state.get(SessionJobs).refs[info.ref.id] = info.ref
        context.pay_as(info.ref.id)
        if params.detach:
            self._show_stage(context, info, job.flavor)
            return ToolResult(report.submitted(info, report.notes(job)), display=(report.card(info, job.flavor),))
        try:
            return await self._follow(info, job.flavor, report.notes(job), context)
        except asyncio.CancelledError:
            await stop(self._backend, info.ref)
            raise
        except JobsError as error:
            text = f"Job {info.ref.id} was submitted and may still run, but it could not be followed: {error}"
            raise JobsError(f"{text} `inspect` tells where it stands, `cancel` stops it.") from error

    async def _follow(self, info: JobInfo, flavor: Flavor, notes: tuple[str, ...], context: ToolContext) -> ToolResult:
        log = LiveLog(context.log, info.log_path)
        try:
            info = await follow(
                self._backend, info, log.add, lambda changed: self._show_stage(context, changed, flavor)
            )
        finally:
            log.close()
        lines = log.last()
        return ToolResult(
            report.ended(info, flavor, lines, log.count, notes),
            ok=info.stage == "COMPLETED",
            display=report.blocks(info, flavor, lines, log.count),
            cost_usd=_measured(info, flavor, context),
        )

    @staticmethod
    def _show_stage(context: ToolContext, info: JobInfo, flavor: Flavor) -> None:
        context.set_state(info.stage.lower(), job_url=info.url or None, display=(report.card(info, flavor),))

    # ------------------------------------------------------------------------------------------ other operations

    async def _ps(self, params: JobsParams, context: ToolContext) -> ToolResult:  # noqa: ARG002 - one shape for all
        every = await self._backend.list_jobs(params.namespace)
        wanted = params.status.strip().upper()
        jobs = [info for info in every if (wanted in info.stage if wanted else params.all or info.active)]
        if not jobs:
            past = f" {len(every)} that are not listed exist: pass all=true." if every else ""
            return ToolResult(f"No job is {wanted or 'waiting or running'}.{past}" if every else "There are no jobs.")
        text, table = report.listing(jobs)
        return ToolResult(text, display=(table,))

    async def _logs(self, params: JobsParams, context: ToolContext) -> ToolResult:
        info = await self._backend.inspect(_ref(params, context))
        if params.wait and info.active:
            return await self._follow(info, self._flavor_of(info), (), context)
        lines = within_limit(await self._backend.tail_logs(info.ref, params.tail))
        flavor = self._flavor_of(info)
        head = f"Job {info.ref.id} is {info.stage}. {info.message}".rstrip()
        where = f"Whole log: {info.log_path}" if info.log_path else info.url
        text = "\n".join([*filter(None, (head, where)), *report.log_section(lines, None)])
        cost_usd = _measured(info, flavor, context)
        return ToolResult(text, display=report.blocks(info, flavor, lines, None), cost_usd=cost_usd)

    async def _inspect(self, params: JobsParams, context: ToolContext) -> ToolResult:
        info = await self._backend.inspect(_ref(params, context))
        flavor = self._flavor_of(info)
        cost_usd = _measured(info, flavor, context)
        return ToolResult(report.details(info), display=(report.card(info, flavor),), cost_usd=cost_usd)

    async def _cancel(self, params: JobsParams, context: ToolContext) -> ToolResult:
        before = await self._backend.inspect(_ref(params, context))
        if not before.active:
            return ToolResult(f"Job {before.ref.id} had ended already: {before.stage}. {before.message}".rstrip())
        info = await self._backend.cancel(before.ref)
        text = f"Job {info.ref.id} is {info.stage}."
        flavor = self._flavor_of(info)
        cost_usd = _measured(info, flavor, context)
        return ToolResult(text, ok=not info.active, display=(report.card(info, flavor),), cost_usd=cost_usd)

    def _flavor_of(self, info: JobInfo) -> Flavor:
        try:
            return self._backend.find_flavor(info.flavor)
        except JobsError:  # no longer on offer
            return Flavor(info.flavor, info.flavor)


def _effects(job: PreparedJob, params: JobsParams, *, asks_for_cpu: bool) -> tuple[frozenset[Effect], tuple[str, ...]]:
    length = duration_text(job.spec.timeout_s)
    compute = asks_for_cpu or not is_cpu_flavor(job.spec.flavor)
    effects = {Effect.COMPUTE if compute else Effect.CHANGE}
    place = "runs a job on this machine" if job.flavor.runs_on == "local" else f"rents {job.flavor.label}"
    reasons = [f"{place} for up to {length}"]
    if job.spec.secrets:
        effects.add(Effect.CREDENTIALS)
        reasons.append(f"hands {', '.join(sorted(job.spec.secrets))} to the job")
    if params.trackio_space_id:
        effects.add(Effect.PUBLISH)
        reasons.append(f"sends metrics to the Space {params.trackio_space_id}")
    return frozenset(effects), tuple(reasons)


def _measured(info: JobInfo, flavor: Flavor, context: ToolContext) -> float | None:
    """What a job has cost, once it has ended; it takes the place of what was only estimated for it until now."""
    context.pay_as(info.ref.id)
    return None if info.active else report.cost(info, flavor)


def _ref(params: JobsParams, context: ToolContext) -> JobRef:
    job_id = params.job_id.strip()
    if not job_id:
        raise JobsError(f"`{params.operation}` needs `job_id`; `ps` lists the jobs.")
    known = context.state.get(SessionJobs).refs.get(job_id)
    return known if known and not params.namespace else JobRef(job_id, params.namespace)

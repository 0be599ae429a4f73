"""Jobs that run again and again."""

from __future__ import annotations

import asyncio
import secrets

from ml_intern.core.approvals.effects import READS_ONLY, Assessment, Cost, Effect
from ml_intern.core.jobs import JobRef, JobsError, NoCreditError, ScheduledJob, UnreachableError, UnsureError
from ml_intern.core.jobs_backend import JobSchedules
from ml_intern.core.protocol import Notice
from ml_intern.core.tools.spec import ToolContext, ToolResult
from ml_intern.tools.jobs import report
from ml_intern.tools.jobs.checks import preflight
from ml_intern.tools.jobs.credit import CreditStops
from ml_intern.tools.jobs.desk import JobDesk
from ml_intern.tools.jobs.params import JobsParams
from ml_intern.tools.jobs.prepare import AssessedRuns, PreparedJob
from ml_intern.tools.jobs.run import dashboard, prepared
from ml_intern.tools.jobs.watcher import CANCEL_PAUSES_S, JobWatcher

READING = frozenset({"scheduled ps", "scheduled inspect"})


def schedules_of(desk: JobDesk) -> JobSchedules:
    """The schedules.

    Raises:
        JobsError: The backend keeps none.
    """
    if desk.backend.schedules is None:
        text = f"That is not possible: the {desk.backend.name} backend keeps no schedules."
        raise JobsError(f"{text} Use `run` for a job that runs once.")
    return desk.backend.schedules


async def assess(desk: JobDesk, params: JobsParams, context: ToolContext) -> Assessment:
    """What a call would do. Whatever changes a schedule is asked about, always."""
    if params.operation in READING:
        return READS_ONLY
    subject = f"{params.operation} {params.schedule or params.scheduled_job_id}".strip()
    try:
        schedules = schedules_of(desk)
        if params.operation == "scheduled run":
            return await _assess_new(desk, params, context, subject)
        if params.operation == "scheduled trigger":
            return await _assess_trigger(desk, schedules, params, subject)
    except JobsError as error:
        context.state.get(AssessedRuns).jobs[context.call_id] = error  # told when it runs; nothing happens then
        return READS_ONLY
    return Assessment(frozenset({Effect.SCHEDULE}), (f"changes a schedule: {subject}",), subject=subject)


async def _assess_new(desk: JobDesk, params: JobsParams, context: ToolContext, subject: str) -> Assessment:
    if not params.schedule.strip():
        raise JobsError("`scheduled run` needs `schedule`: a cron expression, or @hourly, @daily, @weekly, @monthly.")
    job = await desk.prepare(params, context)
    context.state.get(AssessedRuns).jobs[context.call_id] = job
    each = _each(job)
    effects = {Effect.SCHEDULE, *([Effect.CREDENTIALS] if job.spec.secrets else [])}
    effects |= {Effect.PUBLISH} if job.trackio_space else set()
    return Assessment(
        frozenset(effects),
        (f"starts a job by itself again and again ({params.schedule.strip()}), {each}",),
        cost=Cost(0.0, f"nothing now; {each}, outside of this session's cap"),
        subject=subject,
        editable=report.editable(job),
        display=report.dialog(job, {"schedule": params.schedule.strip(), "each run": each}),
        checks=(*preflight(job), (False, f"runs until somebody deletes it; {each}")),
        compute=report.compute(job),
    )


async def _assess_trigger(desk: JobDesk, schedules: JobSchedules, params: JobsParams, subject: str) -> Assessment:
    found = await schedules.inspect(_ref(params))
    await desk.backend.refresh()
    flavor = desk.backend.find_flavor(found.flavor)
    cost = desk.backend.estimate(flavor, found.timeout_s) if found.timeout_s else Cost(None, "its timeout is unknown")
    reason = f"starts a run of schedule {found.ref.id} now on {flavor.label}"
    return Assessment(frozenset({Effect.SCHEDULE, Effect.COMPUTE}), (reason,), cost=cost, subject=subject)


async def handle(desk: JobDesk, params: JobsParams, context: ToolContext) -> ToolResult:
    """Does what a call asks for."""
    if isinstance(refused := context.state.get(AssessedRuns).jobs.get(context.call_id), JobsError):
        raise refused
    schedules = schedules_of(desk)
    match params.operation:
        case "scheduled run":
            return await _create(desk, schedules, params, context)
        case "scheduled ps":
            return await _list(schedules, params)
        case "scheduled inspect":
            found = await schedules.inspect(_ref(params))
            return ToolResult(report.schedule_details(found))
        case "scheduled trigger":
            return await _trigger(desk, schedules, params, context)
        case _:
            return await _change(schedules, params)


async def _create(desk: JobDesk, schedules: JobSchedules, params: JobsParams, context: ToolContext) -> ToolResult:
    if not params.schedule.strip():
        raise JobsError("`scheduled run` needs `schedule`: a cron expression, or @hourly, @daily, @weekly, @monthly.")
    job = await prepared(desk, params, context)
    creating = asyncio.ensure_future(schedules.create(job.spec, params.schedule.strip(), suspend=params.suspend))
    try:
        made = await asyncio.shield(creating)
    except NoCreditError as error:
        CreditStops.of(context.state).add(error.namespace, str(error))
        raise
    except asyncio.CancelledError:
        context.state.get(JobWatcher).go_on(_undo(schedules, creating, context))
        raise
    lines = await dashboard(desk, job)
    lines += [f"Schedule {made.ref.id} was set up in {made.ref.namespace}: {made.schedule}, {_each(job)}.", _next(made)]
    ways = "`scheduled inspect`, `scheduled suspend` and `scheduled delete` take this scheduled_job_id."
    return ToolResult("\n".join([*lines, *report.notes(job), ways]))


async def _undo(schedules: JobSchedules, creating: asyncio.Future[ScheduledJob], context: ToolContext) -> None:
    """Deletes what comes of a call that was interrupted. What cannot be deleted is told: it would go on for ever."""
    try:
        ref = (await creating).ref
    except UnsureError as error:
        context.emit(Notice(text=str(error), level="warning"))
        return
    except JobsError:  # nothing came of it
        return
    for pause in (*CANCEL_PAUSES_S, None):
        try:
            await schedules.delete(ref)
        except JobsError as error:
            if pause is None or not isinstance(error, UnreachableError):
                text = f"Schedule {ref.id} of {ref.namespace} was set up, could not be deleted and goes on: {error}"
                context.emit(Notice(text=text, level="warning"))
                return
            await asyncio.sleep(pause)
        else:
            return


async def _list(schedules: JobSchedules, params: JobsParams) -> ToolResult:
    every = await schedules.list(params.namespace)
    shown = [item for item in every if params.all or not item.suspended]
    if not shown:
        hidden = f" {len(every)} suspended ones exist: pass all=true." if every else ""
        return ToolResult(f"No schedule is active.{hidden}" if every else "There are no schedules.")
    text, table = report.schedule_listing(shown)
    return ToolResult(text, display=(table,))


async def _trigger(desk: JobDesk, schedules: JobSchedules, params: JobsParams, context: ToolContext) -> ToolResult:
    found = await schedules.inspect(_ref(params))
    watcher, flavor = context.state.get(JobWatcher), desk.flavor_of(found)
    info = await watcher.start(desk.backend, schedules.trigger(found.ref), secrets.token_hex(8), flavor, context)
    watcher.watch(desk.backend, info, flavor, context)
    return ToolResult(report.submitted(info, flavor, []), display=(report.card(info, flavor),))


async def _change(schedules: JobSchedules, params: JobsParams) -> ToolResult:
    ref = _ref(params)
    match params.operation:
        case "scheduled delete":
            await schedules.delete(ref)
            return ToolResult(f"Schedule {ref.id} was deleted. Runs that are under way go on; `ps` lists them.")
        case "scheduled suspend":
            await schedules.suspend(ref)
        case _:
            await schedules.resume(ref)
    return ToolResult(_next(await schedules.inspect(ref)))


def _ref(params: JobsParams) -> JobRef:
    schedule_id = params.scheduled_job_id.strip()
    if not schedule_id:
        raise JobsError(f"`{params.operation}` needs `scheduled_job_id`; `scheduled ps` lists the schedules.")
    return JobRef(schedule_id, params.namespace)


def _each(job: PreparedJob) -> str:
    return f"${job.cost.usd:.2f} a run at most" if job.cost.usd is not None else "the price of a run is unknown"


def _next(item: ScheduledJob) -> str:
    if item.suspended:
        return f"Schedule {item.ref.id} rests; `scheduled resume` wakes it."
    when = item.next_run_at.isoformat(timespec="minutes") if item.next_run_at else "unknown"
    return f"Schedule {item.ref.id} is active; next run: {when}."

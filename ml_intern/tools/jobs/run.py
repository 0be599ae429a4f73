"""Submits a job and follows it."""

from __future__ import annotations

import asyncio

from ml_intern.core.artifacts import record
from ml_intern.core.jobs import Flavor, JobInfo, JobsError, NoCreditError, UnreachableError, duration_text
from ml_intern.core.protocol import ArtifactEvent
from ml_intern.core.tools.spec import ToolContext, ToolResult
from ml_intern.tools.jobs import report
from ml_intern.tools.jobs.credit import CreditStops
from ml_intern.tools.jobs.desk import JobDesk
from ml_intern.tools.jobs.hub_checks import make_dashboard
from ml_intern.tools.jobs.params import JobsParams
from ml_intern.tools.jobs.prepare import AssessedRuns, PreparedJob
from ml_intern.tools.jobs.spill import SpilledLog
from ml_intern.tools.jobs.watch import Follower, LiveLog, Sight
from ml_intern.tools.jobs.watcher import CardFeed, JobWatcher


async def run(desk: JobDesk, params: JobsParams, context: ToolContext) -> ToolResult:
    """Submits a job; follows it to its end unless the call wants to go on beside it."""
    job = await prepared(desk, params, context)
    notes = [*report.notes(job), *await dashboard(desk, job)]
    watcher = context.state.get(JobWatcher)
    try:
        info = await watcher.submit(desk.backend, job.spec, job.flavor, context)
    except NoCreditError as error:
        CreditStops.of(context.state).add(error.namespace, str(error))
        context.set_state("billing_required")
        raise
    _tell_artifact(info, context)
    if params.detach:
        watcher.watch(desk.backend, info, job.flavor, context)
        return ToolResult(report.submitted(info, job.flavor, notes), display=(report.card(info, job.flavor),))
    try:
        return await follow(desk, info, job.flavor, notes, context)
    except asyncio.CancelledError:
        await watcher.cancel_soon(desk.backend, info.ref, job.flavor, context)
        raise
    except JobsError as error:
        if isinstance(error, UnreachableError):
            watcher.watch(desk.backend, info, job.flavor, context)
        text = f"Job {info.ref.id} was submitted and may still run, but it could not be followed: {error}"
        raise JobsError(f"{text} `inspect` tells where it stands, `cancel` stops it.") from error


async def dashboard(desk: JobDesk, job: PreparedJob) -> list[str]:
    """Makes the trackio Space of a rented job where there is none; what is to be said about it."""
    if desk.hub is None or not job.trackio_space or not job.is_rented:
        return []
    return list(filter(None, [await make_dashboard(desk.hub, job.trackio_space)]))


async def prepared(desk: JobDesk, params: JobsParams, context: ToolContext) -> PreparedJob:
    """The job as it was shown to whoever decided on it.

    Raises:
        JobsError: There is none that may be submitted.
    """
    job = context.state.get(AssessedRuns).jobs.pop(context.call_id, None) or await desk.prepare(params, context)
    if isinstance(job, JobsError):
        raise job
    desk.object_to_credit(job, context)
    return job


async def follow(desk: JobDesk, info: JobInfo, flavor: Flavor, notes: list[str], context: ToolContext) -> ToolResult:
    """Follows a job to its end, or for as long as it may wait for hardware.

    Raises:
        JobsError: It cannot be seen any more.
    """
    cards = CardFeed(context, flavor)
    log = LiveLog(context.log, info.log_path, None if info.log_path else SpilledLog(context.spill_dir, info.ref.id))
    follower = Follower(
        desk.backend,
        info,
        Sight(log.add, lambda changed, load: cards.show(changed, report.load_text(load)), context.log),
        with_load=flavor.has_accelerator,
        max_wait_s=context.settings.jobs.max_wait_for_start_s,
        clock=desk.clock,
    )
    watcher = context.state.get(JobWatcher)
    try:
        with watcher.attending(info.ref.id):
            info = await follower.run()
    finally:
        log.close()
    if info.active:
        return _left_waiting(desk, info, flavor, context)
    watcher.told.add(info.ref.id)
    if follower.log_fault:
        notes = [*notes, f"The log could not be read to its end: {follower.log_fault}"]
    if trouble := log.metrics.warning:
        notes = [*notes, f"The figures in its log: {trouble}."]
    lines = log.last()
    return ToolResult(
        report.ended(info, flavor, lines, log.count, notes, log.path),
        ok=info.stage == "COMPLETED",
        display=report.blocks(info, flavor, lines, log.count, log.metrics, log.path),
        cost_usd=report.cost(info, flavor),
    )


def _left_waiting(desk: JobDesk, info: JobInfo, flavor: Flavor, context: ToolContext) -> ToolResult:
    context.state.get(JobWatcher).watch(desk.backend, info, flavor, context)
    waited = duration_text(context.settings.jobs.max_wait_for_start_s)
    text = (
        f"Job {info.ref.id} still waits for hardware after {waited} and stays in the queue; this call does not wait on."
    )
    return ToolResult(
        report.submitted(info, flavor, [text, "Nothing is paid while it waits."], begin=""),
        display=(report.card(info, flavor),),
    )


def _tell_artifact(info: JobInfo, context: ToolContext) -> None:
    if info.url:
        record(context, ArtifactEvent(kind="job", id=info.ref.id, url=info.url, state="created", via="hf_jobs"))

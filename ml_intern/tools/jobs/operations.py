"""What can be done with jobs that exist."""

from __future__ import annotations

import asyncio
import contextlib

from ml_intern.core.display import JobCard
from ml_intern.core.jobs import JobInfo, JobLoad, JobsError, duration_text, parse_duration
from ml_intern.core.metrics import TrainingMetrics
from ml_intern.core.tools.spec import ToolContext, ToolResult
from ml_intern.tools.jobs import report
from ml_intern.tools.jobs.desk import JobDesk
from ml_intern.tools.jobs.hub_request import checked_labels
from ml_intern.tools.jobs.params import JobsParams
from ml_intern.tools.jobs.run import follow
from ml_intern.tools.jobs.watch import Follower, Sight, within_limit
from ml_intern.tools.jobs.watcher import CardFeed, JobWatcher

MEASURE_S = 8.0
MEASUREMENTS = 3
WAIT = "1h"


async def ps(desk: JobDesk, params: JobsParams, context: ToolContext) -> ToolResult:
    """Lists jobs: of one namespace, or of the default one and of all this session has used."""
    every = {info.ref: info for info in await desk.backend.list_jobs(params.namespace)}
    if not params.namespace:
        used = {ref.namespace for ref in context.state.get(JobWatcher).refs.values()}
        for namespace in sorted(used - {ref.namespace for ref in every} - {""}):
            every.update({info.ref: info for info in await desk.backend.list_jobs(namespace)})
    wanted = params.status.strip().upper()
    jobs = [info for info in every.values() if (wanted in info.stage if wanted else params.all or info.active)]
    if not jobs:
        past = f" {len(every)} that are not listed exist: pass all=true." if every else ""
        return ToolResult(f"No job is {wanted or 'waiting or running'}.{past}" if every else "There are no jobs.")
    text, table = report.listing(jobs)
    return ToolResult(text, display=(table,))


async def logs(desk: JobDesk, params: JobsParams, context: ToolContext) -> ToolResult:
    """The end of a log; or all that comes until the job has ended."""
    info = await desk.backend.inspect(desk.ref(params, context))
    flavor = desk.book(info, context)
    if params.wait and info.active:
        context.pay_as(info.ref.id)
        return await follow(desk, info, flavor, [], context)
    lines = within_limit(await desk.backend.tail_logs(info.ref, params.tail))
    where = f"Whole log: {info.log_path}" if info.log_path else info.url
    text = "\n".join([*filter(None, (report.one_line(info, flavor), where)), *report.log_section(lines, None)])
    metrics = TrainingMetrics()
    metrics.feed_all(lines)
    return ToolResult(text, display=report.blocks(info, flavor, lines, None, metrics))


async def inspect(desk: JobDesk, params: JobsParams, context: ToolContext) -> ToolResult:
    """All that is known of a job."""
    info = await desk.backend.inspect(desk.ref(params, context))
    flavor = desk.book(info, context)
    return ToolResult(report.details(info, flavor), display=(report.card(info, flavor),))


async def cancel(desk: JobDesk, params: JobsParams, context: ToolContext) -> ToolResult:
    """Stops a job."""
    before = await desk.backend.inspect(desk.ref(params, context))
    if not before.active:
        desk.book(before, context)
        return ToolResult(f"Job {before.ref.id} had ended already: {before.stage}. {before.message}".rstrip())
    with context.state.get(JobWatcher).attending(before.ref.id):
        info = await desk.backend.cancel(before.ref)
    flavor = desk.book(info, context)
    text = f"Job {info.ref.id} is {info.stage}."
    if info.active:
        text = (
            f"ERROR: Job {info.ref.id} was asked to stop but is still {info.stage}. `inspect` tells when it has ended."
        )
    return ToolResult(text, ok=not info.active, display=(report.card(info, flavor),))


async def wait(desk: JobDesk, params: JobsParams, context: ToolContext) -> ToolResult:
    """Waits until jobs have ended, all of them or the first, within a time limit. They go on whatever happens here."""
    limit_s = parse_duration(params.timeout or WAIT)
    ids = list(dict.fromkeys(filter(None, (*params.job_ids, params.job_id))))
    refs = [desk.ref(params, context, job_id) for job_id in ids] or [desk.ref(params, context)]
    infos = await asyncio.gather(*(desk.backend.inspect(ref) for ref in refs))
    followers = [Follower(desk.backend, info, _sight(desk, info, context), with_log=False) for info in infos]
    with context.state.get(JobWatcher).attending(*(info.ref.id for info in infos)):
        faults = await _end_of(followers, limit_s, first=params.until == "first")
    return _waited(desk, params, context, [follower.info for follower in followers], faults, limit_s)


async def _end_of(followers: list[Follower], limit_s: float, *, first: bool) -> list[str]:
    """Waits for them; gives what went wrong with those that cannot be seen any more."""
    tasks = [asyncio.create_task(follower.run()) for follower in followers]
    try:
        how = asyncio.FIRST_COMPLETED if first else asyncio.ALL_COMPLETED
        await asyncio.wait(tasks, timeout=limit_s, return_when=how)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    return [str(result) for result in results if isinstance(result, JobsError)]


def _waited(
    desk: JobDesk, params: JobsParams, context: ToolContext, infos: list[JobInfo], faults: list[str], limit_s: float
) -> ToolResult:
    lines, cards = [], []
    for info in infos:
        flavor = desk.book(info, context)
        lines.append(report.one_line(info, flavor))
        cards.append(report.card(info, flavor))
    running = [info for info in infos if info.active]
    if running and (params.until == "all" or len(running) == len(infos)):
        left = f"{len(running)} of {len(infos)} jobs have not ended and go on"
        lines.insert(0, f"After {duration_text(limit_s)} {left}.")
    good = all(info.active or info.stage == "COMPLETED" for info in infos)
    return ToolResult("\n".join([*lines, *faults]), ok=good and not faults, display=tuple(cards))


def _sight(desk: JobDesk, info: JobInfo, context: ToolContext) -> Sight:
    feed = CardFeed(context, desk.flavor_of(info))
    return Sight(change=lambda changed, load: feed.show(changed, report.load_text(load)), trouble=context.log)


async def metrics(desk: JobDesk, params: JobsParams, context: ToolContext) -> ToolResult:
    """How busy a running job is."""
    info = await desk.backend.inspect(desk.ref(params, context))
    flavor = desk.book(info, context)
    if info.stage != "RUNNING":
        return ToolResult(f"Job {info.ref.id} is {info.stage}: only a running job can be measured.")
    load = await _measured(desk, info)
    if load is None:
        return ToolResult(f"ERROR: Job {info.ref.id} could not be measured; try again in a moment.", ok=False)
    card: JobCard = report.card(info, flavor, report.load_text(load))
    return ToolResult("\n".join([report.one_line(info, flavor), *report.load_lines(load)]), display=(card,))


async def _measured(desk: JobDesk, info: JobInfo) -> JobLoad | None:
    """The last of a few measurements: the first one often knows nothing yet."""
    last, count = None, 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(MEASURE_S):
            async for load in desk.backend.follow_load(info.ref):
                last = load
                count += 1
                if count >= MEASUREMENTS:
                    break
    return last


async def labels(desk: JobDesk, params: JobsParams, context: ToolContext) -> ToolResult:
    """Shows the labels of a job, or replaces those that were chosen."""
    info = await desk.backend.inspect(desk.ref(params, context))
    if params.labels:
        info = await desk.backend.set_labels(info.ref, checked_labels(params.labels))
    own = report.own_labels(info.labels)
    text = ", ".join(f"{name}={value}" for name, value in sorted(own.items())) or "none"
    return ToolResult(f"Labels of job {info.ref.id}: {text}")

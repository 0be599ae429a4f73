"""What the Jobs screen says: rows, the card of a job, money, load."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ml_intern.core.jobs import Flavor, JobInfo, JobLoad
from ml_intern.core.metrics import TrainingMetrics
from ml_intern.tui.job_rows import shortened, with_trend
from ml_intern.tui.screens.jobs_feed import JobFeed
from ml_intern.tui.widgets.job_list import STAGES, JobRow
from ml_intern.tui.widgets.key_bar import Hint
from ml_intern.tui.widgets.line import Part
from ml_intern.tui.widgets.lines import Line, Run, chop, spread, wrap
from ml_intern.tui.widgets.text import ago, clock_span, count, fit, money, one_line

FindFlavor = Callable[[JobInfo], Flavor | None]
BAR_CELLS = 24

NO_SESSION_JOBS = (
    "No jobs in this session yet.",
    "Ask for one in the prompt, for example: train a small classifier on my data, as a job.",
    "{jobs.scope} shows all jobs of the account and of this machine, {back} goes back.",
)
NO_JOBS = (
    "No jobs yet, here or on the account.",
    "Ask for one in the prompt, for example: run train.py as a job on a10g-small.",
    "Jobs on this machine cost nothing; jobs on Hugging Face need a token and credit.",
)
NO_BACKEND = ("The agent is still starting.", "Its jobs show here as soon as it is up.")


def elapsed_s(info: JobInfo, now: float) -> float | None:
    """Seconds a job has run by `now`; None when it has not started."""
    if info.started_at is None:
        return None
    end = info.finished_at.timestamp() if info.finished_at is not None else now
    return max(0.0, end - info.started_at.timestamp())


def cost_usd(info: JobInfo, flavor: Flavor | None, now: float) -> float | None:
    """What a job has cost by `now`; None when its price is unknown."""
    if flavor is None or flavor.usd_per_hour is None:
        return None
    billed = info.billed_s if info.billed_s is not None else elapsed_s(info, now)
    return flavor.usd_per_hour * (billed or 0.0) / 3600


def most_usd(info: JobInfo, flavor: Flavor | None) -> float | None:
    """What a job costs if it runs into its timeout; None when that is unknown."""
    if flavor is None or flavor.usd_per_hour is None or info.timeout_s is None:
        return None
    return flavor.usd_per_hour * info.timeout_s / 3600


def _price(usd: float | None, flavor: Flavor | None) -> str:
    return "free" if flavor is not None and flavor.usd_per_hour == 0 else money(usd)


def title_of(info: JobInfo) -> str:
    """How a job is called."""
    return one_line(info.name or info.command or info.ref.id, 200)


def row_of(
    info: JobInfo, flavor: Flavor | None, metrics: TrainingMetrics | None, now: float, *, marked: bool
) -> JobRow:
    """A job in the list."""
    ran = elapsed_s(info, now)
    cost, most = cost_usd(info, flavor, now), most_usd(info, flavor)
    row = JobRow(
        key=info.ref.id,
        title=title_of(info),
        stage=info.stage,
        short_id=shortened(info.ref.id),
        flavor=info.flavor or info.backend,
        time=clock_span(ran) if ran is not None else "",
        limit=clock_span(info.timeout_s) if info.timeout_s is not None and info.active else "",
        cost=_price(cost, flavor) if ran is not None else "",
        most=money(most) if most and info.active else "",
        marked=marked,
    )
    return with_trend(row, metrics)


# ------------------------------------------------------------------------------------------------------------ card


def card_lines(
    info: JobInfo,
    flavor: Flavor | None,
    now: float,
    width: int,
    *,
    feed: JobFeed | None = None,
    detailed: bool = False,
) -> list[Line]:
    """Everything about a job but its curves and its log.

    Args:
        info: The job.
        flavor: Its hardware, where that is known.
        now: Seconds since the epoch.
        width: Cells that a line may take.
        feed: What is read of it.
        detailed: Whether each accelerator and the labels are shown.
    """
    glyph, ink = STAGES.get(info.stage, ("○", "muted"))
    stage = info.stage if info.exit_code in (None, 0) else f"{info.stage} (exit code {info.exit_code})"
    lines = [spread([Run(f"{glyph} ", ink), Run(fit(title_of(info), width - 26), "strong")], [Run(stage, ink)], width)]
    lines.append(_time_line(info, now, width))
    lines += wrap([Run(_facts(info, flavor, now), "muted")], width)
    if feed is not None:
        lines += _signs(feed, width, detailed=detailed)
    if info.message:
        lines += wrap([Run(one_line(info.message, 600), "warning" if info.stage == "ERROR" else "muted")], width)[:3]
    if info.url.startswith(("https://", "http://")):
        lines += chop([Run(one_line(info.url, 500), "link", one_line(info.url, 500))], width)
    if detailed and info.labels:
        labels = ", ".join(f"{one_line(name)}={one_line(value)}" for name, value in info.labels.items())
        lines += wrap([Run(f"labels: {labels}", "faint")], width)[:3]
    return lines


def _signs(feed: JobFeed, width: int, *, detailed: bool) -> list[Line]:
    """What its figures, its load and its log give cause to say."""
    lines = []
    if warning := feed.metrics.warning:
        lines.append(Line((Run(f"{'⚠' if feed.metrics.failing else '·'} {warning}", "warning strong"),)))
    if feed.load is not None and feed.info.active:
        lines += load_lines(feed.load, detailed=detailed)
    elif detailed:
        lines.append(Line((Run("nobody measures how busy this job is", "faint"),)))
    if feed.problem:
        lines += wrap([Run(f"Its log cannot be read now: {one_line(feed.problem, 300)}", "warning")], width)[:3]
    return lines


def _time_line(info: JobInfo, now: float, width: int) -> Line:
    ran = elapsed_s(info, now)
    if ran is None:
        waited = max(0.0, now - info.created_at.timestamp()) if info.created_at is not None and info.active else None
        text = f"waiting for hardware, {clock_span(waited)}" if waited is not None else "it never started"
        return Line((Run(text, "muted"),))
    if info.timeout_s is None or not info.active:
        ended = f" · {ago(now - info.finished_at.timestamp())}" if info.finished_at is not None else ""
        return Line((Run(f"ran {clock_span(ran)}{ended}", "muted"),))
    share = min(1.0, ran / info.timeout_s) if info.timeout_s else 1.0
    size = max(6, min(BAR_CELLS, width - 34))
    filled = round(share * size)
    ink = "warning" if share > 0.9 else "accent"
    said = f" {clock_span(ran)} of {clock_span(info.timeout_s)} · {share:.0%}"
    return Line((Run("━" * filled, ink), Run("─" * (size - filled), "faint"), Run(said)))


def _facts(info: JobInfo, flavor: Flavor | None, now: float) -> str:
    cost, most = cost_usd(info, flavor, now), most_usd(info, flavor)
    if flavor is not None and flavor.usd_per_hour == 0:
        paid = "free"
    elif cost is None:
        paid = "price unknown"
    else:
        paid = f"{money(cost)} so far, at most {money(most)}" if info.active and most is not None else money(cost)
    hardware = flavor.hardware if flavor is not None and flavor.runs_on != "local" else ""
    parts = (paid, info.flavor, hardware, info.backend, info.ref.namespace, info.ref.id)
    return " · ".join(dict.fromkeys(one_line(part) for part in parts if part))


def load_lines(load: JobLoad, *, detailed: bool) -> list[Line]:
    """How busy a job is: one line, or one for each accelerator."""
    lines = []
    if load.gpus and not detailed:
        known = [gpu.utilisation for gpu in load.gpus if gpu.utilisation is not None]
        used = [gpu.used_gb for gpu in load.gpus if gpu.used_gb is not None]
        total = [gpu.total_gb for gpu in load.gpus if gpu.total_gb is not None]
        hot = [gpu.temperature_c for gpu in load.gpus if gpu.temperature_c is not None]
        name = "gpu" if len(load.gpus) == 1 else f"{len(load.gpus)} gpus"
        mean = sum(known) / len(known) if known else None
        lines.append(_load_line(name, mean, sum(used) if used else None, sum(total) or None, max(hot, default=None)))
    for number, gpu in enumerate(load.gpus if detailed else ()):
        name = f"gpu {number} {one_line(gpu.name, 30)}"
        lines.append(_load_line(name, gpu.utilisation, gpu.used_gb, gpu.total_gb, gpu.temperature_c))
    if detailed or not load.gpus:
        lines.append(_load_line("cpu", load.cpu, load.used_gb, load.total_gb, None))
    return lines


def _load_line(name: str, util: float | None, used: float | None, total: float | None, hot: float | None) -> Line:
    facts = []
    if util is not None:
        facts.append(f"util {util:.0f}%")
    if used is not None:
        facts.append(f"mem {used:.1f}/{total:.0f} GB" if total is not None else f"mem {used:.1f} GB")
    if hot is not None:
        facts.append(f"{hot:.0f} °C")
    full = used is not None and total is not None and used > 0.95 * total
    return Line((Run(f"{name}  ", "muted"), Run("  ".join(facts) or "nothing known", "warning" if full else "")))


# ------------------------------------------------------------------------------------------------------------ head


def head_parts(scope: str, counts: tuple[int, int], money_text: str) -> tuple[list[Part], list[Part]]:
    """The line at the top.

    Args:
        scope: `session` or `account`, whichever is shown.
        counts: How many jobs either has.
        money_text: What runs, and what it costs.
    """
    left = [Part("jobs", "$accent bold", rank=1)]
    for name, label, number in (("session", "this session", counts[0]), ("account", "account", counts[1])):
        style = "bold underline" if name == scope else "$foreground-muted"
        left.append(Part(f"{label} ({number})", style, rank=0 if name == scope else 2))
    return left, [Part(money_text, "", rank=1, flexible=True)]


def money_now(jobs: Iterable[JobInfo], find: FindFlavor, now: float) -> str:
    """What the running jobs cost an hour, and what they have cost so far."""
    running = [info for info in jobs if info.active]
    if not running:
        return ""
    flavors = [(info, find(info)) for info in running]
    prices = [flavor.usd_per_hour if flavor is not None else None for info, flavor in flavors if info.started_at]
    so_far = [cost_usd(info, flavor, now) for info, flavor in flavors]
    known = sum(price for price in prices if price is not None)
    if not known and None not in so_far:
        return f"{count(len(running), 'job')} running, free"
    unknown = " + unknown prices" if None in so_far else ""
    return f"{money(known)}/h running now, {money(sum(cost or 0.0 for cost in so_far))} so far{unknown}"


def cancel_text(info: JobInfo, flavor: Flavor | None, now: float) -> str:
    """What cancelling means."""
    ran = elapsed_s(info, now)
    where = f"{title_of(info)} has run {clock_span(ran)}" if ran is not None else f"{title_of(info)} has not started"
    limit = f" of at most {clock_span(info.timeout_s)}" if ran is not None and info.timeout_s is not None else ""
    lost = "What it has not saved or pushed is lost; its log stays." if ran is not None else "Nothing is lost."
    cost, most = cost_usd(info, flavor, now), most_usd(info, flavor)
    saved = (
        f" It has cost {money(cost)}; up to {money(most - cost)} more will not be spent."
        if most and cost is not None
        else ""
    )
    return f"{where}{limit}. {lost}{saved}"


def empty_lines(texts: Sequence[str], width: int) -> list[Line]:
    """An empty screen that says what can be done."""
    inks = ["strong", *["muted"] * len(texts)]
    return [row for text, ink in zip(texts, inks, strict=False) for row in wrap([Run(text, ink)], max(10, width))]


# ---------------------------------------------------------------------------------------------------------- the keys


def job_keys(info: JobInfo | None, *, narrow: bool, in_list: bool) -> list[Hint]:
    """The keys that do something with a job as it is now."""
    if info is None:
        return []
    stop: list[Hint] = [("{jobs.cancel}", "cancel")] if info.active else []
    again: list[Hint] = [("{jobs.rerun}", "rerun"), ("{jobs.export}", "export log")]
    if narrow:
        return stop if in_list else [*stop, *again]
    page: list[Hint] = [("{jobs.browse}", "browser")] if info.url.startswith(("https://", "http://")) else []
    return [*stop, *page, again[0], ("{jobs.copy_id}", "copy id"), again[1], ("{jobs.load}", "load")]


def log_keys(*, narrow: bool, searching: bool, following: bool) -> list[Hint]:
    """The keys that do something with a log."""
    keys: list[Hint] = [("{find}", "search")]
    if not narrow:
        keys += [("{find.next} {find.before}", "next, previous")] if searching else []
        keys += [] if following else [("{jobs.follow}", "follow")]
    return keys

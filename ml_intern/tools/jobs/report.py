"""What a model and a person are told about jobs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from ml_intern.core.approvals.effects import Compute
from ml_intern.core.display import CurveBlock, DisplayBlock, JobCard, LogBlock, TableBlock, TextBlock
from ml_intern.core.jobs import Flavor, JobInfo, JobLoad, ScheduledJob, duration_text
from ml_intern.core.labels import OURS
from ml_intern.core.metrics import TrainingMetrics
from ml_intern.tools.jobs.prepare import PreparedJob

MAX_LISTED = 50


def card(info: JobInfo, flavor: Flavor | None = None, load: str = "") -> JobCard:
    """The job at a glance."""
    price = flavor.usd_per_hour if flavor else None
    return JobCard(
        job_id=info.ref.id,
        backend=info.backend,
        stage=info.stage,
        title=title(info),
        flavor=info.flavor,
        url=info.url,
        elapsed_s=info.ran_s,
        timeout_s=info.timeout_s,
        cost_usd=_cost(price, _billed_s(info)),
        max_cost_usd=_cost(price, info.timeout_s),
        load=load,
    )


def cost(info: JobInfo, flavor: Flavor) -> float | None:
    """What a job has cost by the time it ran; None when no price is known."""
    return _cost(flavor.usd_per_hour, _billed_s(info) or 0.0)


def title(info: JobInfo) -> str:
    """How a job is called."""
    return info.name or info.command or info.ref.id


def one_line(info: JobInfo, flavor: Flavor | None) -> str:
    """How a job stands, in a sentence or two."""
    name = f" ({info.name})" if info.name else ""
    return f"Job {info.ref.id}{name} {_is(info)}. {info.message}".rstrip(" .") + f". {_figures(info, flavor)}"


def goes_on(info: JobInfo, flavor: Flavor | None) -> str:
    """What becomes of a job that nobody watches any more."""
    most = _cost(flavor.usd_per_hour, info.timeout_s) if flavor else None
    limit = f" and costs {_usd(most)} at most" if most else ""
    return f"Job {info.ref.id} ({info.stage}) goes on by itself{limit}. {info.url}".rstrip()


def ended(
    info: JobInfo,
    flavor: Flavor | None,
    lines: Sequence[str],
    total: int | None,
    notes: Sequence[str],
    whole_log: str = "",
) -> str:
    """The result of a job that was followed to its end.

    Args:
        info: The job.
        flavor: Its hardware, where the price is known.
        lines: The last lines of its log.
        total: How many lines there were in all, if they were counted.
        notes: Sentences that belong to it.
        whole_log: File of this machine that holds all of the log.
    """
    text = [f"Job {info.ref.id} {info.stage}. {info.message}".rstrip(), _figures(info, flavor)]
    text += [line for line in (_places(info, whole_log), *notes) if line]
    return "\n".join([*text, *log_section(lines, total)])


def submitted(info: JobInfo, flavor: Flavor | None, notes: Sequence[str], *, begin: str | None = None) -> str:
    """The result of a call that leaves a job to itself.

    Args:
        info: The job.
        flavor: Its hardware, where the price is known.
        notes: Sentences that belong to it.
        begin: The first sentence, where it is another than usual.
    """
    first = f"Job {info.ref.id} was submitted and is {info.stage}; it goes on by itself." if begin is None else begin
    most = _cost(flavor.usd_per_hour, info.timeout_s) if flavor else None
    cost = f"It costs {_usd(most)} at most." if most else ""
    ways = f"`wait` with job_id={info.ref.id} waits for its end, `logs` shows its log, `cancel` stops it."
    return "\n".join(filter(None, (first, _places(info), cost, *notes, ways)))


def log_section(lines: Sequence[str], total: int | None) -> list[str]:
    """The end of a log under a heading that says how much of it this is."""
    if not lines:
        return ["The log is empty."]
    part = f"last {len(lines)} of {total:,} lines" if total is not None and total > len(lines) else "all of it"
    return [f"--- log ({part if total is not None else f'last {len(lines)} lines'}) ---", *lines]


def blocks(
    info: JobInfo,
    flavor: Flavor | None,
    lines: Sequence[str],
    total: int | None,
    metrics: TrainingMetrics,
    whole_log: str = "",
) -> tuple[DisplayBlock, ...]:
    """A job, the course of its loss and the end of its log, for a person."""
    omitted = max(0, (total or 0) - len(lines))
    series = metrics.series()
    curves = (CurveBlock(title="loss" if len(series) > 1 else "", series=series),) if series else ()
    log = LogBlock(lines=tuple(lines), omitted=omitted, path=whole_log or info.log_path)
    return (card(info, flavor), *curves, log)


def notes(job: PreparedJob) -> tuple[str, ...]:
    """What the model asked for and does not get, or should know about where the job runs."""
    spec, said = job.spec, []
    if job.flavor.runs_on:
        said.append(f"Place: {place(job)}, in {spec.workdir}; nothing is rented.")
        if spec.image:
            said.append(f"The image {spec.image} has no effect here.")
        if spec.namespace:
            said.append(f"The namespace {spec.namespace} has no meaning here.")
    if job.default_timeout:
        said.append(f"No timeout was given; the default of {duration_text(spec.timeout_s)} applies.")
    return tuple(said)


def editable(job: PreparedJob) -> str:
    """The argument of the call that holds the text that runs."""
    return "command" if job.spec.kind == "command" else "script"


def place(job: PreparedJob) -> str:
    """Where a job runs that is not on rented hardware."""
    return "this machine" if job.flavor.runs_on == "local" else job.flavor.label


def dialog(job: PreparedJob, more: Mapping[str, str] | None = None) -> tuple[DisplayBlock, ...]:
    """All of a job, for the person who decides on it: first the text that runs, which can be edited, then the rest.

    Args:
        job: The job.
        more: Further facts, the most important ones.
    """
    language = "python" if job.spec.script else "bash"
    text = TextBlock(text=job.text, language=language, title=job.path or job.spec.kind)
    facts = [*(f"{name}: {fact}" for name, fact in (more or {}).items()), *_facts(job)]
    return (text, TextBlock(text="\n".join(facts), title="job"))


_CHANGED_BY = {"flavor": "hardware_flavor", "timeout": "timeout", "namespace": "namespace"}
"""The arguments by which a person changes a job before approving it."""


def compute(job: PreparedJob) -> Compute:
    """The hardware a job would use, and the arguments of the call that a person may change for it."""
    return Compute(
        flavor=job.flavor.name,
        hardware=job.flavor.hardware if job.is_rented else place(job),
        usd_per_hour=job.flavor.usd_per_hour,
        seconds=job.spec.timeout_s,
        namespace=job.spec.namespace,
        arguments={key: name for key, name in _CHANGED_BY.items() if job.is_rented or key != "namespace"},
    )


def listing(jobs: Sequence[JobInfo]) -> tuple[str, TableBlock]:
    """Jobs as text and as a table."""
    columns = ("job", "stage", "hardware", "created", "ran", "what")
    rows = tuple(
        (
            info.ref.id,
            info.stage,
            info.flavor or "-",
            _clock(info.created_at),
            duration_text(info.ran_s) if info.ran_s is not None else "-",
            title(info).replace("\n", " ")[:60],
        )
        for info in jobs[:MAX_LISTED]
    )
    return _as_table(columns, rows, len(jobs))


def details(info: JobInfo, flavor: Flavor | None = None) -> str:
    """Everything known of a job, as JSON."""
    spent = cost(info, flavor) if flavor else None
    facts = {
        "id": info.ref.id,
        "namespace": info.ref.namespace,
        "backend": info.backend,
        "status": {"stage": info.stage, "message": info.message},
        "exit_code": info.exit_code,
        "hardware_flavor": info.flavor,
        "command": info.command,
        "created_at": _iso(info.created_at),
        "started_at": _iso(info.started_at),
        "finished_at": _iso(info.finished_at),
        "waited_s": _rounded(info.waited_s),
        "ran_s": _rounded(info.ran_s),
        "timeout_s": info.timeout_s,
        "cost_usd": spent,
        "url": info.url,
        "log": info.log_path,
        "works_in": info.workdir,
        "labels": own_labels(info.labels),
    }
    return json.dumps({name: fact for name, fact in facts.items() if fact not in (None, "", {})}, indent=1)


def _as_table(columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...], total: int) -> tuple[str, TableBlock]:
    widths = [max(len(row[at]) for row in (columns, *rows)) for at in range(len(columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (columns, *rows)]
    if total > len(rows):
        lines.append(f"… and {total - len(rows)} more")
    return "\n".join(line.rstrip() for line in lines), TableBlock(columns=columns, rows=rows)


def _figures(info: JobInfo, flavor: Flavor | None) -> str:
    parts = []
    if info.exit_code is not None:
        parts.append(f"exit code {info.exit_code}")
    if info.ran_s is not None:
        parts.append(f"ran {duration_text(info.ran_s)}")
    if info.waited_s is not None and info.waited_s >= 1:
        parts.append(f"waited {duration_text(info.waited_s)} before")
    spent = cost(info, flavor) if flavor else None
    so_far = " so far" if info.active else ""
    parts.append(f"cost {_usd(spent)}{so_far}" if spent is not None else "cost unknown")
    return "; ".join(parts)[:1].upper() + "; ".join(parts)[1:] + "."


def _usd(usd: float) -> str:
    """Dollars; small sums with enough digits to tell them from nothing."""
    return f"${usd:.2f}" if usd == 0 or usd >= 0.01 else f"${usd:.4f}"


def _is(info: JobInfo) -> str:
    return f"is {info.stage}" if info.active else info.stage


def _billed_s(info: JobInfo) -> float | None:
    """Seconds that are paid for: what the backend bills once a job has ended, the time it runs until then."""
    if not info.active and info.billed_s is not None:
        return info.billed_s
    return info.ran_s


def load_text(load: JobLoad | None) -> str:
    """How busy a job is, in a few words; empty when nobody knows."""
    if load is None:
        return ""
    if not load.gpus:
        return f"CPU {load.cpu:.0f} %" if load.cpu is not None else ""
    used = [gpu.utilisation for gpu in load.gpus if gpu.utilisation is not None]
    parts = [f"GPU {sum(used) / len(used):.0f} %"] if used else []
    if all(gpu.used_gb is not None and gpu.total_gb for gpu in load.gpus):
        parts.append(
            f"{sum(gpu.used_gb or 0 for gpu in load.gpus):.1f} of {sum(gpu.total_gb or 0 for gpu in load.gpus):.0f} GB"
        )
    hot = [gpu.temperature_c for gpu in load.gpus if gpu.temperature_c is not None]
    return ", ".join([*parts, *([f"{max(hot):.0f} °C"] if hot else [])])


def _places(info: JobInfo, whole_log: str = "") -> str:
    path = whole_log or info.log_path
    return " ".join(filter(None, (f"Whole log: {path}" if path else "", info.url)))


def schedule_listing(schedules: Sequence[ScheduledJob]) -> tuple[str, TableBlock]:
    """Schedules as text and as a table."""
    columns = ("schedule", "when", "hardware", "last run", "next run", "what")
    rows = tuple(
        (
            item.ref.id,
            item.schedule + (" (rests)" if item.suspended else ""),
            item.flavor or "-",
            _clock(item.last_run_at),
            "-" if item.suspended else _clock(item.next_run_at),
            item.command.replace("\n", " ")[:60],
        )
        for item in schedules[:MAX_LISTED]
    )
    return _as_table(columns, rows, len(schedules))


def schedule_details(item: ScheduledJob) -> str:
    """Everything known of a schedule, as JSON."""
    facts = {
        "id": item.ref.id,
        "namespace": item.ref.namespace,
        "schedule": item.schedule,
        "suspended": item.suspended,
        "hardware_flavor": item.flavor,
        "timeout_s": item.timeout_s,
        "image": item.image,
        "command": item.command,
        "created_at": _iso(item.created_at),
        "last_run_at": _iso(item.last_run_at),
        "last_job_id": item.last_job_id,
        "next_run_at": _iso(item.next_run_at),
    }
    return json.dumps({name: fact for name, fact in facts.items() if fact not in (None, "")}, indent=1)


def load_lines(load: JobLoad) -> list[str]:
    """How busy a job is, a line for each part of its machine."""
    lines = []
    if load.cpu is not None:
        lines.append(f"CPU {load.cpu:.0f} %")
    if load.used_gb is not None and load.total_gb:
        lines.append(f"memory {load.used_gb:.1f} of {load.total_gb:.0f} GB")
    for gpu in load.gpus:
        parts = [
            f"{gpu.utilisation:.0f} %" if gpu.utilisation is not None else "",
            f"{gpu.used_gb:.1f} of {gpu.total_gb:.0f} GB" if gpu.used_gb is not None and gpu.total_gb else "",
            f"{gpu.temperature_c:.0f} °C" if gpu.temperature_c is not None else "",
        ]
        lines.append(f"GPU {gpu.name}: {', '.join(filter(None, parts)) or 'nothing is known'}")
    return lines


def own_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels somebody has chosen, without those by which this program finds its jobs."""
    return {name: value for name, value in labels.items() if not name.startswith(OURS) and name != "name"}


def _facts(job: PreparedJob) -> list[str]:
    spec, flavor = job.spec, job.flavor
    size = ", ".join(filter(None, (f"{flavor.cpu} CPUs" if flavor.cpu else "", flavor.ram, flavor.accelerator)))
    facts = {
        "hardware": f"{flavor.label} ({size})" if size else flavor.label,
        "cost": f"at most ${job.cost.usd:.2f} ({job.cost.note})" if job.cost.usd is not None else "unknown",
        "time": f"at most {duration_text(spec.timeout_s)}",
        "works in": str(spec.workdir) if flavor.runs_on else "",
        "runs with": "uv" if spec.needs_uv else "",
        "packages": ", ".join(spec.dependencies),
        "python": spec.python,
        "arguments": " ".join(spec.script_args),
        "image": spec.image,
        "namespace": spec.namespace,
        "environment": ", ".join(sorted(spec.env)),
        "secrets": ", ".join(sorted(spec.secrets)),
        "volumes": ", ".join(
            f"{volume.kind} {volume.source} at {volume.mount_path}{' (read only)' if volume.read_only else ''}"
            for volume in spec.volumes
        ),
        "labels": ", ".join(f"{name}={value}" for name, value in own_labels(spec.labels).items()),
        "metrics": f"trackio Space {job.trackio_space}" if job.trackio_space else "",
    }
    return [f"{name}: {fact}" for name, fact in facts.items() if fact]


def _cost(usd_per_hour: float | None, seconds: float | None) -> float | None:
    return None if usd_per_hour is None or seconds is None else round(usd_per_hour * seconds / 3600, 6)


def _clock(moment: datetime | None) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else "-"


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds") if moment else None


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)

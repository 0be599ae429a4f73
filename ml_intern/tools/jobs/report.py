"""What a model and a person are told about jobs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from ml_intern.core.display import DisplayBlock, JobCard, LogBlock, TableBlock, TextBlock
from ml_intern.core.jobs import Flavor, JobInfo, duration_text
from ml_intern.tools.jobs.prepare import PreparedJob

MAX_LISTED = 50


def card(info: JobInfo, flavor: Flavor | None = None) -> JobCard:
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
        cost_usd=_cost(price, info.ran_s),
        max_cost_usd=_cost(price, info.timeout_s),
    )


def cost(info: JobInfo, flavor: Flavor) -> float | None:
    """What a job has cost by the time it ran; None when no price is known."""
    return _cost(flavor.usd_per_hour, info.ran_s or 0.0)


def title(info: JobInfo) -> str:
    """How a job is called."""
    return info.name or info.command or info.ref.id


def ended(info: JobInfo, flavor: Flavor | None, lines: Sequence[str], total: int | None, notes: Sequence[str]) -> str:
    """The result of a job that was followed to its end.

    Args:
        info: The job.
        flavor: Its hardware, where the price is known.
        lines: The last lines of its log.
        total: How many lines there were in all, if they were counted.
        notes: Sentences that belong to it.
    """
    text = [f"Job {info.ref.id} {info.stage}. {info.message}".rstrip(), _figures(info, flavor)]
    text += [line for line in (_places(info), *notes) if line]
    return "\n".join([*text, *log_section(lines, total)])


def submitted(info: JobInfo, notes: Sequence[str]) -> str:
    """The result of a `run` that does not wait."""
    text = [f"Job {info.ref.id} was submitted and is {info.stage}; it goes on by itself.", _places(info), *notes]
    ways = f"`logs` with job_id={info.ref.id} and wait=true follows it to its end; `cancel` stops it."
    return "\n".join([*filter(None, text), ways])


def log_section(lines: Sequence[str], total: int | None) -> list[str]:
    """The end of a log under a heading that says how much of it this is."""
    if not lines:
        return ["The log is empty."]
    part = f"last {len(lines)} of {total:,} lines" if total is not None and total > len(lines) else "all of it"
    return [f"--- log ({part if total is not None else f'last {len(lines)} lines'}) ---", *lines]


def blocks(info: JobInfo, flavor: Flavor | None, lines: Sequence[str], total: int | None) -> tuple[DisplayBlock, ...]:
    """A job and the end of its log, for a person."""
    omitted = max(0, (total or 0) - len(lines))
    return (card(info, flavor), LogBlock(lines=tuple(lines), omitted=omitted, path=info.log_path))


def notes(job: PreparedJob) -> tuple[str, ...]:
    """What the model asked for and does not get, or should know about where the job runs."""
    spec, said = job.spec, []
    if job.flavor.runs_on == "local":
        said.append(f"Place: this machine, in {spec.workdir}; nothing is rented.")
        if spec.image:
            said.append(f"The image {spec.image} has no effect here.")
        if spec.namespace:
            said.append(f"The namespace {spec.namespace} has no meaning here.")
    if job.default_timeout:
        said.append(f"No timeout was given; the default of {duration_text(spec.timeout_s)} applies.")
    return tuple(said)


def dialog(job: PreparedJob) -> tuple[DisplayBlock, ...]:
    """All of a job, for the person who decides on it: first the text that runs, which can be edited, then the rest."""
    language = "python" if job.spec.kind == "script" else "bash"
    text = TextBlock(text=job.text, language=language, title=job.path or job.spec.kind)
    return (text, TextBlock(text="\n".join(_facts(job)), title="job"))


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
    table = TableBlock(columns=columns, rows=rows)
    widths = [max(len(row[at]) for row in (columns, *rows)) for at in range(len(columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (columns, *rows)]
    if len(jobs) > MAX_LISTED:
        lines.append(f"… and {len(jobs) - MAX_LISTED} more")
    return "\n".join(line.rstrip() for line in lines), table


def details(info: JobInfo) -> str:
    """Everything known of a job, as JSON."""
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
        "url": info.url,
        "log": info.log_path,
        "works_in": info.workdir,
        "labels": dict(info.labels),
    }
    return json.dumps({name: fact for name, fact in facts.items() if fact not in (None, "", {})}, indent=1)


def _figures(info: JobInfo, flavor: Flavor | None) -> str:
    parts = []
    if info.exit_code is not None:
        parts.append(f"exit code {info.exit_code}")
    if info.ran_s is not None:
        parts.append(f"ran {duration_text(info.ran_s)}")
    if info.waited_s is not None and info.waited_s >= 1:
        parts.append(f"waited {duration_text(info.waited_s)} before")
    spent = cost(info, flavor) if flavor else None
    parts.append(f"cost ${spent:.2f}" if spent is not None else "cost unknown")
    return "; ".join(parts)[:1].upper() + "; ".join(parts)[1:] + "."


def _places(info: JobInfo) -> str:
    return " ".join(filter(None, (f"Whole log: {info.log_path}" if info.log_path else "", info.url)))


def _facts(job: PreparedJob) -> list[str]:
    spec, flavor = job.spec, job.flavor
    size = ", ".join(filter(None, (f"{flavor.cpu} CPUs" if flavor.cpu else "", flavor.ram, flavor.accelerator)))
    facts = {
        "hardware": f"{flavor.label} ({size})" if size else flavor.label,
        "cost": f"at most ${job.cost.usd:.2f} ({job.cost.note})" if job.cost.usd is not None else "unknown",
        "time": f"at most {duration_text(spec.timeout_s)}",
        "works in": str(spec.workdir) if flavor.runs_on == "local" else "",
        "runs with": "uv" if spec.needs_uv else "",
        "packages": ", ".join(spec.dependencies),
        "python": spec.python,
        "arguments": " ".join(spec.script_args),
        "image": spec.image,
        "namespace": spec.namespace,
        "environment": ", ".join(sorted(spec.env)),
        "secrets": ", ".join(sorted(spec.secrets)),
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

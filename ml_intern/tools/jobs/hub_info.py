"""What the Hub tells of jobs, schedules, load and hardware, in our terms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ml_intern.core.jobs import ACTIVE_STAGES, ENDED_STAGES, Flavor, GpuLoad, JobInfo, JobLoad, JobRef, ScheduledJob
from ml_intern.core.labels import TIMEOUT
from ml_intern.tools.jobs.hub_request import shown_command

if TYPE_CHECKING:
    import huggingface_hub

_SAME_STAGES = {
    "FAILED": "ERROR",
    "ERRORED": "ERROR",
    "TIMEOUT": "ERROR",
    "CANCELLED": "CANCELED",
    "STOPPED": "CANCELED",
    "SUCCEEDED": "COMPLETED",
    "SUCCESS": "COMPLETED",
    "PENDING": "SCHEDULING",
    "QUEUED": "SCHEDULING",
}
_EXIT_CODE = re.compile(r"exit code:?\s*(\d{1,3})\b", re.IGNORECASE)
_HOURS = {"minute": 1 / 60, "hour": 1.0, "second": 1 / 3600, "day": 24.0}


def job_info(info: huggingface_hub.JobInfo) -> JobInfo:
    """A job."""
    found = {name: str(value) for name, value in (info.labels or {}).items()}
    stage, message = _stage(info)
    ran_s = info.durations.running_secs if info.durations else None
    return JobInfo(
        ref=JobRef(info.id, info.owner.name),
        backend="hub",
        stage=stage,
        message=message,
        created_at=info.created_at,
        started_at=_started_at(info, stage),
        finished_at=info.finished_at,
        flavor=_text(info.flavor),
        timeout_s=_seconds(found.get(TIMEOUT, "")),
        exit_code=_exit_code(stage, message),
        url=info.url,
        name=found.get("name", ""),
        command=shown_command(_words(info), info.environment or {}),
        labels=found,
        billed_s=None if ran_s is None else float(ran_s),
    )


def scheduled_job(info: huggingface_hub.ScheduledJobInfo) -> ScheduledJob:
    """A schedule."""
    spec, status = info.job_spec, info.status
    last = status.last_job if status else None
    return ScheduledJob(
        ref=JobRef(info.id, info.owner.name),
        schedule=str(info.schedule or ""),
        suspended=bool(info.suspend),
        flavor=_text(spec.flavor),
        timeout_s=float(spec.timeout) if spec.timeout else None,
        command=shown_command(_words(spec), spec.environment or {}),
        image=spec.docker_image or spec.space_id or "",
        created_at=info.created_at,
        last_run_at=last.at if last else None,
        last_job_id=last.id if last else "",
        next_run_at=status.next_job_run_at if status else None,
    )


def job_load(metrics: Mapping[str, Any]) -> JobLoad:
    """One measurement."""
    gpus = metrics.get("gpus") or {}
    return JobLoad(
        cpu=_number(metrics.get("cpu_usage_pct")),
        used_gb=_gb(metrics.get("memory_used_bytes")),
        total_gb=_gb(metrics.get("memory_total_bytes")),
        gpus=tuple(
            GpuLoad(
                name=str(name),
                utilisation=_number(gpu.get("utilization")),
                used_gb=_gb(gpu.get("memory_used_bytes")),
                total_gb=_gb(gpu.get("memory_total_bytes")),
                temperature_c=_number(gpu.get("temperature", gpu.get("temperature_c"))),
            )
            for name, gpu in gpus.items()
        ),
    )


def flavor_of(hardware: huggingface_hub.JobHardwareInfo) -> Flavor:
    """Hardware on offer, with its price by the hour."""
    accelerator = hardware.accelerator
    memory = _leading_number(accelerator.vram) if accelerator else 0
    return Flavor(
        name=hardware.name,
        label=hardware.pretty_name,
        cpu=_leading_number(hardware.cpu),
        ram=hardware.ram,
        accelerator=f"{accelerator.quantity}x {accelerator.model}" if accelerator else "",
        vram_gb=memory,
        usd_per_hour=_usd_per_hour(hardware.unit_cost_usd, hardware.unit_label),
    )


def _stage(info: huggingface_hub.JobInfo) -> tuple[str, str]:
    said = _text(info.status.stage).upper()
    message = str(info.status.message or "").strip()
    stage = _SAME_STAGES.get(said, said)
    if stage not in ENDED_STAGES | ACTIVE_STAGES and info.finished_at is not None:
        # A word for an end that is not known here: whether it was a good one cannot be told, so it was none.
        return "ERROR", f"The Hub calls its end {said}. {message}".strip()
    return stage, message


def _started_at(info: huggingface_hub.JobInfo, stage: str) -> datetime | None:
    if info.started_at is not None or stage in {"SCHEDULING", "DELETED"}:
        return info.started_at
    ran_s = info.durations.running_secs if info.durations else None
    if ran_s is None:
        return None
    end = info.finished_at or datetime.now(UTC)
    return datetime.fromtimestamp(end.timestamp() - ran_s, UTC)


def _exit_code(stage: str, message: str) -> int | None:
    if stage == "COMPLETED":
        return 0
    found = _EXIT_CODE.search(message)
    return int(found[1]) if found else None


def _usd_per_hour(usd: float | None, unit: str) -> float | None:
    hours = _HOURS.get(str(unit).lower().removesuffix("s"))
    if usd is None or hours is None:
        return None
    # Prices come in whole millionths of a dollar a minute: what that rounds away is less than the fifth digit here.
    return round(usd / hours, 4)


def _words(info: Any) -> list[str]:
    return [str(word) for word in (*(info.command or []), *(info.arguments or []))]


def _text(value: Any) -> str:
    return str(getattr(value, "value", value) or "")


def _seconds(text: str) -> float | None:
    return float(text) if text.isdecimal() else None


def _leading_number(text: str) -> int:
    found = re.match(r"\s*(\d+)", str(text))
    return int(found[1]) if found else 0


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _gb(value: Any) -> float | None:
    number = _number(value)
    return None if number is None else number / 1e9

"""Jobs as plain data, the same wherever they run: what defines one, what is known of it, and what can go wrong.

Names of stages are those of the Hugging Face Hub.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

Stage = str
"""`SCHEDULING`, `RUNNING`, one of `ENDED_STAGES`, or a stage that a service has invented since."""

ACTIVE_STAGES: frozenset[str] = frozenset({"SCHEDULING", "RUNNING"})
"""Stages of a job that waits or runs, as services can be asked for them."""

ENDED_STAGES: frozenset[str] = frozenset({"COMPLETED", "ERROR", "CANCELED", "DELETED"})
"""A job in one of these has ended for good. In any other, known or not, it may still run and cost."""


class JobsError(Exception):
    """A job could not be submitted, found or stopped; the text is a sentence with the next step."""


class UnknownJobError(JobsError):
    """The backend has no job of this id."""


class UnreachableError(JobsError):
    """The backend did not answer, or not sensibly. Jobs are not affected by that, and asking again makes sense."""


class UnsureError(JobsError):
    """Nobody knows whether a job was created: the answer was lost, and the backend cannot be asked."""


class NoCreditError(JobsError):
    """The account that would pay has no credit left. No further paid attempt makes sense until somebody tops it up.

    Attributes:
        namespace: The user or organisation whose credit is used up.
    """

    def __init__(self, message: str, namespace: str = "") -> None:
        super().__init__(message)
        self.namespace = namespace


@dataclass(frozen=True, slots=True)
class JobRef:
    """Names one job. Backends with accounts need both parts for every call.

    Attributes:
        id: The backend's own id.
        namespace: User or organisation the job belongs to; empty for the backend's default.
    """

    id: str
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Flavor:
    """Hardware a job can ask for.

    Attributes:
        name: As given to `run`.
        label: For people.
        cpu: Number of virtual CPUs, 0 when unknown.
        ram: Memory with its unit, for example `16 GB`.
        accelerator: For example `1x A10G`, or empty.
        vram_gb: Memory of all accelerators together, in GB.
        usd_per_hour: Price while it runs; None when unknown.
        runs_on: Name of the flavor that really runs it, where the backend puts another in its place.
    """

    name: str
    label: str
    cpu: int = 0
    ram: str = ""
    accelerator: str = ""
    vram_gb: int = 0
    usd_per_hour: float | None = None
    runs_on: str = ""

    @property
    def has_accelerator(self) -> bool:
        """Whether it is more than CPUs."""
        return bool(self.accelerator)

    @property
    def accelerators(self) -> int:
        """How many accelerators it has."""
        number = re.match(r"(\d+)x ", self.accelerator)
        return int(number[1]) if number else int(self.has_accelerator)

    @property
    def hardware(self) -> str:
        """What it is, for people: `4× L4 24 GB` (memory of each), or CPUs and memory where it has no accelerator."""
        if self.has_accelerator:
            name = re.sub(r"^(\d+)x ", r"\1× ", self.accelerator)
            return f"{name} {self.vram_gb / self.accelerators:.0f} GB" if self.vram_gb else name
        return ", ".join(filter(None, (f"{self.cpu} vCPU" if self.cpu else "", self.ram)))


@dataclass(frozen=True, slots=True)
class Volume:
    """Storage that a job finds as a directory.

    Attributes:
        kind: What it is.
        source: Id of the bucket or repository.
        mount_path: Absolute path in the job.
        read_only: Whether the job may only read it.
    """

    kind: Literal["bucket", "model", "dataset", "space"]
    source: str
    mount_path: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class JobSpec:
    """Everything that defines a job.

    Attributes:
        kind: `script` runs Python source, `command` an argument vector.
        script: The source itself, never a path.
        url: Address the job fetches its script from, where it has no `script`.
        command: Program and arguments, passed on without a shell.
        dependencies: Requirements of the script, for example `transformers>=4.50`.
        python: Version of Python for the script, or empty for the backend's own.
        script_args: Arguments of the script.
        image: Container image, or empty for the backend's own.
        flavor: Name of the hardware.
        timeout_s: Seconds after which it is stopped.
        env: Further environment variables.
        secrets: Environment variables that must not be shown or stored.
        namespace: Who it runs for; empty for the default.
        name: Short title for people.
        labels: For finding it again.
        workdir: Directory it works in, for backends that share this machine's files.
        volumes: Storage to mount, for backends that have any.
    """

    kind: Literal["script", "command"]
    script: str = ""
    url: str = ""
    command: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    python: str = ""
    script_args: tuple[str, ...] = ()
    image: str = ""
    flavor: str = ""
    timeout_s: float = 1800.0
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    namespace: str = ""
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    workdir: Path | None = None
    volumes: tuple[Volume, ...] = ()

    @property
    def needs_uv(self) -> bool:
        """Whether a script asks for packages or a Python of its own, by parameter or in its own header."""
        if self.kind != "script":
            return False
        header = any(line.strip() == "# /// script" for line in self.script.splitlines())
        return header or bool(self.dependencies or self.python)


@dataclass(frozen=True, slots=True)
class JobInfo:
    """What is known of a job at one moment.

    Attributes:
        ref: Its id and namespace.
        backend: Name of the backend.
        stage: Where it stands.
        message: Why it stands there, in words; empty when there is nothing to say.
        created_at: When it was submitted.
        started_at: When it began to run.
        finished_at: When it ended.
        flavor: Hardware as it was asked for.
        timeout_s: Seconds it may run, None when unknown.
        exit_code: Exit code of its program; negative for a signal; None when it did not exit by itself.
        url: Where a browser shows it, or empty.
        name: Its title.
        command: What runs, for people.
        log_path: Where this machine keeps the whole log, if it does.
        workdir: Directory it works in, if that is on this machine.
        labels: Its labels.
        billed_s: Seconds that are paid for, where the backend tells; the time it has run otherwise.
    """

    ref: JobRef
    backend: str
    stage: Stage
    message: str = ""
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    flavor: str = ""
    timeout_s: float | None = None
    exit_code: int | None = None
    url: str = ""
    name: str = ""
    command: str = ""
    log_path: str = ""
    workdir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    billed_s: float | None = None

    @property
    def active(self) -> bool:
        """Whether it waits or runs, as far as anybody knows."""
        return self.stage not in ENDED_STAGES

    @property
    def waited_s(self) -> float | None:
        """Seconds from submission to start (or to now, or to an end without a start)."""
        return _seconds(self.created_at, self.started_at or self.finished_at)

    @property
    def ran_s(self) -> float | None:
        """Seconds it has run; None when it has not started."""
        return _seconds(self.started_at, self.finished_at)


@dataclass(frozen=True, slots=True)
class GpuLoad:
    """One accelerator at one moment; None is unknown."""

    name: str
    utilisation: float | None = None
    """Percent."""
    used_gb: float | None = None
    total_gb: float | None = None
    temperature_c: float | None = None


@dataclass(frozen=True, slots=True)
class JobLoad:
    """How busy a running job is at one moment; None is unknown."""

    cpu: float | None = None
    """Percent of all its CPUs."""
    used_gb: float | None = None
    total_gb: float | None = None
    gpus: tuple[GpuLoad, ...] = ()


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """A job that runs again and again.

    Attributes:
        ref: Id and namespace of the schedule (not of one of its runs).
        schedule: Cron expression or `@daily` and the like.
        suspended: Whether it rests.
        flavor: Hardware of each run.
        timeout_s: Seconds each run may take, None when unknown.
        command: What runs, for people.
        image: Container image.
        created_at: When it was set up.
        last_run_at: When its newest run was started.
        last_job_id: That run's id, or empty.
        next_run_at: When the next run is due.
    """

    ref: JobRef
    schedule: str
    suspended: bool = False
    flavor: str = ""
    timeout_s: float | None = None
    command: str = ""
    image: str = ""
    created_at: datetime | None = None
    last_run_at: datetime | None = None
    last_job_id: str = ""
    next_run_at: datetime | None = None


_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)", re.IGNORECASE)
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def parse_duration(text: str) -> float:
    """Seconds of `90`, `30m`, `2h`, `1.5h`, `1h30m`.

    Raises:
        JobsError: It is none of these, or nothing at all.
    """
    compact = re.sub(r"\s+", "", text)
    parts = list(_DURATION.finditer(compact))
    whole = "".join(part[0] for part in parts) == compact
    if not parts or not whole or (len(parts) > 1 and not all(part[2] for part in parts)):
        raise JobsError(
            f"The timeout {text!r} is no duration: write seconds or a unit, for example 90, 30m, 2h, 1h30m."
        )
    seconds = sum(float(part[1]) * _UNITS[part[2].lower()] for part in parts)
    if seconds <= 0:
        raise JobsError("The timeout must be longer than nothing, for example 30m.")
    return seconds


def duration_text(seconds: float) -> str:
    """A duration for people: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    if start is None:
        return None
    return max(0.0, ((end or datetime.now(UTC)) - start).total_seconds())

"""What a place that runs jobs must offer, and the plain data that goes in and out of it.

The tool speaks this protocol only, so a job looks the same whether this machine, the Hugging Face Hub or a cluster
runs it. Names of stages are those of the Hub.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

from ml_intern.core.approvals.effects import Cost

Stage = Literal["SCHEDULING", "RUNNING", "COMPLETED", "ERROR", "CANCELED", "DELETED"]

ACTIVE_STAGES: frozenset[str] = frozenset({"SCHEDULING", "RUNNING"})
"""A job in any other stage has ended for good."""


class JobsError(Exception):
    """A job could not be submitted, found or stopped; the text is a sentence with the next step."""


class UnknownJobError(JobsError):
    """The backend has no job of this id."""


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


@dataclass(frozen=True, slots=True)
class JobSpec:
    """Everything that defines a job.

    Attributes:
        kind: `script` runs Python source, `command` an argument vector.
        script: The source itself, never a path.
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
    """

    kind: Literal["script", "command"]
    script: str = ""
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

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.stage in ACTIVE_STAGES

    @property
    def waited_s(self) -> float | None:
        """Seconds from submission to start (or to now, or to an end without a start)."""
        return _seconds(self.created_at, self.started_at or self.finished_at)

    @property
    def ran_s(self) -> float | None:
        """Seconds it has run; None when it has not started."""
        return _seconds(self.started_at, self.finished_at)


class JobsBackend(Protocol):
    """A place that runs jobs. Every method that may wait is cancellable and raises `JobsError`.

    Attributes:
        name: `local`, `hub`, `slurm`.
        about: Two or three sentences for the model: where jobs run, what they cost, what is left of them.
        poll_s: How often a stage may be asked for while a job is watched.
    """

    name: str
    about: str
    poll_s: float

    async def submit(self, spec: JobSpec) -> JobInfo:
        """Starts a job. Callers shield it: cancelling it half-way could lose the id of a job that exists."""
        ...

    async def inspect(self, job: JobRef) -> JobInfo:
        """The job as it stands now."""
        ...

    async def list_jobs(self, namespace: str = "") -> tuple[JobInfo, ...]:
        """All jobs of a namespace, the newest first."""
        ...

    async def cancel(self, job: JobRef) -> JobInfo:
        """Stops a job with everything it started. One that has ended stays as it is."""
        ...

    def follow_logs(self, job: JobRef, skip: int = 0) -> AsyncIterator[str]:
        """Lines of the log as they are written, until the job has ended or the stream breaks off.

        Whoever needs every line goes on with `skip` set to the number of lines seen so far.
        """
        ...

    async def tail_logs(self, job: JobRef, lines: int) -> tuple[str, ...]:
        """The last lines that are in the log now, without waiting for more."""
        ...

    def flavors(self) -> tuple[Flavor, ...]:
        """Hardware on offer, from a cache: never waits."""
        ...

    def find_flavor(self, name: str) -> Flavor:
        """The hardware of this name, or the default for an empty one.

        Raises:
            JobsError: There is none; the text names those there are.
        """
        ...

    def estimate(self, flavor: Flavor, timeout_s: float) -> Cost:
        """What a job costs at most."""
        ...


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

"""What a place that runs jobs must offer.

The tool and the screens speak this protocol only, so a job looks the same whether this machine, the Hugging Face Hub
or a cluster runs it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol, runtime_checkable

from ml_intern.core.approvals.effects import Cost
from ml_intern.core.jobs import Flavor, JobInfo, JobLoad, JobRef, JobSpec, ScheduledJob


@runtime_checkable
class PaidJobs(Protocol):
    """What a backend offers in addition where jobs are paid for by accounts."""

    async def payer(self, flavor: Flavor, namespace: str = "") -> str:
        """The account that pays for a job on this hardware; empty where nobody pays.

        Args:
            flavor: Hardware of this backend.
            namespace: The user or organisation that is asked for; empty for the default.

        Raises:
            JobsError: This person may not let it pay, or nobody can be asked; the text names those who may.
        """
        ...


class JobSchedules(Protocol):
    """Schedules of a backend that keeps any. Every method raises `JobsError`."""

    async def create(self, spec: JobSpec, schedule: str, *, suspend: bool = False) -> ScheduledJob:
        """Sets up a schedule. Callers shield it, as `submit`."""
        ...

    async def list(self, namespace: str = "") -> tuple[ScheduledJob, ...]:
        """All schedules of a namespace, the newest first."""
        ...

    async def inspect(self, job: JobRef) -> ScheduledJob:
        """A schedule as it stands now."""
        ...

    async def delete(self, job: JobRef) -> None:
        """Ends a schedule for good; runs that are under way go on."""
        ...

    async def suspend(self, job: JobRef) -> None:
        """Lets a schedule rest."""
        ...

    async def resume(self, job: JobRef) -> None:
        """Wakes a schedule."""
        ...

    async def trigger(self, job: JobRef) -> JobInfo:
        """Starts a run now, beside the schedule."""
        ...


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

    @property
    def schedules(self) -> JobSchedules | None:
        """The schedules, or None where there are none."""
        ...

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

    def follow_load(self, job: JobRef) -> AsyncIterator[JobLoad]:
        """How busy a running job is, about once a second, until it has ended. Ends at once where nobody can tell."""
        ...

    async def set_labels(self, job: JobRef, labels: Mapping[str, str]) -> JobInfo:
        """Replaces the labels of a job."""
        ...

    async def refresh(self) -> None:
        """Asks for hardware and prices as they are today, for `flavors`. Keeps what it has on failure."""
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

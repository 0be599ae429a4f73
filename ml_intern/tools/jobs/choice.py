"""Several backends as one: hardware decides where a job goes, and its name where it is looked for afterwards."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ml_intern.core.approvals.effects import Cost
from ml_intern.core.jobs import Flavor, JobInfo, JobLoad, JobRef, JobSpec
from ml_intern.core.jobs_backend import JobsBackend, JobSchedules, PaidJobs
from ml_intern.core.settings import JobSettings
from ml_intern.tools.jobs.hub import HubBackend
from ml_intern.tools.jobs.where import about

if TYPE_CHECKING:
    from ml_intern.services.hub import HubClient


def backend_of(
    names: tuple[str, ...],
    settings: JobSettings,
    hub: HubClient,
    local: JobsBackend,
    env: Mapping[str, str],
    slurm_root: Path,
) -> JobsBackend:
    """Where the jobs of a run go.

    Args:
        names: The places, as `places_for` gives them; jobs go to the first that ask for none.
        settings: What is configured for jobs.
        hub: The way to the Hub.
        local: This machine.
        env: Environment of the run.
        slurm_root: Where jobs of a cluster are kept.
    """

    def make(name: str) -> JobsBackend:
        if name == "hub":
            return HubBackend(hub, settings)
        if name == "slurm":
            from ml_intern.tools.jobs.slurm import SlurmBackend

            return SlurmBackend(slurm_root, env)
        return local

    main, *others = map(make, names)
    return Choice(main, others) if others else main


class Choice:
    """One backend that jobs go to unless their hardware belongs to another one.

    The others are named in everything they are asked for: hardware `local`, or `slurm:gpu`; namespace `local` or
    `slurm`, which their jobs carry outside.

    Args:
        main: Where jobs go that ask for hardware of its own, or for none.
        others: Reached by their names.
    """

    def __init__(self, main: JobsBackend, others: Sequence[JobsBackend]) -> None:
        self.name = main.name
        self.poll_s = main.poll_s
        self._main = main
        self._others = {backend.name: backend for backend in others}
        self.about = about((main.name, *self._others))

    @property
    def schedules(self) -> JobSchedules | None:
        """Those of the main backend."""
        return self._main.schedules

    # ------------------------------------------------------------------------------------------------- hardware

    async def refresh(self) -> None:
        """Asks all of them for hardware and prices."""
        await asyncio.gather(*(backend.refresh() for backend in self._every))

    def flavors(self) -> tuple[Flavor, ...]:
        """Hardware of all of them, that of the main one first."""
        return tuple(flavor for backend in self._every for flavor in backend.flavors())

    def find_flavor(self, name: str) -> Flavor:
        """The hardware of this name, wherever it is."""
        return self._by_flavor(name).find_flavor(name)

    def estimate(self, flavor: Flavor, timeout_s: float) -> Cost:
        """What a job costs at most."""
        return self._by_flavor(flavor.name).estimate(flavor, timeout_s)

    async def payer(self, flavor: Flavor, namespace: str = "") -> str:
        """The account that pays for a job on this hardware; empty where nobody does."""
        backend = self._by_flavor(flavor.name)
        return await backend.payer(flavor, namespace) if isinstance(backend, PaidJobs) else ""

    # ----------------------------------------------------------------------------------------------------- jobs

    async def submit(self, spec: JobSpec) -> JobInfo:
        """Starts a job where its hardware is."""
        backend = self._by_flavor(spec.flavor)
        return self._outside(backend, await backend.submit(spec))

    async def inspect(self, job: JobRef) -> JobInfo:
        """The job as it stands now."""
        backend, ref = self._place(job)
        return self._outside(backend, await backend.inspect(ref))

    async def list_jobs(self, namespace: str = "") -> tuple[JobInfo, ...]:
        """Jobs of a namespace; without one, those of all backends. The newest first."""
        if namespace:
            backend = self._others.get(namespace, self._main)
            found = await backend.list_jobs("" if namespace in self._others else namespace)
            return tuple(self._outside(backend, info) for info in found)
        every = [self._outside(backend, info) for backend in self._every for info in await backend.list_jobs()]
        return tuple(sorted(every, key=lambda job: job.created_at.timestamp() if job.created_at else 0.0, reverse=True))

    async def cancel(self, job: JobRef) -> JobInfo:
        """Stops a job."""
        backend, ref = self._place(job)
        return self._outside(backend, await backend.cancel(ref))

    async def set_labels(self, job: JobRef, labels: Mapping[str, str]) -> JobInfo:
        """Replaces the labels of a job."""
        backend, ref = self._place(job)
        return self._outside(backend, await backend.set_labels(ref, labels))

    def follow_logs(self, job: JobRef, skip: int = 0) -> AsyncIterator[str]:
        """Lines of the log as they are written."""
        backend, ref = self._place(job)
        return backend.follow_logs(ref, skip)

    async def tail_logs(self, job: JobRef, lines: int) -> tuple[str, ...]:
        """The last lines of the log."""
        backend, ref = self._place(job)
        return await backend.tail_logs(ref, lines)

    def follow_load(self, job: JobRef) -> AsyncIterator[JobLoad]:
        """How busy a running job is."""
        backend, ref = self._place(job)
        return backend.follow_load(ref)

    # -------------------------------------------------------------------------------------------------- details

    @property
    def _every(self) -> tuple[JobsBackend, ...]:
        return (self._main, *self._others.values())

    def _by_flavor(self, name: str) -> JobsBackend:
        return self._others.get(re.split("[:-]", name.strip().lower())[0], self._main)

    def _place(self, job: JobRef) -> tuple[JobsBackend, JobRef]:
        """The backend of a job, and its name there. Ids say it too: `local-…`, `slurm-…`."""
        name = job.namespace if job.namespace in self._others else job.id.partition("-")[0]
        if name in self._others and job.namespace in ("", name):
            return self._others[name], JobRef(job.id)
        return self._main, job

    def _outside(self, backend: JobsBackend, info: JobInfo) -> JobInfo:
        if backend is self._main:
            return info
        return replace(info, ref=JobRef(info.ref.id, backend.name))

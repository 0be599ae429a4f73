"""The Hub as a backend: jobs on rented hardware, paid for by a user or an organisation."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from ml_intern.core import labels
from ml_intern.core.approvals.effects import Cost
from ml_intern.core.jobs import (
    Flavor,
    JobInfo,
    JobLoad,
    JobRef,
    JobsError,
    JobSpec,
    UnknownJobError,
    UnreachableError,
    UnsureError,
)
from ml_intern.core.settings import JobSettings
from ml_intern.services.hub import Account, HubClient, HubError
from ml_intern.tools.jobs import hub_logs
from ml_intern.tools.jobs.hub_errors import About, jobs_error
from ml_intern.tools.jobs.hub_info import job_info, job_load
from ml_intern.tools.jobs.hub_prices import PriceList
from ml_intern.tools.jobs.hub_request import checked_labels, labels_for, request_for, volumes_for
from ml_intern.tools.jobs.hub_schedules import HubSchedules
from ml_intern.tools.jobs.where import ABOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingface_hub import HfApi

log = logging.getLogger(__name__)

T = TypeVar("T")

ANSWER_PATIENCE_S = 60.0
"""A request that is not answered for this long is given up."""

LOOK_FOR_S = 30.0
"""How long a job is looked for whose submission was not answered."""

CANCEL_PATIENCE_S = 10.0
"""How long a job that was cancelled may take to end before somebody is told that it has not."""

MOST_LISTED = 1000


class HubBackend:
    """Runs jobs on the Hub.

    Args:
        hub: The way to it.
        settings: Who pays where nobody is named.
        poll_s: How often a stage may be asked for.
        patience_s: How long an answer may take.
        look_for_s: How long a job is looked for whose submission was not answered.
    """

    name = "hub"
    about = ABOUT["hub"]

    def __init__(
        self,
        hub: HubClient,
        settings: JobSettings,
        *,
        poll_s: float = 3.0,
        patience_s: float = ANSWER_PATIENCE_S,
        look_for_s: float = LOOK_FOR_S,
    ) -> None:
        self.poll_s = poll_s
        self.schedules = HubSchedules(self)
        self._hub = hub
        self._settings = settings
        self._patience_s = patience_s
        self._look_for_s = look_for_s
        self._prices = PriceList(hub)
        self._user = ""

    # ------------------------------------------------------------------------------------------------ who pays

    async def payer(self, flavor: Flavor | None = None, namespace: str = "") -> str:  # noqa: ARG002 - all of it is paid
        """The account that pays. Raises `JobsError` naming those that may."""
        account = await self._account()
        wanted = namespace.strip() or self._settings.namespace or account.name
        if wanted not in account.namespaces:
            allowed = ", ".join(account.namespaces)
            raise JobsError(
                f"The namespace {wanted!r} is not yours: jobs can run for {allowed}. Nothing was submitted."
            )
        return wanted

    # ------------------------------------------------------------------------------------------------ submitting

    async def submit(self, spec: JobSpec) -> JobInfo:
        """Starts a job. One whose answer is lost is found again by its label."""
        namespace = await self.payer(None, spec.namespace)
        key = spec.labels.get(labels.CALL) or secrets.token_hex(8)
        timeout_s = max(1, round(spec.timeout_s))
        request = request_for(spec, key)
        all_labels = labels_for(spec, {labels.CALL: key, labels.TIMEOUT: str(timeout_s)})

        def work(api: HfApi) -> JobInfo:
            created = api.run_job(
                image=request.image,
                command=request.command,
                env=request.env,
                secrets=dict(spec.secrets) or None,
                flavor=spec.flavor,
                timeout=timeout_s,
                labels=all_labels,
                volumes=volumes_for(spec),
                namespace=namespace,
            )
            return job_info(created)

        async def look() -> JobInfo | None:
            return next(iter(await self._list(namespace, {labels.CALL: key})), None)

        return await self.start("job", work, namespace, look)

    async def start(
        self, what: str, work: Callable[[HfApi], T], namespace: str, look: Callable[[], Awaitable[T | None]]
    ) -> T:
        """Sends what must not be sent twice, since something goes on and is paid for from then on.

        Args:
            what: What is started, for people.
            work: The request.
            namespace: Who pays.
            look: Finds what came of it, should its answer be lost.

        Raises:
            UnsureError: Nobody knows whether anything came of it.
            JobsError: Nothing did.
        """
        try:
            return await self.ask(work, namespace)
        except UnreachableError as error:
            if _never_sent(error):
                raise JobsError(f"The {what} was not submitted: {error}") from error
            return await self._lost(what, look, error)

    async def _lost(self, what: str, look: Callable[[], Awaitable[T | None]], error: UnreachableError) -> T:
        """What came of a submission without an answer, if anything did."""
        deadline = time.monotonic() + self._look_for_s
        pause, last, unanswered = self._look_for_s / 150, self._look_for_s / 15, True
        while unanswered or pause < last:  # once more after the first answers, since a list may lag behind
            try:
                found = await look()
                unanswered = False
            except UnreachableError:
                found = None
            if found is not None:
                log.info("a %s was submitted, but its answer was lost", what)
                return found
            if time.monotonic() + pause > deadline:
                break
            await asyncio.sleep(pause)
            pause *= 2
        if not unanswered:
            raise JobsError(
                f"The {what} was not submitted: {error} No {what} came of it, so it can be submitted again."
            )
        way = "`scheduled ps`" if what == "schedule" else "`ps`"
        text = f"It is not known whether the {what} was created: {error}"
        raise UnsureError(f"{text} Look for it with {way} before you submit it again.")

    # --------------------------------------------------------------------------------------------------- looking

    async def inspect(self, job: JobRef) -> JobInfo:
        """The job as it stands now. One without a namespace is looked for in all of this person's."""
        namespaces = [job.namespace] if job.namespace else await self._namespaces()
        for namespace in namespaces:
            try:
                return await self._inspect(JobRef(job.id, namespace))
            except UnknownJobError:
                if namespace == namespaces[-1]:
                    raise
        raise UnknownJobError(f"There is no job {job.id}; `ps` lists them.")

    async def list_jobs(self, namespace: str = "") -> tuple[JobInfo, ...]:
        """Jobs of a namespace, the newest first, `MOST_LISTED` at most."""
        return await self._list(await self.payer(None, namespace), {})

    async def cancel(self, job: JobRef) -> JobInfo:
        """Stops a job, and waits a while until it has ended."""
        info = await self.inspect(job)
        if info.active:
            await self._cancel(info.ref)
            deadline = time.monotonic() + CANCEL_PATIENCE_S
            while (info := await self._inspect(info.ref)).active and time.monotonic() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(min(self.poll_s, 1.0))  # another machine ends it: there is only its stage to see
        return info

    async def _cancel(self, ref: JobRef) -> None:
        try:
            await self.ask(
                lambda api: api.cancel_job(job_id=ref.id, namespace=ref.namespace), ref.namespace, f"job {ref.id}"
            )
        except UnreachableError:
            raise
        except JobsError:
            if (await self._inspect(ref)).active:  # else it has ended in between, and that was all that was wanted
                raise

    async def set_labels(self, job: JobRef, new: Mapping[str, str]) -> JobInfo:
        """Replaces the labels of a job; those it is found by stay."""
        info = await self.inspect(job)
        kept = {name: value for name, value in info.labels.items() if name.startswith(labels.OURS) or name == "name"}
        wanted = {**kept, **checked_labels(new), **{name: kept[name] for name in kept if name != "name"}}
        ref = info.ref
        return await self.ask(
            lambda api: job_info(api.update_job_labels(job_id=ref.id, labels=wanted, namespace=ref.namespace)),
            ref.namespace,
            f"job {ref.id}",
        )

    # ------------------------------------------------------------------------------------------------- streams

    async def follow_logs(self, job: JobRef, skip: int = 0) -> AsyncIterator[str]:
        """Lines as they are written. The Hub replays a log from its beginning, so lines seen before are left out."""
        job = await self._placed(job)

        def batches(api: HfApi) -> Iterator[list[str]]:
            left = skip
            for lines in hub_logs.log_lines(api, job):
                fresh, left = lines[left:], max(0, left - len(lines))
                if fresh:
                    yield fresh

        stream = self._hub.stream(batches)
        try:
            async for lines in stream:
                for line in lines:
                    yield line
        except HubError as error:
            raise self._words(error, job.namespace, f"job {job.id}") from error
        finally:
            await stream.aclose()

    async def tail_logs(self, job: JobRef, lines: int) -> tuple[str, ...]:
        """The last lines that are in the log now."""
        job = await self._placed(job)
        return await self.ask(lambda api: hub_logs.last_lines(api, job, lines), job.namespace, f"job {job.id}")

    async def follow_load(self, job: JobRef) -> AsyncIterator[JobLoad]:
        """How busy a running job is, about once a second."""
        job = await self._placed(job)
        stream = self._hub.stream(lambda api: hub_logs.measurements(api, job))
        try:
            async for metrics in stream:
                yield job_load(metrics)
        except HubError as error:
            raise self._words(error, job.namespace, f"job {job.id}") from error
        finally:
            await stream.aclose()

    # ------------------------------------------------------------------------------------------------ hardware

    async def refresh(self) -> None:
        """Asks for hardware and prices, if what is known is hours old."""
        await self._prices.refresh()

    def flavors(self) -> tuple[Flavor, ...]:
        """Hardware on offer, the cheapest first."""
        return self._prices.flavors()

    def find_flavor(self, name: str) -> Flavor:
        """The hardware of this name, cpu-basic for an empty one."""
        return self._prices.find(name)

    def estimate(self, flavor: Flavor, timeout_s: float) -> Cost:
        """What a job costs at most."""
        return self._prices.estimate(flavor, timeout_s)

    # ------------------------------------------------------------------------------------------------- details

    async def ask(self, work: Callable[[HfApi], T], namespace: str = "", thing: str = "") -> T:
        """The answer to one request.

        Raises:
            JobsError: There is none, in one of its kinds.
        """
        try:
            async with asyncio.timeout(self._patience_s):
                return await self._hub.call(work)
        except TimeoutError as error:
            late = f"{self._hub.endpoint} did not answer for {self._patience_s:.0f} s."
            raise UnreachableError(late) from error
        except HubError as error:
            raise self._words(error, namespace, thing) from error

    def _words(self, error: HubError, namespace: str = "", thing: str = "") -> JobsError:
        return jobs_error(error, About(self._hub.endpoint, self._user, namespace, thing))

    async def _account(self) -> Account:
        try:
            async with asyncio.timeout(self._patience_s):
                account = await self._hub.account()
        except TimeoutError as error:
            raise UnreachableError(f"{self._hub.endpoint} did not answer.") from error
        except HubError as error:
            raise self._words(error) from error
        self._user = account.name
        return account

    async def _inspect(self, ref: JobRef) -> JobInfo:
        return await self.ask(
            lambda api: job_info(api.inspect_job(job_id=ref.id, namespace=ref.namespace)),
            ref.namespace,
            f"job {ref.id}",
        )

    async def _list(self, namespace: str, wanted: Mapping[str, str]) -> tuple[JobInfo, ...]:
        def work(api: HfApi) -> list[JobInfo]:
            found = []
            for info in api.list_jobs(labels=dict(wanted) or None, namespace=namespace):
                found.append(job_info(info))
                if len(found) >= MOST_LISTED:
                    break
            return found

        jobs = await self.ask(work, namespace)
        # Servers that do not know a filter ignore it.
        jobs = [job for job in jobs if all(job.labels.get(name) == value for name, value in wanted.items())]
        return tuple(sorted(jobs, key=lambda job: job.created_at.timestamp() if job.created_at else 0.0, reverse=True))

    async def _namespaces(self) -> list[str]:
        first = await self.payer()
        return [first, *(name for name in (await self._account()).namespaces if name != first)]

    async def _placed(self, job: JobRef) -> JobRef:
        return job if job.namespace else (await self.inspect(job)).ref


def _never_sent(error: BaseException) -> bool:
    """Whether a request failed before there was a connection, so that nothing can have come of it."""
    import httpx

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout):
            return True
        cause = cause.__cause__
    return False

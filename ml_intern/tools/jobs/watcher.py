"""Looks after jobs that no call waits for: tells where they stand, books what they cost, and says when they end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ml_intern.core import labels
from ml_intern.core.jobs import Flavor, JobInfo, JobRef, JobsError, JobSpec, UnreachableError, UnsureError
from ml_intern.core.jobs_backend import JobsBackend
from ml_intern.core.notes import ModelNotes
from ml_intern.core.protocol import Notice
from ml_intern.core.tools.spec import ToolContext
from ml_intern.tools.jobs import report
from ml_intern.tools.jobs.watch import Follower, Sight

log = logging.getLogger(__name__)

STOP_WAIT_S = 0.15
"""How long an interrupt waits for a job to be cancelled; a slower one goes on ending in the background."""

END_PATIENCE_S = 4.0
"""How long the end of a session waits for jobs that are being cancelled."""

_ENDS_OF_CALLS = {"ERROR": "failed", "CANCELED": "cancelled", "DELETED": "cancelled"}
CANCEL_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)


@dataclass(frozen=True, slots=True)
class _Account:
    """Where the cost of a job goes: its name in the ledger, its price, and the call that started it."""

    ref: str
    flavor: Flavor
    context: ToolContext


@dataclass(slots=True)
class _Watched:
    info: JobInfo
    flavor: Flavor
    context: ToolContext
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class JobWatcher:
    """Jobs of one session beside its calls. Made by `SessionState.get`, stopped with the session.

    Attributes:
        refs: Jobs the session has submitted, by id, so that later calls need not repeat the namespace.
        told: Jobs whose end a call has reported.
    """

    refs: dict[str, JobRef] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    _watched: dict[str, _Watched] = field(default_factory=dict)
    _attended: set[str] = field(default_factory=set)
    _background: set[asyncio.Task[None]] = field(default_factory=set)
    _stopped: bool = False

    # -------------------------------------------------------------------------------------------------- watching

    @property
    def watching(self) -> tuple[JobInfo, ...]:
        """Jobs that are watched, as they were last seen."""
        return tuple(watched.info for watched in self._watched.values())

    def watch(self, backend: JobsBackend, info: JobInfo, flavor: Flavor, context: ToolContext) -> None:
        """Watches a job to its end, for the call that started it. Its payment stays open until then."""
        if info.ref.id in self._watched:
            return
        context.pay_later(info.ref.id)
        watched = self._watched[info.ref.id] = _Watched(info, flavor, context)
        watched.task = asyncio.create_task(self._see_through(backend, watched))

    @contextlib.contextmanager
    def attending(self, *job_ids: str) -> Iterator[None]:
        """A call waits for these jobs and tells their end itself."""
        self._attended.update(job_ids)
        try:
            yield
        finally:
            self._attended.difference_update(job_ids)

    async def _see_through(self, backend: JobsBackend, watched: _Watched) -> None:
        context, job_id = watched.context, watched.info.ref.id
        cards = CardFeed(context, watched.flavor)

        def change(info: JobInfo, load: object) -> None:  # noqa: ARG001 - nobody looks that closely
            watched.info = info
            cards.show(info)

        try:
            info = await Follower(backend, watched.info, Sight(change=change), with_log=False).run()
        except JobsError as error:
            context.measure(job_id, None)
            self._say(context, f"Job {job_id} cannot be seen any more and may still run: {error}", bad=True)
        else:
            context.measure(job_id, report.cost(info, watched.flavor))
            _end_call(context, info, watched.flavor)
            if job_id not in self._attended | self.told:
                text = report.one_line(info, watched.flavor)
                self._say(context, f"{text} `logs` with job_id={job_id} shows its log.", info.stage != "COMPLETED")
        finally:
            self._watched.pop(job_id, None)

    def _say(self, context: ToolContext, text: str, bad: bool) -> None:
        if not self._stopped:  # the next conversation of the same program knows nothing of this one's jobs
            context.state.get(ModelNotes).add(text)
        context.emit(Notice(text=text, level="warning" if bad else "info"))

    # ------------------------------------------------------------------------------------------------ interrupted

    async def submit(self, backend: JobsBackend, spec: JobSpec, flavor: Flavor, context: ToolContext) -> JobInfo:
        """Submits a job, with a label that no other one has."""
        key = secrets.token_hex(8)
        spec = replace(spec, labels={**spec.labels, labels.CALL: key})
        return await self.start(backend, backend.submit(spec), key, flavor, context)

    async def start(
        self,
        backend: JobsBackend,
        starting: Coroutine[Any, Any, JobInfo],
        key: str,
        flavor: Flavor,
        context: ToolContext,
    ) -> JobInfo:
        """Waits for a job that is being started; it is paid for under `key` while nobody knows its id.

        When this is cancelled half-way, the job that may come of it is cancelled too.
        """
        submission = asyncio.ensure_future(starting)
        try:
            info = await asyncio.shield(submission)
        except asyncio.CancelledError:
            context.pay_as(key)
            context.pay_later(key)
            self.go_on(self._cancel_submitted(backend, submission, _Account(key, flavor, context)))
            raise
        except UnsureError:
            context.pay_as(key)  # kept at its worst case, since it may run
            raise
        self.refs[info.ref.id] = info.ref
        context.pay_as(info.ref.id)
        return info

    async def cancel_soon(self, backend: JobsBackend, ref: JobRef, flavor: Flavor, context: ToolContext) -> None:
        """Begins to cancel a job and waits a moment for it."""
        task = self.go_on(self._cancel(backend, ref, _Account(ref.id, flavor, context)))
        await asyncio.wait({task}, timeout=STOP_WAIT_S)

    async def _cancel_submitted(
        self, backend: JobsBackend, submission: asyncio.Future[JobInfo], account: _Account
    ) -> None:
        try:
            info = await submission
        except UnsureError:
            account.context.measure(account.ref, None)
        except JobsError:
            account.context.measure(account.ref, 0.0)  # there is no job
        else:
            self.refs[info.ref.id] = info.ref
            await self._cancel(backend, info.ref, account)

    async def _cancel(self, backend: JobsBackend, ref: JobRef, account: _Account) -> None:
        for pause in (*CANCEL_PAUSES_S, None):
            try:
                info = await backend.cancel(ref)
            except UnreachableError as error:
                if pause is None:
                    where = f"{error} Look for it with `ps`."
                    self._say(
                        account.context, f"Job {ref.id} could not be cancelled and may still run: {where}", bad=True
                    )
                    account.context.measure(account.ref, None)
                    return
                await asyncio.sleep(pause)
            except JobsError as error:
                log.info("job %s was not cancelled: %s", ref.id, error)  # gone already
                account.context.measure(account.ref, None)
                return
            else:
                usd = None if info.active else report.cost(info, account.flavor)
                account.context.measure(account.ref, usd)
                _end_call(account.context, info, account.flavor)
                why = "The interrupt stopped it." if not info.active else "The interrupt has asked it to stop."
                self._say(account.context, f"{report.one_line(info, account.flavor)} {why}", bad=False)
                return

    def go_on(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Does something beside the calls that the end of the session waits for a moment."""
        # The loop keeps only weak references to its tasks.
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    # ----------------------------------------------------------------------------------------------------- ending

    async def stop(self) -> None:
        """Ends the watching, not the jobs. What still runs counts at its worst case from now on."""
        self._stopped = True
        if self._background:
            await asyncio.wait(set(self._background), timeout=END_PATIENCE_S)
        for watched in tuple(self._watched.values()):
            if watched.task is not None:
                watched.task.cancel()
            watched.context.measure(watched.info.ref.id, None)
            watched.context.emit(Notice(text=report.goes_on(watched.info, watched.flavor), level="warning"))
        self._watched.clear()


def _end_call(context: ToolContext, info: JobInfo, flavor: Flavor) -> None:
    """Shows how the job of a call that is over has ended, in a word for the end of calls."""
    state = _ENDS_OF_CALLS.get(info.stage)
    if state is not None:
        context.set_state(state, job_url=info.url or None, display=(report.card(info, flavor),))


class CardFeed:
    """Shows a job to a person as it changes: nothing is sent that would look the same as before.

    Args:
        context: The call it belongs to.
        flavor: Its hardware.
    """

    def __init__(self, context: ToolContext, flavor: Flavor) -> None:
        self._set_state: Callable[..., None] = context.set_state
        self._flavor = flavor
        self._shown: object = None

    def show(self, info: JobInfo, load: str = "") -> None:
        """Takes the job as it stands."""
        card = report.card(info, self._flavor, load)
        # Seconds and cents are what a person sees.
        seen = card.model_copy(update={"elapsed_s": int(card.elapsed_s or 0), "cost_usd": round(card.cost_usd or 0, 2)})
        if seen != self._shown:
            self._shown = seen
            self._set_state(info.stage.lower(), job_url=info.url or None, display=(card,))

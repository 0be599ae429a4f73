"""Jobs and sandboxes that outlived their session: found at the start, told, and ended when a person agrees."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Literal

from ml_intern.core import labels
from ml_intern.core.jobs import Flavor, JobInfo, JobRef, JobsError
from ml_intern.core.jobs_backend import JobsBackend
from ml_intern.core.protocol import Leftover
from ml_intern.services.hub import HubClient, HubError
from ml_intern.tools.rented import Rented, cancel_rented, list_rented

log = logging.getLogger(__name__)

Whereabouts = Literal["runs", "ended", "elsewhere"]
"""What is known of a session: some process runs it, none does, or this machine has never heard of it."""


class LeftoverError(JobsError):
    """Something could not be looked for or ended; the text is a sentence."""


class Leftovers:
    """Finds and ends what sessions have left running.

    Args:
        hub: The way to the Hub.
        flavors: Gives hardware with its prices, without waiting.
        whereabouts: Tells of a session by its id. Looks at the disk.
        local: Where jobs run on this machine; None when nobody wants to know.
        refresh: Gets today's prices for `flavors`; None where there are none to get.
    """

    def __init__(
        self,
        hub: HubClient,
        flavors: Callable[[], Sequence[Flavor]],
        whereabouts: Callable[[str], Whereabouts],
        local: JobsBackend | None = None,
        refresh: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._hub = hub
        self._flavors = flavors
        self._whereabouts = whereabouts
        self._local = local
        self._refresh = refresh

    async def find(self, own_session_id: str = "", *, keeps_sandbox: bool = True) -> tuple[Leftover, ...]:
        """Everything of this program that runs although no session looks after it, the dearest first.

        Args:
            own_session_id: The present session, which looks after what is its own.
            keeps_sandbox: Whether that session works in a sandbox, so that one of its own is not left over either.

        Raises:
            LeftoverError: The Hub cannot be asked.
        """
        found = [*await self._on_this_machine(own_session_id), *await self._on_the_hub(own_session_id, keeps_sandbox)]
        return tuple(sorted(found, key=lambda item: item.usd_per_hour or 0.0, reverse=True))

    async def end(self, leftover: Leftover) -> None:
        """Ends one for good.

        Raises:
            LeftoverError: It could not be ended.
        """
        try:
            if leftover.backend != "hub" and self._local is not None:
                await self._local.cancel(JobRef(leftover.id))
            else:
                await cancel_rented(self._hub, leftover.id, leftover.namespace)
        except (HubError, JobsError) as error:
            raise LeftoverError(f"The {leftover.kind} {leftover.id} could not be ended: {error}") from error

    async def bills(self, session_id: str) -> dict[str, float]:
        """What ended jobs and sandboxes of a session have really cost, in dollars by their name in its ledger.

        Raises:
            LeftoverError: The Hub cannot be asked.
        """
        try:
            every = await list_rented(self._hub, labels.of_session(session_id))
        except HubError as error:
            raise LeftoverError(f"What earlier jobs have cost cannot be told: {error}") from error
        prices = await self._prices()
        return {
            item.ref: price * item.ran_s / 3600
            for item in every
            if not item.active and (price := prices.get(item.flavor)) is not None
        }

    async def _on_the_hub(self, own: str, keeps_sandbox: bool) -> list[Leftover]:
        if not self._hub.token:
            return []
        try:
            every = await list_rented(self._hub, {labels.OURS: "1"}, active=True)
        except HubError as error:
            raise LeftoverError(f"What earlier sessions have left running cannot be told: {error}") from error
        prices, states = await self._prices(), await self._states(item.session_id for item in every)

        def is_left(item: Rented) -> bool:
            if own and item.session_id == own:
                return item.kind == "sandbox" and not keeps_sandbox
            return states[item.session_id] != "runs"

        return [
            _of_hub(item, prices.get(item.flavor), here=states[item.session_id] != "elsewhere")
            for item in every
            if is_left(item)
        ]

    async def _on_this_machine(self, own: str) -> list[Leftover]:
        if self._local is None:
            return []
        try:
            every = await self._local.list_jobs()
        except JobsError as error:
            log.info("local jobs cannot be listed: %s", error)
            return []
        running = [info for info in every if info.active]
        states = await self._states(_session_of(info) for info in running)
        return [
            _of_machine(info, session)
            for info in running
            if (session := _session_of(info)) != own and states[session] != "runs"
        ]

    async def _states(self, session_ids: Iterable[str]) -> dict[str, Whereabouts]:
        wanted = set(session_ids)
        return await asyncio.to_thread(lambda: {name: self._whereabouts(name) for name in wanted})

    async def _prices(self) -> dict[str, float | None]:
        if self._refresh is not None:
            await self._refresh()  # yesterday's prices make a wrong bill
        return {flavor.name: flavor.usd_per_hour for flavor in self._flavors()}


def summary(items: Sequence[Leftover]) -> str:
    """All of them in one sentence: `2 jobs and 1 sandbox of earlier sessions still run: about $1.20/h, …`."""
    counts = [(sum(item.kind == kind for item in items), kind) for kind in ("job", "sandbox")]
    words = [f"{number} {kind if number == 1 else _PLURALS[kind]}" for number, kind in counts if number]
    hourly = sum(item.usd_per_hour or 0.0 for item in items)
    so_far = sum(item.cost_usd or 0.0 for item in items)
    unknown = sum(item.usd_per_hour is None for item in items)
    cost = f"about ${hourly:.2f}/h, ${so_far:.2f} so far" if hourly else "free of charge"
    if unknown:
        cost = f"{cost}, {unknown} at an unknown price" if hourly else "at an unknown price"
    elsewhere = sum(not item.here for item in items)
    other = f" ({elsewhere} started on another machine)" if elsewhere else ""
    verb = "runs" if len(items) == 1 else "run"
    return f"{' and '.join(words)} of earlier sessions still {verb}{other}: {cost}."


_PLURALS = {"job": "jobs", "sandbox": "sandboxes"}


def _of_hub(item: Rented, usd_per_hour: float | None, *, here: bool) -> Leftover:
    return Leftover(
        backend="hub",
        kind=item.kind,
        id=item.id,
        namespace=item.namespace,
        session_id=item.session_id,
        here=here,
        ref=item.ref,
        flavor=item.flavor,
        stage=item.stage,
        since=item.created_at.isoformat(timespec="seconds") if item.created_at else "",
        usd_per_hour=usd_per_hour,
        cost_usd=None if usd_per_hour is None else round(usd_per_hour * item.ran_s / 3600, 6),
        url=item.url,
        title=item.title,
    )


def _of_machine(info: JobInfo, session_id: str) -> Leftover:
    return Leftover(
        backend=info.backend,
        kind="job",
        id=info.ref.id,
        session_id=session_id,
        ref=info.ref.id,
        flavor=info.flavor,
        stage=info.stage,
        since=info.created_at.isoformat(timespec="seconds") if info.created_at else "",
        usd_per_hour=0.0,
        cost_usd=0.0,
        title=info.name or info.command,
    )


def _session_of(info: JobInfo) -> str:
    return info.labels.get(labels.SESSION) or info.labels.get("session", "")

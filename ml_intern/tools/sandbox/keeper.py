"""The one sandbox of a session: rented at its first use, paid for hour by hour, given back at its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ml_intern.core.jobs import Flavor, duration_text
from ml_intern.core.protocol import ArtifactEvent, ArtifactState, EventBase, Notice
from ml_intern.core.rent import HOUR_S, Rent, reserved_ref
from ml_intern.core.tools.spec import ToolContext
from ml_intern.services.hub import HubError
from ml_intern.tools.file_state import ReadFiles
from ml_intern.tools.jobs.credit import CreditStops
from ml_intern.tools.rented import Rented
from ml_intern.tools.sandbox.agency import Agency, SandboxError, Wish, new_name
from ml_intern.tools.sandbox.machine import Machine

log = logging.getLogger(__name__)

STOP_PATIENCE_S = 10.0
"""How long the end of a session waits for its sandbox to be given back."""

_RENEW_AT = 0.95
"""Share of the reserved time after which the next hour is reserved."""
_LOOK_EVERY_S = 300.0

GONE = "Its files are gone; the next call starts a new one."


@dataclass(slots=True)
class _Kept:
    """A sandbox that runs, and what belongs to it.

    Attributes:
        machine: The sandbox.
        rent: Its account.
        since: The clock when it began to run.
        seen: Its files that the session has read.
    """

    machine: Machine
    rent: Rent
    since: float
    seen: ReadFiles = field(default_factory=ReadFiles)


@dataclass(slots=True)
class _Start:
    """A sandbox that is being started, and how many calls wait for it."""

    flavor: Flavor
    name: str
    task: asyncio.Task[_Kept]
    waiting: int = 0


class SandboxKeeper:
    """Keeps the sandbox of one session.

    Args:
        agency: Rents them.
        session_id: The session.
        credit: Accounts whose credit is used up.
        earlier: Whether the session has run before, so that it may have a sandbox already.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        agency: Agency,
        session_id: str,
        credit: CreditStops,
        *,
        earlier: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._agency = agency
        self._session_id = session_id
        self._credit = credit
        self._earlier = earlier
        self._clock = clock
        self._kept: _Kept | None = None
        self._start: _Start | None = None
        self._wanted: Flavor | None = None
        self._watching: asyncio.Task[None] | None = None
        self._emit: Callable[[EventBase], object] = lambda _: None
        self._note = ""
        self._ending = False

    # ------------------------------------------------------------------------------------------------- looking

    @property
    def machine(self) -> Machine | None:
        """The sandbox, if one runs."""
        return self._kept.machine if self._kept else None

    @property
    def flavor(self) -> Flavor | None:
        """Hardware of the sandbox that runs or starts."""
        if self._kept is not None:
            return self._kept.machine.flavor
        return self._start.flavor if self._start else None

    @property
    def open(self) -> bool:
        """Whether anything runs, starts or is being given back."""
        return self._kept is not None or self._start is not None or self._ending or self._agency.busy

    @property
    def seen(self) -> ReadFiles:
        """Files of the present sandbox that the session has read."""
        return self._kept.seen if self._kept else ReadFiles()

    @property
    def idle_s(self) -> float:
        """A sandbox ends by itself after this long without use."""
        return self._agency.settings.idle_timeout_s

    def take_note(self) -> str:
        """What the model has to be told once, with a line end, or an empty string."""
        note, self._note = self._note, ""
        return f"[{note}]\n" if note else ""

    # ------------------------------------------------------------------------------------------------- having one

    async def have(
        self, context: ToolContext, flavor: Flavor | None = None, env: Mapping[str, str] | None = None
    ) -> Machine:
        """The session's sandbox; it is started if there is none. Calls that come together get the same one.

        Args:
            context: Of the call that needs it, which pays for its first hour.
            flavor: Hardware for a new one; the configured one by default.
            env: Variables for every command of a new one.

        Raises:
            SandboxError: There is none to be had.
        """
        self._emit = context.emit
        if self._kept is not None:
            context.pay_as(reserved_ref(self._kept.rent.ref))
            self._kept.rent.refresh()
            return self._kept.machine
        start = self._start or self._begin(context, flavor or self._wanted or self._agency.flavor(""), env or {})
        context.pay_as(reserved_ref(start.name))
        start.waiting += 1
        try:
            kept = await asyncio.shield(start.task)
        except asyncio.CancelledError:
            if start.task.cancelled():  # not this call was interrupted: another one ended the sandbox
                raise SandboxError("The sandbox was ended while it started. The next call starts a new one.") from None
            if start.waiting == 1:  # nobody else wants it any more
                start.task.cancel()
            raise
        finally:
            start.waiting -= 1
        context.pay_as(reserved_ref(kept.rent.ref))
        kept.rent.refresh()  # several calls may have reserved its first hour
        return kept.machine

    async def replace(self, context: ToolContext, flavor: Flavor, env: Mapping[str, str]) -> Machine:
        """Ends the present sandbox and starts another one.

        Raises:
            SandboxError: The present one could not be ended, or there is no new one to be had.
        """
        self._wanted = flavor  # a command that runs beside this must not bring back the old kind
        try:
            await self.end("it was replaced")
            return await self.have(context, flavor, env)
        finally:
            self._wanted = None

    async def end(self, why: str) -> bool:
        """Gives the sandbox back, or stops starting it. False when there was none.

        Raises:
            SandboxError: It could not be ended. It is not used any more all the same.
        """
        if self._start is not None:
            self._start.task.cancel()
            await asyncio.wait({self._start.task})
            await self._agency.finish()
            return True
        kept = self._forget()
        if kept is None:
            return False
        log.info("sandbox %s is ended: %s", kept.machine.id, why)
        self._ending = True
        try:
            await self._agency.end(kept.machine)
        finally:
            self._ending = False
            kept.rent.close(self._used_s(kept))
            self._tell_artifact(kept.machine, "deleted")
        return True

    async def stop(self) -> None:
        """Gives everything back at the end of the session. Does not fail: what is left is told."""
        name = self._kept.machine.url if self._kept else "the sandbox that was starting"
        try:
            async with asyncio.timeout(STOP_PATIENCE_S):
                await self.end("the session ended")
                await self._agency.finish()
        except SandboxError as error:
            self._emit(Notice(text=str(error), level="warning"))
        except TimeoutError:
            text = f"The Hub did not confirm in time that {name} has ended. The next start lists what still runs."
            self._emit(Notice(text=text, level="warning"))

    async def why_lost(self, machine: Machine, *, cut: bool = False) -> str:
        """Why a sandbox does not answer, when it has ended; empty when it runs, or nobody knows. See `Agency.look`."""
        kept = self._kept
        if kept is None or kept.machine is not machine:
            return f"Sandbox {machine.id} was ended. {GONE}"
        try:
            rented = await self._agency.look(machine, cut=cut)
        except HubError:
            return ""
        if rented.active:
            return ""
        self._lost(kept, rented)
        idle = duration_text(machine.idle_s)
        return f"Sandbox {machine.id} has ended ({rented.stage}); one ends after {idle} without use. {GONE}"

    async def present(self) -> Machine | None:
        """The sandbox that is there or just starts; None where there is none. Never starts one, so it costs nothing."""
        if self._start is not None:
            with contextlib.suppress(SandboxError):
                return (await asyncio.shield(self._start.task)).machine
        return self.machine

    # ------------------------------------------------------------------------------------------------- starting

    def _begin(self, context: ToolContext, flavor: Flavor, env: Mapping[str, str]) -> _Start:
        name = new_name()
        rent = context.rent(name, flavor.usd_per_hour, "sandbox")
        task = asyncio.create_task(self._get(context, Wish(name, self._session_id, flavor, env), rent))
        self._start = start = _Start(flavor, name, task)

        def ended(done: asyncio.Task[_Kept]) -> None:
            if self._start is start:
                self._start = None
            if done.cancelled():
                rent.cancel()  # it was not even begun
            else:
                done.exception()  # looked at: whoever waits has heard of it, and nobody may wait any more

        task.add_done_callback(ended)
        return start

    async def _get(self, context: ToolContext, wish: Wish, rent: Rent) -> _Kept:
        began = self._clock()
        try:
            kept = await self._back(context, rent) or await self._new(context, wish, rent)
        except asyncio.CancelledError:
            # It may have run for a moment before it was given back.
            rent.close(self._clock() - began)
            raise
        except SandboxError:
            rent.close(self._clock() - began) if self._clock() - began > 1.0 else rent.cancel()
            raise
        self._kept, self._start = kept, None
        kept.rent.catch_up(self._used_s(kept))
        self._watching = asyncio.create_task(self._watch(kept))
        return kept

    async def _back(self, context: ToolContext, rent: Rent) -> _Kept | None:
        """The sandbox of an earlier run of this session, if it still runs."""
        if not self._earlier:
            return None
        try:
            rented, any_before = await self._agency.find(self._session_id)
        except HubError as error:
            raise SandboxError(f"The sandbox of this session cannot be looked for: {error}") from error
        self._earlier = False
        if rented is not None:
            with contextlib.suppress(SandboxError):
                machine = await self._agency.connect(rented)
                rent.cancel()
                context.log(f"The session goes on in its sandbox {machine.id} on {machine.flavor.name}.")
                account = context.rent(rented.ref, machine.flavor.usd_per_hour, "sandbox")
                return _Kept(machine, account, self._clock() - rented.ran_s)
        if any_before:
            self._note = (
                "The earlier sandbox of this session has ended and its files are gone: this is a new, empty one."
            )
        return None

    async def _new(self, context: ToolContext, wish: Wish, rent: Rent) -> _Kept:
        namespace = await self._agency.namespace()
        if objection := self._credit.objection(namespace):
            raise SandboxError(objection)
        price = wish.flavor.usd_per_hour
        cost = f"${price:.2f} an hour" if price is not None else "price unknown"
        idle = duration_text(self.idle_s)
        context.log(f"Starting a sandbox: {wish.flavor.name}, {cost}, ends after {idle} without use.")
        try:
            machine = await self._agency.create(wish)
        except SandboxError as error:
            if error.no_credit:
                self._credit.add(namespace, str(error))
            raise
        began = self._clock()
        context.log(f"Sandbox {machine.id} is ready.")
        self._emit(Notice(text=f"Rented: {machine.describe()}"))
        self._tell_artifact(machine, "created")
        return _Kept(machine, rent, began)

    # ------------------------------------------------------------------------------------------------- keeping

    def _used_s(self, kept: _Kept) -> float:
        return max(0.0, self._clock() - kept.since)

    async def _watch(self, kept: _Kept) -> None:
        pause_s: float | None = self._pause_s(kept)
        while pause_s is not None:
            await asyncio.sleep(pause_s)
            pause_s = await self.look_after()

    async def look_after(self) -> float | None:
        """Books the time that has passed, and reserves the next hour when the last one is nearly over.

        Returns: Seconds until it should be done again; None when there is no sandbox any more.
        """
        kept = self._kept
        if kept is None or not await self._still_runs(kept):
            return None
        used_s = self._used_s(kept)
        kept.rent.book(used_s)
        if used_s >= self._due_s(kept) and not await self._renew(kept):
            return None
        return self._pause_s(kept)

    def book(self) -> None:
        """Books the time that has passed, as far as it is worth a line."""
        if self._kept is not None:
            self._kept.rent.book(self._used_s(self._kept))

    def _pause_s(self, kept: _Kept) -> float:
        return max(1.0, min(_LOOK_EVERY_S, self._due_s(kept) - self._used_s(kept)))

    @staticmethod
    def _due_s(kept: _Kept) -> float:
        """Seconds of use after which the next hour must be reserved."""
        return kept.rent.reserved_s - (1 - _RENEW_AT) * HOUR_S

    async def _still_runs(self, kept: _Kept) -> bool:
        try:
            rented = await self._agency.look(kept.machine)
        except HubError as error:  # nobody knows: it is paid for as if it did
            log.info("sandbox %s cannot be looked at: %s", kept.machine.id, error)
            return self._kept is kept
        if rented.active or self._kept is not kept:
            return self._kept is kept
        self._lost(kept, rented)
        idle = duration_text(kept.machine.idle_s)
        text = f"Sandbox {kept.machine.id} has ended ({rented.stage}); one ends after {idle} without use."
        self._note = f"{text} This is a new, empty one: the earlier files are gone."
        self._emit(Notice(text=f"{text} Its files are gone."))
        return False

    async def _renew(self, kept: _Kept) -> bool:
        """Reserves the next hour; ends the sandbox when the cap does not allow it."""
        objection = kept.rent.reserve_hour()
        if not objection:
            return True
        text = f"Sandbox {kept.machine.id} is shut down: for its next hour {objection}. Its files are gone."
        self._emit(Notice(text=text, level="warning"))
        self._note = "The earlier sandbox was shut down because the spending cap was reached; its files are gone."
        try:
            await self.end("the cap does not allow another hour")
        except SandboxError as error:
            self._emit(Notice(text=str(error), level="error"))
        return False

    def _lost(self, kept: _Kept, rented: Rented) -> None:
        """The sandbox has ended by itself."""
        if self._kept is kept:
            self._forget()
            kept.machine.close()
            kept.rent.close(rented.ran_s)
            self._tell_artifact(kept.machine, "deleted")

    def _forget(self) -> _Kept | None:
        kept, self._kept = self._kept, None
        watching, self._watching = self._watching, None
        if watching is not None and watching is not asyncio.current_task():
            watching.cancel()
        return kept

    def _tell_artifact(self, machine: Machine, state: ArtifactState) -> None:
        about = {"id": machine.id, "url": machine.url, "private": True, "via": "sandbox_create"}
        self._emit(ArtifactEvent(kind="sandbox", state=state, **about))

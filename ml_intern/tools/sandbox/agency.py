"""Rents sandboxes on the Hub: asks for one, finds one again, gives it back."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import logging
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ml_intern.core import labels
from ml_intern.core.jobs import Flavor, duration_text
from ml_intern.core.settings import SandboxSettings
from ml_intern.services.hub import HubClient, HubError
from ml_intern.services.threads import in_thread
from ml_intern.tools.rented import Rented, cancel_rented, inspect_rented, list_rented, rented_from
from ml_intern.tools.sandbox.machine import Machine, SandboxProblem

if TYPE_CHECKING:
    from huggingface_hub import Sandbox

log = logging.getLogger(__name__)

_LAST_LINES = 20
_LOOK_AGAIN_S = 0.25
CANCEL_PAUSES_S = (0.3, 1.0)
_LOOK_AFTER_S = (0.2, 0.5, 1.0)
_LOOK_LATER_S = (5.0, 15.0, 60.0)
_FINAL = frozenset({"token", "no_token", "forbidden", "billing"})
"""Kinds of failure that another attempt does not change."""


class SandboxError(Exception):
    """A sandbox could not be had; the text is a sentence with the next step.

    Attributes:
        no_credit: Whether the reason is that nobody pays for it.
    """

    def __init__(self, message: str, *, no_credit: bool = False) -> None:
        super().__init__(message)
        self.no_credit = no_credit


@dataclass(frozen=True, slots=True)
class Wish:
    """A sandbox to be had.

    Attributes:
        name: See `labels.SANDBOX`.
        session_id: Whose it is.
        flavor: Its hardware.
        env: Variables for every command in it.
    """

    name: str
    session_id: str
    flavor: Flavor
    env: Mapping[str, str] = field(default_factory=dict)


def new_name() -> str:
    """A fresh name for a sandbox."""
    return f"sandbox-{secrets.token_hex(4)}"


class Agency:
    """Rents sandboxes for one person.

    Args:
        hub: The way to the Hub.
        settings: Image, time limits, who pays.
        flavors: Gives all hardware there is at the moment, without waiting.
        pauses_s: Waits between attempts to end a sandbox.
    """

    def __init__(
        self,
        hub: HubClient,
        settings: SandboxSettings,
        flavors: Callable[[], tuple[Flavor, ...]],
        *,
        pauses_s: Sequence[float] = CANCEL_PAUSES_S,
    ) -> None:
        self.hub = hub
        self.settings = settings
        self.flavors = flavors
        self._pauses_s = pauses_s
        self._going_on: set[asyncio.Task[None]] = set()

    def flavor(self, name: str) -> Flavor:
        """Hardware by its name; the configured one for an empty name.

        Raises:
            SandboxError: There is none of this name; the text names near ones.
        """
        name = name.strip() or self.settings.flavor
        known = {flavor.name: flavor for flavor in self.flavors()}
        if name in known:
            return known[name]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(known)}."
        raise SandboxError(f"There is no hardware {name!r} for a sandbox. {hint}")

    async def namespace(self) -> str:
        """Who pays.

        Raises:
            SandboxError: Nobody can be asked.
        """
        try:
            return self.settings.namespace or (await self.hub.account()).name
        except HubError as error:
            raise SandboxError(f"A sandbox needs a Hugging Face account: {error}") from error

    async def create(self, wish: Wish) -> Machine:
        """Rents a sandbox and waits until it can be used. Cancelled, it gives back what may have come of it.

        Raises:
            SandboxError: There is none, and nothing is left running.
        """
        namespace = await self.namespace()
        starting = asyncio.ensure_future(in_thread(lambda: self._create(wish, namespace), name="sandbox start"))
        try:
            handle, rented = await asyncio.shield(starting)
        except asyncio.CancelledError:
            self._go_on(self._abandon(wish, namespace, starting))
            raise
        except Exception as error:  # whatever the client raises: what it has started must not go on
            raise await self._failed(wish, namespace, error) from error
        machine = self._machine(handle, rented, wish.flavor, wish.env)
        try:
            await machine.set_up()
        except (SandboxProblem, asyncio.CancelledError) as error:
            self._go_on(self.end(machine))
            if isinstance(error, asyncio.CancelledError):
                raise
            raise SandboxError(f"Sandbox {machine.id} started but cannot be used: {error}") from error
        return machine

    async def find(self, session_id: str) -> tuple[Rented | None, bool]:
        """The sandbox of an earlier run of a session that still runs, and whether there has been any.

        Raises:
            HubError: It cannot be told.
        """
        wanted = labels.of_session(session_id)
        found = [item for item in await list_rented(self.hub, wanted) if item.kind == "sandbox"]
        running = [item for item in found if item.active]
        return (running[0] if running else None), bool(found)

    async def connect(self, rented: Rented) -> Machine:
        """A running sandbox of an earlier run.

        Raises:
            SandboxError: It cannot be used.
        """

        def work() -> Sandbox:
            self._aim()
            from huggingface_hub import Sandbox

            return Sandbox.connect(rented.id, namespace=rented.namespace, token=self.hub.token)

        try:
            handle = await in_thread(work, name="sandbox connect")
        except Exception as error:  # foreign client, many kinds; told in words
            raise SandboxError(f"Sandbox {rented.id} of this session cannot be reached again: {error}") from error
        try:
            flavor = self.flavor(rented.flavor)
        except SandboxError:  # no longer on offer
            flavor = Flavor(rented.flavor, rented.flavor)
        machine = self._machine(handle, rented, flavor, {})
        try:
            await machine.set_up()
        except SandboxProblem as problem:
            machine.close()
            raise SandboxError(f"Sandbox {rented.id} of this session cannot be used again: {problem}") from problem
        return machine

    async def look(self, machine: Machine, *, cut: bool = False) -> Rented:
        """Where a sandbox stands.

        Args:
            machine: The sandbox.
            cut: Its connection broke off. The Hub hears of an end a moment later than we do, so it is asked again.

        Raises:
            HubError: It cannot be told.
        """
        rented = await inspect_rented(self.hub, machine.id, machine.namespace)
        for pause in _LOOK_AFTER_S if cut else ():
            if not rented.active:
                break
            await asyncio.sleep(pause)
            rented = await inspect_rented(self.hub, machine.id, machine.namespace)
        return rented

    async def end(self, machine: Machine) -> None:
        """Gives a sandbox back.

        Raises:
            SandboxError: It could not be ended; it may still run.
        """
        try:
            await self._cancel(machine.id, machine.namespace)
        except HubError as error:
            idle = duration_text(machine.idle_s)
            text = f"Sandbox {machine.id} could not be ended ({error}). It ends by itself after {idle} without use."
            raise SandboxError(f"{text} End it here: {machine.url}") from error
        finally:
            machine.close()

    @property
    def busy(self) -> bool:
        """Whether something that was broken off has not been given back yet."""
        return bool(self._going_on)

    async def finish(self) -> None:
        """Waits until everything that was broken off has been given back."""
        while self._going_on:
            await asyncio.wait(self._going_on)

    # -------------------------------------------------------------------------------------------------- details

    def _go_on(self, work: Coroutine[Any, Any, None]) -> None:
        """Lets something end by itself; failures go to the log."""

        def ended(task: asyncio.Task[None]) -> None:
            self._going_on.discard(task)
            if not task.cancelled() and (error := task.exception()):
                log.warning("%s", error)

        task = asyncio.create_task(work)
        self._going_on.add(task)
        task.add_done_callback(ended)

    def _aim(self) -> None:
        """Points the client's own parts at our Hub."""
        self.hub.api()
        from huggingface_hub import constants

        # Read once at the library's import, which another library may have brought about before us.
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
        constants.ENDPOINT = self.hub.endpoint
        constants.HUGGINGFACE_CO_URL_TEMPLATE = self.hub.endpoint + template  # without it, downloads go elsewhere

    def _create(self, wish: Wish, namespace: str) -> tuple[Sandbox, Rented]:
        self._aim()
        from huggingface_hub import Sandbox

        settings = self.settings
        handle = Sandbox.create(
            settings.image,
            flavor=wish.flavor.name,
            idle_timeout=settings.idle_timeout_s,
            namespace=namespace,
            forward_hf_token=settings.forward_hf_token,
            labels={**labels.of_session(wish.session_id), labels.SANDBOX: wish.name},
            start_timeout=settings.start_timeout_s,
            token=self.hub.token,
        )
        return handle, rented_from(self.hub.api().inspect_job(job_id=handle.id, namespace=namespace))

    def _machine(self, handle: Sandbox, rented: Rented, flavor: Flavor, env: Mapping[str, str]) -> Machine:
        return Machine(
            id=rented.id,
            name=rented.ref,
            namespace=rented.namespace,
            flavor=flavor,
            url=rented.url,
            idle_s=self.settings.idle_timeout_s,
            workdir=PurePosixPath(self.settings.workdir),
            env=env,
            handle=handle,
        )

    async def _failed(self, wish: Wish, namespace: str, error: Exception) -> SandboxError:
        """Why a start failed, with the last lines of its log. Makes sure that nothing of it goes on."""
        reason = str(error).strip()
        try:
            for rented in await self._end_all(wish, namespace):
                if "Last logs:" not in reason and (lines := await self._log_of(rented)):
                    reason += "\nLast lines of its log:\n" + "\n".join(f"  {line}" for line in lines)
        except HubError:
            self._go_on(self._end_later(wish, namespace))
            idle = duration_text(self.settings.idle_timeout_s)
            reason += (
                f"\nWhether it runs all the same cannot be told at the moment. It is looked for and ended; if that "
                f"fails, it ends by itself after {idle} without use, and /leftovers shows it."
            )
        problem = _in_words(error, namespace, self.hub)
        return problem or SandboxError(f"The sandbox on {wish.flavor.name} did not start: {reason}")

    async def _end_all(self, wish: Wish, namespace: str) -> list[Rented]:
        """Ends what came of a start, and gives it, ended or not. Raises `HubError`."""
        found = await self._of_name(wish.name, namespace)
        for rented in found:
            if rented.active:
                await self._cancel(rented.id, namespace)
        return found

    async def _end_later(self, wish: Wish, namespace: str) -> None:
        for pause in (*self._pauses_s, *_LOOK_LATER_S):
            await asyncio.sleep(pause)
            with contextlib.suppress(HubError):
                await self._end_all(wish, namespace)
                return
        log.warning("%s of %s could not be looked for; it may still run", wish.name, namespace)

    async def _abandon(self, wish: Wish, namespace: str, starting: asyncio.Future[tuple[Sandbox, Rented]]) -> None:
        """Gives back a sandbox that is still starting. It is found by its name: the client tells no id before it is up.

        Whoever starts it notices its end and stops waiting; when it comes up first, it is ended all the same.
        """
        while not starting.done():
            with contextlib.suppress(HubError):
                if active := [item for item in await self._of_name(wish.name, namespace) if item.active]:
                    await self._cancel(active[0].id, namespace)
                    break
            await asyncio.wait({starting}, timeout=_LOOK_AGAIN_S)
        with contextlib.suppress(Exception):  # it has failed by itself, or noticed that it was ended
            handle, rented = await starting
            handle.close()
            if (await inspect_rented(self.hub, rented.id, namespace)).active:
                await self._cancel(rented.id, namespace)

    async def _of_name(self, name: str, namespace: str) -> list[Rented]:
        return await list_rented(self.hub, {labels.OURS: "1", labels.SANDBOX: name}, namespaces=[namespace])

    async def _log_of(self, rented: Rented) -> list[str]:
        try:
            return await self.hub.call(
                lambda api: list(
                    api.fetch_job_logs(job_id=rented.id, namespace=rented.namespace, tail=_LAST_LINES)
                )[-_LAST_LINES:]
            )  # fmt: skip
        except HubError:
            return []

    async def _cancel(self, job_id: str, namespace: str) -> None:
        for pause in self._pauses_s:
            try:
                await cancel_rented(self.hub, job_id, namespace)
            except HubError as error:
                if error.kind in _FINAL:
                    raise
                log.warning("sandbox %s could not be ended, once more: %s", job_id, error)
                await asyncio.sleep(pause)
            else:
                return
        await cancel_rented(self.hub, job_id, namespace)


def _in_words(error: Exception, namespace: str, hub: HubClient) -> SandboxError | None:
    """An answer of the Hub in our words; None where the client's own words say it better."""
    if getattr(error, "response", None) is None:
        return None
    from ml_intern.services.hub import hub_error

    told = hub_error(error, hub.endpoint)
    if told.kind == "billing":
        text = (
            f"{namespace} has no credit for a sandbox (402: {told}). Compute is paid from the credit of the account, "
            f"which a PRO subscription does not bring: {hub.endpoint}/settings/billing. "
            "Tell the person, and do not try again."
        )
        return SandboxError(text, no_credit=True)
    return SandboxError(f"The Hub did not start a sandbox: {told}")

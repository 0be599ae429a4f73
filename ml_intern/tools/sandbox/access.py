"""How tools get at the sandbox of their session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from ml_intern.core.approvals.effects import Assessment, Compute, Cost, Effect
from ml_intern.core.jobs import Flavor, JobsError, duration_text
from ml_intern.core.settings import SandboxSettings
from ml_intern.core.tools.spec import ToolContext, ToolResult
from ml_intern.tools.files import failed
from ml_intern.tools.jobs.credit import CreditStops
from ml_intern.tools.sandbox.agency import Agency, SandboxError
from ml_intern.tools.sandbox.keeper import SandboxKeeper
from ml_intern.tools.sandbox.machine import Machine, SandboxProblem
from ml_intern.tools.text_files import FileError

CHEAP_FLAVOR = "cpu-basic"
"""Rented without asking; it costs about a cent an hour."""


class Sandboxes:
    """The sandboxes of the sessions of this program, one for each.

    Args:
        agency: Rents them.
        resumed: Id of a session that has run before and may have a sandbox already.
    """

    def __init__(self, agency: Agency, resumed: str = "") -> None:
        self.agency = agency
        self._resumed = resumed
        self._keepers: list[SandboxKeeper] = []

    @property
    def workdir(self) -> str:
        """Where commands start and relative paths begin."""
        return self.agency.settings.workdir

    def keeper(self, context: ToolContext) -> SandboxKeeper:
        """Whoever keeps the sandbox of a call's session."""
        return context.state.get(SandboxKeeper, lambda: self._new_keeper(context))

    @property
    def open(self) -> bool:
        """Whether anything is paid for at the moment."""
        return any(keeper.open for keeper in self._keepers)

    def with_cost(self, found: Assessment, context: ToolContext) -> Assessment:
        """What a call would do, and that it starts a sandbox if there is none."""
        keeper = self.keeper(context)
        if keeper.flavor is not None:
            return found
        try:
            flavor = self.agency.flavor("")
        except SandboxError:  # the call itself will say so
            return found
        return rents(found, flavor, self.agency.settings)

    async def use(self, context: ToolContext, work: Callable[[Machine], Awaitable[ToolResult]]) -> ToolResult:
        """The result of work in the session's sandbox; whatever stands in its way becomes a failed one."""
        keeper = self.keeper(context)
        try:
            machine = await keeper.have(context)
        except SandboxError as error:
            return ToolResult(f"ERROR: {error}", ok=False)
        note = keeper.take_note()
        try:
            result = await work(machine)
        except FileError as error:
            result = failed(error)
        except SandboxProblem as problem:
            lost = await keeper.why_lost(machine, cut=problem.status == 0)
            printed = f" The command had printed:\n{problem.printed}" if problem.printed.strip() else ""
            result = ToolResult(f"ERROR: {lost or _sentence(str(problem))}{printed}", ok=False)
        keeper.book()
        return replace(result, text=note + result.text) if note else result

    def _new_keeper(self, context: ToolContext) -> SandboxKeeper:
        earlier = context.session_id == self._resumed
        keeper = SandboxKeeper(self.agency, context.session_id, CreditStops.of(context.state), earlier=earlier)
        self._keepers = [*(other for other in self._keepers if other.open), keeper]
        return keeper

    async def read_script(self, path: str, context: ToolContext) -> str:
        """The text of a script in the sandbox, for a job that runs it.

        Raises:
            JobsError: There is none.
        """
        keeper = self.keeper(context)
        machine = await keeper.present()
        if machine is None:
            raise JobsError(f"There is no sandbox yet, so {path} cannot be read: write it there, or pass its source.")
        try:
            place, entry = await machine.look(machine.path(path))
            if entry is None or not entry.is_file:
                raise JobsError(f"The sandbox has no file {place}: write it first, or pass its source.")
            text = (await machine.read(place)).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise JobsError(f"The script {path} is not UTF-8 text.") from error
        except (FileError, SandboxProblem) as problem:
            lost = await keeper.why_lost(machine) if isinstance(problem, SandboxProblem) else ""
            raise JobsError(lost or _sentence(str(problem))) from problem
        if not text.strip():
            raise JobsError(f"The script {place} is empty.")
        return text


def rents(found: Assessment, flavor: Flavor, settings: SandboxSettings, *, choosable: bool = False) -> Assessment:
    """An assessment with the renting of a sandbox added to it.

    Args:
        found: What the call does beside that.
        flavor: Its hardware.
        settings: Who pays, and when it ends.
        choosable: Whether an argument of the call sets the hardware.
    """
    price = flavor.usd_per_hour
    cost = f"${price:.2f} an hour" if price is not None else "an unknown price"
    idle = duration_text(settings.idle_timeout_s)
    note = f"${price:.2f}/h, reserved hour by hour; ends after {idle} without use" if price is not None else ""
    compute = Compute(
        flavor.name,
        flavor.hardware,
        price,
        namespace=settings.namespace,
        arguments={"flavor": "hardware"} if choosable else {},
    )
    cheap = flavor.name == CHEAP_FLAVOR
    return replace(
        found,
        effects=found.effects | {Effect.CHANGE if cheap else Effect.COMPUTE},
        reasons=found.reasons if cheap else (f"rents a sandbox on {flavor.label} for {cost}", *found.reasons),
        cost=Cost(price if found.cost.usd is not None else None, note, kind="sandbox"),
        compute=compute,
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] if text else "The sandbox did not answer."

"""`sandbox_create`, `sandbox_delete` and `sandbox_url`: what sandbox the other tools act in, and a way to its ports."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field, JsonValue, create_model

from ml_intern.core.approvals.effects import READS_ONLY, Assessment, Effect
from ml_intern.core.display import TextBlock
from ml_intern.core.jobs import Flavor, duration_text
from ml_intern.core.tools.spec import Params, ToolContext, ToolResult, ToolSpec
from ml_intern.tools.jobs.hardware import is_cpu_flavor
from ml_intern.tools.sandbox.access import Sandboxes, rents
from ml_intern.tools.sandbox.agency import SandboxError
from ml_intern.tools.sandbox.keeper import SandboxKeeper
from ml_intern.tools.sandbox.machine import Machine

_EXCLUSIVE = "sandbox"

_CREATE = """\
Starts the sandbox that bash, read, write and edit act in, on hardware of your choice. Without it they start one on \
{default} at their first use, so call this only for other hardware, for example a GPU to try a script on before a long \
job. A session has one sandbox: on other hardware it is a new machine, and the files of the old one are gone. A CPU \
sandbox is replaced at once; one with a GPU only with replace=true. It costs money by the hour while it exists: delete \
it with sandbox_delete when you need it no more."""
_DELETE = """\
Deletes the sandbox with all its files and stops paying for it. Save what is worth keeping first: push it to the Hub. \
The next bash, read, write or edit starts a new, empty one."""
_URL = """\
The address under which a server that listens on a port of the sandbox (at 127.0.0.1) is reached from outside."""

_KEPT = """\
ERROR: Nothing was changed. {present} Hardware cannot be changed in place: call this again with replace=true to delete \
that sandbox with its files and rent {wanted} instead."""


class CreateParams(Params):
    """Parameters of `sandbox_create`."""

    hardware: str = Field("", description="Flavor; the one that is there, or the cheapest, by default")
    replace: bool = Field(False, description="Delete a running GPU sandbox with its files to get other hardware")
    trackio_space_id: str = Field("", description="Space that trackio in the sandbox sends metrics to")
    trackio_project: str = Field("", description="Project in that Space")


class DeleteParams(Params):
    """Parameters of `sandbox_delete`: none."""


class UrlParams(Params):
    """Parameters of `sandbox_url`."""

    port: int = Field(description="Port in the sandbox", ge=1, le=65535)
    path: str = Field("/", description="Path on that server")


def create_sandbox_tools(sandboxes: Sandboxes) -> list[ToolSpec]:
    """The three tools."""
    tools = _SandboxTools(sandboxes)
    names: list[JsonValue] = [flavor.name for flavor in sandboxes.agency.flavors()]
    hardware = Field(
        "", description="Flavor; by default what is there, or the cheapest", json_schema_extra={"enum": names}
    )
    params = create_model("SandboxCreateParams", __base__=CreateParams, hardware=(str, hardware))
    default = sandboxes.agency.settings.flavor
    return [
        ToolSpec(
            "sandbox_create", _CREATE.format(default=default), params, tools.create, tools.assess_create,
            lambda _: _EXCLUSIVE,
        ),
        ToolSpec("sandbox_delete", _DELETE, DeleteParams, tools.delete, tools.assess_delete, lambda _: _EXCLUSIVE),
        ToolSpec("sandbox_url", _URL, UrlParams, tools.url),
    ]  # fmt: skip


class _SandboxTools:
    def __init__(self, sandboxes: Sandboxes) -> None:
        self._sandboxes = sandboxes

    # --------------------------------------------------------------------------------------------------- create

    def assess_create(self, params: CreateParams, context: ToolContext) -> Assessment:
        """What would be rented, and what would be lost."""
        keeper = self._sandboxes.keeper(context)
        try:
            flavor = self._chosen(params, keeper)
        except SandboxError:  # the call itself will say so
            return READS_ONLY
        present = keeper.flavor
        if present is not None and not _changes(present, flavor, params):
            return READS_ONLY
        settings = self._sandboxes.agency.settings
        found = Assessment(frozenset(), subject=flavor.name, display=(self._facts(flavor, present),))
        if present is not None and not is_cpu_flavor(present.name):
            reason = f"deletes the sandbox on {present.name} with its files"
            found = replace(found, effects=frozenset({Effect.DESTROY}), reasons=(reason,))
        if params.trackio_space_id:
            reason = f"sends metrics to the Space {params.trackio_space_id}"
            found = replace(found, effects=found.effects | {Effect.PUBLISH}, reasons=(*found.reasons, reason))
        return rents(found, flavor, settings, choosable=True)

    async def create(self, params: CreateParams, context: ToolContext) -> ToolResult:
        """Starts or replaces the sandbox, or says which one is there."""
        keeper = self._sandboxes.keeper(context)
        try:
            flavor = self._chosen(params, keeper)
            present = machine = keeper.machine
            if machine is None or machine.flavor.name == flavor.name:
                machine = await keeper.have(context, flavor, _env(params))
            if machine.flavor.name == flavor.name:
                return self._there(machine, keeper, new=present is None)
            if not _changes(machine.flavor, flavor, params):
                return ToolResult(_KEPT.format(present=machine.describe(), wanted=flavor.name), ok=False)
            before = f"The sandbox on {machine.flavor.name} was deleted with its files."
            machine = await keeper.replace(context, flavor, _env(params))
        except SandboxError as error:
            return ToolResult(f"ERROR: {error}", ok=False)
        return self._there(machine, keeper, new=True, before=before)

    def _chosen(self, params: CreateParams, keeper: SandboxKeeper) -> Flavor:
        if not params.hardware.strip() and keeper.flavor is not None:
            return keeper.flavor
        return self._sandboxes.agency.flavor(params.hardware)

    def _there(self, machine: Machine, keeper: SandboxKeeper, *, new: bool, before: str = "") -> ToolResult:
        state = "It is ready." if new else "It was there already."
        hint = f"bash, read, write and edit act in it, in {self._sandboxes.workdir}."
        text = " ".join(filter(None, (before, state, machine.describe(), machine.url, hint)))
        return ToolResult(keeper.take_note() + text, display=(TextBlock(text=machine.describe(), title="sandbox"),))

    def _facts(self, flavor: Flavor, present: Flavor | None) -> TextBlock:
        settings = self._sandboxes.agency.settings
        price = flavor.usd_per_hour
        facts = {
            "hardware": f"{flavor.name} ({flavor.label})",
            "cost": f"${price:.2f} an hour, reserved hour by hour" if price is not None else "unknown",
            "ends": f"after {duration_text(settings.idle_timeout_s)} without use, or with the session",
            "image": settings.image,
            "namespace": settings.namespace,
            "token": "your Hugging Face token is handed to it" if settings.forward_hf_token else "",
            "in place of": f"the one on {present.name}, with its files" if present is not None else "",
        }
        return TextBlock(text="\n".join(f"{name}: {fact}" for name, fact in facts.items() if fact), title="sandbox")

    # ---------------------------------------------------------------------------------------------- delete, url

    def assess_delete(self, params: DeleteParams, context: ToolContext) -> Assessment:  # noqa: ARG002 - one shape
        """Its files are lost."""
        return Assessment(frozenset({Effect.CHANGE}), ("deletes the sandbox with its files",))

    async def delete(self, params: DeleteParams, context: ToolContext) -> ToolResult:  # noqa: ARG002 - one shape
        """Ends the sandbox."""
        keeper = self._sandboxes.keeper(context)
        machine = keeper.machine
        try:
            ended = await keeper.end("the model deleted it")
        except SandboxError as error:
            return ToolResult(f"ERROR: {error}", ok=False)
        if not ended:
            return ToolResult("There was no sandbox.")
        name = f"Sandbox {machine.id}" if machine is not None else "The sandbox that was starting"
        return ToolResult(f"{name} is deleted; nothing more is paid for it.")

    async def url(self, params: UrlParams, context: ToolContext) -> ToolResult:
        """The address of a port."""
        machine = self._sandboxes.keeper(context).machine
        if machine is None:
            return ToolResult("ERROR: There is no sandbox. Start a server in it with bash first.", ok=False)
        scheme = self._sandboxes.agency.hub.endpoint.partition("://")[0]
        address = machine.handle.proxy_url_for(params.port, params.path, scheme=f"{scheme}://")
        text = (
            f"{address}\nIt answers only requests that carry the person's Hugging Face token and the token of the "
            "sandbox. From inside the sandbox use 127.0.0.1 instead."
        )
        return ToolResult(text)


def _changes(present: Flavor, wanted: Flavor, params: CreateParams) -> bool:
    """Whether a call puts another sandbox in the place of the present one."""
    return wanted.name != present.name and (params.replace or is_cpu_flavor(present.name))


def _env(params: CreateParams) -> dict[str, str]:
    wanted = {"TRACKIO_SPACE_ID": params.trackio_space_id, "TRACKIO_PROJECT": params.trackio_project}
    return {name: value.strip() for name, value in wanted.items() if value.strip()}

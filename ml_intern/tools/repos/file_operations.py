"""Does the work of `hf_repo_files`; what would change is planned first, so that a person sees just what is done."""

from __future__ import annotations

from dataclasses import dataclass, field

from ml_intern.core.approvals.effects import READS_ONLY, Assessment
from ml_intern.core.tools.spec import ToolContext, ToolResult
from ml_intern.services.hub import HubClient, HubError
from ml_intern.tools.repos import reading, writing
from ml_intern.tools.repos.common import RepoError, explained, failed
from ml_intern.tools.repos.files import FilesParams


@dataclass(slots=True)
class _Planned:
    """What calls that wait to run were found to do."""

    calls: dict[str, writing.Planned | HubError] = field(default_factory=dict)


class FileOperations:
    """The tool over a client."""

    def __init__(self, hub: HubClient) -> None:
        self._hub = hub

    async def assess(self, params: FilesParams, context: ToolContext) -> Assessment:
        """What a call would do; for an upload or a deletion, file by file."""
        if params.operation not in {"upload", "delete"}:
            return READS_ONLY
        planned = context.state.get(_Planned).calls
        try:
            plan = await self._plan(params, context)
        except HubError as error:
            planned[context.call_id] = error  # remembered: what becomes possible later must not run unasked
            return READS_ONLY
        planned[context.call_id] = plan
        if params.operation == "upload":
            return writing.assess_upload(params, plan)
        return writing.assess_deletion(params, plan)

    async def handle(self, params: FilesParams, context: ToolContext) -> ToolResult:
        """Does what a call asks for."""
        writes = params.operation in {"upload", "delete"}
        try:
            if params.operation == "list":
                return await reading.list_files(params, self._hub)
            if params.operation == "read":
                return await reading.read_file(params, self._hub, context)
            return await self._write(params, context)
        except RepoError as error:
            return failed(error)
        except HubError as error:
            told = await explained(
                error, self._hub, params.repo, path=params.path, revision=params.revision, writing=writes
            )
            return failed(told)

    async def _plan(self, params: FilesParams, context: ToolContext) -> writing.Planned:
        if not self._hub.token:
            raise HubError("no_token", "This needs a Hugging Face token: set HF_TOKEN or run `hf auth login`.")
        if params.operation == "upload":
            return await writing.plan_upload(params, self._hub, context)
        return await writing.plan_deletion(params, self._hub)

    async def _write(self, params: FilesParams, context: ToolContext) -> ToolResult:
        plan = context.state.get(_Planned).calls.pop(context.call_id, None) or await self._plan(params, context)
        if isinstance(plan, HubError):
            raise plan
        await writing.check_unchanged(params, plan, self._hub)
        if params.operation == "upload":
            return await writing.upload(params, plan, self._hub, context)
        return await writing.delete(params, plan, self._hub, context)

"""The `hf_repo_files` tool: files of a repository on the Hub."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from ml_intern.core.approvals.effects import READS_ONLY, Assessment
from ml_intern.core.tools.spec import ToolContext, ToolResult, ToolSpec
from ml_intern.services.hub import HubClient, HubError
from ml_intern.tools.repos import reading, writing
from ml_intern.tools.repos.common import OperationName, RepoError, RepoParams, as_list, explained, failed

_DESCRIPTION = """\
Files of a repository on the Hugging Face Hub: list, read, upload, delete. read shows text, up to 50,000 characters at \
once; go on with `offset`. Of a binary file it tells kind and size without a download. upload takes `content` (text) \
or `local_path` (a file or folder of this machine, any size, one commit; when it breaks off, the same call goes on \
where it was). delete takes `patterns`: paths, folders, wildcards. create_pr=true proposes the change instead."""


class FilesParams(RepoParams):
    """Parameters of `hf_repo_files`."""

    operation: Annotated[Literal["list", "read", "upload", "delete"], OperationName]
    path: str = Field("", description="File in the repository; list: folder; upload of a folder: where it goes.")
    revision: str = Field("", description="Branch, tag, commit or refs/pr/N; main by default.")
    recursive: bool = Field(True, description="list: also what is in folders.")
    offset: int = Field(0, description="list: entries to skip. read: byte to begin at; negative counts from the end.")
    limit: Annotated[int, Field(ge=0)] = Field(0, description="list: entries. read: characters.")
    content: str | None = Field(None, description="upload: the file's whole text.")
    local_path: str = Field("", description="upload: file or folder to send, absolute or in the workspace.")
    ignore_patterns: Annotated[list[str], BeforeValidator(as_list)] = Field(
        default_factory=list, description="upload of a folder: what to leave out, for example *.log or optimizer.pt."
    )
    patterns: Annotated[list[str], BeforeValidator(as_list)] = Field(
        default_factory=list, description="delete: what goes. list: only these."
    )
    create_pr: bool = Field(False, description="upload, delete: as a pull request.")
    commit_message: str = ""
    parent_commit: str = Field("", description="upload, delete: refused unless this commit is still the newest.")

    @field_validator("path")
    @classmethod
    def _within(cls, path: str) -> str:
        stripped = path.strip().removeprefix("./").lstrip("/")
        if ".." in stripped.split("/"):
            raise ValueError("a path in a repository has no `..`")
        return stripped


@dataclass(slots=True)
class _Planned:
    """What calls that wait to run were found to do."""

    calls: dict[str, writing.Planned | HubError] = field(default_factory=dict)


def create_files_tool(hub: HubClient) -> ToolSpec:
    """The `hf_repo_files` tool."""
    tool = _FilesTool(hub)
    return ToolSpec(
        "hf_repo_files",
        _DESCRIPTION,
        FilesParams,
        tool.handle,
        assess=tool.assess,
        exclusive=_key,
        output_scale=reading.OUTPUT_SCALE,
        fetches=True,
    )


def _key(params: FilesParams) -> str | None:
    """Two commits to one repository wait for each other."""
    return f"repo:{params.repo}" if params.operation in {"upload", "delete"} else None


class _FilesTool:
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
        if params.operation == "upload":
            return await writing.upload(params, plan, self._hub, context)
        return await writing.delete(params, plan, self._hub, context)

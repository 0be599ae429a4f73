"""The `hf_repo_files` tool: files of a repository on the Hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from ml_intern.core.tools.late import Late
from ml_intern.core.tools.spec import ToolSpec
from ml_intern.tools.repos.common import OUTPUT_SCALE, OperationName, RepoParams, as_list

if TYPE_CHECKING:
    from ml_intern.services.hub import HubClient
    from ml_intern.tools.repos.file_operations import FileOperations

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


def create_files_tool(hub: HubClient) -> ToolSpec:
    """The `hf_repo_files` tool."""

    def make() -> FileOperations:
        from ml_intern.tools.repos.file_operations import FileOperations

        return FileOperations(hub)

    operations = Late(make)
    return ToolSpec(
        "hf_repo_files",
        _DESCRIPTION,
        FilesParams,
        operations.method("handle"),
        assess=operations.method("assess"),
        exclusive=_key,
        output_scale=OUTPUT_SCALE,
        fetches=True,
    )


def _key(params: FilesParams) -> str | None:
    """Two commits to one repository wait for each other."""
    return f"repo:{params.repo}" if params.operation in {"upload", "delete"} else None

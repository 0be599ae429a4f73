"""The `hf_repo_git` tool: repositories themselves, their branches, tags and pull requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_intern.core.tools.late import Late
from ml_intern.core.tools.spec import ToolSpec
from ml_intern.tools.repos.git_params import READS, GitParams

if TYPE_CHECKING:
    from ml_intern.services.hub import HubClient
    from ml_intern.tools.repos.git_operations import GitOperations

_DESCRIPTION = """\
Repositories on the Hugging Face Hub: create_repo, update_repo (visibility, gating), delete_repo, move_repo; \
branches and tags (create_branch, delete_branch, create_tag, delete_tag, list_refs); pull requests (create_pr, \
list_prs, get_pr, comment_pr, merge_pr, close_pr, change_pr_status). create_pr opens an empty draft: add commits with \
hf_repo_files and revision=refs/pr/N, then change_pr_status to open. New repositories are private unless configured \
otherwise."""


def create_git_tool(hub: HubClient) -> ToolSpec:
    """The `hf_repo_git` tool."""

    def make() -> GitOperations:
        from ml_intern.tools.repos.git_operations import GitOperations

        return GitOperations(hub)

    operations = Late(make)
    return ToolSpec(
        "hf_repo_git",
        _DESCRIPTION,
        GitParams,
        operations.method("handle"),
        assess=operations.method("assess"),
        exclusive=_key,
        fetches=True,
    )


def _key(params: GitParams) -> str | None:
    return None if params.operation in READS else f"repo:{params.repo}"

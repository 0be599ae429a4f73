"""Parameters of `hf_repo_git`, and what each operation needs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ml_intern.tools.repos.common import OperationName, RepoError, RepoParams

GitOperation = Literal[
    "create_branch",
    "delete_branch",
    "create_tag",
    "delete_tag",
    "list_refs",
    "create_pr",
    "list_prs",
    "get_pr",
    "merge_pr",
    "close_pr",
    "comment_pr",
    "change_pr_status",
    "create_repo",
    "update_repo",
    "delete_repo",
    "move_repo",
]

READS = frozenset({"list_refs", "list_prs", "get_pr"})

_NEEDS: dict[str, tuple[str, ...]] = {
    "create_branch": ("branch",),
    "delete_branch": ("branch",),
    "create_tag": ("tag",),
    "delete_tag": ("tag",),
    "create_pr": ("title",),
    "get_pr": ("pr_num",),
    "merge_pr": ("pr_num",),
    "close_pr": ("pr_num",),
    "comment_pr": ("pr_num", "comment"),
    "change_pr_status": ("pr_num", "new_status"),
    "move_repo": ("new_repo_id",),
}


def _gate(value: Any) -> Any:
    if value is False or (isinstance(value, str) and value.strip().lower() in {"false", "none", "no", "off", "0"}):
        return "false"
    return value.strip().lower() if isinstance(value, str) else value


class GitParams(RepoParams):
    """Parameters of `hf_repo_git`."""

    operation: Annotated[GitOperation, OperationName]
    branch: str = Field("", description="create_branch, delete_branch.")
    from_rev: str = Field("", description="create_branch: where it begins; main by default.")
    tag: str = Field("", description="create_tag, delete_tag.")
    revision: str = Field("", description="create_tag: what is tagged; main by default.")
    tag_message: str = ""
    title: str = Field("", description="create_pr.")
    description: str = Field("", description="create_pr.")
    pr_num: Annotated[int | None, Field(ge=1)] = Field(None, description="Number of the pull request.")
    comment: str = Field("", description="comment_pr, close_pr, merge_pr, change_pr_status: what is said with it.")
    kind: Literal["pull_request", "discussion", "all"] = Field("pull_request", description="list_prs: which.")
    status: Literal["open", "closed", "all"] = Field("open", description="list_prs: which.")
    author: str = Field("", description="list_prs: only this user's.")
    offset: Annotated[int, Field(ge=0)] = Field(0, description="list_prs: how many to skip.")
    new_status: Literal["open", "closed"] | None = Field(None, description="change_pr_status; open ends a draft.")
    private: bool | None = Field(None, description="create_repo, update_repo. New repositories: as configured.")
    gated: Annotated[Literal["auto", "manual", "false"] | None, BeforeValidator(_gate)] = Field(
        None, description="update_repo: whether people must ask for access."
    )
    space_sdk: Literal["gradio", "streamlit", "docker", "static"] | None = Field(
        None, description="create_repo of a Space: required."
    )
    exist_ok: bool = Field(False, description="create_repo, create_branch, create_tag: fine when it is there already.")
    new_repo_id: str = Field("", description="move_repo: owner/name it gets.")

    @property
    def number(self) -> int:
        """Number of the pull request of an operation on one."""
        assert self.pr_num is not None  # `check` has seen to it
        return self.pr_num

    def check(self) -> None:
        """Looks whether the operation has all it needs.

        Raises:
            RepoError: It has not.
        """
        missing = [name for name in _NEEDS.get(self.operation, ()) if getattr(self, name) in (None, "")]
        if missing:
            raise RepoError(f"{self.operation} needs {' and '.join(f'`{name}`' for name in missing)}.")
        if self.operation == "create_repo" and self.repo_type == "space" and self.space_sdk is None:
            raise RepoError("A Space needs `space_sdk`: gradio, streamlit, docker or static. Nothing was created.")
        if self.operation == "update_repo" and self.private is None and self.gated is None:
            raise RepoError("update_repo needs `private` or `gated`.")

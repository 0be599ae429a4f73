"""The `hub_repo_details` tool: what models, data sets and Spaces are, before anything is built on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field, field_validator

from ml_intern.core.tools.late import Late
from ml_intern.core.tools.spec import Params, ToolSpec
from ml_intern.tools.repos.common import RepoType, as_list

if TYPE_CHECKING:
    from ml_intern.services.hub import HubClient
    from ml_intern.tools.repos.describing import Describer

_DESCRIPTION = """\
What repositories on the Hugging Face Hub are: of models architecture, parameters, dtype, context length, tokenizer \
and chat template; of data sets configs, splits and features; of Spaces SDK, stage and hardware; of all licence, \
gating, size, files, downloads, papers. Several ids at once; the type is found out unless repo_type says it. Check a \
model or data set with this before you build on it."""

_MOST_REPOS = 10


class DetailsParams(Params):
    """Parameters of `hub_repo_details`."""

    repo_ids: Annotated[list[str], BeforeValidator(as_list)] = Field(description="owner/name of each")
    repo_type: RepoType | None = Field(None, description="Found out when left out.")

    @field_validator("repo_ids")
    @classmethod
    def _some(cls, repo_ids: list[str]) -> list[str]:
        wanted = [text for text in dict.fromkeys(item.strip() for item in repo_ids) if text]
        if not 1 <= len(wanted) <= _MOST_REPOS:
            raise ValueError(f"name 1 to {_MOST_REPOS} repositories")
        return wanted


def create_details_tool(hub: HubClient) -> ToolSpec:
    """The `hub_repo_details` tool. It reads only, and public repositories need no token."""

    def make() -> Describer:
        from ml_intern.tools.repos.describing import Describer

        return Describer(hub)

    return ToolSpec("hub_repo_details", _DESCRIPTION, DetailsParams, Late(make).method("handle"), fetches=True)

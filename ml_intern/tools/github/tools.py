"""`github_find_examples`, `github_list_repos` and `github_read_file`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from ml_intern.core.tools.late import Late
from ml_intern.core.tools.spec import Params, ToolSpec
from ml_intern.services.endpoints import Endpoints

if TYPE_CHECKING:
    from ml_intern.services.http import HttpService
    from ml_intern.services.workers import Runner
    from ml_intern.tools.github.looking import Looking

_EXAMPLES = """\
Finds working example files in a GitHub repository, the canonical scripts first: read one before you write code \
against a library. Then github_read_file."""
_REPOS = "Lists the repositories of a GitHub user or organisation, the most starred first."
_READ = """\
Reads a file of a GitHub repository (notebooks as markdown without outputs), or lists a directory. Shows 300 lines \
unless told otherwise; go on with line_start."""


class ExamplesParams(Params):
    """What a call of `github_find_examples` may say."""

    repo: Annotated[str, Field(min_length=1, description="Repository: name, owner/name, or its address.")]
    keyword: Annotated[str, Field(description="What the example is about, for example sft or grpo vllm.")] = ""
    org: Annotated[str, Field(description="Owner, where `repo` names none.")] = "huggingface"
    max_results: Annotated[int, Field(ge=1, le=200)] = 30
    min_score: Annotated[int, Field(ge=0, le=100, description="How well a name must fit the keyword.")] = 60


class ReposParams(Params):
    """What a call of `github_list_repos` may say."""

    owner: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")]
    owner_type: Literal["user", "org"] = "org"
    sort: Literal["stars", "forks", "updated", "created"] = "stars"
    order: Literal["asc", "desc"] = "desc"
    limit: Annotated[int, Field(ge=1, le=200)] = 30


class ReadParams(Params):
    """What a call of `github_read_file` may say."""

    repo: Annotated[str, Field(min_length=1, description="owner/name, or the address of a file on github.com.")]
    path: Annotated[str, Field(description="Path in the repository; empty for its root.")] = ""
    ref: Annotated[str, Field(description="Branch, tag or commit.")] = ""
    line_start: Annotated[int, Field(ge=1)] | None = None
    line_end: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> ReadParams:
        if self.line_start and self.line_end and self.line_start > self.line_end:
            raise ValueError("line_start must not be greater than line_end")
        return self


def create_github_tools(http: HttpService, endpoints: Endpoints, runner: Runner | None = None) -> list[ToolSpec]:
    """The three tools over one client; `runner` goes through long lists and notebooks."""

    def make() -> Looking:
        from ml_intern.services.github import GitHub
        from ml_intern.services.workers import Threads
        from ml_intern.tools.github.looking import Looking

        return Looking(GitHub(http, endpoints), runner or Threads())

    looking = Late(make)
    return [
        ToolSpec("github_find_examples", _EXAMPLES, ExamplesParams, looking.method("examples"), fetches=True),
        ToolSpec("github_list_repos", _REPOS, ReposParams, looking.method("repos"), fetches=True),
        ToolSpec("github_read_file", _READ, ReadParams, looking.method("read"), fetches=True),
    ]

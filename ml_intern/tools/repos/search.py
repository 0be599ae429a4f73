"""The `hub_search` tool: finds models, data sets, Spaces and collections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ml_intern.core.tools.late import Late
from ml_intern.core.tools.spec import Params, ToolSpec
from ml_intern.tools.repos.common import as_list

if TYPE_CHECKING:
    from ml_intern.services.hub import HubClient
    from ml_intern.tools.repos.finding import Finder

_DESCRIPTION = """\
Searches the Hugging Face Hub for models, data sets, Spaces and collections. `query` matches names; `tags` narrow by \
task, library, language or licence (text-generation, peft, en, license:apache-2.0). Short words find more than \
sentences. hub_repo_details tells more of what was found."""

MOST_FOUND = 1000

Kind = Literal["model", "dataset", "space", "collection"]
Sort = Literal["trending", "downloads", "likes", "created", "modified"]


def _kind(value: Any) -> Any:
    return value.strip().lower().removesuffix("s") if isinstance(value, str) else value


class SearchParams(Params):
    """Parameters of `hub_search`."""

    query: str = ""
    kind: Annotated[Kind, BeforeValidator(_kind)] = "model"
    author: str = Field("", description="User or organisation.")
    tags: Annotated[list[str], BeforeValidator(as_list)] = Field(default_factory=list, description="All must fit.")
    sort: Sort = Field("trending", description="What comes first.")
    limit: Annotated[int, Field(ge=1, le=50)] = 10
    offset: Annotated[int, Field(ge=0, le=MOST_FOUND)] = Field(0, description="How many to skip.")


def create_search_tool(hub: HubClient) -> ToolSpec:
    """The `hub_search` tool. It reads only, and needs no token."""

    def make() -> Finder:
        from ml_intern.tools.repos.finding import Finder

        return Finder(hub)

    return ToolSpec("hub_search", _DESCRIPTION, SearchParams, Late(make).method("handle"), fetches=True)

"""`find_hf_api`: operations of the Hub's HTTP API, from its own description."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ml_intern.core.tools.late import Late
from ml_intern.core.tools.spec import Params, ToolSpec
from ml_intern.services.endpoints import Endpoints

if TYPE_CHECKING:
    from ml_intern.services.http import HttpService
    from ml_intern.services.search_index import SearchIndex
    from ml_intern.services.workers import Runner
    from ml_intern.tools.docs.hub_api import HubApi

MOST = 20

_DESCRIPTION = """\
Finds operations of the Hugging Face Hub's HTTP API by words or by tag: method, path, parameters, and a curl command. \
For Python, huggingface_hub has a function for most of them."""


class ApiParams(Params):
    """What a call of `find_hf_api` may say."""

    query: Annotated[str | None, Field(description="What the operation does.")] = None
    tag: Annotated[
        str | None, Field(description="Exact name of a group of operations; with a wrong one you get all.")
    ] = None
    max_results: Annotated[int, Field(ge=1, le=100)] = MOST


def create_find_api(
    http: HttpService, endpoints: Endpoints, index: Callable[[], SearchIndex], runner: Runner | None = None
) -> ToolSpec:
    """The tool over the search index, which is opened at the first call; `runner` takes the description apart."""

    def make() -> HubApi:
        from ml_intern.services.workers import Threads
        from ml_intern.tools.docs.hub_api import HubApi

        return HubApi(http, endpoints, index(), runner or Threads())

    return ToolSpec("find_hf_api", _DESCRIPTION, ApiParams, Late(make).method("handle"), fetches=True)

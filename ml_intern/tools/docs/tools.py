"""`explore_hf_docs` and `fetch_hf_docs`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from ml_intern.core.tools.late import Late
from ml_intern.core.tools.spec import Params, ToolSpec
from ml_intern.services.doc_libraries import LIBRARIES
from ml_intern.services.endpoints import Endpoints
from ml_intern.tools.paging import PageParams

if TYPE_CHECKING:
    from ml_intern.services.docs import Docs
    from ml_intern.services.http import HttpService
    from ml_intern.tools.docs.reading import Reading

_EXPLORE = """\
Searches the current documentation of a Hugging Face library and gives titles, addresses and the passages that fit; \
without a query, its table of contents. Look here before writing code against a library, then read pages with \
fetch_hf_docs. Libraries: {libraries}."""
_FETCH = """\
Reads a page of the Hugging Face documentation as markdown, by an address that explore_hf_docs has given. An address \
with #heading begins there. Long pages come in parts: go on with `offset`."""


def _whole_number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.strip().isdecimal() else value


class ExploreParams(Params):
    """What a call of `explore_hf_docs` may say."""

    endpoint: Annotated[str, Field(min_length=1, description="Library, for example trl or transformers.")]
    query: Annotated[str | None, Field(description="What to look for; names of classes and arguments work.")] = None
    max_results: Annotated[int, BeforeValidator(_whole_number), Field(ge=1)] = 20


class FetchDocsParams(PageParams):
    """What a call of `fetch_hf_docs` may say."""

    url: Annotated[str, Field(min_length=1, description="Address of a page of the documentation.")]


def create_docs_tools(http: HttpService, endpoints: Endpoints, docs: Callable[[], Docs]) -> list[ToolSpec]:
    """The two tools over one set of documentation, which is made when it is needed."""

    def make() -> Reading:
        from ml_intern.tools.docs.reading import Reading

        return Reading(http, endpoints, docs())

    description, reading = _EXPLORE.format(libraries=", ".join(LIBRARIES)), Late(make)
    return [
        ToolSpec("explore_hf_docs", description, ExploreParams, reading.method("explore"), fetches=True),
        ToolSpec("fetch_hf_docs", _FETCH, FetchDocsParams, reading.method("fetch"), fetches=True),
    ]

"""`web_search`: titles, addresses and snippets of a search engine, or a plain word that it refused to answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints

from ml_intern.core.tools.late import Late
from ml_intern.core.tools.spec import Params, ToolSpec
from ml_intern.services.endpoints import Endpoints

if TYPE_CHECKING:
    from ml_intern.services.http import HttpService
    from ml_intern.services.workers import Runner
    from ml_intern.tools.web.results import WebSearch

MOST_HITS = 20

_DESCRIPTION = """\
Searches the web: titles, addresses and snippets. Open what matters with web_fetch before you rely on it, and name the \
pages you used. Papers, Hugging Face documentation, models, data sets and GitHub have tools of their own."""


class SearchParams(Params):
    """What a call of `web_search` may say."""

    query: Annotated[str, StringConstraints(strip_whitespace=True, min_length=2)]
    allowed_domains: Annotated[
        list[str], Field(default_factory=list, description="Only pages of these hosts and of hosts below them.")
    ]
    blocked_domains: Annotated[list[str], Field(default_factory=list, description="No pages of these hosts.")]
    max_results: Annotated[int, Field(ge=1, le=MOST_HITS)] = 8


def create_web_search(http: HttpService, endpoints: Endpoints, runner: Runner | None = None) -> ToolSpec:
    """The tool over a client; `runner` takes pages of results apart."""

    def make() -> WebSearch:
        from ml_intern.services.workers import Threads
        from ml_intern.tools.web.results import WebSearch

        return WebSearch(http, endpoints, runner or Threads())

    return ToolSpec("web_search", _DESCRIPTION, SearchParams, Late(make).method("handle"), fetches=True)

"""`web_fetch`: the text of a page or a PDF, in parts that fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ml_intern.core.tools.late import Late
from ml_intern.core.tools.spec import ToolSpec
from ml_intern.services.endpoints import Endpoints
from ml_intern.tools.paging import PageParams

if TYPE_CHECKING:
    from ml_intern.services.http import HttpService
    from ml_intern.services.workers import Runner
    from ml_intern.tools.web.pages import PageReader

_DESCRIPTION = """\
Reads a page of the web: the main text of HTML as markdown, the text of a PDF, JSON and plain text as they are. Long \
pages come in parts: go on with `offset`. `find` jumps to the first place where some words stand. For documentation of \
Hugging Face libraries, papers and GitHub files the tools made for them are better."""


class FetchParams(PageParams):
    """What a call of `web_fetch` may say."""

    url: Annotated[str, Field(min_length=1, description="Address, beginning with https:// or http://.")]


def create_web_fetch(http: HttpService, endpoints: Endpoints, runner: Runner | None = None) -> ToolSpec:
    """The tool over a client.

    Args:
        http: The client.
        endpoints: Services that a person has pointed somewhere else; their addresses may be private ones.
        runner: Takes pages apart.
    """

    def make() -> PageReader:
        from ml_intern.services.workers import Threads
        from ml_intern.tools.web.pages import PageReader

        return PageReader(http, endpoints, runner or Threads())

    reader = Late(make)
    return ToolSpec(
        "web_fetch",
        _DESCRIPTION,
        FetchParams,
        reader.method("handle"),
        assess=reader.method("assess"),
        fetches=True,
    )

"""`web_fetch`: the text of a page or a PDF, in parts that fit."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import unquote, urldefrag, urlsplit

from pydantic import Field

from ml_intern.core.approvals.effects import Assessment, Effect
from ml_intern.core.display import TextBlock
from ml_intern.core.redact import Redactor
from ml_intern.core.tools.spec import ToolContext, ToolResult, ToolSpec
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import Fetch, FetchError, HttpService, host_of
from ml_intern.services.pages import Page, UnreadableError, readable
from ml_intern.services.worker_program import WorkError
from ml_intern.services.workers import Runner, Threads
from ml_intern.tools.paging import PageParams, part

FRESH_S = 900.0
KEPT_PAGES = 16
MAX_BYTES = 20_000_000
PLAIN_PATH = 120
"""A longer path, or a query, can carry away what the model has read; the person is asked about it."""
MOST_SEEN = 20_000

_ADDRESS = re.compile(r"https?://[^\s<>()\[\]\"'`]+")

_DESCRIPTION = """\
Reads a page of the web: the main text of HTML as markdown, the text of a PDF, JSON and plain text as they are. Long \
pages come in parts: go on with `offset`. `find` jumps to the first place where some words stand. For documentation of \
Hugging Face libraries, papers and GitHub files the tools made for them are better."""


class FetchParams(PageParams):
    """What a call of `web_fetch` may say."""

    url: Annotated[str, Field(min_length=1, description="Address, beginning with https:// or http://.")]


@dataclass(slots=True)
class SeenAddresses:
    """Addresses that search results and pages have named in this session; fetching one of them tells nothing new."""

    urls: set[str] = field(default_factory=set)

    def note(self, text: str) -> None:
        """Remembers all addresses in a text."""
        self.urls.update(match.rstrip(".,;:") for match in _ADDRESS.findall(text)[:MOST_SEEN])


@dataclass(slots=True)
class _Pages:
    """Pages this session has read, the newest last, so that going on in one costs nothing."""

    known: OrderedDict[str, tuple[str, Page]] = field(default_factory=OrderedDict)

    def keep(self, url: str, final_url: str, page: Page) -> None:
        self.known[url] = (final_url, page)
        self.known.move_to_end(url)
        while len(self.known) > KEPT_PAGES:
            self.known.popitem(last=False)


def create_web_fetch(http: HttpService, endpoints: Endpoints, runner: Runner | None = None) -> ToolSpec:
    """The tool over a client.

    Args:
        http: The client.
        endpoints: Services that a person has pointed somewhere else; their addresses may be private ones.
        runner: Takes pages apart.
    """

    aside = runner or Threads()
    redactor = Redactor.from_env(endpoints.env)

    def assess(params: FetchParams, context: ToolContext) -> Assessment:
        url = _address(params.url)
        said = len(urlsplit(url).query) + max(0, len(urlsplit(url).path) - PLAIN_PATH)
        if not said or url in context.state.get(SeenAddresses).urls or endpoints.is_stand_in(url):
            return Assessment(frozenset({Effect.READ}), subject=url)
        reason = f"sends {said} characters of its own to {host_of(url)}, inside the address"
        return Assessment(frozenset({Effect.PUBLISH}), (reason,), subject=url, display=(TextBlock(text=url),))

    async def handle(params: FetchParams, context: ToolContext) -> ToolResult:
        url = _address(params.url)
        if redactor.text(unquote(url)) != unquote(url):
            return ToolResult("ERROR: The address holds a secret, so it was not fetched.", ok=False)
        pages = context.state.get(_Pages)
        try:
            final_url, page = pages.known.get(url) or await _read(http, endpoints, aside, url, context)
        except (FetchError, UnreadableError) as error:
            return ToolResult(f"ERROR: {error}", ok=False)
        pages.keep(url, final_url, page)
        context.state.get(SeenAddresses).note(page.text)
        kind = f"{page.kind}, {page.about}" if page.about else page.kind
        head = (final_url, page.title) if page.title else (final_url,)
        return part(page.text, params, where=final_url, head=head, kind=kind)

    return ToolSpec("web_fetch", _DESCRIPTION, FetchParams, handle, assess=assess, fetches=True)


def _address(given: str) -> str:
    url = urldefrag(given.strip()).url
    return url if "://" in url else f"https://{url}"


async def _read(
    http: HttpService, endpoints: Endpoints, aside: Runner, url: str, context: ToolContext
) -> tuple[str, Page]:
    allowed = context.settings.web.allow_private or endpoints.is_stand_in(url)
    answer = await http.fetch(
        Fetch(
            url,
            headers={"Accept": "text/html,application/xhtml+xml,application/pdf;q=0.9,*/*;q=0.8"},
            ttl_s=FRESH_S,
            timeout_s=context.settings.web.timeout_s,
            max_bytes=MAX_BYTES,
            public_only=not allowed,
            progress=context.log,
        )
    )
    if not answer.ok:
        reason = answer.reason()
        raise UnreadableError(f"{url} answered {answer.status}{f': {reason}' if reason else ''}.")
    try:
        return answer.url, await aside.run(readable, answer)
    except WorkError as error:
        raise UnreadableError(f"{answer.url} {error}.") from error

"""Fetches pages of the web, turns them into text, and says beforehand what an address would give away."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from urllib.parse import unquote, urldefrag, urlsplit

from ml_intern.core.approvals.effects import Assessment, Effect
from ml_intern.core.display import TextBlock
from ml_intern.core.redact import Redactor
from ml_intern.core.tools.spec import ToolContext, ToolResult
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import Fetch, FetchError, HttpService, host_of
from ml_intern.services.pages import Page, UnreadableError, readable
from ml_intern.services.worker_program import WorkError
from ml_intern.services.workers import Runner
from ml_intern.tools.paging import part
from ml_intern.tools.web.fetch import FetchParams
from ml_intern.tools.web.seen import SeenAddresses

FRESH_S = 900.0
KEPT_PAGES = 16
MAX_BYTES = 20_000_000
PLAIN_PATH = 120
"""A longer path, or a query, can carry away what the model has read; the person is asked about it."""


@dataclass(slots=True)
class _Pages:
    """Pages this session has read, the newest last, so that going on in one costs nothing."""

    known: OrderedDict[str, tuple[str, Page]] = field(default_factory=OrderedDict)

    def keep(self, url: str, final_url: str, page: Page) -> None:
        self.known[url] = (final_url, page)
        self.known.move_to_end(url)
        while len(self.known) > KEPT_PAGES:
            self.known.popitem(last=False)


class PageReader:
    """The tool over a client. For the arguments see `create_web_fetch`."""

    def __init__(self, http: HttpService, endpoints: Endpoints, aside: Runner) -> None:
        self._http = http
        self._aside = aside
        self._endpoints = endpoints
        self._redactor = Redactor.from_env(endpoints.env)

    async def assess(self, params: FetchParams, context: ToolContext) -> Assessment:
        """What a call would do."""
        url = _address(params.url)
        try:
            parts = urlsplit(url)
        except ValueError:  # no address: it is refused without a request
            return Assessment(frozenset({Effect.READ}), subject=url)
        said = len(parts.query) + max(0, len(parts.path) - PLAIN_PATH)
        if not said or url in context.state.get(SeenAddresses).urls or self._endpoints.is_stand_in(url):
            return Assessment(frozenset({Effect.READ}), subject=url)
        reason = f"sends {said} characters of its own to {host_of(url)}, inside the address"
        return Assessment(frozenset({Effect.PUBLISH}), (reason,), subject=url, display=(TextBlock(text=url),))

    async def handle(self, params: FetchParams, context: ToolContext) -> ToolResult:
        """Does what a call asks for."""
        url = _address(params.url)
        if self._redactor.text(unquote(url)) != unquote(url):
            return ToolResult("ERROR: The address holds a secret, so it was not fetched.", ok=False)
        pages = context.state.get(_Pages)
        try:
            known = pages.known.get(url)
            final_url, page = known or await _read(self._http, self._endpoints, self._aside, url, context)
        except (FetchError, UnreadableError) as error:
            return ToolResult(f"ERROR: {error}", ok=False)
        pages.keep(url, final_url, page)
        if known is None:
            context.state.get(SeenAddresses).note(page.text)
        kind = f"{page.kind}, {page.about}" if page.about else page.kind
        head = (final_url, page.title) if page.title else (final_url,)
        return part(page.text, params, where=final_url, head=head, kind=kind)


def _address(given: str) -> str:
    try:
        url = urldefrag(given.strip()).url
    except ValueError:
        return given.strip()
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

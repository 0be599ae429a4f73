"""Asks a search engine, and reads its page of results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit

from ml_intern.core.tools.spec import ToolContext, ToolResult
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import Fetch, FetchError, HttpService
from ml_intern.services.markup import link_to, tree_of
from ml_intern.services.worker_program import WorkError
from ml_intern.services.workers import Runner
from ml_intern.tools.web.search import SearchParams
from ml_intern.tools.web.seen import SeenAddresses

FRESH_S = 900.0


@dataclass(frozen=True, slots=True)
class Hit:
    """One result."""

    title: str
    url: str
    snippet: str = ""


class BlockedError(Exception):
    """The search engine answered with something that is not a list of results."""


class WebSearch:
    """The tool over a client."""

    def __init__(self, http: HttpService, endpoints: Endpoints, aside: Runner) -> None:
        self._http = http
        self._aside = aside
        self._endpoints = endpoints

    async def handle(self, params: SearchParams, context: ToolContext) -> ToolResult:
        """Does what a call asks for."""
        base = self._endpoints.url("web_search")
        if urlsplit(base).scheme not in ("http", "https") or not urlsplit(base).netloc:
            return ToolResult(f"ERROR: WEB_SEARCH_BASE_URL is {base!r}, which is no web address.", ok=False)
        request = Fetch(
            _with_query(base, params.query),
            headers={"Accept": "text/html", "Accept-Language": "en"},
            ttl_s=FRESH_S,
            timeout_s=20.0,
            progress=context.log,
        )
        try:
            answer = await self._http.fetch(request)
            if answer.status != 200:
                raise BlockedError(f"the answer was {answer.status}")
            hits = await self._aside.run(parse_results, answer.text, answer.url)
        except FetchError as error:
            return ToolResult(f"ERROR: The search failed: {error}", ok=False)
        except (BlockedError, WorkError) as error:
            text = f"ERROR: The search engine did not answer with results ({error}); it may be turning programs away. "
            return ToolResult(text + "Try again later, or fetch a known address with web_fetch.", ok=False)
        for hit in hits:
            context.state.get(SeenAddresses).note(hit.url)
        return _report(params, hits)


def parse_results(markup: str, base: str) -> list[Hit]:
    """The results on a page, without advertisements; each address once.

    Raises:
        BlockedError: It is no page of results.
    """
    tree = tree_of(markup)
    if tree is None:
        raise BlockedError("the page was empty")
    links = tree.xpath("//a[contains(concat(' ', @class, ' '), ' result__a ')]")
    if not links:
        if tree.xpath("//*[contains(@class, 'no-results')]"):
            return []
        raise BlockedError("a page without results")
    hits: dict[str, Hit] = {}
    for link in links:
        url = _target(link_to(base, link.get("href", "")))
        title = " ".join(link.text_content().split())
        if url is None or not title or url in hits:
            continue
        box = link.xpath("ancestor::*[contains(concat(' ', @class, ' '), ' result ')][1]")
        snippets = box[0].xpath(".//*[contains(@class, 'result__snippet')]") if box else []
        snippet = " ".join(snippets[0].text_content().split()) if snippets else ""
        hits[url] = Hit(title, url, snippet)
    return list(hits.values())


def _target(url: str, wrappings: int = 3) -> str | None:
    """Where a result leads: redirections of the engine are taken apart, advertisements are nothing."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.path.endswith("/y.js") or "ad_domain" in parts.query:
        return None
    if wrapped := parse_qs(parts.query).get("uddg"):
        return _target(link_to(url, wrapped[0]), wrappings - 1) if wrappings else None
    ours = host == "duckduckgo.com" or host.endswith(".duckduckgo.com")
    return None if parts.scheme not in ("http", "https") or ours else url


def _with_query(base: str, query: str) -> str:
    parts = urlsplit(base)
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), ("q", query)])))


def _hosts(domains: Iterable[str]) -> Iterator[str]:
    for domain in domains:
        text = domain.strip().lower()
        host = urlsplit(text if "://" in text else f"//{text}").hostname
        if host:
            yield host.removeprefix("*.").removeprefix("www.")


def _lies_in(url: str, hosts: Iterable[str]) -> bool:
    host = (urlsplit(url).hostname or "").removeprefix("www.")
    return any(host == wanted or host.endswith(f".{wanted}") for wanted in hosts)


def _report(params: SearchParams, hits: list[Hit]) -> ToolResult:
    allowed, blocked = tuple(_hosts(params.allowed_domains)), tuple(_hosts(params.blocked_domains))
    kept = [hit for hit in hits if (not allowed or _lies_in(hit.url, allowed)) and not _lies_in(hit.url, blocked)]
    if not kept:
        aside = f" {len(hits)} others lie outside the domains you allow." if hits else ""
        return ToolResult(f"Nothing was found for {params.query!r}.{aside} Try other words.")
    lines = [f"Results for {params.query!r}:"]
    for number, hit in enumerate(kept[: params.max_results], 1):
        lines += ["", f"{number}. {hit.title}", f"   {hit.url}"]
        lines += [f"   {hit.snippet}"] if hit.snippet else []
    return ToolResult("\n".join(lines))

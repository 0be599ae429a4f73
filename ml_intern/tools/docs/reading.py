"""Looks things up in the documentation and reads its pages."""

from __future__ import annotations

import difflib
import re

from ml_intern.core.tools.spec import ToolContext, ToolResult
from ml_intern.services.doc_libraries import COMPOSITES, LIBRARIES
from ml_intern.services.docs import Docs, DocsError
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import Fetch, FetchError, HttpService
from ml_intern.tools.docs.tools import ExploreParams, FetchDocsParams
from ml_intern.tools.paging import part

MOST_RESULTS = 50
GLIMPSE = 200
GRADIO_CHARS = 20_000


class Reading:
    """The two tools over their clients."""

    def __init__(self, http: HttpService, endpoints: Endpoints, docs: Docs) -> None:
        self._http = http
        self._endpoints = endpoints
        self._docs = docs

    async def explore(self, params: ExploreParams, context: ToolContext) -> ToolResult:
        """Does what a call of `explore_hf_docs` asks for."""
        name = params.endpoint.strip().strip("/")
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            return ToolResult(f"ERROR: {params.endpoint!r} is no name of a library. {_near(name)}", ok=False)
        if name == "gradio":
            return await _gradio(self._http, self._endpoints, params, context)
        return await _explore(self._docs, self._endpoints, name, params, context)

    async def fetch(self, params: FetchDocsParams, context: ToolContext) -> ToolResult:
        """Does what a call of `fetch_hf_docs` asks for."""
        try:
            url, text = await self._docs.read(params.url.strip(), context.log)
        except DocsError as error:
            return ToolResult(f"ERROR: {error}", ok=False)
        anchor = params.url.partition("#")[2]
        if anchor and not params.offset and not params.find:
            params = params.model_copy(update={"offset": _anchor(text, anchor)})
        return part(text, params, where=url, head=(url,))


async def _explore(
    docs: Docs, endpoints: Endpoints, name: str, params: ExploreParams, context: ToolContext
) -> ToolResult:
    ready, notes = [], []
    for library in COMPOSITES.get(name, (name,)):
        try:
            found = await docs.prepare(library, context.log)
        except DocsError as error:
            notes.append(f"{library} is missing: {error}")
        else:
            ready.append(library)
            notes += [f"{library}: {found.note}"] if found.note else []
    if not ready:
        return ToolResult("\n".join([f"ERROR: {note}" for note in notes] + [_near(name)]), ok=False)
    limit = min(params.max_results, MOST_RESULTS)
    if params.max_results > MOST_RESULTS:
        notes.append(f"{MOST_RESULTS} results are the most that are shown.")
    query = (params.query or "").strip()
    lines = await _results(docs, tuple(ready), query, limit, notes)
    head = f"Documentation of {name} ({endpoints.url('hub', 'docs')}/{name})"
    return ToolResult("\n".join([head, *(f"Note: {note}" for note in notes), *lines]))


async def _results(docs: Docs, names: tuple[str, ...], query: str, limit: int, notes: list[str]) -> list[str]:
    if query:
        found = await docs.search(names, query, limit)
        if found:
            lines = [f"{len(found)} pages for {query!r}, the best first:"]
            for number, hit in enumerate(found, 1):
                place = " › ".join(filter(None, (hit.section, hit.title, hit.heading)))
                lines += ["", f"{number}. {place}", f"   {hit.url}", f"   {hit.snippet}"]
            return lines
        notes.append(f"Nothing fits {query!r}; these are the first pages in their order.")
    pages = [page for name in names for page in await docs.pages(name, limit)][:limit]
    lines = [f"The first {len(pages)} pages:"]
    for number, page in enumerate(pages, 1):
        glimpse = " ".join((page.text or "").split())[:GLIMPSE] or f"(could not be fetched: {page.failure[:80]})"
        lines += ["", f"{number}. {' › '.join(filter(None, (page.section, page.title)))}", f"   {page.url}"]
        lines.append(f"   {glimpse}")
    return lines


async def _gradio(http: HttpService, endpoints: Endpoints, params: ExploreParams, context: ToolContext) -> ToolResult:
    """Gradio keeps its documentation elsewhere, with a search of its own."""
    query = (params.query or "").strip()
    if query:
        url = endpoints.url("gradio_search", "api/prompt")
        body = {"prompt_to_embed": query, "SYSTEM_PROMPT": "$INSERT_GUIDES_DOCS_DEMOS", "FALLBACK_PROMPT": ""}
        request = Fetch(url, method="POST", json=body, progress=context.log)
    else:
        url = endpoints.url("gradio_docs", "llms.txt")
        request = Fetch(url, ttl_s=86_400.0, progress=context.log)
    try:
        answer = await http.fetch(request)
        if not answer.ok:
            return ToolResult(f"ERROR: {url} answered {answer.status} {answer.reason()}".rstrip(), ok=False)
        text = str(answer.json().get("SYS_PROMPT") or "") if query else answer.text
    except (FetchError, AttributeError) as error:
        return ToolResult(f"ERROR: The documentation of Gradio cannot be had: {error}", ok=False)
    if not text.strip():
        return ToolResult(f"Gradio's documentation has nothing on {query!r}.")
    head = f"Documentation of gradio, from {url}"
    if len(text) <= GRADIO_CHARS:
        return ToolResult(f"{head}\n\n{text}")
    rest = "Ask for something more special." if query else f"web_fetch reads on: url={url}, offset={GRADIO_CHARS}."
    return ToolResult(f"{head}\n\n{text[:GRADIO_CHARS]}\n\n[{len(text) - GRADIO_CHARS:,} characters more. {rest}]")


def _near(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), LIBRARIES, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}?" if near else f"Known libraries: {', '.join(LIBRARIES)}."


def _anchor(text: str, anchor: str) -> int:
    """Where the heading of an anchor begins, or 0."""
    wanted = anchor.lower()
    offset = 0
    for line in text.splitlines(keepends=True):
        if line.startswith("#"):
            named = re.search(r"\[\[(.+?)\]\]", line)
            slug = re.sub(r"[^a-z0-9_.]+", "-", re.sub(r"\[\[.*?\]\]", "", line).lstrip("# ").lower()).strip("-")
            if wanted in (slug, named[1].lower() if named else "") or f'id="{anchor}"' in line:
                return offset
        offset += len(line)
    return max(0, text.find(f"[[autodoc]] {anchor}"))

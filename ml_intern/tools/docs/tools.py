"""`explore_hf_docs` and `fetch_hf_docs`."""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Any
from urllib.parse import urldefrag

from pydantic import BeforeValidator, Field

from ml_intern.core.tools.spec import Params, ToolContext, ToolResult, ToolSpec
from ml_intern.services.docs import COMPOSITES, LIBRARIES, Docs, DocsError
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import Fetch, FetchError, HttpService
from ml_intern.tools.paging import PageParams, part

MOST_RESULTS = 50
GLIMPSE = 200
GRADIO_CHARS = 20_000

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


def create_docs_tools(http: HttpService, endpoints: Endpoints, docs: Docs) -> list[ToolSpec]:
    """The two tools over one set of documentation."""

    async def explore(params: ExploreParams, context: ToolContext) -> ToolResult:
        name = params.endpoint.strip().strip("/")
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            return ToolResult(f"ERROR: {params.endpoint!r} is no name of a library. {_near(name)}", ok=False)
        if name == "gradio":
            return await _gradio(http, endpoints, params, context)
        return await _explore(docs, endpoints, name, params, context)

    async def fetch(params: FetchDocsParams, context: ToolContext) -> ToolResult:
        try:
            url, text = await docs.read(params.url.strip(), context.log)
        except DocsError as error:
            return ToolResult(f"ERROR: {error}", ok=False)
        anchor = urldefrag(params.url).fragment
        if anchor and not params.offset and not params.find:
            params = params.model_copy(update={"offset": _anchor(text, anchor)})
        return part(text, params, where=url, head=(url,))

    description = _EXPLORE.format(libraries=", ".join(LIBRARIES))
    return [
        ToolSpec("explore_hf_docs", description, ExploreParams, explore, fetches=True),
        ToolSpec("fetch_hf_docs", _FETCH, FetchDocsParams, fetch, fetches=True),
    ]


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

"""Does the work of `hf_papers`: asks Semantic Scholar, arXiv and the Hub, and puts into words what they say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ml_intern.core.tools.spec import ToolContext, ToolResult
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import Progress
from ml_intern.services.paper_edges import OTHER_END, Direction, Edges
from ml_intern.services.papers import CITED, LISTED, PaperError, Papers, ReadPaper, paper_id
from ml_intern.services.shapes import items, record, records
from ml_intern.tools.paging import PageParams, part
from ml_intern.tools.papers import wording
from ml_intern.tools.papers.params import PapersParams

GRAPH_EDGES = 1000
"""Citations looked at in each direction before the best are chosen; more are not given at once."""
EACH_KIND = 10
SORTS = {"downloads": "downloads", "likes": "likes", "trending": "trendingScore"}
KINDS = ("datasets", "models", "collections")


@dataclass(frozen=True, slots=True)
class PapersDesk:
    """The tool over its clients."""

    papers: Papers
    endpoints: Endpoints

    async def handle(self, params: PapersParams, context: ToolContext) -> ToolResult:
        """Does what a call asks for."""
        work: dict[str, Callable[[PapersParams, Progress], Awaitable[ToolResult]]] = {
            "trending": self._trending,
            "search": self._search,
            "paper_details": self._details,
            "read_paper": self._read,
            "citation_graph": self._graph,
            "snippet_search": self._snippets,
            "recommend": self._recommend,
            "find_datasets": self._resources,
            "find_models": self._resources,
            "find_collections": self._resources,
            "find_all_resources": self._all_resources,
        }
        try:
            result = await work[params.operation](params, context.log)
        except PaperError as error:
            result = ToolResult(f"ERROR: {error}", ok=False)
        if not (unused := params.unused):
            return result
        note = f"Note: {params.operation} makes no use of {', '.join(unused)}; this was done without."
        return replace(result, text=f"{result.text}\n\n{note}")

    # ------------------------------------------------------------------------------------------------- finding

    async def _trending(self, params: PapersParams, progress: Progress) -> ToolResult:
        query = params.query.strip().lower()
        wanted = params.limit + params.offset
        asked: dict[str, str | int] = {"limit": max(3 * wanted, 30) if query else wanted}
        asked |= {"date": params.date} if params.date else {"sort": "trending"}
        found = await self.papers.hub_list("daily_papers", asked, progress)
        kept = [entry for entry in found if not query or query in _words_of(entry)]
        day = f" of {params.date}" if params.date else ""
        about = f" that say {params.query!r}, among the first {len(found)}" if query else ""
        return _listing(f"Daily papers{day}{about}", kept[params.offset :][: params.limit], wording.hub_paper)

    async def _search(self, params: PapersParams, progress: Progress) -> ToolResult:
        if not params.query.strip():
            raise PaperError("`search` needs a `query`.")
        if params.filters or params.sort_by != "relevance":
            try:
                return await self._filtered(params, progress)
            except PaperError as error:
                note = (
                    f"Note: Semantic Scholar could not be asked ({error}) These papers come from the Hub's search, and "
                    f"your filters were NOT applied: {', '.join(_said(params))}."
                )
        else:
            note = ""
        asked: dict[str, str | int] = {"q": params.query, "limit": params.limit + params.offset}
        found = await self.papers.hub_list("papers/search", asked, progress)
        result = _listing(f"Papers for {params.query!r}", found[params.offset :][: params.limit], wording.hub_paper)
        return ToolResult(f"{note}\n\n{result.text}") if note else result

    async def _filtered(self, params: PapersParams, progress: Progress) -> ToolResult:
        """Papers with filters, which only Semantic Scholar knows: by relevance, or sorted over all that fit."""
        asked: dict[str, str | int] = {"query": params.query, "fields": LISTED, **params.filters}
        if params.sort_by == "relevance":
            asked |= {"limit": params.limit, "offset": params.offset}
            found = await self.papers.scholar("graph/v1/paper/search", asked, progress)
            papers = records(found.get("data"))
        else:
            asked |= {"limit": params.limit + params.offset, "sort": f"{params.sort_by}:desc"}
            found = await self.papers.scholar("graph/v1/paper/search/bulk", asked, progress)
            papers = records(found.get("data"))[params.offset :][: params.limit]
        head = f"Papers for {params.query!r} ({', '.join(_said(params))}; {wording.number(found.get('total'))} in all)"
        return _listing(head, papers, wording.scholar_paper)

    async def _snippets(self, params: PapersParams, progress: Progress) -> ToolResult:
        if not params.query.strip():
            raise PaperError("`snippet_search` needs a `query`.")
        wanted = params.limit + params.offset
        asked: dict[str, str | int] = {"query": params.query, "limit": wanted, **params.filters}
        found = await self.papers.scholar("graph/v1/snippet/search", asked, progress)
        said = f" ({', '.join(_said(params))})" if params.filters else ""
        passages = records(found.get("data"))[params.offset : wanted]
        return _listing(f"Passages about {params.query!r}{said}", passages, _snippet)

    async def _recommend(self, params: PapersParams, progress: Progress) -> ToolResult:
        liked = [paper_id(text) for text in [*params.positive_ids, *([params.arxiv_id] if params.arxiv_id else [])]]
        disliked = [paper_id(text) for text in params.negative_ids]
        if not liked:
            raise PaperError("`recommend` needs `arxiv_id` or `positive_ids`.")
        wanted = params.limit + params.offset
        asked: dict[str, str | int] = {"fields": LISTED, "limit": wanted}
        if len(liked) == 1 and not disliked:
            path = f"recommendations/v1/papers/forpaper/ARXIV:{liked[0]}"
            found = await self.papers.scholar(path, {**asked, "from": "recent"}, progress)
        else:
            body = {
                "positivePaperIds": [f"ARXIV:{arxiv_id}" for arxiv_id in liked],
                "negativePaperIds": [f"ARXIV:{arxiv_id}" for arxiv_id in disliked],
            }
            found = await self.papers.scholar_post("recommendations/v1/papers/", asked, body, progress)
        unlike = f", unlike {', '.join(disliked)}" if disliked else ""
        head = f"Papers like {', '.join(liked)}{unlike}"
        papers = records(found.get("recommendedPapers"))[params.offset : wanted]
        return _listing(head, papers, wording.scholar_paper)

    # ------------------------------------------------------------------------------------------------- reading

    async def _details(self, params: PapersParams, progress: Progress) -> ToolResult:
        paper = await self.papers.hub(f"papers/{_needed(params)}", progress)
        lines = wording.details(paper, self.endpoints.url("hub"), self.endpoints.url("arxiv"))
        return ToolResult(
            "\n".join([*lines, "", "read_paper shows its sections, find_all_resources what belongs to it."])
        )

    async def _read(self, params: PapersParams, progress: Progress) -> ToolResult:
        arxiv_id = _needed(params)
        found = await self.papers.read(arxiv_id, progress)
        if found is None:
            return await self._abstract(arxiv_id, progress)
        if not params.section.strip():
            return ToolResult("\n".join(_overview(arxiv_id, found)))
        section = found.paper.find(params.section)
        if section is None:
            names = "\n".join(f"- {part.name}" for part in found.paper.every())
            return ToolResult(f"ERROR: {arxiv_id} has no section {params.section!r}. Its sections:\n{names}", ok=False)
        page = PageParams(offset=params.offset, find=params.find)
        head = (f"{found.paper.title} (arXiv {arxiv_id})", f"{found.url}: {section.name}")
        return part(section.whole(), page, where=f"section {section.name}", head=head)

    async def _abstract(self, arxiv_id: str, progress: Progress) -> ToolResult:
        """What there is where nobody has the text as a page. The Hub knows few of the older papers; arXiv all."""
        pdf = f"The PDF: {self.endpoints.url('arxiv', f'pdf/{arxiv_id}')} (web_fetch reads it)."
        try:
            paper = await self.papers.hub(f"papers/{arxiv_id}", progress)
            title, abstract = paper.get("title"), str(paper.get("summary") or "(no abstract)")
        except PaperError as error:
            if (found := await self.papers.abstract(arxiv_id, progress)) is None:
                raise PaperError(f"There is no HTML version of {arxiv_id}, and no abstract: {error} {pdf}") from error
            title, abstract = found
        about = f"There is no HTML version of {arxiv_id}; this is its abstract. {pdf}"
        return ToolResult("\n".join([wording.short(title, 300), about, "", abstract]))

    async def _graph(self, params: PapersParams, progress: Progress) -> ToolResult:
        arxiv_id = _needed(params)
        both: tuple[Direction, ...] = ("references", "citations")
        kinds = tuple(kind for kind in both if params.direction in ("both", kind))
        asked: dict[str, str | int] = {"fields": CITED, "limit": GRAPH_EDGES}
        answers = await asyncio.gather(
            *(self.papers.edges(arxiv_id, kind, asked, params.offset, params.limit, progress) for kind in kinds),
            return_exceptions=True,
        )
        lines = [f"Citation graph of {arxiv_id}"]
        for kind, answer in zip(kinds, answers, strict=True):
            lines += ["", *_edges(kind, answer, params)]
        return ToolResult("\n".join(lines), ok=not all(isinstance(answer, PaperError) for answer in answers))

    # ----------------------------------------------------------------------------------------------- resources

    async def _resources(self, params: PapersParams, progress: Progress) -> ToolResult:
        kind = params.operation.removeprefix("find_")
        arxiv_id = _needed(params)
        found = await self._linked(kind, arxiv_id, params.limit + params.offset, SORTS[params.sort], progress)
        shown = found[params.offset :][: params.limit]
        endpoint = self.endpoints.url("hub")
        lines = [f"{len(shown)} {kind} for {arxiv_id}" + (f", by {params.sort}" if kind != "collections" else "")]
        for index, item in enumerate(shown, params.offset + 1):
            lines += ["", *wording.resource(index, kind, item, endpoint)]
        if not shown:
            lines = [f"The Hub has no {kind} for {arxiv_id}" + (" beyond these." if params.offset else ".")]
        elif kind == "datasets":
            lines += ["", f"Look at {shown[0].get('id')} with hf_inspect_dataset before you use it."]
        return ToolResult("\n".join(lines))

    async def _all_resources(self, params: PapersParams, progress: Progress) -> ToolResult:
        arxiv_id, limit = _needed(params), min(params.limit, EACH_KIND)
        answers = await asyncio.gather(
            *(self._linked(kind, arxiv_id, limit, "downloads", progress) for kind in KINDS), return_exceptions=True
        )
        lines = [f"What the Hub has for {arxiv_id}"]
        for kind, answer in zip(KINDS, answers, strict=True):
            lines += ["", f"{kind.capitalize()}:"]
            if isinstance(answer, PaperError):
                lines.append(f"   could not be asked: {answer}")
                continue
            if isinstance(answer, BaseException):
                raise answer
            for index, item in enumerate(answer, 1):
                lines += wording.resource(index, kind, item, self.endpoints.url("hub"))
            lines += [] if answer else ["   none"]
        return ToolResult("\n".join(lines), ok=not all(isinstance(answer, PaperError) for answer in answers))

    async def _linked(
        self, kind: str, arxiv_id: str, limit: int, sort: str, progress: Progress
    ) -> list[dict[str, Any]]:
        if kind == "collections":
            asked: dict[str, str | int] = {"item": f"papers/{arxiv_id}", "limit": limit}
        else:
            asked = {"filter": f"arxiv:{arxiv_id}", "limit": limit, "sort": sort, "direction": -1}
        return (await self.papers.hub_list(kind, asked, progress))[:limit]


def _needed(params: PapersParams) -> str:
    if not params.arxiv_id.strip():
        raise PaperError(f"`{params.operation}` needs an `arxiv_id`, for example 2305.18290.")
    return paper_id(params.arxiv_id)


def _said(params: PapersParams) -> list[str]:
    """The filters of a search, for people."""
    said = [f"{name} {value}" for name, value in (
        ("from", params.date_from), ("to", params.date_to), ("field", params.categories),
    ) if value]  # fmt: skip
    said += [f"at least {params.min_citations} citations"] if params.min_citations is not None else []
    return [*said, f"sorted by {params.sort_by}"] if params.sort_by != "relevance" else said


def _words_of(entry: Mapping[str, Any]) -> str:
    paper = record(entry.get("paper")) or entry
    keywords = " ".join(map(str, items(paper.get("ai_keywords"))))
    return f"{paper.get('title')} {paper.get('summary')} {keywords}".lower()


def _listing(
    head: str, found: Sequence[Mapping[str, Any]], line: Callable[[int, Mapping[str, Any]], list[str]]
) -> ToolResult:
    if not found:
        return ToolResult(f"{head}: none. Try other words or fewer filters.")
    lines = [f"{head}: {len(found)}"]
    for index, item in enumerate(found, 1):
        lines += line(index, item)
    return ToolResult("\n".join(lines))


def _snippet(index: int, item: Mapping[str, Any]) -> list[str]:
    paper, snippet = record(item.get("paper")), record(item.get("snippet"))
    ids = record(paper.get("externalIds")) or {"ArXiv": record(paper.get("openAccessInfo")).get("arxivId")}
    place = str(snippet.get("section") or snippet.get("snippetKind") or "")
    facts = " · ".join(filter(None, (str(paper.get("year") or ""), wording.named({"externalIds": ids}), place)))
    text = wording.short(snippet.get("text"), 400)
    return ["", f"{index}. {wording.short(paper.get('title'), 200)}", f"   {facts}", f"   “{text}”"]


def _overview(arxiv_id: str, found: ReadPaper) -> list[str]:
    """Abstract and sections of a paper, with how long they are and how they begin."""
    lines = [found.paper.title, f"arXiv {arxiv_id}, {found.url}", "", found.paper.abstract or "(no abstract)"]
    lines += ["", "Sections:"]
    for section in found.paper.every():
        indent = "  " * (section.level - 1)
        lines.append(f"{indent}- {section.name} ({len(section.whole()):,} characters)")
        if section.level == 1 and (begin := wording.short(section.text or section.whole(), 200)):
            lines.append(f"{indent}  {begin}")
    return [*lines, "", "Read one with section=<number or title>."]


def _edges(kind: Direction, answer: Edges | BaseException, params: PapersParams) -> list[str]:
    if isinstance(answer, PaperError):
        return [f"{kind.capitalize()}: could not be asked: {answer}"]
    if isinstance(answer, BaseException):
        raise answer
    of = f"the first {answer.total:,}" if answer.more else f"{answer.total:,}"
    lines = [f"{kind.capitalize()}: {len(answer.shown)} of {of}, the influential and much cited first"]
    for index, edge in enumerate(answer.shown, params.offset + 1):
        lines += wording.citation(index, edge, OTHER_END[kind])
    end = params.offset + len(answer.shown)
    return [*lines, f"   [{answer.total - end} more: offset={end}]"] if answer.total > end else lines

"""Papers: the Hub's pages about them, arXiv's and ar5iv's texts, Semantic Scholar's citations."""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import Answer, Fetch, FetchError, HttpService, Progress
from ml_intern.services.paper_edges import Direction, Edges, best_edges
from ml_intern.services.paper_html import PaperText, parse_abstract, parse_paper
from ml_intern.services.shapes import records
from ml_intern.services.worker_program import WorkError
from ml_intern.services.workers import Runner, Threads

HUB_S = 900.0
TEXT_S = 30 * 86_400.0
CITATIONS_S = 86_400.0
KEPT_TEXTS = 8
MAX_HTML_BYTES = 40_000_000
SEARCH_SPACING_S = 1.0
OTHER_SPACING_S = 0.1

LISTED = "title,externalIds,year,citationCount,tldr,venue,publicationDate"
CITED = "title,externalIds,year,citationCount,influentialCitationCount,contexts,intents,isInfluential"

_NEW_ID = re.compile(r"(?<!\d)(\d{2}(?:0[1-9]|1[0-2])\.\d{4,5})(?:v\d+)?(?!\d)")
_OLD_ID = re.compile(
    r"(?<![\w-])((?:acc-phys|adap-org|alg-geom|ao-sci|astro-ph|atom-ph|bayes-an|chao-dyn|chem-ph|cmp-lg|comp-gas|cond-mat"
    r"|cs|dg-ga|funct-an|gr-qc|hep-(?:ex|lat|ph|th)|math|math-ph|mtrl-th|nlin|nucl-(?:ex|th)|patt-sol|physics|plasm-ph"
    r"|q-(?:alg|bio|fin)|quant-ph|solv-int|stat|supr-con)(?:\.[A-Za-z-]{2,})?/\d{7})(?:v\d+)?\b"
)
_DOI = re.compile(r"\b10\.(?!48550/)\d{4,9}/\S+")
"""Of another publisher than arXiv: numbers in it may look like an id."""


class PaperError(Exception):
    """A paper or an answer about it could not be had; the text says why.

    Attributes:
        missing: Whether the service says that there is no such paper.
    """

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


@dataclass(frozen=True, slots=True)
class ReadPaper:
    """The text of a paper and the page it came from."""

    url: str
    paper: PaperText


def paper_id(text: str) -> str:
    """The bare arXiv id in a text: of `arXiv:2305.18290v2`, of an address, of the id itself.

    Raises:
        PaperError: There is none in it.
    """
    if _DOI.search(text):
        raise PaperError(f"{text!r} is a DOI and no arXiv id. Find the paper by its title with `search`.")
    found = _NEW_ID.search(text) or _OLD_ID.search(text)
    if found is None:
        raise PaperError(f"{text!r} holds no arXiv id; one looks like 2305.18290.")
    return found[1]


class Papers:
    """A client of the services that know papers.

    Args:
        http: Fetches.
        endpoints: Where the services are.
        clock: Monotonic seconds.
        runner: Takes papers apart.
    """

    def __init__(
        self,
        http: HttpService,
        endpoints: Endpoints,
        clock: Callable[[], float] = time.monotonic,
        runner: Runner | None = None,
    ) -> None:
        self._http = http
        self._aside = runner or Threads()
        self._endpoints = endpoints
        self._clock = clock
        self._texts: OrderedDict[str, ReadPaper] = OrderedDict()
        self._pacing = {True: asyncio.Lock(), False: asyncio.Lock()}
        self._asked_at: dict[bool, float] = {}

    # ------------------------------------------------------------------------------------------------- the Hub

    async def hub(self, path: str, progress: Progress) -> dict[str, Any]:
        """What the Hub's API says about one thing.

        Raises:
            PaperError: It refused, or cannot be reached.
        """
        found: dict[str, Any] = await self._hub(dict, path, None, progress)
        return found

    async def hub_list(self, path: str, params: Mapping[str, str | int], progress: Progress) -> list[dict[str, Any]]:
        """A list of the Hub's API. Raises as `hub`."""
        return records(await self._hub(list, path, params, progress))

    async def _hub(self, shape: type, path: str, params: Mapping[str, str | int] | None, progress: Progress) -> Any:
        url = self._endpoints.url("hub", f"api/{path}")
        return await self._json(Fetch(url, params=params, ttl_s=HUB_S, timeout_s=15.0, progress=progress), shape)

    # ------------------------------------------------------------------------------------------------ its text

    async def read(self, arxiv_id: str, progress: Progress) -> ReadPaper | None:
        """The text of a paper from arXiv or ar5iv, or None when neither has it as a page.

        Raises:
            PaperError: Neither could be asked.
        """
        if arxiv_id in self._texts:
            self._texts.move_to_end(arxiv_id)
            return self._texts[arxiv_id]
        failures = []
        for service in ("arxiv", "ar5iv"):
            url = self._endpoints.url("arxiv" if service == "arxiv" else "ar5iv", f"html/{quote(arxiv_id)}")
            progress(f"reading {url}")
            try:
                answer = await self._http.fetch(
                    Fetch(url, ttl_s=TEXT_S, max_bytes=MAX_HTML_BYTES, attempts=2, progress=progress)
                )
            except FetchError as error:
                failures.append(str(error))
                continue
            try:
                found = await self._aside.run(parse_paper, answer.text) if answer.ok else None
            except WorkError as error:
                failures.append(f"{url} {error}.")
                continue
            if found is not None:
                self._texts[arxiv_id] = ReadPaper(answer.url, found)
                while len(self._texts) > KEPT_TEXTS:
                    self._texts.popitem(last=False)
                return self._texts[arxiv_id]
        if len(failures) == 2:
            raise PaperError(" ".join(failures))
        return None

    async def abstract(self, arxiv_id: str, progress: Progress) -> tuple[str, str] | None:
        """Title and abstract from arXiv, or None when they cannot be had there."""
        url = self._endpoints.url("arxiv", f"abs/{quote(arxiv_id)}")
        try:
            answer = await self._http.fetch(Fetch(url, ttl_s=TEXT_S, attempts=2, progress=progress))
            return await self._aside.run(parse_abstract, answer.text) if answer.ok else None
        except (FetchError, WorkError):
            return None

    # ---------------------------------------------------------------------------------------- Semantic Scholar

    async def scholar(self, path: str, params: Mapping[str, str | int], progress: Progress) -> dict[str, Any]:
        """An answer of Semantic Scholar.

        Raises:
            PaperError: It refused, has no such paper, or cannot be reached.
        """
        return await self._scholar(path, progress, params=params, ttl_s=CITATIONS_S)

    async def edges(
        self, arxiv_id: str, direction: Direction, params: Mapping[str, str | int], offset: int, limit: int,
        progress: Progress,
    ) -> Edges:  # fmt: skip
        """The best citations of a paper in one direction. Raises as `scholar`."""
        path = f"graph/v1/paper/ARXIV:{arxiv_id}/{direction}"
        answer = await self._answer(await self._to_scholar(path, progress, params=params, ttl_s=CITATIONS_S))
        try:
            return await self._aside.run(best_edges, answer.body, direction, offset, limit)
        except (ValueError, RecursionError, WorkError) as error:
            raise PaperError("Semantic Scholar answered with something else than it should.") from error

    async def scholar_post(
        self, path: str, params: Mapping[str, str | int], body: Mapping[str, Any], progress: Progress
    ) -> dict[str, Any]:
        """An answer of Semantic Scholar to a question with a body. Raises as `scholar`."""
        return await self._scholar(path, progress, method="POST", params=params, json=dict(body))

    async def _scholar(self, path: str, progress: Progress, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = await self._json(await self._to_scholar(path, progress, **options), dict)
        return found

    async def _to_scholar(self, path: str, progress: Progress, **options: Any) -> Fetch:
        """A request, once it may be made."""
        key = self._endpoints.env.get("S2_API_KEY", "").strip()
        url = self._endpoints.url("semantic_scholar", path)
        headers = {"x-api-key": key} if key else {}
        if key:
            await self._pace("search" in path)
        return Fetch(url, headers=headers, timeout_s=20.0, progress=progress, **options)

    async def _pace(self, searches: bool) -> None:
        """Keeps the distance between requests that a key promises."""
        spacing = SEARCH_SPACING_S if searches else OTHER_SPACING_S
        async with self._pacing[searches]:
            wait = self._asked_at.get(searches, float("-inf")) + spacing - self._clock()
            if wait > 0:
                await asyncio.sleep(wait)
            self._asked_at[searches] = self._clock()

    async def _json(self, request: Fetch, shape: type) -> Any:
        answer = await self._answer(request)
        try:
            found = answer.json()
        except FetchError as error:
            raise PaperError(str(error)) from error
        if not isinstance(found, shape):
            raise PaperError(f"{_name_of(request)} answered with something else than it should.")
        return found

    async def _answer(self, request: Fetch) -> Answer:
        try:
            answer = await self._http.fetch(request)
        except FetchError as error:
            raise PaperError(str(error)) from error
        if not answer.ok:
            reason = answer.reason()
            said = f"{_name_of(request)} answered {answer.status}{f': {reason}' if reason else ''}."
            raise PaperError(said, missing=answer.status == 404)
        return answer


def _name_of(request: Fetch) -> str:
    return "Semantic Scholar" if "/graph/" in request.url or "/recommendations/" in request.url else "The Hub"

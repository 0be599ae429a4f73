"""The documentation of Hugging Face libraries: listed, fetched page by page, kept in the index, searched there."""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

from ml_intern.services.doc_libraries import COMPOSITES
from ml_intern.services.endpoints import Endpoints, origin_of
from ml_intern.services.http import Fetch, FetchError, HttpService, Progress
from ml_intern.services.markup import link_to, tree_of
from ml_intern.services.search_index import Found, Listed, SearchIndex, StoredPage
from ml_intern.services.threads import in_thread
from ml_intern.services.worker_program import WorkError
from ml_intern.services.workers import Runner, Threads

T = TypeVar("T")

LISTED_FOR_S = 86_400.0
PAGE_FOR_S = 7 * 86_400.0
READ_FOR_S = 900.0
"""A page that is in no index is fetched once for all of its parts."""
AT_ONCE = 6
"""Pages fetched at the same time: fewer than one host is asked for at once, so that other questions come through."""
TELL_EVERY = 20
TOC_BYTES = 10_000_000
_HUB = re.compile(r"^https?://(?:www\.)?(?:huggingface\.co|hf\.co)(?=[/?]|$)", re.IGNORECASE)
"""What people and models call the Hub, wherever it is reached: a mirror has the same pages."""


class DocsError(Exception):
    """Documentation could not be had; the text says why."""


@dataclass(frozen=True, slots=True)
class Library:
    """One set of pages as it is in the index.

    Attributes:
        name: As it was asked for.
        pages: How many pages it has.
        readable: How many of them have been fetched.
        note: What is not as it should be: pages that failed, an old copy; or empty.
    """

    name: str
    pages: int
    readable: int
    note: str = ""


class Docs:
    """Documentation over an index.

    Args:
        http: Fetches.
        endpoints: Where Hugging Face is.
        index: Where pages are kept.
        clock: Seconds since the epoch.
        runner: Takes tables of contents apart.
    """

    def __init__(
        self,
        http: HttpService,
        endpoints: Endpoints,
        index: SearchIndex,
        clock: Callable[[], float] = time.time,
        runner: Runner | None = None,
    ) -> None:
        self._http = http
        self._aside = runner or Threads()
        self._endpoints = endpoints
        self._index = index
        self._clock = clock
        self._crawling: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def prepare(self, name: str, progress: Progress) -> Library:
        """Sees to it that the pages of a set are in the index. Concurrent callers share the work.

        Raises:
            DocsError: There are none, and none were kept.
        """
        async with self._crawling[name]:
            note = ""
            if self._clock() - await self._off(lambda: self._index.listed_at(name)) > LISTED_FOR_S:
                note = await self._list(name, progress)
            if not note:  # where the list cannot be had, hundreds of pages would be waited for in vain
                await self._fetch_missing(name, progress)
            total, readable = await self._off(lambda: self._index.count(name))
        failed = f"{total - readable} of {total} pages could not be fetched; they are tried again the next time."
        notes = [note, failed if readable < total else ""]
        return Library(name, total, readable, " ".join(filter(None, notes)))

    async def search(self, names: tuple[str, ...], query: str, limit: int) -> list[Found]:
        """Pages that answer a query, the best first."""
        return await self._off(lambda: self._index.search(names, query, limit))

    async def pages(self, name: str, limit: int) -> list[StoredPage]:
        """The first pages of a set, in the order of its table of contents."""
        return await self._off(lambda: self._index.pages(name, limit))

    async def read(self, url: str, progress: Progress) -> tuple[str, str]:
        """Address and markdown of one page.

        Raises:
            DocsError: It is no page of the documentation, or cannot be had.
        """
        hub = self._endpoints.url("hub")
        page = _HUB.sub(lambda _: hub, link_to("", url), count=1)
        if origin_of(page) != origin_of(hub):
            raise DocsError(f"{url} is not documentation of Hugging Face; read it with web_fetch.")
        page = markdown_address(page)
        kept = await self._off(lambda: self._index.page(page.removesuffix(".md")))
        if kept is not None and kept.text and self._clock() - (kept.fetched_at or 0.0) < PAGE_FOR_S:
            return page, kept.text
        try:
            return page, await self._text(page, progress, ttl_s=READ_FOR_S)
        except DocsError:
            if kept is not None and kept.text:
                return page, kept.text
            raise

    # ------------------------------------------------------------------------------------------------ the pages

    async def _list(self, name: str, progress: Progress) -> str:
        """Reads the table of contents; says so when a kept one has to do."""
        path = f"learn/{name}" if name in COMPOSITES["courses"] else f"docs/{name}"
        url = self._endpoints.url("hub", path)
        progress(f"reading the table of contents of {name}")
        try:
            answer = await self._http.fetch(
                Fetch(url, headers=self._endpoints.hf_headers(url), max_bytes=TOC_BYTES, progress=progress)
            )
            if not answer.ok:
                raise DocsError(f"{url} answered {answer.status}.")
            found = await self._aside.run(table_of_contents, answer.text, answer.url)
            if not found:
                raise DocsError(f"{url} has no table of contents.")
        except (FetchError, DocsError, WorkError) as error:
            if (await self._off(lambda: self._index.count(name)))[1]:
                return f"This is a kept copy, since the pages could not be listed anew ({error})"
            raise DocsError(str(error)) from error
        await self._off(lambda: self._index.list_pages(name, found))
        return ""

    async def _fetch_missing(self, name: str, progress: Progress) -> None:
        urls = await self._off(lambda: self._index.missing(name, self._clock() - PAGE_FOR_S))
        done = 0

        async def fetch(url: str) -> None:
            nonlocal done
            try:
                async with self._slots:
                    text = await self._text(f"{url}.md", lambda _: None)
            except DocsError as error:
                failure = str(error)
                await self._off(lambda: self._index.fail(name, url, failure))
            else:
                await self._off(lambda: self._index.store(name, url, text))
            done += 1
            if done % TELL_EVERY == 0 or done == len(urls):
                progress(f"{name}: {done} of {len(urls)} pages")

        async with asyncio.TaskGroup() as group:
            for url in urls:
                group.create_task(fetch(url))

    async def _text(self, url: str, progress: Progress, *, ttl_s: float = 0.0) -> str:
        headers = {**self._endpoints.hf_headers(url), "Accept": "text/markdown, text/plain;q=0.9, */*;q=0.1"}
        try:
            answer = await self._http.fetch(Fetch(url, headers=headers, attempts=2, ttl_s=ttl_s, progress=progress))
        except FetchError as error:
            raise DocsError(str(error)) from error
        if not answer.ok:
            raise DocsError(f"{url} answered {answer.status}.")
        return answer.text.strip()

    @staticmethod
    async def _off(work: Callable[[], T]) -> T:
        return await in_thread(work, name="docs index")


def table_of_contents(markup: str, base: str) -> list[Listed]:
    """The pages that a documentation site lists in its sidebar, each once, those of the same site only."""
    tree = tree_of(markup)
    if tree is None:
        return []
    listed: dict[str, Listed] = {}
    section = ""
    for node in tree.xpath("//nav[contains(@class, 'flex-auto')]//*[self::a[@href] or self::div or self::span]"):
        words = " ".join(node.text_content().split())
        if node.tag != "a":
            if words and not node.xpath(".//a"):
                section = words
            continue
        url = link_to(base, node.get("href")).rstrip("/")
        if words and url and origin_of(url) == origin_of(base):
            listed.setdefault(url, Listed(url, words, section))
    return list(listed.values())


def markdown_address(url: str) -> str:
    """Address of the markdown of a page: `.md` once, before a query."""
    parts = urlsplit(url)
    path = re.sub(r"(\.html|/)$", "", parts.path)
    return urlunsplit(parts._replace(path=path if path.endswith(".md") else f"{path}.md", fragment=""))

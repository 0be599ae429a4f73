"""The operations of the Hub's HTTP API: loaded, searched, described."""

from __future__ import annotations

import asyncio
import time

from ml_intern.core.tools.spec import ToolContext, ToolResult
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import FetchError, HttpService, Progress
from ml_intern.services.openapi import Operation, described, described_api, tags_of
from ml_intern.services.search_index import Listed, SearchIndex
from ml_intern.services.threads import in_thread
from ml_intern.services.worker_program import WorkError
from ml_intern.services.workers import Runner
from ml_intern.tools.docs.api import ApiParams

FRESH_S = 86_400.0
COLLECTION = "openapi"


class HubApi:
    """The operations, loaded when they are first needed and again a day later."""

    def __init__(self, http: HttpService, endpoints: Endpoints, index: SearchIndex, aside: Runner) -> None:
        self._http = http
        self._aside = aside
        self._endpoints = endpoints
        self._index = index
        self._loading = asyncio.Lock()
        self._loaded_at = 0.0
        self.operations: dict[str, Operation] = {}
        self.base = ""

    async def load(self, progress: Progress) -> None:
        """Sees to it that the operations are there.

        Raises:
            FetchError: They cannot be had.
        """
        async with self._loading:
            if self.operations and time.time() - self._loaded_at < FRESH_S:
                return
            url = self._endpoints.url("hub", ".well-known/openapi.json")
            answer = await self._http.get(url, ttl_s=FRESH_S, max_bytes=50_000_000, progress=progress)
            if not answer.ok:
                raise FetchError("server", f"{url} answered {answer.status}.")
            try:
                found, said = await self._aside.run(described_api, answer.body)
            except (ValueError, WorkError) as error:
                raise FetchError("server", f"{url} is no description of an API ({error}).") from error
            self.operations = {operation.key: operation for operation in found}
            self.base = said or self._endpoints.url("hub")
            await in_thread(self._store, name="openapi")
            self._loaded_at = time.time()

    def search(self, query: str) -> list[Operation]:
        """Operations that answer a query, the best first."""
        hits = self._index.search((COLLECTION,), query, len(self.operations))  # a tag may pick out the last of them
        return [self.operations[hit.url] for hit in hits if hit.url in self.operations]

    def _store(self) -> None:
        listed = [Listed(key, operation.summary or key) for key, operation in self.operations.items()]
        self._index.list_pages(COLLECTION, listed)
        for key, operation in self.operations.items():
            self._index.store(COLLECTION, key, operation.text())

    async def handle(self, params: ApiParams, context: ToolContext) -> ToolResult:
        """Does what a call asks for."""
        query, tag = (params.query or "").strip(), (params.tag or "").strip()
        if not query and not tag:
            return ToolResult("ERROR: Say what the operation does (`query`), or name a group (`tag`).", ok=False)
        try:
            await self.load(context.log)
        except FetchError as error:
            return ToolResult(f"ERROR: The description of the Hub's API cannot be had now: {error}", ok=False)
        return await _report(self, query, tag, params.max_results)


async def _report(api: HubApi, query: str, tag: str, most: int) -> ToolResult:
    every = list(api.operations.values())
    tags = tags_of(every)
    if tag and tag not in tags:
        return ToolResult(f"ERROR: There is no tag {tag!r}. Tags: {', '.join(tags)}.", ok=False)
    note = ""
    if query:
        found = await in_thread(lambda: api.search(query), name="openapi")
        found = [operation for operation in found if not tag or tag in operation.tags]
        if not found and tag:
            note = f"Nothing with the tag {tag} fits {query!r}; these are all operations with it."
    if not query or note:
        found = [operation for operation in every if tag in operation.tags]
    if not found:
        return ToolResult(f"No operation of the API fits {query!r}. Tags: {', '.join(tags)}.")
    shown = found[:most]
    lines = [note] if note else []
    lines.append(f"{len(shown)} of {len(found)} operations:")
    for operation in shown:
        lines += ["", *described(operation, api.base)]
    return ToolResult("\n".join(lines))

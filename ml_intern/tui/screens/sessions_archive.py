"""All sessions as the app knows them: read from the index once, then kept up with the logs while somebody looks."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from ml_intern.sessions.index import Details, Found, Hit, IndexUnavailableError, SessionIndex
from ml_intern.tui.screens.sessions_shelf import Entry, Shelf, entries_of

CLOSELY_S = 30.0
"""How often every log is looked at, while somebody looks."""
GATHER_S = 0.25
"""How often what a long reading of logs brings is shown."""

News = Callable[[frozenset[str]], object]
"""Takes the ids of sessions that are new, changed or gone; none when only the progress is new."""


def to_nobody(_ids: frozenset[str]) -> None:
    """News while nobody looks."""


class Archive:
    """One for the app: it outlives the screens that show it, so that the second look costs nothing.

    Args:
        directory: Where session logs live.

    Attributes:
        shelf: The sessions. Not all of them before they are `loaded`.
        loaded: Whether all that the index knows is on the shelf.
        reading: Whether logs are being read, or have not been yet.
        left: How many logs are still to be read; 0 when that is not known.
        problem: Why the index cannot be used, or empty.
        news: Hears of what changes on the shelf, and of progress.
    """

    def __init__(self, directory: Path) -> None:
        self.shelf = Shelf()
        self.loaded = False
        self.reading = True
        self.left = 0
        self.problem = ""
        self.news: News = to_nobody
        self._index = SessionIndex(directory, waits=False)
        self._refreshing: asyncio.Task[None] | None = None
        self._looked = False
        self._putting = asyncio.Lock()  # else what was read earlier could be put over what was read later
        self._closely_at = 0.0
        self._over = False

    # -------------------------------------------------------------------------------------------------- keeping up

    async def load(self, directory: str, first: int) -> None:
        """Puts the newest sessions of a directory on the shelf, if there is nothing yet: enough to begin with."""
        if self.loaded:
            return
        try:
            await self._put(lambda: entries_of(self._index.list(Path(directory), limit=first)))
        except IndexUnavailableError as error:
            self.problem = str(error)

    async def look(self) -> None:
        """Puts on the shelf what the index knows and the shelf does not, and learns what is new in the logs."""
        self._looked = True
        try:
            if not self.loaded:
                await self._put(lambda: entries_of(self._index.list()))
                self.loaded = True
                gc.freeze()  # they stay; to go through twenty thousand with each full collection would hold up a key
                self.news(frozenset())
            await self.refresh()
        except IndexUnavailableError as error:
            self.reading, self.problem = False, str(error)
        else:
            self.problem = ""
        self.news(frozenset())

    def expect(self) -> None:
        """Something was done with a session: the next look goes to every log."""
        self._closely_at = 0.0

    async def refresh(self) -> None:
        """Brings the index up to date. When that is under way already, waits for it.

        Raises:
            IndexUnavailableError: The index cannot be written.
        """
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
        await asyncio.shield(self._refreshing)

    async def _refresh(self) -> None:
        """What the index learns is on the shelf while it goes on learning."""
        changed: list[str] = []
        gone: list[str] = []

        def tell(new: Iterable[str], old: Iterable[str], left: int) -> None:
            changed.extend(new)
            gone.extend(old)
            self.left = left

        closely = time.monotonic() > self._closely_at
        if closely:
            self._closely_at = time.monotonic() + CLOSELY_S
        learning = asyncio.to_thread(self._index.refresh, closely=closely, stop=lambda: self._over, tell=tell)
        working = asyncio.ensure_future(learning)
        try:
            while not working.done():
                await asyncio.wait({working}, timeout=GATHER_S)
                new, old = changed[:], gone[:]
                del changed[: len(new)], gone[: len(old)]
                await self._take(new, old)
            await working
        finally:
            self._over = not working.done()  # the app ends
            self.left = 0
        self.reading = False

    async def _take(self, new: list[str], gone: list[str]) -> None:
        before = self.left
        if self._looked and (new or gone):
            await self._put(lambda: entries_of(self._index.those(new)), gone)
        if new or gone or before:
            self.news(frozenset([*new, *gone]))

    async def _put(self, read: Callable[[], list[Entry]], gone: Iterable[str] = ()) -> None:
        async with self._putting:
            entries = await asyncio.to_thread(read)
            self.shelf.drop(gone)
            self.shelf.put(entries)

    # ------------------------------------------------------------------------------------------------------ asking

    async def hits(
        self, words: str, directory: str | None, limit: int, stale: Callable[[], bool]
    ) -> dict[str, Hit] | None:
        """The sessions in which words were said or run, by id; None when nobody wants to know any more.

        Raises:
            IndexUnavailableError: The index cannot be asked.
        """

        def search() -> dict[str, Hit] | None:
            where = None if directory is None else Path(directory)
            try:
                return {hit.id: hit for hit in self._index.hits(words, directory=where, limit=limit, stop=stale)}
            except IndexUnavailableError:
                if stale():
                    return None
                raise

        found = await asyncio.to_thread(search)
        return None if stale() else found

    async def details(self, session_id: str, hit: Hit | None) -> tuple[Details | None, Found | None]:
        """All that is known of a session, and where the words of a search stand in it.

        Raises:
            IndexUnavailableError: The index cannot be asked.
        """

        def read() -> tuple[Details | None, Found | None]:
            return self._index.get(session_id), self._index.quote(hit) if hit is not None else None

        return await asyncio.to_thread(read)

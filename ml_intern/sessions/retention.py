"""Puts sessions that nobody has used for long into the trash, where the configuration says so."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import timedelta

from ml_intern.sessions.store import SessionError, SessionStore

log = logging.getLogger(__name__)

Tell = Callable[[str, bool], object]
"""Takes a sentence for a person, and whether it is bad news."""


class Retention:
    """Looks once, in the background of a start. What is in the trash stays there.

    Args:
        store: The sessions.
        keep_days: How long a session is kept after it was used last; None: for ever.
        tell: Says what went to the trash.
    """

    def __init__(self, store: SessionStore, keep_days: int | None, tell: Tell) -> None:
        self._store = store
        self._keep_days = keep_days
        self._tell = tell
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins, if sessions are not kept for ever."""
        if self._keep_days is not None:
            self._task = asyncio.create_task(self._tidy(self._keep_days))

    async def _tidy(self, days: int) -> None:
        try:
            thrown = await asyncio.to_thread(self._throw_away, timedelta(days=days))
        except OSError as error:
            log.warning("old sessions could not be put into the trash: %s", error)
            return
        if thrown:
            those = "1 session that was" if thrown == 1 else f"{thrown:,} sessions that were"
            back = "`ml-intern sessions restore ID` brings one back"
            self._tell(f"Put {those} not used for {days:,} days into the trash; {back}.", False)

    def _throw_away(self, age: timedelta) -> int:
        thrown = 0
        for file in self._store.older_than(age):
            with contextlib.suppress(SessionError):  # somebody has just opened it
                self._store.delete(file.path)
                thrown += 1
        return thrown

"""Running tool calls that a person can end one by one, while the turn goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Stops:
    """The running calls of a session, by id."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[object]] = {}
        self._stopped: set[str] = set()

    @contextmanager
    def offered(self, call_id: str) -> Iterator[None]:
        """The task that runs this is a call that can be stopped until it leaves."""
        task = asyncio.current_task()
        assert task is not None
        self._running[call_id] = task
        try:
            yield
        finally:
            del self._running[call_id]

    def end(self, call_id: str) -> bool:
        """Ends a call; False when it does not run, or is ending already."""
        task = self._running.get(call_id)
        if task is None or task.cancelling():
            return False
        self._stopped.add(call_id)
        return task.cancel()

    def was_stopped(self, call_id: str) -> bool:
        """Whether a call ended because a person stopped it, told once."""
        found = call_id in self._stopped
        self._stopped.discard(call_id)
        return found

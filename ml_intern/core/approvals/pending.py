"""The calls that wait for a person, and how the waiting ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from ml_intern.core.protocol import ApprovalDecision, Spoken, UserInput

NOTHING_SAID = UserInput(text="")
"""In the place of a prompt, for calls that were still queueing to be asked about: it was told to those before them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a pause ended.

    Attributes:
        decisions: By tool call id; calls that are missing were not approved.
        message: A new prompt that abandoned all pending calls, or None. See `NOTHING_SAID`.
    """

    decisions: dict[str, ApprovalDecision]
    message: Spoken | None = None


class PendingApprovals:
    """At most one set of pending calls. The turn waits here; an answer, a new prompt or an interrupt ends it.

    Sub-agents that run side by side may all have something to ask: they queue for `turn`, so that a person is shown one
    question at a time and each gets its own answer.
    """

    def __init__(self) -> None:
        self._future: asyncio.Future[Answer] | None = None
        self._ids: frozenset[str] = frozenset()
        self._asking = asyncio.Lock()
        self._abandoned = 0

    @property
    def open(self) -> bool:
        """Whether calls wait for a decision."""
        return self._future is not None and not self._future.done()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        """The sole right to ask, in the order of coming.

        Gives False when a new prompt has meanwhile given up all that was to be asked.
        """
        before = self._abandoned
        async with self._asking:
            yield before == self._abandoned

    async def wait(self, call_ids: Iterable[str]) -> Answer:
        """Waits for the decision on these calls. Cancelling the wait withdraws them."""
        self._ids = frozenset(call_ids)
        self._future = asyncio.get_running_loop().create_future()
        try:
            return await self._future
        finally:
            self._future = None

    def decide(self, decisions: Iterable[ApprovalDecision]) -> bool:
        """Answers. False when nothing is pending or no decision names a pending call: then the pause goes on."""
        named = {decision.tool_call_id: decision for decision in decisions if decision.tool_call_id in self._ids}
        if not self.open or not named:
            return False
        self._resolve(Answer(named))
        return True

    def abandon(self, message: Spoken) -> bool:
        """Gives the pending calls up for a new prompt. False when nothing is pending."""
        if not self.open:
            return False
        self._abandoned += 1
        self._resolve(Answer({}, message))
        return True

    def _resolve(self, answer: Answer) -> None:
        if self._future is not None:
            self._future.set_result(answer)

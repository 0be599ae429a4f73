"""The jobs of the running session, as its events tell of them: a fold without the core, so that it works in replay."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ml_intern.core.metrics import TrainingMetrics
from ml_intern.tui import messages

if TYPE_CHECKING:
    from ml_intern.core.display import JobCard

TOOL = "hf_jobs"
ENDED = frozenset({"COMPLETED", "ERROR", "CANCELED", "DELETED"})
MAX_CALLS = 500
"""Calls whose arguments are remembered until their job is known."""


@dataclass(slots=True)
class KnownJob:
    """A job of this session.

    Attributes:
        card: What was last told of it.
        at: When that was, in seconds since the epoch.
        arguments: What it was submitted with; empty where it was submitted elsewhere.
        metrics: Figures from the part of its log that the session has seen.
        followed: Something tells of it and will tell of its end: a tool call, or the watch over a detached job.
        detached: The call that told of it is over, so it goes on when the turn or the app ends.
    """

    card: JobCard
    at: float
    arguments: Mapping[str, Any] = field(default_factory=dict)
    metrics: TrainingMetrics = field(default_factory=TrainingMetrics)
    followed: bool = False
    detached: bool = False

    @property
    def active(self) -> bool:
        """Whether it waits or runs, as far as is known."""
        return self.card.stage not in ENDED

    @property
    def title(self) -> str:
        """How it is called."""
        return self.card.title or self.card.job_id

    @property
    def namespace(self) -> str:
        """Where it is to be asked for: an account, or the backend where that is another than the Hub."""
        return str(self.arguments.get("namespace") or "") or ("" if self.card.backend == "hub" else self.card.backend)

    def elapsed_s(self, now: float) -> float | None:
        """Seconds it has run by `now`; it never runs longer than it may."""
        told = self.card.elapsed_s
        if told is None or self.card.stage != "RUNNING":
            return told
        elapsed = told + max(0.0, now - self.at)
        return elapsed if self.card.timeout_s is None else max(told, min(elapsed, self.card.timeout_s))

    def cost_usd(self, now: float) -> float | None:
        """What it has cost by `now`; None when nobody knows."""
        card, elapsed = self.card, self.elapsed_s(now)
        if card.stage == "RUNNING" and card.max_cost_usd is not None and card.timeout_s and elapsed is not None:
            return card.max_cost_usd * elapsed / card.timeout_s
        return card.cost_usd


class JobBook:
    """Follows the jobs of one session.

    Args:
        clock: Seconds since the epoch, where an event does not tell its time.

    Attributes:
        jobs: By id, the oldest first.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.jobs: dict[str, KnownJob] = {}
        self._clock = clock
        self._arguments: dict[str, Mapping[str, Any]] = {}
        self._by_call: dict[str, str] = {}

    def take(self, message: messages.AgentMessage) -> bool:
        """Takes in what concerns jobs; tells whether anything changed."""
        match message:
            case messages.ToolCalled(event=event) if event.tool == TOOL:
                self._remember(event.tool_call_id, event.arguments)
            case messages.ApprovalAsked(event=event):
                for item in event.tools:
                    if item.tool == TOOL:
                        self._remember(item.tool_call_id, item.arguments)
            case messages.ToolLogged(tool_call_id=str(call_id), text=text) if call_id in self._by_call:
                return self.jobs[self._by_call[call_id]].metrics.feed_all(text.split("\n"))
            case messages.ToolMoved(event=event) | messages.ToolFinished(event=event) if event.tool == TOOL:
                return self._take_cards(message, event)
            case messages.Begun():
                self.clear()
                return True
            case _:
                pass
        return False

    def clear(self) -> None:
        """Forgets all jobs."""
        self.jobs.clear()
        self._arguments.clear()
        self._by_call.clear()

    def settle(self, job_id: str, stage: str, elapsed_s: float | None) -> None:
        """Takes in where a known job stands, from whoever has looked.

        Args:
            job_id: The job.
            stage: In capitals.
            elapsed_s: Seconds it has run; None before it starts.
        """
        known = self.jobs[job_id]
        card, share = known.card, 0.0
        if card.timeout_s and elapsed_s is not None:
            share = elapsed_s / card.timeout_s
        cost = card.cost_usd if card.max_cost_usd is None else card.max_cost_usd * share
        known.card = card.model_copy(update={"stage": stage, "elapsed_s": elapsed_s, "cost_usd": cost})
        known.at = self._clock()

    @property
    def running(self) -> list[KnownJob]:
        """The jobs that wait or run."""
        return [job for job in self.jobs.values() if job.active]

    @property
    def detached(self) -> list[KnownJob]:
        """Those of them that go on when the app is left."""
        return [job for job in self.running if job.detached]

    def running_usd(self, now: float) -> float | None:
        """What the running jobs have cost so far; None when there is none, or nobody knows any price."""
        costs = [cost for job in self.running if (cost := job.cost_usd(now)) is not None]
        return sum(costs) if costs else None

    def _remember(self, call_id: str, arguments: Mapping[str, Any]) -> None:
        if arguments.get("operation") == "run":
            self._arguments[call_id] = arguments
            if len(self._arguments) > MAX_CALLS:
                del self._arguments[next(iter(self._arguments))]

    def _take_cards(self, message: messages.AgentMessage, event: Any) -> bool:
        changed = False
        for block in event.display:
            if block.type == "job":
                self._take_card(block, event)
                changed = True
        job_id = self._by_call.get(event.tool_call_id)
        if job_id and isinstance(message, messages.ToolFinished):
            self.jobs[job_id].followed = False
            self.jobs[job_id].detached = True
            del self._by_call[event.tool_call_id]
        return changed

    def _take_card(self, card: JobCard, event: Any) -> None:
        known = self.jobs.get(card.job_id)
        if known is None:
            known = self.jobs[card.job_id] = KnownJob(card, 0.0)
        known.card, known.at, known.followed = card, self._moment(event.time), True
        call_id = event.tool_call_id
        self._by_call[call_id] = card.job_id
        if arguments := self._arguments.pop(call_id, None):
            known.arguments = arguments

    def _moment(self, stamp: str) -> float:
        try:
            return datetime.fromisoformat(stamp).timestamp()
        except ValueError:
            return self._clock()

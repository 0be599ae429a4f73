"""Events of what costs or lasts: model calls, compute, what was made on the Hub, what was left running."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from ml_intern.core.protocol.base import ArtifactKind, ArtifactState, CostState, EventBase, SpendingKind

BROKEN_OFF = "broken_off"
"""Finish reason of a reply that was not heard to its end."""


class LLMCall(EventBase):
    """One paid reply, or what came of one that broke off. `cost_usd` is None when no price is known."""

    type: Literal["llm_call"] = "llm_call"
    model: str
    kind: Literal["main", "research", "compaction", "probe", "sampling", "aside"]
    cost_usd: float | None
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    latency_ms: int
    finish_reason: str = ""
    cost_state: CostState = "estimated"


class Expense(EventBase):
    """What a job or a sandbox costs. A later one with the same `ref` takes its place.

    Attributes:
        what: The tool that started it.
        ref: Id of the job or the sandbox, or of the tool call while there is none.
        cost_usd: Dollars; None when no price is known.
        state: How sure that is; `released` when nothing is to be paid after all.
    """

    type: Literal["expense"] = "expense"
    kind: SpendingKind
    what: str
    ref: str
    cost_usd: float | None
    state: CostState | Literal["released"]


class ArtifactEvent(EventBase):
    """Something of this session is on the Hub. A later one with the same `kind` and `id` adds to what is known of it.

    Attributes:
        id: Repository, bucket or job id, or the slug of a collection.
        url: Where a browser shows it.
        private: Whether only its owner sees it; None when that is not known.
        size: Bytes; None when that is not known.
        state: `found`: some output names it, and nobody has checked that it exists.
        via: The tool that made it, or in whose output it was found.
    """

    type: Literal["artifact"] = "artifact"
    kind: ArtifactKind
    id: str
    url: str = ""
    private: bool | None = None
    size: int | None = None
    state: ArtifactState
    via: str = ""


class Leftover(BaseModel):
    """A job or a sandbox that still runs although the session that started it has ended.

    Attributes:
        backend: `hub` or `local`.
        id: The backend's id of it.
        namespace: Who pays; empty on this machine.
        session_id: The session that started it; empty when nobody knows.
        here: Whether that session was one of this machine. Another machine may still be at work on it.
        ref: Its name in that session's ledger.
        since: When it was started, ISO-8601; empty when nobody knows.
        usd_per_hour: Its price; None when nobody knows.
        cost_usd: What it has cost so far; None when nobody knows.
        url: Where a browser shows it, or empty.
        title: What it is for, or empty.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    backend: str
    kind: Literal["job", "sandbox"]
    id: str
    namespace: str = ""
    session_id: str = ""
    here: bool = True
    ref: str = ""
    flavor: str = ""
    stage: str = ""
    since: str = ""
    usd_per_hour: float | None = None
    cost_usd: float | None = None
    url: str = ""
    title: str = ""


class LeftoversEvent(EventBase):
    """What earlier sessions have left running. Sent once after the start, and again when that has changed."""

    type: Literal["leftovers"] = "leftovers"
    items: tuple[Leftover, ...]


class ContextUsage(EventBase):
    """How full the context is and what the session has cost; sent when either figure changed.

    Attributes:
        cost_usd: All that was spent, as far as prices are known.
        estimated_usd: The part of it that was reckoned and not measured.
        promised_usd: Worst case of the jobs and sandboxes that run now; not in `cost_usd`.
        unpriced_calls: Calls whose price nobody knows; they are in none of the sums.
    """

    type: Literal["context_usage"] = "context_usage"
    tokens: int
    window: int
    cost_usd: float
    cap_usd: float | None = None
    unpriced_calls: int = 0
    estimated_usd: float = 0.0
    promised_usd: float = 0.0

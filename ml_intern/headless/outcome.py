"""How a run ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ml_intern.core.protocol import ErrorEvent, EventBase, Interrupted, TurnComplete
from ml_intern.exit_codes import FAILURE, INTERRUPTED, LIMIT, OK, USAGE

_MISCONFIGURED = frozenset({"usage", "no_key", "no_model"})
_LIMITS = frozenset({"context_overflow", "context_limit", "cost_limit"})


@dataclass(slots=True)
class Outcome:
    """What is left to say when a run is over.

    Attributes:
        reason: `completed`, `max_iterations`, `cost_limit`, `context_limit`, `error`, `interrupted`, `needs_approval`.
        exit_code: See `ml_intern.exit_codes`.
        result: The answer, or what there is of it.
        error: One sentence, where something went wrong.
        error_kind: What kind of error.
        estimated_usd: The part of `cost_usd` that was reckoned and not measured.
        unpriced_calls: Calls whose price nobody knows; they are not in `cost_usd`.
    """

    reason: str
    exit_code: int
    result: str = ""
    error: str = ""
    error_kind: str = ""
    session_id: str = ""
    model: str = ""
    iterations: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    estimated_usd: float = 0.0
    unpriced_calls: int = 0
    duration_ms: int = 0

    @classmethod
    def of(cls, event: EventBase) -> Outcome | None:
        """The outcome an event brings; None when the turn goes on."""
        match event:
            case TurnComplete():
                return cls(
                    event.reason,
                    OK if event.reason == "completed" else LIMIT,
                    result=event.final_response,
                    iterations=event.iterations,
                    tokens=event.tokens,
                    cost_usd=event.cost_usd,
                )
            case ErrorEvent() if event.ends_turn or event.kind == "internal":
                return cls.failure(event.kind, event.error)
            case Interrupted():
                return cls("interrupted", INTERRUPTED)
        return None

    @classmethod
    def failure(cls, kind: str, error: str) -> Outcome:
        """A run that failed, with the exit code that belongs to the kind of error."""
        code = USAGE if kind in _MISCONFIGURED else LIMIT if kind in _LIMITS else FAILURE
        return cls("error", code, error=error, error_kind=kind)

    def as_object(self) -> dict[str, Any]:
        """The outcome as the one object of `--output json`."""
        return {
            "result": self.result or None,
            "reason": self.reason,
            "exit_code": self.exit_code,
            "error": {"kind": self.error_kind, "message": self.error} if self.error else None,
            "session_id": self.session_id or None,
            "model": self.model or None,
            "iterations": self.iterations,
            "tokens": self.tokens,
            "cost_usd": self.cost_usd,
            "estimated_usd": self.estimated_usd,
            "unpriced_calls": self.unpriced_calls,
            "duration_ms": self.duration_ms,
        }

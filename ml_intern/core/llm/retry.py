"""When a failed request is made again, and how long to wait before."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from ml_intern.core.llm.errors import LLMError
from ml_intern.core.settings import LLMSettings

RATE_LIMIT_FACTOR = 4
"""A rate limit without a date takes longer to pass than a hiccup."""
LONGEST_ASKED_WAIT_S = 600.0
"""A server may ask for a longer wait; we come back after this all the same."""
UNREACHABLE_ATTEMPTS = 2
"""Attempts for a server that has not answered once: most likely it does not run, or its address is wrong."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Attempts and waits.

    Attributes:
        max_attempts: Attempts for one request, the first included.
        base_s: Wait after the first failure; doubled after each further one.
        max_s: Longest wait of our own choosing.
    """

    max_attempts: int
    base_s: float
    max_s: float

    @classmethod
    def of(cls, settings: LLMSettings) -> RetryPolicy:
        """The policy that is configured."""
        return cls(settings.max_attempts, settings.retry_base_s, settings.retry_max_s)

    def attempts(self, error: LLMError, *, answered_before: bool) -> int:
        """Attempts in all for a request that failed in this way, the first included.

        Args:
            error: How the last attempt failed.
            answered_before: Whether that server has answered anything in this session.
        """
        if not error.retryable:
            return 1
        hopeless = error.unreachable and not answered_before
        return min(self.max_attempts, UNREACHABLE_ATTEMPTS) if hopeless else self.max_attempts

    def delay(self, attempt: int, error: LLMError, chance: Callable[[], float] = random.random) -> float:
        """Seconds to wait after attempt number `attempt` failed.

        What the server asks for is honoured, and overshot a little so that several clients do not return together.
        Without it: exponential, and spread over the upper half of the interval.

        Args:
            attempt: Attempts made so far.
            error: How the last one failed.
            chance: Gives a number in [0, 1).
        """
        if error.retry_after is not None:
            asked = min(error.retry_after, LONGEST_ASKED_WAIT_S)
            return asked + min(1.0, asked * 0.1) * chance()
        base = self.base_s * (RATE_LIMIT_FACTOR if error.kind == "rate_limit" else 1)
        longest = min(self.max_s, base * 2.0 ** (attempt - 1))
        return longest * (0.5 + chance() / 2)


def notice(error: LLMError, wait_s: float, attempt: int, attempts: int) -> str:
    """What a person reads while we wait for attempt number `attempt` of so many."""
    reason = error.message.partition(";")[0].rstrip(".")
    return f"{reason}. Trying again in {wait_s:.0f} s (attempt {attempt} of {attempts})."

"""When a sub-agent has to come to an end: model calls, room, time and money."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

WARN_AT = 0.75
"""Share of a limit at which a sub-agent is told, once, to come to an end."""
STOP_AT = 0.9
"""Share of a limit at which it is asked for its report; the rest is for writing it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a sub-agent has to come to an end.

    Attributes:
        iterations: Model calls.
        seconds: Time at work; waiting for a person does not count.
        tokens: Size of its conversation. The model's window limits it too.
        usd: What its model calls may cost; None for no limit but the session's.
    """

    iterations: int
    seconds: float
    tokens: int
    usd: float | None = None


class Clock:
    """Limits the time of what runs within it; it stands still while a person is asked."""

    def __init__(self, limit_s: float) -> None:
        self._limit = self._left = limit_s
        self._since = time.monotonic()
        self._paused = False
        self._timeout = asyncio.timeout(None)

    @property
    def seconds(self) -> float:
        """Time at work so far."""
        running = 0.0 if self._paused else time.monotonic() - self._since
        return self._limit - self._left + running

    @contextlib.asynccontextmanager
    async def limit(self) -> AsyncIterator[None]:
        """Raises TimeoutError once the time is over."""
        self._since = time.monotonic()
        async with self._timeout:
            self._schedule()
            yield

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """A wait that does not count."""
        self._left -= time.monotonic() - self._since
        self._paused = True
        self._timeout.reschedule(None)
        try:
            yield
        finally:
            self._since, self._paused = time.monotonic(), False
            self._schedule()

    def _schedule(self) -> None:
        self._timeout.reschedule(asyncio.get_running_loop().time() + self._left)


class Gauge:
    """How far a sub-agent is from each of its limits.

    Args:
        limits: The limits.
        usd: What its model calls may cost, the session's cap considered; None for no limit.
    """

    def __init__(self, limits: Limits, usd: float | None) -> None:
        self.clock = Clock(limits.seconds)
        self._limits = limits
        self._usd = usd

    def over(self, iterations: int, tokens: int, window: int, usd: float) -> str:
        """The limit that ends the work now, in words; empty while there is none."""
        if iterations >= self._limits.iterations:
            return self._calls
        used = self._used(tokens, window, usd)
        return next((what for what, share in used.items() if share >= STOP_AT), "")

    def near(self, iterations: int, tokens: int, window: int, usd: float) -> str:
        """A limit that will end the work soon, in words; empty while there is none."""
        used = {self._calls: iterations / self._limits.iterations, **self._used(tokens, window, usd)}
        return next((what for what, share in used.items() if share >= WARN_AT), "")

    @property
    def _calls(self) -> str:
        return f"its {self._limits.iterations} model calls"

    def _used(self, tokens: int, window: int, usd: float) -> dict[str, float]:
        used = {
            "the room for what it reads": tokens / min(window, self._limits.tokens),
            "its time": self.clock.seconds / self._limits.seconds,
        }
        if self._usd is not None and usd > 0:
            used[f"its share of the money (${self._usd:.2f})"] = usd / max(self._usd, 1e-9)
        return used

"""How full the context is: what the provider counted, plus what was added since by our own count."""

from __future__ import annotations

MAX_OVERHEAD = 40_000
"""Tokens at most that are put down to tool definitions and message formats."""
_MIN_SAMPLE = 1_000
_DENSITY = (0.8, 1.6)


class UsageMeter:
    """Turns our own count of the history into the figure the provider would report for the next request.

    Our count (`own`) leaves out the system prompt and everything sent beside the messages; how much that is can be told
    beforehand (`expect`). With each reply the provider tells the whole: from then on only the difference in `own` is
    estimated. What shrinks is taken to shrink in proportion, since the provider's tokenizer may see every message
    larger or smaller than ours does.
    """

    def __init__(self, system: int) -> None:
        self._system = system
        self._overhead = 0
        self._counted: int | None = None
        self._own = 0

    @property
    def measured(self) -> bool:
        """Whether a provider has counted yet."""
        return self._counted is not None

    @property
    def fixed(self) -> int:
        """Tokens that every request takes whatever the history: the system prompt and what goes with it."""
        fixed = self._system + self._overhead
        return fixed if self._counted is None else min(fixed, self._counted)

    def expect(self, beside: int) -> None:
        """Until a provider has counted, `beside` tokens are taken to go along with the messages: the tools."""
        if self._counted is None:
            self._overhead = min(beside, MAX_OVERHEAD)

    def tokens(self, own: int) -> int:
        """Tokens of a request whose history comes to `own` by our count."""
        if self._counted is None:
            return self.fixed + own
        if own >= self._own:
            return self._counted + round(self._density() * (own - self._own))
        return self.fixed + round((self._counted - self.fixed) * own / self._own)

    def measure(self, counted: int, own: int) -> None:
        """The provider counted `counted` tokens for a request and reply whose history is `own` by our count."""
        if self._counted is None:
            self._overhead = max(0, min(counted - own - self._system, MAX_OVERHEAD))
        self._counted, self._own = counted, own

    def shrunk(self, own: int) -> None:
        """The history was cut down to `own`."""
        if self._counted is not None:
            self._counted, self._own = self.tokens(own), own

    def recounted(self, system: int, before: int, after: int) -> None:
        """Our own count has become another: `after` instead of `before` for the very same history."""
        if self._counted is None:
            self._system = system
        elif before:
            self._own = round(self._own * after / before)

    def _density(self) -> float:
        """The provider's tokens for one of ours."""
        if self._counted is None or self._own < _MIN_SAMPLE:
            return 1.0
        low, high = _DENSITY
        return min(high, max(low, (self._counted - self.fixed) / self._own))

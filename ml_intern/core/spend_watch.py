"""Notices how much is spent, and how fast. Each crossing is told once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from ml_intern.core.dollars import dollars
from ml_intern.core.settings import MoneySettings

WINDOW_S = 600.0
"""How far back the pace of spending is looked at."""


class SpendWatch:
    """Watches a sum grow.

    Args:
        settings: When to speak.
        spent_usd: What is known already, and so is no news.
        clock: Monotonic seconds.
    """

    def __init__(
        self, settings: MoneySettings, spent_usd: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._recent: deque[tuple[float, float]] = deque()
        self.begin(spent_usd)

    def begin(self, spent_usd: float) -> None:
        """Looks at another session from now on, one that has spent this much already."""
        self._spent = spent_usd
        self._next = self._next_after(spent_usd)
        self._recent.clear()
        self._fast = False

    def observe(self, spent_usd: float, cap_usd: float | None) -> list[str]:
        """Takes the present sum; gives the sentences that a person should hear now.

        Args:
            spent_usd: Dollars of the session so far. Zero begins a new session; corrections may lower it.
            cap_usd: The spending cap, if there is one.
        """
        if spent_usd == 0.0:
            self._recent.clear()
            self._fast = False
        told = [*self._milestone(spent_usd), *self._pace(spent_usd, cap_usd)]
        self._spent = spent_usd
        return told

    def _next_after(self, spent_usd: float) -> float | None:
        """The first threshold strictly above a sum: the first warning, and its doubles."""
        threshold = self._settings.first_warning_usd
        while threshold is not None and threshold <= spent_usd:
            threshold *= 2
        return threshold

    def _milestone(self, spent_usd: float) -> list[str]:
        before, self._next = self._next, self._next_after(spent_usd)
        if before is None or self._next is None or self._next <= before:
            return []
        return [f"This session has cost ${spent_usd:.2f} so far. The next notice comes at ${self._next:,.2f}."]

    def _pace(self, spent_usd: float, cap_usd: float | None) -> list[str]:
        now, share = self._clock(), self._settings.velocity_share
        while self._recent and self._recent[0][0] <= now - WINDOW_S:
            self._recent.popleft()
        if not cap_usd or share is None:
            self._add(now, spent_usd)
            return []
        # Whether it had calmed down is seen before the new sum is added, since nobody looks in between.
        calm = not self._fast or self._recent_usd <= share * cap_usd
        self._add(now, spent_usd)
        self._fast = self._recent_usd > share * cap_usd
        if not (calm and self._fast):
            return []
        minutes = max(0.0, cap_usd - spent_usd) / self._recent_usd * WINDOW_S / 60
        reach = f"reaches it in about {minutes:.0f} min" if minutes >= 1 else "is about to reach it"
        text = (
            f"The last 10 minutes cost {dollars(self._recent_usd)}, {self._recent_usd / cap_usd:.0%} of the cap of "
            f"{dollars(cap_usd)}; going on like this {reach}. Interrupt the turn if that is not what you want."
        )
        return [text]

    @property
    def _recent_usd(self) -> float:
        return sum(usd for _, usd in self._recent)

    def _add(self, now: float, spent_usd: float) -> None:
        if spent_usd and spent_usd != self._spent:
            self._recent.append((now, spent_usd - self._spent))

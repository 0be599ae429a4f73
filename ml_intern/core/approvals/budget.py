"""Money of one session: what was spent, what is promised, and what may still be."""

from __future__ import annotations

from ml_intern.core.approvals.effects import Cost


class Budget:
    """Keeps the spending of a session under its cap.

    Reservations hold the worst case of every paid call that runs, so that calls running side by side cannot jointly
    pass the cap.

    Attributes:
        cap_usd: Hard limit, or None for none.
        spent_usd: Measured or estimated spending so far.
        unpriced_calls: Model calls whose price nobody knows; they are not in `spent_usd`.
    """

    def __init__(self, cap_usd: float | None = None) -> None:
        self.cap_usd = cap_usd
        self.spent_usd = 0.0
        self.unpriced_calls = 0
        self._reserved: dict[str, float] = {}

    @property
    def committed_usd(self) -> float:
        """Spent and promised together."""
        return self.spent_usd + sum(self._reserved.values())

    @property
    def left_usd(self) -> float | None:
        """What may still be spent; None without a cap."""
        return None if self.cap_usd is None else max(0.0, round(self.cap_usd - self.committed_usd, 6))

    @property
    def exhausted(self) -> bool:
        """Whether the cap is reached by spending alone."""
        return self.cap_usd is not None and self.spent_usd >= self.cap_usd

    def objection(self, cost: Cost) -> str:
        """Why this cost does not fit under the cap, or an empty string. Exactly the remaining sum fits."""
        left = self.left_usd
        if left is None or cost.usd == 0.0:
            return ""
        if cost.usd is None:
            return f"the price is unknown, so it cannot be held under the cap of ${self.cap_usd:.2f}"
        if cost.usd > left:
            return f"it may cost ${cost.usd:.2f}, and only ${left:.2f} of the cap of ${self.cap_usd:.2f} are left"
        return ""

    def record(self, usd: float | None) -> None:
        """Adds the cost of a model call; None counts it as unpriced."""
        if usd is None:
            self.unpriced_calls += 1
        else:
            self.spent_usd += max(0.0, usd)

    def reserve(self, call_id: str, cost: Cost) -> None:
        """Promises the worst case of a call that is about to run."""
        if cost.usd:
            self._reserved[call_id] = cost.usd

    def promised(self, call_id: str) -> float | None:
        """The worst case reserved for a call; None when nothing is."""
        return self._reserved.get(call_id)

    def settle(self, call_id: str, usd: float | None) -> None:
        """Turns a promise into spending: the measured sum, or the promised one where nothing was measured (None)."""
        promised = self._reserved.pop(call_id, 0.0)
        self.spent_usd += promised if usd is None else max(0.0, usd)

    def release(self, call_id: str) -> None:
        """Takes a promise back: the call did not happen."""
        self._reserved.pop(call_id, None)

    def restart(self) -> None:
        """Forgets all spending; the cap stays."""
        self.spent_usd, self.unpriced_calls = 0.0, 0
        self._reserved.clear()

"""What may be spent: the cap over a session's ledger, and the promises that keep parallel calls under it."""

from __future__ import annotations

from ml_intern.core.approvals.effects import Cost
from ml_intern.core.dollars import dollars
from ml_intern.core.ledger import Entry, Ledger, Totals
from ml_intern.core.protocol import Expense


class Budget:
    """Keeps the spending of a session under its cap.

    A promise holds the worst case of every paid call that runs, so that calls running side by side cannot jointly
    pass the cap. Methods that change an entry return the events that say so; the ledger has them already.

    Attributes:
        cap_usd: Hard limit, or None for none.
        ledger: What was spent and promised.
    """

    def __init__(self, cap_usd: float | None = None, ledger: Ledger | None = None) -> None:
        self.cap_usd = cap_usd
        self.ledger = ledger or Ledger()

    @property
    def totals(self) -> Totals:
        """The ledger's sums."""
        return self.ledger.totals

    @property
    def left_usd(self) -> float | None:
        """What may still be spent; None without a cap."""
        return None if self.cap_usd is None else max(0.0, round(self.cap_usd - self.totals.committed_usd, 9))

    @property
    def exhausted(self) -> bool:
        """Whether the cap is reached by spending alone."""
        return self.cap_usd is not None and self.totals.spent_usd >= self.cap_usd

    def objection(self, cost: Cost) -> str:
        """Why this cost does not fit under the cap, or an empty string. Exactly the remaining sum fits."""
        left, cap = self.left_usd, self.cap_usd
        if left is None or cap is None or cost.usd == 0.0:
            return ""
        if cost.usd is None:
            return f"the price is unknown, so it cannot be held under the cap of {dollars(cap)}"
        if cost.usd > left:
            return f"it may cost {dollars(cost.usd)}, and only {dollars(left)} of the cap of {dollars(cap)} are left"
        return ""

    def reserve(self, ref: str, cost: Cost, what: str = "") -> list[Expense]:
        """Promises the worst case of a call that is about to run; nothing for a free one."""
        if cost.usd is not None and cost.usd <= 0.0:
            return []
        return self.book(Expense(kind=cost.kind, what=what, ref=ref, cost_usd=cost.usd, state="promised"))

    def rename(self, ref: str, new: str) -> list[Expense]:
        """Lets an entry go on under another name: that of the job which the call has started."""
        entry = self.ledger.find(ref)
        if entry is None or new == ref:
            return []
        renamed = Expense(kind=entry.kind, what=entry.what, ref=new, cost_usd=entry.usd, state=entry.state)
        return [*self.book(renamed), *self.book(_released(ref, entry))]

    def settle(self, ref: str, usd: float | None, what: str = "") -> list[Expense]:
        """Turns a promise into spending: the measured sum, or the worst case where nothing was measured (None).

        A measured sum also corrects an entry that was settled without one.
        """
        entry = self.ledger.find(ref)
        if usd is not None and (entry or usd > 0.0):
            kind, what = (entry.kind, entry.what) if entry else ("job", what)
            return self.book(Expense(kind=kind, what=what, ref=ref, cost_usd=max(0.0, usd), state="measured"))
        if entry is None or entry.state != "promised":
            return []
        kept = entry.kept()
        return self.book(Expense(kind=kept.kind, what=kept.what, ref=ref, cost_usd=kept.usd, state=kept.state))

    def release(self, ref: str) -> list[Expense]:
        """Takes a promise back: what it was for did not happen. Spending stays."""
        entry = self.ledger.find(ref)
        if entry is None or entry.state != "promised":
            return []
        return self.book(_released(ref, entry))

    def restart(self) -> None:
        """Forgets all spending; the cap stays."""
        self.ledger = Ledger()

    def book(self, expense: Expense) -> list[Expense]:
        """Puts an expense into the ledger as it is."""
        self.ledger.take(expense)
        return [expense]


def _released(ref: str, entry: Entry) -> Expense:
    return Expense(kind=entry.kind, what=entry.what, ref=ref, cost_usd=0.0, state="released")

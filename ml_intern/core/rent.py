"""The account of one thing that is paid for by the hour and outlives the tool call that started it: a sandbox.

Hours are reserved before they begin; what has really passed of them is booked as spent, a little at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ml_intern.core.approvals.budget import Budget
from ml_intern.core.approvals.effects import Cost
from ml_intern.core.protocol import Expense

HOUR_S = 3600.0

_LEAST_STEP_USD = 0.005
"""Smaller steps are not worth a line in the session's log."""


def reserved_ref(ref: str) -> str:
    """Name of the entry that holds what is reserved for `ref` and not used up yet."""
    return f"{ref} (reserved)"


class Rent:
    """Reserves hours and books the time that has passed.

    Args:
        budget: Whose money it is.
        tell: Takes the events that say what was booked.
        ref: Name of the rented thing in the ledger.
        what: The tool that pays for it.
        usd_per_hour: Its price; None when nobody knows.
    """

    def __init__(
        self,
        budget: Budget,
        tell: Callable[[Iterable[Expense]], None],
        ref: str,
        what: str,
        usd_per_hour: float | None,
    ) -> None:
        self.ref = ref
        self.what = what
        self.usd_per_hour = usd_per_hour
        self.hours = 0
        self._budget = budget
        self._tell = tell
        self._booked_usd = 0.0
        self._closed = False

    @property
    def reserved_s(self) -> float:
        """Seconds of use that are reserved, from the beginning."""
        return self.hours * HOUR_S

    def reserve_hour(self, *, paid: bool = False) -> str:
        """Reserves one more hour; gives the reason instead when the cap does not allow it.

        Args:
            paid: The tool call that starts it has reserved the hour already, under `reserved_ref(ref)`.
        """
        if not paid:
            if objection := self._budget.objection(Cost(self.usd_per_hour, kind="sandbox")):
                return objection
            left = None if self.usd_per_hour is None else self.usd_per_hour * (self.hours + 1) - self._booked_usd
            self._promise(left)
        self.hours += 1
        return ""

    def refresh(self) -> None:
        """Sets right what is reserved, after a call has reserved an hour for something that was there already."""
        entry = self._budget.ledger.find(reserved_ref(self.ref))
        if self.usd_per_hour is None or entry is None or entry.usd is None:
            return
        left = max(0.0, self.usd_per_hour * self.hours - self._booked_usd)
        if abs(entry.usd - left) > 1e-9:
            self._promise(left)

    def catch_up(self, used_s: float) -> None:
        """Takes over something that has been used for a while already: what is over is spent, its hour is reserved."""
        self.hours = int(used_s // HOUR_S) + 1
        self.book(used_s)

    def book(self, used_s: float) -> None:
        """Books what has been used since the beginning as spent, and keeps the rest of the reserved time reserved."""
        if self.usd_per_hour is None:
            return
        usd = self.usd_per_hour * used_s / HOUR_S
        if usd - self._booked_usd < _LEAST_STEP_USD:
            return
        self._spend(usd)
        self._promise(max(0.0, self.usd_per_hour * self.hours - usd))

    def close(self, used_s: float) -> None:
        """Books all that was used, measured, and gives back what was reserved beyond it."""
        if self._closed:
            return
        self._closed = True
        if self.usd_per_hour is None:
            self._tell(self._budget.settle(reserved_ref(self.ref), None))
            return
        self._spend(self.usd_per_hour * used_s / HOUR_S)
        self._give_back()

    def cancel(self) -> None:
        """Gives back all that was reserved: nothing was started."""
        if not self._closed:
            self._closed = True
            self._give_back()

    def _spend(self, usd: float) -> None:
        expense = Expense(kind="sandbox", what=self.what, ref=self.ref, cost_usd=round(usd, 9), state="measured")
        self._tell(self._budget.book(expense))
        self._booked_usd = usd

    def _promise(self, usd: float | None) -> None:
        ref = reserved_ref(self.ref)
        if usd is not None and usd <= 0.0:
            self._tell(self._budget.release(ref))
        else:
            self._tell(self._budget.reserve(ref, Cost(usd, kind="sandbox"), self.what))

    def _give_back(self) -> None:
        ref = reserved_ref(self.ref)
        entry = self._budget.ledger.find(ref)
        if entry is None:
            return
        if entry.state == "promised":
            self._tell(self._budget.release(ref))
        else:  # an earlier run was cut off and its promise counted as spent
            self._tell(self._budget.settle(ref, 0.0))

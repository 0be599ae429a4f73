from __future__ import annotations

import pytest

from ml_intern.core.approvals.budget import Budget
from ml_intern.core.approvals.effects import Cost
from ml_intern.core.ledger import Ledger
from ml_intern.core.protocol import Expense
from ml_intern.core.rent import HOUR_S, Rent, reserved_ref
from ml_intern.core.tools.spec import SessionState


class Money:
    """A budget and everything that was told of it."""

    def __init__(self, cap: float | None = None) -> None:
        self.budget = Budget(cap)
        self.told: list[Expense] = []

    def rent(self, usd_per_hour: float | None = 2.0) -> Rent:
        return Rent(self.budget, self.told.extend, "box", "sandbox", usd_per_hour)

    @property
    def sums(self) -> tuple[float, float]:
        """What was spent, and what is promised beside it."""
        return self.budget.totals.spent_usd, self.budget.totals.promised_usd


def test_an_hour_is_promised_then_spent_bit_by_bit_and_the_rest_given_back() -> None:
    money = Money()
    rent = money.rent()
    assert rent.reserve_hour() == ""
    assert money.sums == (0.0, 2.0)
    rent.book(HOUR_S / 4)
    assert money.sums == (0.5, 1.5)
    rent.close(HOUR_S / 2)
    assert money.sums == (1.0, 0.0)
    read_back = Ledger()
    for expense in money.told:
        read_back.take(Expense.model_validate_json(expense.model_dump_json()))
    assert read_back.totals == money.budget.totals


def test_the_next_hour_is_reserved_only_if_the_cap_allows_it() -> None:
    money = Money(cap=3.0)
    rent = money.rent()
    rent.reserve_hour()
    rent.book(HOUR_S)
    assert "only $1.00 of the cap of $3.00 are left" in rent.reserve_hour()
    assert rent.reserved_s == HOUR_S
    assert money.sums == (2.0, 0.0)


def test_hours_that_a_call_has_reserved_are_not_reserved_again() -> None:
    money = Money(cap=2.0)
    money.budget.reserve(reserved_ref("box"), Cost(2.0, kind="sandbox"), "bash")
    assert money.rent().reserve_hour(paid=True) == ""
    assert money.sums == (0.0, 2.0)


def test_small_steps_are_not_told() -> None:
    money = Money()
    rent = money.rent(0.01)
    rent.reserve_hour()
    before = len(money.told)
    rent.book(600)
    assert len(money.told) == before
    rent.close(600)
    assert money.budget.totals.measured_usd == pytest.approx(0.01 / 6)


def test_what_runs_since_earlier_is_caught_up_with_and_its_hour_reserved() -> None:
    money = Money()
    rent = money.rent()
    rent.reserve_hour()
    rent.catch_up(HOUR_S * 2.5)
    assert money.sums == (5.0, 1.0)
    assert rent.reserved_s == 3 * HOUR_S


def test_closing_twice_or_giving_back_what_is_closed_changes_nothing() -> None:
    money = Money()
    rent = money.rent()
    rent.reserve_hour()
    rent.close(HOUR_S)
    rent.close(9 * HOUR_S)
    rent.cancel()
    assert money.sums == (2.0, 0.0)


def test_what_was_never_started_costs_nothing() -> None:
    money = Money()
    rent = money.rent()
    rent.reserve_hour()
    rent.cancel()
    assert money.sums == (0.0, 0.0)
    assert money.budget.ledger.entries == ()


def test_an_unknown_price_stays_unknown() -> None:
    money = Money()
    rent = money.rent(None)
    rent.reserve_hour()
    assert money.budget.totals.unknown == 1
    rent.book(HOUR_S)
    rent.close(HOUR_S)
    assert money.budget.totals.unknown == 1
    assert money.sums == (0.0, 0.0)
    assert "unknown" in Rent(Budget(1.0), lambda _: None, "box", "sandbox", None).reserve_hour()


async def test_one_tool_that_cannot_stop_keeps_no_other_from_it() -> None:
    stopped = []

    class Broken:
        async def stop(self) -> None:
            raise OSError("no")

    class Fine:
        async def stop(self) -> None:
            stopped.append(self)

    state = SessionState()
    state.get(Broken)
    fine = state.get(Fine)
    await state.release()
    assert stopped == [fine]

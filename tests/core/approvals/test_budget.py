from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_intern.core.approvals.budget import Budget
from ml_intern.core.approvals.effects import Cost
from ml_intern.core.ledger import Ledger
from ml_intern.core.protocol import Expense

CALLS = st.sampled_from(["a", "b", "c", "d"])
CENTS = st.integers(0, 500).map(lambda cents: cents / 100)
SHARE = st.floats(0.0, 1.0)

Act = Callable[[Budget], list[Expense]]


def reserve(call_id: str, usd: float) -> Act:
    """What the loop does: a call whose worst case does not fit is not run."""

    def act(budget: Budget) -> list[Expense]:
        busy = budget.ledger.find(call_id) is not None
        return [] if busy or budget.objection(Cost(usd)) else budget.reserve(call_id, Cost(usd), "train")

    return act


def settle(call_id: str, share: float | None) -> Act:
    """A job that costs no more than its worst case."""

    def act(budget: Budget) -> list[Expense]:
        entry = budget.ledger.find(call_id)
        worst = (entry.usd if entry else None) or 0.0
        return budget.settle(call_id, None if share is None else worst * share)

    return act


ACTS = st.one_of(
    st.builds(reserve, CALLS, CENTS),
    st.builds(settle, CALLS, st.none() | SHARE),
    CALLS.map(lambda call_id: lambda budget: budget.release(call_id)),
    st.tuples(CALLS, st.sampled_from(["job-1", "job-2"])).map(
        lambda names: lambda budget: [] if budget.ledger.find(names[1]) else budget.rename(*names)
    ),
)


@settings(deadline=None)
@given(st.integers(0, 1000), st.lists(ACTS, max_size=40))
def test_spent_and_promised_never_pass_the_cap_in_whatever_order_calls_come_and_go(cents: int, acts: list[Act]) -> None:
    budget, read_back = Budget(cents / 100), Ledger()
    for act in acts:
        for expense in act(budget):
            read_back.take(Expense.model_validate_json(expense.model_dump_json()))
        assert budget.totals.committed_usd <= cents / 100
        assert budget.left_usd == pytest.approx(cents / 100 - budget.totals.committed_usd, abs=1e-8)
    assert read_back.entries == budget.ledger.entries
    assert read_back.totals == budget.totals


def test_promises_become_spending_measured_or_at_their_worst_case() -> None:
    budget = Budget(10.0)
    budget.reserve("a", Cost(2.0))
    budget.reserve("b", Cost(3.0))
    assert (budget.totals.promised_usd, budget.left_usd) == (5.0, 5.0)
    budget.settle("a", 0.5)
    budget.settle("b", None)
    assert (budget.totals.measured_usd, budget.totals.estimated_usd) == (0.5, 3.0)
    assert (budget.totals.promised_usd, budget.left_usd) == (0.0, 6.5)


def test_a_released_promise_leaves_nothing_and_spending_cannot_be_released() -> None:
    budget = Budget(10.0)
    budget.reserve("a", Cost(2.0))
    budget.release("a")
    assert budget.ledger.entries == ()
    budget.settle("b", 1.0)
    budget.release("b")
    assert budget.totals.spent_usd == 1.0


def test_a_job_is_paid_once_although_it_was_estimated_by_one_call_and_measured_by_another() -> None:
    budget = Budget(10.0)
    budget.reserve("call-1", Cost(4.0), "hf_jobs")
    budget.rename("call-1", "job-7")
    budget.settle("job-7", None)
    assert budget.totals.estimated_usd == 4.0
    budget.settle("job-7", 0.25)
    (entry,) = budget.ledger.entries
    assert (entry.what, entry.usd, entry.state) == ("hf_jobs", 0.25, "measured")


def test_measured_at_nothing_counts_as_nothing() -> None:
    budget = Budget(10.0)
    budget.reserve("a", Cost(4.0))
    budget.settle("a", 0.0)
    assert budget.totals.spent_usd == 0.0
    assert budget.left_usd == 10.0


def test_an_unknown_price_is_kept_as_unknown_until_it_is_measured() -> None:
    budget = Budget()
    budget.reserve("a", Cost(None))
    budget.settle("a", None)
    assert (budget.totals.unknown, budget.totals.spent_usd) == (1, 0.0)
    budget.settle("a", 1.5)
    assert (budget.totals.unknown, budget.totals.spent_usd) == (0, 1.5)


def test_many_small_sums_add_up_exactly_to_the_cap() -> None:
    budget = Budget(0.3)
    budget.settle("a", 0.1)
    assert budget.objection(Cost(0.2)) == ""
    budget.settle("b", 0.2)
    assert budget.exhausted
    assert budget.left_usd == 0.0


def test_a_free_call_leaves_no_trace() -> None:
    budget = Budget(1.0)
    assert [*budget.reserve("a", Cost(0.0)), *budget.settle("a", 0.0), *budget.settle("b", None)] == []
    assert budget.ledger.entries == ()


def test_a_fresh_session_keeps_the_cap_and_forgets_the_spending() -> None:
    budget = Budget(2.0)
    budget.settle("a", 2.0)
    budget.restart()
    assert (budget.cap_usd, budget.left_usd, budget.exhausted) == (2.0, 2.0, False)


def test_small_caps_and_costs_are_told_as_what_they_are() -> None:
    objection = Budget(cap_usd=0.003).objection(Cost(0.0042))
    assert objection == "it may cost $0.0042, and only $0.003 of the cap of $0.003 are left"
    assert "$5.00" in Budget(cap_usd=5).objection(Cost(None))

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_intern.core.ledger import Entry, Ledger, Totals
from ml_intern.core.protocol import CostState, Expense, LLMCall, Notice


def model_call(usd: float | None, state: CostState = "estimated", model: str = "org/m") -> LLMCall:
    return LLMCall(
        model=model,
        kind="main",
        cost_usd=usd,
        cost_state=state,
        prompt_tokens=1,
        completion_tokens=1,
        cached_tokens=0,
        latency_ms=1,
    )


def job(ref: str, usd: float | None, state: CostState) -> Expense:
    return Expense(kind="job", what="hf_jobs", ref=ref, cost_usd=usd, state=state)


def test_measured_estimated_promised_and_unknown_are_kept_apart() -> None:
    ledger = Ledger()
    for event in (
        model_call(0.25, "measured"),
        model_call(0.5),
        model_call(None),
        job("a", 2.0, "promised"),
        job("b", 1.0, "estimated"),
    ):
        ledger.take(event)
    assert ledger.totals == Totals(measured_usd=0.25, estimated_usd=1.5, promised_usd=2.0, unknown=1)
    assert (ledger.totals.spent_usd, ledger.totals.committed_usd) == (1.75, 3.75)
    assert ledger.entries[0] == Entry("main", "org/m", 0.25, "measured")
    assert ledger.entries[2] == Entry("main", "org/m", None, "unknown")


def test_equal_model_calls_are_entries_of_their_own() -> None:
    ledger = Ledger()
    ledger.take(model_call(1.0))
    ledger.take(model_call(1.0))
    assert (len(ledger.entries), ledger.totals.spent_usd) == (2, 2.0)


def test_events_that_are_no_expense_change_nothing() -> None:
    ledger = Ledger()
    ledger.take(Notice(text="costs $5"))
    assert ledger.entries == ()


def test_what_still_ran_when_a_program_ended_counts_at_its_worst_case() -> None:
    ledger = Ledger()
    ledger.take(job("a", 2.0, "promised"))
    ledger.take(job("b", None, "promised"))
    ledger.take(job("c", 1.0, "measured"))
    ledger.keep_promises()
    assert ledger.totals == Totals(measured_usd=1.0, estimated_usd=2.0, unknown=1)


SUMS = st.floats(0, 100, allow_nan=False)
STATES: st.SearchStrategy[CostState] = st.sampled_from(["promised", "measured", "estimated"])


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | SUMS, STATES), max_size=60))
def test_totals_are_the_sums_of_the_entries_however_often_they_are_replaced(
    changes: list[tuple[str, float | None, CostState]],
) -> None:
    ledger = Ledger()
    for ref, usd, state in changes:
        ledger.take(job(ref, usd, state))
    totals, entries = ledger.totals, ledger.entries
    by_state = {"promised": 0.0, "measured": 0.0, "estimated": 0.0}
    for entry in entries:
        by_state[entry.state] += entry.usd or 0.0
    assert totals.unknown == sum(entry.usd is None for entry in entries)
    assert totals.promised_usd == pytest.approx(by_state["promised"], abs=1e-8)
    assert totals.measured_usd == pytest.approx(by_state["measured"], abs=1e-8)
    assert totals.estimated_usd == pytest.approx(by_state["estimated"], abs=1e-8)


def test_sums_do_not_drift() -> None:
    ledger = Ledger()
    for _ in range(10_000):
        ledger.take(job("a", 0.1, "promised"))
        ledger.take(job("b", 0.7, "promised"))
        ledger.take(Expense(kind="job", what="hf_jobs", ref="a", cost_usd=0.0, state="released"))
    assert ledger.totals.promised_usd == 0.7

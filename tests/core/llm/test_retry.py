from __future__ import annotations

import pytest

from ml_intern.core.llm.errors import ErrorKind, LLMError
from ml_intern.core.llm.retry import LONGEST_ASKED_WAIT_S, UNREACHABLE_ATTEMPTS, RetryPolicy, notice

POLICY = RetryPolicy(max_attempts=5, base_s=2.0, max_s=60.0)


def fault(kind: ErrorKind = "server", retry_after: float | None = None, unreachable: bool = False) -> LLMError:
    return LLMError(kind, "It failed; do something.", retry_after=retry_after, unreachable=unreachable)


def test_waits_double_up_to_the_longest() -> None:
    most = [POLICY.delay(attempt, fault(), lambda: 1.0) for attempt in range(1, 8)]
    least = [POLICY.delay(attempt, fault(), lambda: 0.0) for attempt in range(1, 8)]
    assert most == [2, 4, 8, 16, 32, 60, 60]
    assert least == [wait / 2 for wait in most]


def test_a_rate_limit_without_a_date_is_waited_for_longer() -> None:
    assert POLICY.delay(1, fault("rate_limit"), lambda: 1.0) == 8.0


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("asked", [0.0, 0.4, 7.0, 90.0])
def test_the_wait_a_server_asks_for_is_never_cut_short(asked: float, chance: float) -> None:
    wait = POLICY.delay(1, fault("rate_limit", retry_after=asked), lambda: chance)
    assert asked <= wait <= asked + 1


def test_an_absurd_wait_is_capped() -> None:
    assert POLICY.delay(1, fault(retry_after=86_400), lambda: 0.0) == LONGEST_ASKED_WAIT_S


@pytest.mark.parametrize(
    ("kind", "retried"),
    [
        ("server", True), ("rate_limit", True), ("timeout", True), ("connection", True), ("stream_cut", True),
        ("auth", False), ("billing", False), ("bad_request", False), ("context_overflow", False), ("no_key", False),
    ],
)  # fmt: skip
def test_only_what_may_pass_is_retried(kind: ErrorKind, retried: bool) -> None:
    assert POLICY.attempts(fault(kind), answered_before=True) == (5 if retried else 1)


def test_nobody_at_the_address_is_given_up_early_unless_somebody_was_there() -> None:
    gone = fault("connection", unreachable=True)
    assert POLICY.attempts(gone, answered_before=False) == UNREACHABLE_ATTEMPTS < 5
    assert POLICY.attempts(gone, answered_before=True) == 5


def test_the_notice_tells_reason_wait_and_count() -> None:
    assert notice(fault(), 3.6, 2, 5) == "It failed. Trying again in 4 s (attempt 2 of 5)."

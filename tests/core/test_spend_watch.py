from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_intern.core.settings import MoneySettings
from ml_intern.core.spend_watch import WINDOW_S, SpendWatch

ONLY_SUMS = MoneySettings(velocity_share=None)
ONLY_PACE = MoneySettings(first_warning_usd=None)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def told_at(sums: list[float], watch: SpendWatch) -> list[float]:
    return [usd for usd in sums if watch.observe(usd, None)]


def test_the_first_notice_comes_at_five_dollars_and_the_next_at_twice_as_much_each_time() -> None:
    watch = SpendWatch(ONLY_SUMS)
    sums = [1.0, 4.99, 5.0, 5.01, 9.99, 10.0, 19.99, 20.0, 39.0, 41.0, 79.0, 80.0]
    assert told_at(sums, watch) == [5.0, 10.0, 20.0, 41.0, 80.0]


def test_a_leap_over_several_thresholds_is_told_once_and_names_the_next_one_above() -> None:
    (text,) = SpendWatch(ONLY_SUMS).observe(20.0, None)
    assert "$20.00" in text
    assert "$40.00" in text


def test_what_an_earlier_run_has_spent_is_no_news() -> None:
    watch = SpendWatch(ONLY_SUMS, 12.25)
    assert told_at([12.25, 13.0, 19.0, 20.5], watch) == [20.5]


def test_a_new_session_begins_at_the_first_threshold_again() -> None:
    watch = SpendWatch(ONLY_SUMS)
    assert told_at([6.0, 0.0, 4.0, 5.5], watch) == [6.0, 5.5]


def test_null_means_no_notices() -> None:
    watch = SpendWatch(MoneySettings(first_warning_usd=None, velocity_share=None))
    assert watch.observe(1000.0, 1001.0) == []


@settings(deadline=None)
@given(st.floats(0.01, 50), st.lists(st.floats(0, 30), max_size=50))
def test_each_doubling_is_told_once_on_the_way_up(first: float, steps: list[float]) -> None:
    watch = SpendWatch(MoneySettings(first_warning_usd=first, velocity_share=None))
    spent, told = 0.0, 0
    for step in steps:
        before, spent = spent, spent + step
        thresholds = [first * 2**n for n in range(20)]
        crossed = any(before < threshold <= spent for threshold in thresholds)
        messages = watch.observe(spent, None)
        assert len(messages) == crossed
        told += crossed
    assert told <= sum(threshold <= spent for threshold in [first * 2**n for n in range(20)])


def test_spending_more_than_half_the_cap_in_ten_minutes_is_told_once() -> None:
    clock = Clock()
    watch = SpendWatch(ONLY_PACE, clock=clock)
    assert watch.observe(3.0, 10.0) == []
    clock.now += 60
    assert watch.observe(5.0, 10.0) == []
    clock.now += 60
    (text,) = watch.observe(5.5, 10.0)
    assert "$5.50" in text
    assert "55%" in text
    assert "8 min" in text
    clock.now += 60
    assert watch.observe(6.0, 10.0) == []


def test_the_same_sum_over_a_longer_time_is_fine() -> None:
    clock = Clock()
    watch = SpendWatch(ONLY_PACE, clock=clock)
    for spent in (3.0, 6.0, 9.0):
        assert watch.observe(spent, 10.0) == []
        clock.now += WINDOW_S


def test_a_second_burst_after_a_calm_time_is_told_again() -> None:
    clock = Clock()
    watch = SpendWatch(ONLY_PACE, clock=clock)
    assert watch.observe(60.0, 100.0)
    clock.now += WINDOW_S
    assert watch.observe(120.0, 100.0)


def test_what_was_spent_before_the_watch_began_is_not_part_of_the_pace() -> None:
    assert SpendWatch(ONLY_PACE, 6.0, Clock()).observe(6.5, 10.0) == []


@pytest.mark.parametrize("share", [0.1, 0.8])
def test_the_share_is_a_setting(share: float) -> None:
    watch = SpendWatch(MoneySettings(first_warning_usd=None, velocity_share=share), clock=Clock())
    assert bool(watch.observe(5.0, 10.0)) == (share < 0.5)


def test_a_correction_downwards_calms_the_pace() -> None:
    clock = Clock()
    watch = SpendWatch(ONLY_PACE, clock=clock)
    assert watch.observe(6.0, 10.0)
    assert watch.observe(1.0, 10.0) == []
    assert watch.observe(6.5, 10.0)


def test_a_new_session_begins_with_no_pace() -> None:
    clock = Clock()
    watch = SpendWatch(ONLY_PACE, clock=clock)
    watch.observe(4.0, 10.0)
    watch.observe(0.0, 10.0)
    assert watch.observe(4.0, 10.0) == []
    assert watch.observe(5.5, 10.0)


def test_without_a_cap_there_is_no_pace_to_speak_of() -> None:
    assert SpendWatch(ONLY_PACE, clock=Clock()).observe(500.0, None) == []

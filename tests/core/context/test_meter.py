from __future__ import annotations

from ml_intern.core.context.meter import MAX_OVERHEAD, UsageMeter


def test_before_the_first_reply_it_is_our_own_count() -> None:
    assert UsageMeter(system=500).tokens(1_500) == 2_000


def test_what_the_provider_counted_is_taken_as_it_is() -> None:
    meter = UsageMeter(system=500)
    meter.measure(9_000, own=1_500)
    assert meter.tokens(1_500) == 9_000


def test_what_was_added_since_is_estimated_on_top() -> None:
    meter = UsageMeter(system=500)
    meter.measure(2_000, own=1_500)
    assert meter.tokens(2_500) == 3_000


def test_additions_are_scaled_by_how_the_provider_counts() -> None:
    meter = UsageMeter(system=0)
    meter.measure(100, own=100)
    meter.measure(12_000, own=10_000)
    assert meter.tokens(11_000) == 13_200


def test_a_smaller_history_keeps_the_fixed_part_and_shrinks_the_rest_in_proportion() -> None:
    meter = UsageMeter(system=1_000)
    meter.measure(5_000, own=1_000)
    meter.measure(123_000, own=100_000)
    assert meter.fixed == 4_000
    assert meter.tokens(10_000) == 4_000 + 11_900
    meter.shrunk(10_000)
    assert meter.tokens(10_000) == 15_900
    assert meter.tokens(11_000) > 16_900


def test_a_figure_that_messages_cannot_explain_is_not_all_put_down_to_tool_definitions() -> None:
    meter = UsageMeter(system=500)
    meter.measure(190_000, own=1_000)
    assert meter.fixed == 500 + MAX_OVERHEAD
    assert meter.tokens(100) < 60_000


def test_an_emptied_history_is_the_fixed_part() -> None:
    meter = UsageMeter(system=500)
    meter.measure(3_000, own=1_000)
    meter.shrunk(0)
    assert meter.tokens(0) == 2_000
    assert meter.tokens(100) == 2_100


def test_tools_are_reckoned_with_until_a_provider_has_counted() -> None:
    meter = UsageMeter(system=500)
    meter.expect(8_000)
    assert (meter.tokens(1_500), meter.fixed) == (10_000, 8_500)
    meter.measure(9_000, own=1_500)
    meter.expect(20_000)
    assert (meter.tokens(1_500), meter.fixed) == (9_000, 7_500)

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ml_intern.tui.state import SessionState
from ml_intern.tui.widgets.line import Part, line, whole_seconds
from ml_intern.tui.widgets.status_bar import status_parts

TEXTS = st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=30)
PARTS = st.lists(
    st.builds(Part, TEXTS, rank=st.integers(1, 9), short=TEXTS, flexible=st.booleans(), tail=TEXTS), max_size=5
)


@given(PARTS, PARTS, st.integers(1, 120))
def test_a_line_of_droppable_parts_never_exceeds_its_width(left: list[Part], right: list[Part], width: int) -> None:
    assert line(left, right, width).cell_length <= width


def test_the_highest_rank_goes_first() -> None:
    parts = [Part("stays"), Part("goes second", rank=1), Part("goes first", rank=2)]
    assert line(parts, [], 19).plain.split("  ") == ["stays", "goes second"]
    assert line(parts, [], 10).plain.strip() == "stays"


def test_a_flexible_part_is_cut_before_it_goes() -> None:
    parts = [Part("stays"), Part("a rather long title", rank=1, flexible=True)]
    assert line(parts, [], 20).plain.endswith("…")


def test_mode_context_and_money_stay_to_the_last() -> None:
    state = SessionState(
        session_id="5e551017-aaaa",
        title="fine-tune a model on notes",
        model="anthropic/claude-opus-4-6",
        mode="guarded",
        ready=True,
        tokens=120_000,
        window=200_000,
        cost_usd=1.42,
        cap_usd=10.0,
    )
    left, right = status_parts(state)
    for width in range(36, 200):
        plain = line(left, right, width, " · ").plain
        assert len(plain) <= width
        assert all(part in plain for part in ("guarded", "ctx 60%", "$1.42 of $10.00"))
    assert "claude-opus-4-6" in line(left, right, 60, " · ").plain
    assert "anthropic/" in line(left, right, 140, " · ").plain


def test_running_times_read_at_a_glance() -> None:
    assert [whole_seconds(seconds) for seconds in (0.9, 59.9, 68, 7500)] == ["0 s", "59 s", "1 m 8 s", "2 h 5 m"]

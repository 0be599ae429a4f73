"""A busy session that is killed, over and over: what was shown is in its log, and it can be gone on with.

Twelve moments here; `python -m benchmarks.kills` tries two hundred.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.sessions.busy import Death, deaths, half_said_in, kill_all, problems_of, resumption_problems, shown_in

EVENTS, PIECES = 200, 26
"""About as many events, and pieces of replies among them, as a session shows that nobody kills."""

pytestmark = pytest.mark.xdist_group("kills")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Where one session has lived to its end, and then those of the killed ones."""
    return kill_all(tmp_path_factory.mktemp("kills"), [Death(0, None), *deaths(12, EVENTS, PIECES, seed=7)], 1)


def test_a_session_that_lives_shows_all_that_killed_ones_die_of(places: list[Path]) -> None:
    place = places[0]
    shown = [event["type"] for event in shown_in(place)]
    wanted = {"assistant_chunk", "tool_output", "approval_required", "compacted", "undo_complete", "shutdown", "notice"}
    assert wanted <= set(shown)
    assert EVENTS * 0.8 < len(shown) < EVENTS * 1.2
    assert PIECES * 0.5 < shown.count("assistant_chunk") < PIECES * 2
    assert list(place.rglob("*.files/*.txt"))
    assert problems_of(place) == []


def test_killed_sessions_keep_what_was_shown_and_go_on(places: list[Path]) -> None:
    killed = places[1:]
    assert {place.name: found for place in killed if (found := problems_of(place))} == {}
    assert any(map(half_said_in, killed))
    begun = [place for place in killed if list(place.rglob("*.jsonl")) and list((place / "home").rglob("*.jsonl"))]
    assert len(begun) >= 10

    async def go_on() -> dict[str, list[str]]:
        return {place.name: found for place in begun if (found := await resumption_problems(place))}

    assert asyncio.run(go_on()) == {}

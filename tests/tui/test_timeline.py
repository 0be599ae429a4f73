from __future__ import annotations

from textual import on

from ml_intern.tui.widgets.timeline import Timeline
from tests.tui.widgets.support import Host


class Watched(Host[Timeline]):
    def __init__(self) -> None:
        super().__init__(Timeline(id="timeline"))
        self.sought: list[int] = []

    @on(Timeline.Sought)
    def note(self, event: Timeline.Sought) -> None:
        self.sought.append(event.step)


def row(timeline: Timeline) -> str:
    return timeline.render().plain


async def test_marks_stand_where_their_steps_are_and_the_one_that_matters_most_is_shown() -> None:
    app = Watched()
    async with app.run_test(size=(100, 3)) as pilot:
        app.widget.styles.height = 1
        marks = [(0, "prompt"), (5_000, "job"), (5_001, "error"), (5_002, "paid"), (9_999, "approval")]
        app.widget.show([float(n) for n in range(10_000)], marks, ("12:00", "13:30"))
        app.widget.playhead = 2_500
        await pilot.pause()
        shown = row(app.widget)
        assert shown.startswith("12:00 ├●")
        assert shown.endswith("◆┤ 13:30   event 2,501 of 10,000")
        assert len(shown) <= 100
        rail = shown[shown.index("├") + 1 : shown.index("┤")]
        assert abs(rail.index("■") - len(rail) // 2) <= 1
        assert "▲" not in rail
        assert "$" not in rail
        head = rail.index("┃")
        assert abs(head - len(rail) // 4) <= 1
        assert set(rail[1:head]) == {"━"}
        assert "━" not in rail[head:]


async def test_a_narrow_line_gives_the_count_in_figures() -> None:
    app = Watched()
    async with app.run_test(size=(60, 3)) as pilot:
        app.widget.styles.height = 1
        app.widget.show([float(n) for n in range(1_877)], [], ("12:00", "13:30"))
        app.widget.playhead = 411
        await pilot.pause()
        assert row(app.widget).endswith("   412/1,877")
        assert len(row(app.widget)) <= 60


async def test_a_click_seeks_the_mark_under_it_or_the_nearest_step() -> None:
    app = Watched()
    async with app.run_test(size=(100, 3)) as pilot:
        app.widget.styles.height = 1
        app.widget.show([float(n) for n in range(1_000)], [(333, "error"), (335, "job")], ("12:00", "13:30"))
        await pilot.pause()
        shown = row(app.widget)
        await pilot.click(Timeline, offset=(shown.index("■"), 0))
        await pilot.click(Timeline, offset=(shown.index("├") + 1, 0))
        await pilot.click(Timeline, offset=(shown.index("┤") - 1, 0))
        await pilot.click(Timeline, offset=(len(shown) - 1, 0))
        await pilot.pause()
        assert app.sought[:2] == [333, 0]
        assert app.sought[2] >= 990
        assert app.sought[3] == app.sought[2]


async def test_a_session_of_one_instant_is_a_line_too() -> None:
    app = Watched()
    async with app.run_test(size=(80, 3)) as pilot:
        app.widget.styles.height = 1
        app.widget.show([0.0], [(0, "prompt")], ("12:00", "12:00"))
        await pilot.pause()
        assert "├┃" in row(app.widget)
        assert "event 1 of 1" in row(app.widget)

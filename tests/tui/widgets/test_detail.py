from __future__ import annotations

import time

import pytest

from ml_intern.core.display import LogBlock
from ml_intern.tui.widgets.call_detail import ToolDetail
from ml_intern.tui.widgets.call_pieces import argument_pieces
from ml_intern.tui.widgets.detail import LineView
from ml_intern.tui.widgets.tool_model import ToolEntry
from tests.tui.widgets.support import Host, seen, text_of, until


async def test_a_million_lines_open_scroll_and_are_searched() -> None:
    text = "\n".join(f"line {number}" for number in range(1_000_000))
    view = LineView()
    async with Host(view).run_test(size=(60, 20)) as pilot:
        began = time.perf_counter()
        view.show_text(text)
        await pilot.pause()
        assert time.perf_counter() - began < 5
        assert seen(view)[0] == "line 0"
        view.focus()
        await pilot.press("end")
        await pilot.pause()
        assert seen(view)[-1] == "line 999999"
        await pilot.press("home")
        await pilot.pause()
        view.search("line 77777")
        await until(pilot, lambda: view.found == (1, 11, True))  # itself and 777770 to 777779
        assert "line 77777" in seen(view)
        view.search_next()
        await pilot.pause()
        assert view.found.number == 2
        assert "line 777770" in seen(view)
        view.search_next(-1)
        assert view.found.number == 1
        view.search("nowhere")
        await until(pilot, lambda: view.found == (0, 0, True))
        view.search_next()
        assert view.found.number == 0


async def test_a_script_is_numbered_and_all_of_it_can_be_reached() -> None:
    script = "\n".join(f"value_{number} = {number}" for number in range(100)) + "\nlast = '" + "x" * 300 + "end'"
    view = LineView(script, "python", line_numbers=True)
    async with Host(view).run_test(size=(40, 10)) as pilot:
        await pilot.pause()
        assert seen(view)[0] == "  1  value_0 = 0"
        view.focus()
        await pilot.press("end")
        await pilot.pause()
        assert seen(view)[-1].endswith("xend'")
        rows = set()
        await pilot.press("home")
        for _ in range(14):
            await pilot.pause()
            rows |= set(seen(view))
            await pilot.press("pagedown")
        assert {f"{number + 1:>3}  value_{number} = {number}" for number in range(100)} <= rows


async def test_a_call_is_shown_with_input_and_output_in_full() -> None:
    entry = ToolEntry.of("a", "hf_jobs", {"operation": "run", "script": "import os\nprint(os)", "timeout": "2h"})
    entry.move("running", 1.0)
    entry.finish(True, "\n".join(f"out {number}" for number in range(500)), 4.2, [LogBlock(lines=("logged",))], 5.0)
    detail = ToolDetail()
    async with Host(detail).run_test(size=(60, 20)) as pilot:
        detail.show_entry(entry)
        detail.focus()
        await pilot.pause()
        shown = seen(detail)
        assert shown[0].split() == ["✓", "hf_jobs", "completed", "4.2", "s"]
        assert shown[2].startswith("input ─")
        assert '  "timeout": "2h"' in shown
        assert "1  import os" in shown
        detail.show_entry(entry, tab="output")
        await pilot.pause()
        assert seen(detail)[0] == "logged"
        await pilot.press("end")
        await pilot.pause()
        assert seen(detail)[-1] == "out 499"
        detail.show_entry(entry, tab="input")
        await pilot.pause()
        assert "1  import os" in seen(detail)
        assert "logged" not in text_of(detail)


async def test_a_call_that_runs_shows_what_it_said_so_far() -> None:
    entry = ToolEntry.of("a", "bash", {})
    entry.move("running", 1.0)
    entry.log("so far")
    detail = ToolDetail()
    async with Host(detail).run_test(size=(60, 20)) as pilot:
        detail.show_entry(entry, now=13.0)
        await pilot.pause()
        assert "running  12 s" in seen(detail)[0]
        assert "no arguments" in text_of(detail)
        assert "so far" in text_of(detail)


async def test_showing_something_else_begins_at_its_beginning() -> None:
    view = LineView("\n".join(map(str, range(200))))
    async with Host(view).run_test(size=(40, 10)) as pilot:
        view.focus()
        await pilot.press("end")
        view.show_text("fresh\ntext")
        await pilot.pause()
        assert [row for row in seen(view) if row] == ["fresh", "text"]


@pytest.mark.parametrize(("text", "told"), [("a\nb\n", "2 lines"), ("a\nb", "2 lines"), ("a\n", "1 line")])
def test_an_end_of_line_is_no_line_of_its_own(text: str, told: str) -> None:
    rows = [row.plain for piece in argument_pieces("write", {"content": text}) for row in piece.render(40)]
    assert rows[0].split() == ["content", *told.split()]

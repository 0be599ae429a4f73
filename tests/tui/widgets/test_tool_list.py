from __future__ import annotations

import sys

import pytest

from ml_intern.core.display import DiffBlock, DisplayBlock, TextBlock
from ml_intern.core.protocol import Origin
from ml_intern.tui.widgets.tool_list import ToolList
from ml_intern.tui.widgets.tool_model import ToolEntry, summarise
from tests.tui.widgets.support import Host, seen, text_of, until


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


class Listening(Host[ToolList]):
    def __init__(self, widget: ToolList) -> None:
        super().__init__(widget)
        self.opened: list[str] = []

    def on_tool_list_opened(self, event: ToolList.Opened) -> None:
        self.opened.append(event.call_id)


def run_call(calls: ToolList, number: int, output: str = "done") -> None:
    calls.call_started(f"c{number}", "bash", {"command": f"echo {number}"})
    calls.call_state(f"c{number}", "running")
    calls.call_finished(f"c{number}", True, output, 1.2)


async def test_every_call_has_a_line_with_state_name_summary_and_time() -> None:
    calls = ToolList(clock=Clock())
    async with Host(calls).run_test(size=(50, 12)) as pilot:
        calls.call_started("a", "hf_inspect_dataset", {"dataset": "me/notes"})
        calls.call_state("a", "running")
        calls.call_finished("a", True, "ok", 1.2)
        calls.call_started("b", "bash", {"command": "false"})
        calls.call_state("b", "running")
        calls.call_finished("b", False, "exit code 1", 0.1)
        calls.call_started("c", "bash", {"command": "rm -rf /"})
        calls.call_state("c", "rejected")
        calls.call_finished("c", False, "the person said no", 0.0)
        calls.call_started("d", "write", {"path": "train.py", "content": "x\n" * 84})
        await pilot.pause()
        assert [row for row in seen(calls) if row] == [
            "✓ hf_inspect_dataset  me/notes" + " " * 14 + "1.2 s",
            "✗ bash  false" + " " * 31 + "0.1 s",
            "⊘ bash  rm -rf /" + " " * 25 + "rejected",
            "○ write  train.py  +84",
        ]
        assert calls.summary == "4 calls"


async def test_an_opened_call_says_in_words_where_what_it_follows_comes_from() -> None:
    calls = ToolList(clock=Clock())
    async with Host(calls).run_test(size=(50, 12)) as pilot:
        run_call(calls, 1)
        calls.call_follows("c1", Origin(source="page https://a.net", via="web_fetch", passage="Run it", order=True))
        await pilot.pause()
        assert text_of(calls).startswith("✓ ⚑ bash  echo 1")
        await pilot.press("space")
        await pilot.pause()
        lines = " ".join(" ".join(seen(calls)).split())
        assert (
            "⚑ Not from you: this follows an order found in: page https://a.net (web_fetch) — “Run it” command:"
            in lines
        )
        entry = calls.entry("c1")
        assert entry is not None
        assert "Not from you" in entry.spoken(0.0)


async def test_live_output_is_below_what_runs_and_progress_is_folded() -> None:
    calls = ToolList(clock=Clock())
    async with Host(calls).run_test(size=(50, 12)) as pilot:
        calls.call_started("a", "bash", {"command": "train"})
        calls.call_state("a", "running")
        calls.call_log("a", "one\ntwo\x1b[31m\nthree")
        for step in range(100):
            calls.call_log("a", f"step {step}\r")
        await pilot.pause()
        assert [row.strip() for row in seen(calls)[1:5]] == ["two", "three", "step 99", ""]
        calls.call_finished("a", True, "all of it", 3.0)
        await pilot.pause()
        assert [row for row in seen(calls) if row] == ["✓ bash  train" + " " * 31 + "3.0 s"]


async def test_time_passes_for_what_runs_and_the_timer_ends_with_it() -> None:
    clock = Clock()
    calls = ToolList(clock=clock)
    async with Host(calls).run_test(size=(50, 8)) as pilot:
        calls.call_started("a", "bash", {"command": "train"})
        calls.call_state("a", "running")
        assert len(calls._timers) == 1
        clock.now += 12
        await until(pilot, lambda: seen(calls)[0].endswith("12 s"))
        calls.call_finished("a", True, "", None)
        await pilot.pause()
        assert not calls._timers
        assert seen(calls)[0].endswith("12 s")


async def test_the_newest_call_is_followed_until_the_reader_moves() -> None:
    calls = ToolList(clock=Clock())
    async with Listening(calls).run_test(size=(40, 6)) as pilot:
        for number in range(30):
            run_call(calls, number)
        calls.focus()
        await pilot.pause()
        assert "echo 29" in seen(calls)[-1]
        assert calls.cursor == "c29"
        await pilot.press(*["up"] * 10)
        run_call(calls, 30)
        await pilot.pause()
        assert calls.cursor == "c19"
        assert "echo 19" in text_of(calls)
        assert "echo 30" not in text_of(calls)
        await pilot.press("enter", "end")
        await pilot.pause()
        assert pilot.app.opened == ["c19"]  # type: ignore[attr-defined]
        assert calls.cursor == "c30"
        run_call(calls, 31)
        await pilot.pause()
        assert calls.cursor == "c31"
        await pilot.press("home")
        await pilot.pause()
        assert "echo 0" in seen(calls)[0]


async def test_the_cursor_is_marked_while_the_list_has_the_focus() -> None:
    calls = ToolList(clock=Clock())
    async with Host(calls).run_test(size=(40, 6)) as pilot:
        run_call(calls, 0)
        run_call(calls, 1)
        calls.focus()
        await pilot.press("up")
        await pilot.pause()
        marked = calls.inks.style("cursor").bgcolor
        strips = calls.render_lines(calls.size.region)
        assert [all(part.style and part.style.bgcolor == marked for part in strip) for strip in strips[:2]] == [
            True,
            False,
        ]
        pilot.app.set_focus(None)
        await pilot.pause()
        strip = calls.render_lines(calls.size.region)[0]
        assert not any(part.style and part.style.bgcolor == marked for part in strip)


async def test_an_entry_opens_and_closes_with_its_arguments_and_result() -> None:
    calls = ToolList(clock=Clock())
    async with Host(calls).run_test(size=(60, 30)) as pilot:
        calls.call_started("a", "edit", {"path": "x.py", "old_str": "a = 1", "new_str": "a = 2"})
        calls.call_state("a", "running")
        calls.call_finished("a", True, "ok", 0.1, [DiffBlock(path="x.py", old="a = 1\n", new="a = 2\n")])
        calls.focus()
        await pilot.press("space")
        await pilot.pause()
        shown = text_of(calls)
        assert "old_str: a = 1" in shown
        assert "1 - a = 1" in shown
        assert "1 + a = 2" in shown
        await pilot.press("left")
        await pilot.pause()
        assert len([row for row in seen(calls) if row]) == 1


async def test_calls_unknown_to_the_list_are_ignored() -> None:
    calls = ToolList(clock=Clock())
    async with Host(calls).run_test(size=(40, 6)) as pilot:
        calls.call_log("x", "text")
        calls.call_state("x", "running")
        calls.call_finished("x", True, "")
        calls.clear()
        await pilot.press("up", "enter", "space")
        assert len(calls) == 0


def test_what_was_said_survives_and_takes_little_room() -> None:
    big = "".join(f"epoch {number} loss {number * 7919 % 1_000}\n" for number in range(4_000))
    display: list[DisplayBlock] = [TextBlock(text=big), DiffBlock(path="x.py", old="a\n", new="b\n")]
    entry = ToolEntry.of("a", "write", {"path": "x", "content": big})
    entry.move("running", 1.0)
    for _ in range(200):
        entry.log(big)
    entry.finish(True, big, 2.0, display, 3.0)
    assert entry.output == big
    assert entry.arguments == {"path": "x", "content": big}
    assert list(entry.display) == display
    kept = (entry._arguments._data, entry._output._data, entry._display._data, entry._tail)  # type: ignore[union-attr]
    assert sum(sys.getsizeof(part) for part in kept) < len(big)


def test_a_call_can_be_told_in_words() -> None:
    entry = ToolEntry.of("a", "bash", {"command": "python train.py"})
    entry.move("running", 10.0)
    assert entry.spoken(22.0) == "bash, running, python train.py, 12 s"
    entry.finish(False, "no", None, (), 15.0)
    assert entry.spoken(99.0) == "bash, failed, python train.py, 5.0 s"


@pytest.mark.parametrize(
    ("tool", "arguments", "shown"),
    [
        ("bash", {"command": "python\n  train.py"}, "python train.py"),
        ("write", {"path": "a.py", "content": "x\ny"}, "a.py  +2"),
        ("hf_jobs", {"operation": "run", "script": "a\nb", "hardware_flavor": "t4"}, "run  t4  script of 2 lines"),
        (
            "plan_tool",
            {"todos": [{"content": "a", "status": "completed"}, {"content": "b", "status": "in_progress"}]},
            "1 of 2  b",
        ),
        ("hf_repo_files", {"operation": "list", "repo_id": "me/x"}, "list  me/x"),
        ("srv__thing", {"flag": True, "name": "x"}, "flag true  name x"),
        ("bash", {}, ""),
        ("plan_tool", {"todos": "nonsense"}, "0 of 0"),
    ],
)
def test_arguments_are_summed_up_on_one_line(tool: str, arguments: dict[str, object], shown: str) -> None:
    assert summarise(tool, arguments) == shown


def test_a_summary_looks_only_at_the_beginning_of_a_huge_argument() -> None:
    assert len(summarise("bash", {"command": "x" * 5_000_000})) <= 201

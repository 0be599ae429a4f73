from __future__ import annotations

import sys
import time

import pytest
from textual import on

from ml_intern.core.display import DiffBlock, DisplayBlock, PlanBlock, TextBlock
from ml_intern.core.protocol import DraftCall, Origin
from ml_intern.tui.messages import CopyText, FollowLink
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


def test_progress_that_comes_line_by_line_is_folded_too() -> None:
    entry = ToolEntry.of("a", "bash", {"command": "train"})
    entry.log("epoch 1 loss 2.3\n" + "".join(f" {at}%|####   | {at}/100\n" for at in range(100)) + "saving\n")
    entry.log("Downloading:  1%\nDownloading:  40%\nmodel.bin: 3.5%\n")
    assert entry.tail(5) == [
        "epoch 1 loss 2.3",
        " 99%|####   | 99/100",
        "saving",
        "Downloading:  40%",
        "model.bin: 3.5%",
    ]


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


async def test_arguments_of_an_opened_call_are_no_program_text_and_a_plan_is_told_once() -> None:
    calls = ToolList(clock=Clock())
    async with Host(calls).run_test(size=(60, 30)) as pilot:
        todos = [{"id": "1", "content": "look", "status": "pending"}]
        calls.call_started("a", "plan_tool", {"todos": todos})
        calls.call_finished("a", True, "ok", 0.1, [PlanBlock(items=(("look", "pending"),))])
        calls.focus()
        await pilot.press("space")
        calls.call_started("b", "srv__thing", {"on": True, "rows": [{"n": None}]})
        calls.call_finished("b", True, "ok", 0.1, [])
        await pilot.press("end", "space")
        await pilot.pause()
        shown = text_of(calls)
        assert "○ look" in shown
        assert "todos" not in shown
        assert "on: true" in shown
        assert 'rows: [{"n": null}]' in shown


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
        ("hf_jobs", {"operation": "run", "script": "train.py", "name": "lr 1e-4"}, "run  “lr 1e-4”  train.py"),
        (
            "plan_tool",
            {"todos": [{"content": "a", "status": "completed"}, {"content": "b", "status": "in_progress"}]},
            "1 of 2  b",
        ),
        ("hf_repo_files", {"operation": "list", "repo_id": "me/x"}, "list  me/x"),
        ("srv__thing", {"flag": True, "name": "x"}, "flag true  name x"),
        ("srv__thing", {"ask": [{"q": "why?", "many": True}, "x"]}, 'ask {"q": "why?", "many": true} x'),
        ("bash", {}, ""),
        ("plan_tool", {"todos": "nonsense"}, "0 of 0"),
    ],
)
def test_arguments_are_summed_up_on_one_line(tool: str, arguments: dict[str, object], shown: str) -> None:
    assert summarise(tool, arguments) == shown


def test_a_summary_looks_only_at_the_beginning_of_a_huge_argument() -> None:
    assert len(summarise("bash", {"command": "x" * 5_000_000})) <= 201


# ------------------------------------------------------------------------------------------------------------ turns


def fail(calls: ToolList, call_id: str, tool: str = "bash") -> None:
    calls.call_started(call_id, tool, {"command": call_id, "path": call_id})
    calls.call_state(call_id, "running")
    calls.call_finished(call_id, False, "no", 0.1)


def inks_of_row(calls: ToolList, text: str) -> list[str]:
    row = next(row for row in calls._rows if text in row.line.plain)
    return [run.ink for run in row.line.runs]


async def test_the_calls_of_a_turn_stand_below_the_words_it_began_with() -> None:
    calls = ToolList(clock=Clock())
    async with Host(calls).run_test(size=(60, 12)) as pilot:
        calls.turn_began("fine-tune SmolLM3 on\nmy notes", "2026-01-01T12:00:00Z")
        calls.turn_began("the first has no line", "2026-01-01T12:01:00Z")
        run_call(calls, 1)
        run_call(calls, 2)
        calls.turn_ended("2026-01-01T12:02:08Z")
        calls.turn_began("and now evaluate it", "2026-01-01T12:03:00Z")
        run_call(calls, 3)
        await pilot.pause()
        clock = seen(calls)[0].rsplit(" ", 1)[1]
        assert seen(calls)[:6] == [
            "▾ the first has no line" + f"2 calls · 1 m 8 s · {clock}".rjust(36),
            "✓ bash  echo 1" + " " * 40 + "1.2 s",
            "✓ bash  echo 2" + " " * 40 + "1.2 s",
            "",
            "▾ and now evaluate it" + f"1 call · {clock[:3]}03".rjust(38),
            "✓ bash  echo 3" + " " * 40 + "1.2 s",
        ]
        assert calls.summary == "3 calls"


async def test_a_turn_is_folded_and_unfolded_and_the_cursor_passes_over_what_is_hidden() -> None:
    calls = ToolList(clock=Clock())
    async with Listening(calls).run_test(size=(60, 12)) as pilot:
        calls.focus()
        for turn in range(3):
            calls.turn_began(f"prompt {turn}", "")
            for number in range(3):
                run_call(calls, 10 * turn + number)
            calls.turn_ended("")
        await pilot.press("left", "left")
        await pilot.pause()
        assert "▸ prompt 2" in text_of(calls)
        assert "echo 20" not in text_of(calls)
        await pilot.press("up")
        assert calls.cursor == "c12"
        await pilot.press("left", "enter", "up")
        assert calls.cursor == "c2"
        await pilot.press("home", "space")
        await pilot.pause()
        assert [row for row in seen(calls) if row] == [f"▸ prompt {turn}{'3 calls'.rjust(49)}" for turn in range(3)]
        run_call(calls, 22)
        calls.call_started("late", "bash", {"command": "sleep"})
        calls.call_state("late", "running")
        await pilot.pause()
        assert "1 running · 4 calls" in text_of(calls)
        assert calls.chosen == "c2"
        calls.choose("late")
        await pilot.pause()
        assert "▸ bash  sleep" in text_of(calls)
        await pilot.press("enter")
        await pilot.pause()
        assert pilot.app.opened == ["late"]  # type: ignore[attr-defined]
        assert calls.neighbour("c10", -1) is calls.entry("c2")
        assert calls.neighbour("late", 1) is calls.neighbour("c0", -1) is None


async def test_a_failure_is_quiet_until_it_is_known_that_it_was_not_mended() -> None:
    calls = ToolList(clock=Clock())
    async with Host(calls).run_test(size=(60, 12)) as pilot:
        calls.turn_began("go", "")
        fail(calls, "mended")
        fail(calls, "broken", "write")
        run_call(calls, 1)
        await pilot.pause()
        assert "error" not in inks_of_row(calls, "mended") + inks_of_row(calls, "broken")
        assert "failed" not in text_of(calls)
        calls.turn_ended("")
        await pilot.pause()
        assert "error" not in inks_of_row(calls, "mended")
        assert "error" in inks_of_row(calls, "broken")
        assert "1 failed · 3 calls" in seen(calls)[0]
        assert seen(calls)[2].endswith("failed  0.1 s")


async def test_going_back_in_time_brings_back_turns_and_their_judgements() -> None:
    calls = ToolList(clock=Clock())
    async with Host(calls).run_test(size=(60, 12)) as pilot:
        calls.turn_began("one", "")
        fail(calls, "a")
        kept = calls.take_snapshot()
        calls.turn_ended("")
        calls.turn_began("two", "")
        run_call(calls, 2)
        calls.focus()
        await pilot.press("home", "enter")
        await pilot.pause()
        assert "1 failed · 1 call" in seen(calls)[0]
        calls.go_back(kept)
        await pilot.pause()
        assert "failed" not in text_of(calls)
        assert "two" not in text_of(calls)
        assert "▸ one" in text_of(calls)
        await pilot.press("home", "enter")
        await pilot.pause()
        assert "✗ bash  a" in text_of(calls)
        calls.turn_ended("")
        calls.turn_began("other", "")
        run_call(calls, 3)
        await pilot.pause()
        assert [row[:9] for row in seen(calls) if row] == ["▾ one    ", "✗ bash  a", "▾ other  ", "✓ bash  e"]


async def test_a_call_is_shown_while_it_is_written_and_gives_way_to_the_call_itself() -> None:
    calls = ToolList(clock=Clock())
    async with Host(calls).run_test(size=(60, 12)) as pilot:
        calls.focus()
        calls.turn_began("write it", "")
        calls.show_drafts([DraftCall(tool="write", arguments={"path": "train.py"})])
        await pilot.pause()
        assert seen(calls)[1] == "○ write  train.py" + "writing".rjust(42)
        script = {"path": "train.py", "content": "import torch"}
        long = DraftCall(tool="write", arguments=script, lines={"content": 84}, tail="a\nb\n\nc\nd")
        calls.show_drafts([long, DraftCall(tool="bash", arguments={"command": "make"})])
        await pilot.pause()
        assert [row.strip() for row in seen(calls)[1:7]] == [
            "○ write  train.py  +84" + "writing".rjust(37),
            "b",
            "c",
            "d",
            "○ bash  make" + "writing".rjust(47),
            "",
        ]
        assert calls.summary == ""
        await pilot.press("down", "y")
        calls.call_started("w", "write", {"path": "train.py", "content": "x\n" * 90})
        await pilot.pause()
        assert [row for row in seen(calls) if row][1:] == ["○ write  train.py  +90"]
        assert calls.cursor == "w"
        calls.show_drafts([long])
        calls.clear()
        await pilot.pause()
        assert text_of(calls).strip() == ""


async def test_what_a_call_is_about_and_what_came_of_it_are_copied_and_its_file_is_opened() -> None:
    calls = ToolList(clock=Clock())
    host = Wanting(calls)
    async with host.run_test(size=(60, 12)) as pilot:
        run_call(calls, 1, output="all of it")
        calls.call_started("w", "write", {"path": "src/a.py", "content": "x"})
        calls.call_started("p", "plan_tool", {"todos": []})
        calls.focus()
        await pilot.press("y", "ctrl+e", "up", "y", "ctrl+e", "up", "y", "Y", "ctrl+e")
        await pilot.pause()
        assert host.wanted == [
            ("arguments", '{\n  "todos": []\n}'),
            ("path", "src/a.py"),
            ("file", "path:src/a.py"),
            ("command", "echo 1"),
            ("output of bash", "all of it"),
        ]


class Wanting(Host[ToolList]):
    def __init__(self, widget: ToolList) -> None:
        super().__init__(widget)
        self.wanted: list[tuple[str, str]] = []

    @on(CopyText)
    def _copy(self, message: CopyText) -> None:
        self.wanted.append((message.what, message.text))

    @on(FollowLink)
    def _open(self, message: FollowLink) -> None:
        self.wanted.append(("file", message.target))


async def test_ten_thousand_calls_cost_what_is_visible() -> None:
    calls = ToolList(clock=Clock())
    async with Host(calls).run_test(size=(60, 12)) as pilot:
        for turn in range(100):
            calls.turn_began(f"prompt {turn}", "")
            for number in range(100):
                run_call(calls, 100 * turn + number)
            calls.turn_ended("")
        calls.focus()
        await pilot.press("home", "space", "down")
        await pilot.pause()
        assert calls.cursor.endswith("turn 2")
        began = time.process_time()
        for number in range(50):
            run_call(calls, 20_000 + number)
            calls.settle()
        assert time.process_time() - began < 1.0
        await pilot.press("end")
        await pilot.pause()
        assert "echo 20049" in text_of(calls)

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_intern.core.display import (
    CurveBlock,
    DiffBlock,
    DisplayBlock,
    JobCard,
    LogBlock,
    PlanBlock,
    TableBlock,
    TextBlock,
)
from ml_intern.tui.widgets.code import pieces
from ml_intern.tui.widgets.diff import changes
from ml_intern.tui.widgets.display import display_pieces, render_display, text_pieces
from ml_intern.tui.widgets.plot import plot_lines


def plain(block: DisplayBlock, width: int = 60) -> list[str]:
    return [line.plain.rstrip() for line in render_display(block, width)]


def test_text_is_highlighted_by_language_or_title_and_numbered_on_request() -> None:
    block = TextBlock(text="import os\nprint(os)\n", title="x.py")
    assert plain(block) == ["x.py", "import os", "print(os)"]
    numbered = [line for piece in display_pieces(block, numbers=True) for line in piece.render(60)]
    assert [line.plain for line in numbered][1:] == ["1  import os", "2  print(os)"]
    assert [run.ink for run in numbered[1].runs][:2] == ["gutter", "keyword"]
    assert plain(TextBlock(text="**bold**", language="markdown")) == ["bold"]


def test_a_difference_shows_marks_numbers_and_what_changed_inside_a_line() -> None:
    old = "".join(f"line {number}\n" for number in range(1, 30))
    new = old.replace("line 15\n", "line 15 changed\n") + "line 30\n"
    block = DiffBlock(path="x.txt", old=old, new=new)
    assert plain(block) == [
        "x.txt" + " " * 50 + "+2 -1",
        "     ⋯ line 12",
        "12   line 12",
        "13   line 13",
        "14   line 14",
        "15 - line 15",
        "15 + line 15 changed",
        "16   line 16",
        "17   line 17",
        "18   line 18",
        "     ⋯ line 27",
        "27   line 27",
        "28   line 28",
        "29   line 29",
        "30 + line 30",
    ]
    added = next(line for line in render_display(block, 60) if "changed" in line.plain)
    assert ("added added-word", " changed") in [(run.ink, run.text) for run in added.runs]


def test_a_difference_stands_side_by_side_where_there_is_room() -> None:
    block = DiffBlock(path="x.txt", old="same\nold\n", new="same\nnew\nmore\n")
    assert plain(block, 103)[1:] == [
        "1   same" + " " * 42 + " │ 1   same",
        "2 - old" + " " * 43 + " │ 2 + new",
        " " * 50 + " │ 3 + more",
    ]


def test_new_and_emptied_files_are_differences_too() -> None:
    assert plain(DiffBlock(path="a", old="", new="x\ny\n")) == ["a" + " " * 47 + "new, 2 lines", "1 + x", "2 + y"]
    assert plain(DiffBlock(path="a", old="x\n", new=""))[1:] == ["1 - x"]
    assert plain(DiffBlock(path="a", old="x\n", new="x\n"))[1:] == []


@given(
    st.lists(st.sampled_from(["a", "b", "c", "  d", ""]), max_size=30),
    st.lists(st.sampled_from(["a", "b", "c", "  d", ""]), max_size=30),
)
def test_a_difference_leads_from_the_old_text_to_the_new(before: list[str], after: list[str]) -> None:
    old, new = [f"{line}\n" for line in before], [f"{line}\n" for line in after]
    found = changes("".join(old), "".join(new))
    kept_old = {row.old for row in found if row.kind == "removed"}
    kept_new = {row.new for row in found if row.kind == "added"}
    assert [line for number, line in enumerate(before, 1) if number not in kept_old] == [
        line for number, line in enumerate(after, 1) if number not in kept_new
    ]
    assert all(before[row.old - 1] == row.text for row in found if row.kind in ("removed", "same"))
    assert all(after[row.new - 1] == row.text for row in found if row.kind in ("added", "same"))


def test_a_large_difference_is_found_quickly() -> None:
    old = [f"value {number * 7919 % 1000}" for number in range(20_000)]
    new = [f"other {line}" for line in old]
    began = time.perf_counter()
    assert len(changes("\n".join(old), "\n".join(new))) == 40_000
    assert time.perf_counter() - began < 3


def test_tables_logs_plans_and_jobs_read_at_a_glance() -> None:
    assert plain(TableBlock(columns=("name", "rows"), rows=(("train", "4,212"), ("test", "12")), title="splits")) == [
        "splits",
        "name    rows",
        "─────  ─────",
        "train  4,212",
        "test      12",
    ]
    assert plain(TableBlock(columns=("name",), rows=()))[-1] == "no rows"
    assert plain(LogBlock(lines=("one\x1b[0m", "two"), omitted=1_204, path="/x/log")) == [
        "… 1,204 earlier lines in /x/log",
        "one",
        "two",
    ]
    assert plain(PlanBlock(items=(("look", "completed"), ("train", "in_progress"), ("tell", "pending")))) == [
        "✓ look",
        "▸ train",
        "○ tell",
    ]
    card = JobCard(
        job_id="66f1",
        backend="hub",
        stage="RUNNING",
        title="sft",
        flavor="a10g-small",
        url="https://a.b/66f1",
        elapsed_s=2_470,
        timeout_s=7_200,
        cost_usd=0.69,
        max_cost_usd=2.0,
    )
    assert plain(card, 80) == [
        "▸ sft" + " " * 68 + "RUNNING",
        "  hub · a10g-small · 66f1 · 41:10 of 2:00:00 · $0.69 of at most $2.00",
        "  https://a.b/66f1",
    ]


def test_a_curve_falls_from_left_to_right_with_its_figures() -> None:
    points = tuple((float(step), 2.5 - step / 500) for step in range(1_000))
    title, *rows, axis, legend = plain(CurveBlock(title="loss", series={"train": points}), 40)
    assert title == "loss"
    assert rows[0].startswith("  2.5 ")
    assert rows[-1].startswith("0.502 ")
    edges = [len(row) - len(row.lstrip("25.0 ")) for row in rows]
    assert edges == sorted(edges)
    assert axis.split() == ["0", "999"]
    assert legend.split() == ["━━", "train", "0.502", "@", "999"]


def test_no_spike_of_a_curve_is_lost() -> None:
    flat = [(float(step), 1.0) for step in range(100_000)]
    flat[54_321] = (54_321.0, 9.0)
    rows = [line.plain for line in plot_lines({"loss": flat}, 60)]
    assert rows[0].startswith("9 ")
    assert any(0x2800 < ord(char) <= 0x28FF for char in rows[0])


def test_a_curve_of_many_points_is_drawn_quickly() -> None:
    points = tuple((float(step), math.sin(step / 1_000)) for step in range(100_000))
    times = []
    for _ in range(3):
        began = time.perf_counter()
        plot_lines({"loss": points}, 80)
        times.append(time.perf_counter() - began)
    assert min(times) < 0.2  # a twentieth of it on an idle machine


@pytest.mark.parametrize(
    "points",
    [(), ((1.0, 2.0),), ((1.0, math.nan), (2.0, math.inf)), ((3.0, 1.0), (1.0, 2.0)), ((0.0, 5.0), (0.0, 5.0))],
)
def test_odd_points_make_no_trouble(points: tuple[tuple[float, float], ...]) -> None:
    assert plot_lines({"loss": points, "other": ()}, 30)


def test_a_text_in_pieces_is_the_whole_text() -> None:
    lines = [f"{'    ' * (number % 3)}x{number}" if number % 5 else "" for number in range(1_000)]
    assert [line for piece in pieces(lines) for line in piece] == lines
    for language in ("python", ""):
        assert "\n".join(piece.plain for piece in text_pieces("\n".join(lines), language)) == "\n".join(lines)


HOSTILE = st.text(alphabet=st.one_of(st.sampled_from("[]/\x1b\x00\u202e\ud800\n\t 你👩"), st.characters()), max_size=60)


@settings(max_examples=60, deadline=None)
@given(HOSTILE, HOSTILE, st.sampled_from([1, 2, 9, 40, 120]))
def test_hostile_blocks_are_shown_without_harm(one: str, other: str, width: int) -> None:
    blocks = (
        TextBlock(text=one, language=other, title=other),
        DiffBlock(path=one, old=one, new=other),
        TableBlock(columns=(one, other), rows=((one, other), (other, one)), title=one),
        LogBlock(lines=(one, other), omitted=3, path=one),
        PlanBlock(items=((one, "pending"), (other, "completed"))),
        JobCard(job_id=one, backend=other, stage=one, title=other, url=one, flavor=one),
        CurveBlock(title=one, series={other: ((0.0, 1.0), (1.0, 2.0))}),
    )
    for block in blocks:
        for line in render_display(block, width):
            assert "\x1b" not in line.plain
            assert "\n" not in line.plain


def test_a_part_of_a_large_file_keeps_its_line_numbers() -> None:
    rows = changes("a\nold\nb\n", "a\nnew\nb\n", first_line=500)
    assert [(row.old, row.new, row.text) for row in rows if row.kind != "hunk"] == [
        (500, 500, "a"),
        (501, 0, "old"),
        (0, 501, "new"),
        (502, 502, "b"),
    ]


def test_sentences_are_broken_between_words_and_have_no_numbers() -> None:
    block = TextBlock(text="✗ it needs more memory\n✓ it compiles", language="prose", title="looked at")
    shown = [
        line.plain.rstrip() for piece in display_pieces(block, numbers=True, exact=True) for line in piece.render(14)
    ]
    assert shown == ["looked at", "✗ it needs", "more memory", "✓ it compiles"]


def test_of_a_path_that_does_not_fit_the_end_is_kept() -> None:
    block = DiffBlock(path="/home/ada/projects/classifier/train.py", old="a", new="b")
    assert plain(block, 30)[0] == "…ts/classifier/train.py  +1 -1"
    assert plain(block, 60)[0].startswith("/home/ada/projects/classifier/train.py ")

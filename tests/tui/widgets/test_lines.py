from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ml_intern.tui.widgets.heights import Heights
from ml_intern.tui.widgets.lines import Line, Run, chop, copied, indent, wrap
from ml_intern.tui.widgets.text import cells

WORDS = st.text(alphabet="ab 你，é👩\u200d\ufe0f", max_size=80)
RUNS = st.lists(st.builds(Run, WORDS, st.sampled_from(["", "strong", "code"])), max_size=6)


def plain(lines: list[Line]) -> list[str]:
    return [line.plain for line in lines]


def test_words_stay_whole_and_long_ones_are_cut() -> None:
    lines = wrap([Run("one two three "), Run("abcdefghijklmnop", "code")], 9)
    assert plain(lines) == ["one two", "three", "abcdefghi", "jklmnop"]
    assert [line.join for line in lines] == [" ", " ", "", "\n"]
    assert lines[2].runs == (Run("abcdefghi", "code"),)


def test_text_of_east_asia_breaks_anywhere_but_before_its_punctuation() -> None:
    assert plain(wrap([Run("你好世界，你好")], 8)) == ["你好世", "界，你好"]


@given(RUNS, st.integers(2, 40))
def test_wrapping_keeps_every_word_within_the_width(runs: list[Run], width: int) -> None:
    lines = wrap(runs, width)
    assert all(cells(line.plain) <= width for line in lines)
    whole = "".join(run.text for run in runs)
    assert "".join(plain(lines)).replace(" ", "") == whole.replace(" ", "")


@given(RUNS, st.integers(2, 40))
def test_chopping_keeps_every_character_within_the_width(runs: list[Run], width: int) -> None:
    lines = chop(runs, width)
    assert all(cells(line.plain) <= width for line in lines)
    assert "".join(plain(lines)) == "".join(run.text for run in runs)


def test_wrapped_text_is_copied_in_one_line_and_without_decoration() -> None:
    lines = indent(wrap([Run("one two three four")], 8), Run("▎ ", "bar"))
    assert plain(lines) == ["▎ one two", "▎ three", "▎ four"]
    assert copied(lines, None, None) == "one two three four"
    assert copied(lines, 6, 4) == "two three fo"


@given(st.lists(st.integers(0, 9), min_size=1, max_size=70), st.data())
def test_sums_of_heights_agree_with_adding_up(heights: list[int], data: st.DataObject) -> None:
    sums = Heights(heights)
    for _ in range(5):
        index, height = data.draw(st.integers(0, len(heights) - 1)), data.draw(st.integers(0, 9))
        sums.set(index, height)
        heights[index] = height
    size = data.draw(st.integers(1, len(heights)))
    sums.truncate(size)
    sums.append(3)
    heights[size:] = [3]
    assert [sums.before(index) for index in range(len(heights) + 1)] == [
        sum(heights[:index]) for index in range(len(heights) + 1)
    ]
    rows = [(index, row) for index, height in enumerate(heights) for row in range(height)]
    assert [sums.locate(row) for row in range(sums.total)] == rows

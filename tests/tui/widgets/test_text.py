from __future__ import annotations

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from ml_intern.tui.widgets import text
from ml_intern.tui.widgets.script_area import signs_for

HOSTILE = st.text(
    alphabet=st.one_of(
        st.sampled_from("\x1b[]();m\x07\\\r\n\t\x00\x9b\u202e\u200d\ufe0f\ud800你👩a0 8"), st.characters()
    ),
    max_size=200,
)


@pytest.mark.parametrize(
    ("dirty", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;https://a.b\x1b\\here\x1b]8;;\x1b\\", "here"),
        ("\x1b]0;title\x07text", "text"),
        ("\x9b1mbold", "bold"),
        ("a\x1b]52;c;unfinished", "a52;c;unfinished"),
        ("10%\r20%\r100%\ndone\r\n", "10%␍20%␍100%\ndone\n"),
        ("a\tb", "a   b"),
        ("a\x00b\x08c\x7f", "abc"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("left \u202eright\u200b", "left right"),
        ("\U000e0041hidden", "hidden"),
        ("family 👩\u200d👧 ❤\ufe0f\u200d🔥", "family 👩\u200d👧 ❤\ufe0f\u200d🔥"),
        ("joined a\u200db", "joined ab"),
        ("no room \u115f\u3164\u034f\U000e0101.", "no room ."),
        ("marks e" + "\u0301" * 99 + "x", "marks e" + "\u0301" * 8 + "x"),
        ("[bold]markup[/bold]", "[bold]markup[/bold]"),
    ],
)
def test_what_a_terminal_could_act_on_is_removed(dirty: str, shown: str) -> None:
    assert text.clean(dirty) == shown


def test_output_is_shown_as_its_terminal_was_left_and_code_in_full() -> None:
    assert text.clean_output("10%\r20%\r100%\ndone\r\n\x1b[31mred") == "100%\ndone\nred"
    hidden = "ok() #\x1b]0;\rimport os; os.remove('x')\x07 \u202e\x9b\x7f\r\n"
    assert text.clean_code(hidden) == "ok() #␛]0;␍import os; os.remove('x')␇ <202e><009b>␡\n"


@given(HOSTILE)
def test_nothing_of_code_is_left_out(dirty: str) -> None:
    shown = text.clean_code(dirty)
    assert text.clean(shown) == shown
    letters = [char for char in dirty if char.isalnum()]
    rest = iter(shown)
    assert all(char in rest for char in letters)


@given(HOSTILE)
def test_cleaned_text_holds_nothing_but_printable_text_and_newlines(dirty: str) -> None:
    cleaned = text.clean(dirty)
    assert not any((ord(char) < 32 and char != "\n") or 0x7F <= ord(char) < 0xA0 for char in cleaned)
    assert not any(0xD800 <= ord(char) <= 0xDFFF for char in cleaned)
    assert text.clean(cleaned) == cleaned


@given(HOSTILE)
def test_lines_cleaned_each_for_itself_are_the_lines_of_the_whole(dirty: str) -> None:
    for cleaned in (text.clean, text.clean_output, text.clean_code):
        assert cleaned(dirty).split("\n") == [cleaned(line) for line in dirty.split("\n")]


@given(HOSTILE.map(text.clean).map(lambda found: found.replace("\n", " ")), st.integers(0, 30))
def test_fitted_text_never_exceeds_its_width(whole: str, width: int) -> None:
    assert cell_len(text.fit(whole, width)) <= width
    assert cell_len(text.fit_path(whole, width)) <= width


def test_cut_text_ends_in_an_ellipsis_and_a_cut_path_keeps_its_end() -> None:
    assert text.fit("hello world", 8) == "hello w…"
    assert text.fit("你好世界", 5) == "你好…"
    assert text.fit_path("/home/me/project/train.py", 12) == "…ct/train.py"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"),
        (1.24, "1.2 s"),
        (9.96, "10 s"),
        (68, "1 m 8 s"),
        (3600, "1 h 0 m"),
        (90_000, "1 d 1 h"),
        (-1, "0.0 s"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float, shown: str) -> None:
    assert text.duration(seconds) == shown


def test_amounts_counts_and_moments_read_as_people_say_them() -> None:
    assert [text.money(usd) for usd in (None, 0, 0.004, 0.00001, 1.419, 1234.5)] == [
        "$?",
        "$0.00",
        "$0.004",
        "<$0.0001",
        "$1.42",
        "$1,234.50",
    ]
    assert text.count(1, "line") == "1 line"
    assert text.count(12_345, "line") == "12,345 lines"
    assert [text.ago(seconds) for seconds in (5, 300, 7_200, 200_000)] == [
        "just now",
        "5 min ago",
        "2 h ago",
        "2 days ago",
    ]
    assert text.clock("2026-01-02T14:03:05.000Z", UTC) == "14:03"
    assert text.clock("") == ""
    assert text.clock_span(2_470) == "41:10"
    assert text.clock_span(7_203) == "2:00:03"


def test_one_line_looks_only_at_the_beginning() -> None:
    assert text.one_line("a\n  b\tc") == "a b c"
    assert text.one_line("x" * 1_000_000, 10) == "x" * 10 + "…"


@given(HOSTILE)
def test_an_editor_for_scripts_shows_nothing_harmful_and_gives_the_text_back(dirty: str) -> None:
    signs = signs_for(dirty)
    shown = dirty.translate(signs)
    assert text.unseen(shown) <= {"\t", "\r"}
    assert shown.translate({ord(sign): chr(code) for code, sign in signs.items()}) == dirty
    assert len(shown.replace("\r\n", "\n").splitlines()) <= dirty.count("\n") + 1


@given(HOSTILE)
def test_the_last_filter_takes_out_what_is_left_and_keeps_the_width(dirty: str) -> None:
    line = dirty.replace("\n", " ")
    shown = text.without_controls(line)
    assert not text.unseen(shown)
    assert cell_len(shown) == cell_len(line) or "\u200d" in line

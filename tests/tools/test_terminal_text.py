from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_intern.tools.terminal_text import MAX_LINE_CHARS, TerminalText, clean


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://x.org\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPpayload\x1b\\text", "text"),
        ("\x9b31mred", "red"),
        ("\x1b(Btext\x1b=", "text"),
        ("a\r\nb\r\n", "a\nb\n"),
        (" 1%\r 50%\r100%\nnext", "100%\nnext"),
        ("N\x08NA\x08A", "NA"),
        ("a\x00b\x07c\x7f\x85", "abc"),
        ("tab\tstays", "tab\tstays"),
        ("[/markup] stays", "[/markup] stays"),
    ],
)
def test_what_only_a_terminal_understands_is_left_out(raw: str, plain: str) -> None:
    assert clean(raw) == plain


@settings(max_examples=200, deadline=None)
@given(
    pieces=st.lists(
        st.sampled_from(
            ["a", "é", "\n", "\r\n", "\r", "\x1b[31m", "\x1b]8;;u\x07", "\x1b]0;t\x1b\\", "\x00", "10%\r", "日"]
        ),
        max_size=30,
    ),
    data=st.data(),
)
def test_it_does_not_matter_where_the_bytes_are_split(pieces: list[str], data: st.DataObject) -> None:
    raw = "".join(pieces).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    parts = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    whole, split = TerminalText(), TerminalText()

    assert "".join(map(split.feed, parts)) + split.finish() == whole.feed(raw) + whole.finish()


def test_a_line_without_end_is_handed_on_in_pieces() -> None:
    text = TerminalText()

    got = "".join(text.feed(b"x" * 10_000) for _ in range(20))

    assert len(got) > 200_000 - MAX_LINE_CHARS - 10_000
    assert got + text.finish() == "x" * 200_000


def test_the_line_that_has_not_ended_is_there_as_it_looks() -> None:
    text = TerminalText()

    text.feed(b"done\n 5%\r\x1b[32m42%")

    assert text.partial == "42%"

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ml_intern.tui.widgets.lines import Line, copied
from ml_intern.tui.widgets.markdown import code_blocks, render
from ml_intern.tui.widgets.stream import MarkdownStream

FRAGMENTS = (
    *(
        "words here ",
        "**bold** ",
        "`code` ",
        "[x](https://y.z) ",
        "https://a.b/c_d. ",
        "你好 ",
        "&amp; ",
        "\\\n",
        "  \n",
    ),
    *("\n", "\n\n", "\t", "\r\n", "a\rb", "\x1b[31mred\x1b[0m", "\x1b]8;;https://x\x1b\\", "    ", " "),
    *(
        "- item\n",
        "- ",
        "* star\n",
        "+ plus\n",
        "-\n",
        "1. one\n",
        "2. two\n",
        "7) seven\n",
        "  - nested\n",
        " - odd\n",
    ),
    *(
        "- [ ] task\n",
        "- [x] done\n",
        "> quote\n",
        "# head\n",
        "#",
        "---\n",
        "--",
        "===\n",
        "    indented\n",
        "<div>\n",
    ),
    *("```python\n", "```\n", "```", "``", "~~~\n", "   ```js\n", "x = 1\n", "def f():\n", "[a]: https://q\n", "[a]"),
    *("| a | b |\n", "|---|---|\n", "| 1 | 2 |\n", "![image](https://x/y.png)\n"),
)
MARKDOWN = st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join)
LONG_FENCE = "```python\n" + "\n".join(f"def f{number}():\n    return {number}\n" for number in range(90)) + "```\nend"


def plain(source: str, width: int = 40) -> list[str]:
    return [line.plain for line in render(source, width)]


def inks(lines: list[Line]) -> dict[str, str]:
    return {run.text: run.ink for line in lines for run in line.runs}


@settings(max_examples=300, deadline=None)
@given(MARKDOWN, st.data())
@example("```\n```", None)
@example("a\n\n```\none\n\ntwo\n```\n\nb", None)
@example("- [a]\n\n> [a]: https://q\n", None)
@example(LONG_FENCE, None)
def test_streamed_text_ends_as_if_rendered_at_once(source: str, data: st.DataObject | None) -> None:
    stream = MarkdownStream(40)
    position = 0
    while position < len(source):
        size = data.draw(st.integers(1, 40)) if data else 3
        stream.write(source[position : position + size])
        if data is None or data.draw(st.booleans()):
            stream.lines()
        position += size
    assert stream.finish() == render(source, 40)


def test_finished_parts_of_a_stream_are_not_rendered_again() -> None:
    stream = MarkdownStream(40)
    stream.write("First.\n\n- one\n- two\n\nLast")
    before = stream.lines()
    stream.write(" words")
    after = stream.lines()
    assert [line.plain for line in after][-1] == "Last words"
    same = [old is new for old, new in zip(before, after, strict=True)]
    assert same[:4] == [True, True, True, False]
    assert not same[-1]


def test_code_stays_code_across_an_empty_line_while_it_streams() -> None:
    stream = MarkdownStream(40)
    stream.write("```python\nx = 1\n\n# heading?\n")
    assert [line.plain for line in stream.lines()] == ["▎ x = 1", "▎ ", "▎ # heading?"]
    stream.write("``")
    assert [line.plain for line in stream.lines()][-1] == "▎ # heading?"
    stream.write("`\n\n# Heading\n")
    assert [line.plain for line in stream.lines()] == ["▎ x = 1", "▎ ", "▎ # heading?", "", "Heading"]


def test_a_stream_can_go_on_at_another_width() -> None:
    stream = MarkdownStream(40)
    stream.write("one two three four five six\n\nseven")
    narrow = stream.at_width(10)
    narrow.write(" eight")
    assert narrow.finish() == render("one two three four five six\n\nseven eight", 10)


def test_inline_styles_are_named_and_nested() -> None:
    found = inks(render("a **b *c*** `d` ~~e~~ [f](https://g.h)", 60))
    found.pop(" ")
    assert found == {"a ": "", "b ": "strong", "c": "strong em", "d": "code", "e": "strike", "f": "link"}


def test_links_lead_only_where_a_click_may_go() -> None:
    (line,) = render("[good](https://a.b) https://c.d/e_f. [bad](javascript:alert) [file](x.md)", 90)
    assert [(run.text, run.link) for run in line.runs if run.link] == [
        ("good", "https://a.b"),
        ("https://c.d/e_f", "https://c.d/e_f"),
        ("file", "path:x.md"),
    ]
    assert "file (x.md)" in line.plain
    assert "bad" in line.plain


def test_lists_nest_count_and_show_tasks() -> None:
    source = "3. three\n4. four\n   - inner\n     more words that wrap\n\n- [x] done\n- [ ] open"
    assert plain(source, 24) == [
        "3. three",
        "4. four",
        "   ◦ inner more words",
        "     that wrap",
        "",
        "✓ done",
        "○ open",
    ]


def test_a_table_is_fitted_to_the_width_and_its_cells_wrap() -> None:
    source = "| run | loss | note |\n|---|---:|---|\n| a | 1.31 | the baseline of all runs |\n| bb | 0.9 | 你好 |"
    assert plain(source, 30) == [
        "run  loss  note",
        "───  ────  ───────────────────",
        "a    1.31  the baseline of all",
        "           runs",
        "bb    0.9  你好",
    ]
    assert all(line.width <= 30 for line in render(source, 30))


def test_a_table_with_too_many_columns_becomes_records() -> None:
    source = "|" + "alpha|" * 9 + "\n|" + "-|" * 9 + "\n|" + "some value|" * 9
    assert plain(source, 24)[:2] == ["alpha: some value", "alpha: some value"]


def test_headings_quotes_rules_and_breaks_are_told_apart_without_colour() -> None:
    assert plain("# Title\ntext  \nbroken\n\n> said\n> twice\n\n---", 20) == [
        "Title",
        "",
        "text",
        "broken",
        "",
        "▎ said twice",
        "",
        "─" * 20,
    ]


def test_markup_html_and_escapes_are_text() -> None:
    assert plain("[red]no[/red] <b>tag</b> \x1b[31mred\x1b[0m \ud800") == ["[red]no[/red] <b>tag</b> red \ufffd"]


def test_code_is_highlighted_by_its_language_and_plain_when_unknown() -> None:
    assert inks(render("```python\nimport os  # why\n```", 40))["import"] == "keyword"
    assert inks(render("```python\nimport os  # why\n```", 40))["# why"] == "comment"
    assert [line.plain for line in render("```no-such\nimport os\n```", 40)] == ["▎ import os"]


def test_long_lines_of_code_go_on_below_and_are_copied_whole() -> None:
    code = "x = '" + "0123456789" * 5 + "'"
    lines = render(f"```python\n{code}\n```", 20)
    assert all(line.width <= 20 for line in lines)
    assert copied(lines, None, None) == code


def test_a_list_is_copied_with_its_marks_and_nesting() -> None:
    lines = render("- one two three four\n  - five\n- six", 12)
    assert copied(lines, None, None) == "• one two three four\n  ◦ five\n• six"


@pytest.mark.parametrize(
    ("source", "blocks"),
    [
        ("a\n```py\none = 1\n```\nor\n~~~\ntwo\n\n  indented\n~~~", ["one = 1", "two\n\n  indented"]),
        ("- b\n  ```\n  a\n    b\n  ```\n````\n```\n````\n```\nopen", ["a\n  b", "```", "open"]),
        ("> Try this:\n>\n> ```sh\n> ls\n> ```", ["ls"]),
        ("no `code`", []),
    ],
)
def test_fenced_code_is_found_wherever_it_is_nested(source: str, blocks: list[str]) -> None:
    assert code_blocks(source) == blocks


@settings(max_examples=200, deadline=None)
@given(
    st.text(
        alphabet=st.one_of(st.sampled_from("[]()*_`~<>|#-!\\\n \x1b\x00\u202e你👩\u200d\ud800"), st.characters()),
        max_size=300,
    )
)
def test_any_text_renders_within_a_width(source: str) -> None:
    for line in render(source, 24):
        assert "\x1b" not in line.plain
        assert "\n" not in line.plain
        assert line.width <= 24 or "│" not in line.plain


def test_a_huge_paragraph_of_brackets_takes_no_time() -> None:
    lines = render("[" * 300_000 + "*a " * 100_000, 80)
    assert " ".join(line.plain for line in lines[-2:]).endswith(" more characters)")

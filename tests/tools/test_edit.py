from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.display import DiffBlock
from ml_intern.core.tools.spec import ToolResult
from ml_intern.tools.edit import EditParams, apply, create_edit_tool
from ml_intern.tools.files import create_file_tools
from tests.support.tools import Bench

READ, WRITE = create_file_tools()
EDIT = create_edit_tool()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench.at(tmp_path)


async def edit(bench: Bench, content: str | bytes, old: str, new: str, **more: Any) -> tuple[ToolResult, str]:
    path = bench.workspace / "a.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    await bench.run(READ, path="a.txt")
    result = await bench.run(EDIT, path="a.txt", old_str=old, new_str=new, **more)
    return result, path.read_bytes().decode()


async def test_one_place_is_changed_and_nothing_else(bench: Bench) -> None:
    result, text = await edit(bench, "a = 1\nb = 2  # keep\n", "b = 2", "b = 3")

    assert text == "a = 1\nb = 3  # keep\n"
    assert result.text == f"Edited {bench.workspace / 'a.txt'} at 1 place."
    assert result.display == (DiffBlock(path=str(bench.workspace / "a.txt"), old="a = 1\nb = 2  # keep\n", new=text),)


async def test_text_that_stands_more_than_once_is_refused_with_its_lines(bench: Bench) -> None:
    result, text = await edit(bench, "x\ny\nx\n", "x", "z")

    assert "found 2 times" in result.text
    assert "(at lines 1, 3)" in result.text
    assert text == "x\ny\nx\n"
    assert (await edit(bench, "x\ny\nx\n", "x", "z", replace_all=True))[1] == "z\ny\nz\n"


async def test_overlapping_places_are_two_places(bench: Bench) -> None:
    assert "found 2 times" in (await edit(bench, "aXaXa", "aXa", "b"))[0].text
    assert (await edit(bench, "aXaXa", "aXa", "b", replace_all=True))[1] == "bXa"


async def test_text_can_be_put_after_or_before(bench: Bench) -> None:
    assert (await edit(bench, "a\nb\n", "a\n", "x\n", mode="append_after"))[1] == "a\nx\nb\n"
    assert (await edit(bench, "a\nb\n", "b\n", "x\n", mode="prepend_before"))[1] == "a\nx\nb\n"
    both = await edit(bench, "a\nb\na\n", "a\n", "x\n", mode="append_after", replace_all=True)
    assert both[1] == "a\nx\nb\na\nx\n"
    assert "found 2 times" in (await edit(bench, "a\na\n", "a", "x", mode="append_after"))[0].text


async def test_trailing_white_space_does_not_matter_and_the_rest_of_the_line_stays(bench: Bench) -> None:
    result, text = await edit(
        bench, "def f():   \n    return 1  # one\n", "def f():\n    return 1", "def g():\n    return 2"
    )

    assert text == "def g():\n    return 2  # one\n"
    assert "ignoring trailing whitespace" in result.text
    assert (await edit(bench, "a\nb = 1\n", "a  \nb = 1  ", "c"))[1] == "c\n"


async def test_the_indentation_of_the_file_is_kept(bench: Bench) -> None:
    content = "class A:\n    def f(self):\n        return 1\n\n    def g(self):\n        pass\n"
    old = "def f(self):\n    return 1"
    new = "def f(self):\n    if True:\n        return 2\n    return 3"

    result, text = await edit(bench, content, old, new)

    assert text == (
        "class A:\n    def f(self):\n        if True:\n            return 2\n        return 3\n"
        "\n    def g(self):\n        pass\n"
    )
    assert "ignoring indentation" in result.text


@pytest.mark.parametrize(
    ("content", "old", "new", "expected"),
    [
        # deeper in the file
        (
            "if x:\n        a()\n        b()\n",
            "    a()\n    b()\n",
            "    a()\n    c()\n",
            "if x:\n        a()\n        c()\n",
        ),
        # further out in the file, and a new line further out still
        ("    a\n      b\n", "        a\n          b\n", "        a\n    z\n", "    a\nz\n"),
        # tabs in the file, spaces in the call
        (
            "def f():\n\tif x:\n\t\ta()\n",
            "    if x:\n        a()\n",
            "    if x:\n        a()\n        if y:\n            b()\n",
            "def f():\n\tif x:\n\t\ta()\n\t\tif y:\n\t\t\tb()\n",
        ),
        # spaces in the file, tabs in the call
        ("def f():\n    a()\n    b()\n", "\ta()\n\tb()\n", "\ta()\n\t\tc()\n", "def f():\n    a()\n        c()\n"),
        # blank lines between stay blank
        ("    a()\n\n    b()\n", "a()\n\nb()\n", "a()\n\nc()\n", "    a()\n\n    c()\n"),
    ],
)
async def test_new_lines_are_indented_like_the_file(
    bench: Bench, content: str, old: str, new: str, expected: str
) -> None:
    result, text = await edit(bench, content, old, new)

    assert text == expected
    assert "ignoring indentation" in result.text


async def test_a_match_that_ignores_indentation_must_still_be_the_only_one(bench: Bench) -> None:
    content = "if a:\n    x()\n    y()\nelse:\n        x()\n        y()\n"

    result, text = await edit(bench, content, "  x()\n  y()\n", "  z()\n")

    assert "found 2 times" in result.text
    assert text == content


async def test_neighbours_on_the_same_line_are_never_swallowed(bench: Bench) -> None:
    content = "x = 1  # keep this\n   call(a,  \n        b) or other()\n"

    _, text = await edit(bench, content, "call(a,\n  b)", "call(c)")

    assert text == "x = 1  # keep this\n   call(c) or other()\n"


async def test_typographic_characters_match_plain_ones(bench: Bench) -> None:
    result, text = await edit(bench, "say “it’s – fine”\u00a0now\u200b!\nnext\n", 'say "it\'s - fine" now!', 'say "no"')

    assert text == 'say "no"\nnext\n'
    assert "typographic" in result.text


async def test_line_ends_stay_as_they_are(bench: Bench) -> None:
    _, windows = await edit(bench, "a\r\nb\r\nc\r\n", "a\nb\n", "x\ny\nz\n")
    _, mixed = await edit(bench, "a\r\nb\nc\r\nd\n", "b\nc", "b\nnew\nc")

    assert windows == "x\r\ny\r\nz\r\nc\r\n"
    assert mixed == "a\r\nb\nnew\nc\r\nd\n"


async def test_mark_permissions_and_link_survive(bench: Bench) -> None:
    real = bench.workspace / "real.txt"
    real.write_bytes("\ufeffalt\r\n".encode("utf-16-le"))
    real.chmod(0o755)
    (bench.workspace / "link.txt").symlink_to("real.txt")
    await bench.run(READ, path="link.txt")

    await bench.run(EDIT, path="link.txt", old_str="alt", new_str="neu")

    assert real.read_bytes() == "\ufeffneu\r\n".encode("utf-16-le")
    assert real.stat().st_mode & 0o777 == 0o755
    assert (bench.workspace / "link.txt").is_symlink()


async def test_a_file_must_be_read_before_it_is_edited(bench: Bench) -> None:
    path = bench.workspace / "a.txt"
    path.write_text("old\n")
    call = {"path": "a.txt", "old_str": "old", "new_str": "new"}
    assert "has not been read" in (await bench.run(EDIT, **call)).text

    await bench.run(READ, path="a.txt")
    path.write_text("old and changed\n")
    stale = await bench.run(EDIT, **call)
    assert "has changed on disk" in stale.text
    assert path.read_text() == "old and changed\n"

    await bench.run(READ, path="a.txt")
    assert (await bench.run(EDIT, **call)).ok
    assert path.read_text() == "new and changed\n"


async def test_a_file_just_written_or_edited_needs_no_further_read(bench: Bench) -> None:
    await bench.run(WRITE, path="a.txt", content="one\n")

    assert (await bench.run(EDIT, path="a.txt", old_str="one", new_str="two")).ok
    assert (await bench.run(EDIT, path="a.txt", old_str="two", new_str="three")).ok


async def test_calls_that_cannot_mean_anything_are_refused(bench: Bench) -> None:
    cases = [
        (await edit(bench, "a\n", "", "x"), "old_str is empty"),
        (await edit(bench, "a\n", "a", "a"), "are the same"),
        (await edit(bench, "a\n", "   ", "x"), "not found"),
        (await edit(bench, "value = 10\n", "valve = 10", "x"), "line 1: 'value = 10'"),
        (await edit(bench, "a\nb\n", "     1\ta\n     2\tb", "x"), "line numbers"),
    ]

    for (result, _), words in cases:
        assert not result.ok
        assert words in result.text


async def test_an_empty_file_can_be_filled(bench: Bench) -> None:
    assert (await edit(bench, "", "", "x\n"))[1] == "x\n"


async def test_files_that_cannot_be_edited_say_why(bench: Bench) -> None:
    (bench.workspace / "latin.txt").write_bytes(b"caf\xe9")
    (bench.workspace / "binary").write_bytes(b"\0\0")
    with (bench.workspace / "huge.txt").open("wb") as file:
        file.truncate(17 * 2**20)
    cases = {
        "latin.txt": "not been read",
        "binary": "not been read",
        "huge.txt": "too large",
        "no.txt": "does not exist",
    }

    for path, words in cases.items():
        assert words in (await bench.run(EDIT, path=path, old_str="a", new_str="b")).text


async def test_edits_of_one_file_at_the_same_time_all_arrive(bench: Bench) -> None:
    await bench.run(WRITE, path="a.txt", content="".join(f"<{number}>\n" for number in range(20)))
    (bench.workspace / "b.txt").symlink_to("a.txt")

    results = await asyncio.gather(
        *(bench.run(EDIT, path="ab"[n % 2] + ".txt", old_str=f"<{n}>", new_str=f"[{n}]") for n in range(20))
    )

    assert all(result.ok for result in results)
    assert (bench.workspace / "a.txt").read_text() == "".join(f"[{number}]\n" for number in range(20))


async def test_python_is_checked_after_an_edit(bench: Bench) -> None:
    await bench.run(WRITE, path="a.py", content="x = (1)\n")

    assert "line 1" in (await bench.run(EDIT, path="a.py", old_str="(1)", new_str="(1")).text


async def test_the_change_is_shown_before_it_is_made(bench: Bench) -> None:
    (bench.workspace / "a.txt").write_text("old\n")

    assessment = await bench.assess(EDIT, path="a.txt", old_str="old", new_str="new")

    assert assessment.effects == {Effect.CHANGE}
    assert assessment.display == (DiffBlock(path=str(bench.workspace / "a.txt"), old="old\n", new="new\n"),)
    assert (bench.workspace / "a.txt").read_text() == "old\n"
    assert Effect.OUTSIDE in (await bench.assess(EDIT, path="/etc/hosts", old_str="a", new_str="b")).effects


@settings(max_examples=150, deadline=None)
@given(
    before=st.text("ab \t\n\r\u2019", max_size=20),
    piece=st.text("xy \t\n", min_size=1, max_size=12).filter(lambda text: bool(text.strip())),
    after=st.text("ab \t\n\r\u2019", max_size=20),
    new=st.text("uv \t\n", max_size=12),
)
def test_an_exact_edit_changes_exactly_the_piece(before: str, piece: str, after: str, new: str) -> None:
    before, after = before.replace("\r", ""), after.replace("\r", "")
    text = f"{before}{piece}{after}"
    params = EditParams(path="a", old_str=piece, new_str=new)

    if new != piece and text.count(piece) == 1:
        assert apply(text, params, Path("a")).text == f"{before}{new}{after}"


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(
        st.text("abc ()", min_size=1, max_size=8).filter(lambda text: bool(text.strip())), min_size=3, max_size=8
    ),
    windows=st.booleans(),
    data=st.data(),
)
def test_whatever_the_level_lines_around_the_piece_stay(lines: list[str], windows: bool, data: st.DataObject) -> None:
    lines = [f"{number}{line}" for number, line in enumerate(lines)]
    first = data.draw(st.integers(1, len(lines) - 2))
    last = data.draw(st.integers(first, len(lines) - 2))
    messy = [
        data.draw(st.sampled_from(["", "  ", "\t"])) + line + data.draw(st.sampled_from(["", " "])) for line in lines
    ]
    end = "\r\n" if windows else "\n"
    text = end.join(messy)
    params = EditParams(path="a", old_str="\n".join(line.strip() for line in lines[first : last + 1]), new_str="NEW")

    edited = apply(text, params, Path("a")).text.split(end)

    assert edited[:first] == messy[:first]
    assert edited[first].strip() == "NEW"
    assert edited[first + 1 :] == messy[last + 1 :]

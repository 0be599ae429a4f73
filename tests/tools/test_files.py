from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.display import DiffBlock
from ml_intern.tools.files import create_file_tools
from tests.support.tools import Bench

READ, WRITE = create_file_tools()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench.at(tmp_path)


# ------------------------------------------------------------------------------------------------------------- read


async def test_lines_are_numbered_from_one(bench: Bench) -> None:
    (bench.workspace / "a.py").write_text("one\n\n\tthree")

    assert (await bench.run(READ, path="a.py")).text == "     1\tone\n     2\t\n     3\t\tthree"


async def test_offset_and_limit_choose_a_part_and_the_rest_is_announced(bench: Bench) -> None:
    (bench.workspace / "a.txt").write_text("".join(f"line {number}\n" for number in range(1, 11)))

    part = await bench.run(READ, path="a.txt", offset=4, limit=2)
    end = await bench.run(READ, path="a.txt", offset=9)

    assert part.text == "     4\tline 4\n     5\tline 5\n\n[… 5 more lines; go on with offset=6]"
    assert end.text == "     9\tline 9\n    10\tline 10"
    assert (await bench.run(READ, path="a.txt", offset=-3, limit=1)).text.startswith("     1\tline 1\n")


async def test_at_most_two_thousand_lines_come_at_once(bench: Bench) -> None:
    (bench.workspace / "a.txt").write_text("".join(f"line {number}\n" for number in range(1, 3001)))

    for limit in (0, 2000, 9999):
        text = (await bench.run(READ, path="a.txt", limit=limit)).text
        assert "  2000\tline 2000\n\n[… 1,000 more lines; go on with offset=2001]" in text
        assert "line 2001" not in text


async def test_a_read_stays_within_its_share_of_the_context_and_says_where_to_go_on(bench: Bench) -> None:
    (bench.workspace / "a.txt").write_text("".join(f"{number} {'x' * 1000}\n" for number in range(1, 501)))

    text = (await bench.run(READ, path="a.txt")).text

    assert len(text) < 25_000 * READ.output_scale + 1200
    last = int(text.rsplit("\n", 3)[1].split("\t")[0])
    assert text.endswith(f"[… {500 - last} more lines; go on with offset={last + 1}]")


async def test_a_very_long_line_is_cut_and_the_next_one_is_not_lost(bench: Bench) -> None:
    (bench.workspace / "a.txt").write_text("x" * 3_000_000 + "\nnext\n" + "y" * 4000 + "\n")

    lines = (await bench.run(READ, path="a.txt")).text.split("\n")

    assert lines[0] == "     1\t" + "x" * 4000 + "… (2,996,000 more characters in this line)"
    assert lines[1] == "     2\tnext"
    assert lines[2] == "     3\t" + "y" * 4000


async def test_every_kind_of_nothing_has_its_own_words(bench: Bench) -> None:
    (bench.workspace / "empty.txt").touch()
    (bench.workspace / "sub").mkdir()
    (bench.workspace / "model.bin").write_bytes(b"\x89PNG\x00\x01")
    (bench.workspace / "latin.txt").write_bytes("café".encode("latin-1"))
    (bench.workspace / "short.txt").write_text("one\n")
    os.mkfifo(bench.workspace / "pipe")
    cases = {
        "empty.txt": "is empty", "sub": "is a directory", "model.bin": "binary", "latin.txt": "not UTF-8",
        "nothing.txt": "does not exist", "pipe": "no regular file", " ": "path is empty", "a\0b": "NUL",
    }  # fmt: skip

    texts = {path: await bench.run(READ, path=path) for path in cases}

    for path, words in cases.items():
        assert words in texts[path].text
        assert texts[path].ok == (path == "empty.txt")
    past = await bench.run(READ, path="short.txt", offset=5)
    assert "has 1 line; offset 5 is past its end" in past.text
    assert not past.ok


async def test_a_missing_file_names_those_that_are_like_it(bench: Bench) -> None:
    (bench.workspace / "train.py").touch()
    (bench.workspace / "train.ipynb").touch()

    assert "Near it: train.py" in (await bench.run(READ, path="trian.py")).text
    assert "train.ipynb" in (await bench.run(READ, path="train.json")).text
    deep = await bench.run(READ, path="no/such/dir/x.py")
    assert f"{bench.workspace} does" in deep.text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
async def test_text_with_a_byte_order_mark_is_read(bench: Bench, encoding: str) -> None:
    (bench.workspace / "a.txt").write_bytes("grüße\r\nzwei\r\n".encode(encoding))

    assert (await bench.run(READ, path="a.txt")).text == "     1\tgrüße\n     2\tzwei"


async def test_the_middle_of_a_large_file_is_read(bench: Bench) -> None:
    with (bench.workspace / "big.txt").open("w") as file:
        file.writelines(f"row {number} {'.' * 90}\n" for number in range(1, 200_001))

    text = (await bench.run(READ, path="big.txt", offset=150_000, limit=2)).text

    assert text.startswith("150000\trow 150000 ")
    assert text.endswith("[… 49,999 more lines; go on with offset=150002]")


async def test_reading_is_free_but_for_secrets(bench: Bench) -> None:
    (bench.workspace / "innocent.txt").symlink_to(bench.home / ".netrc")

    assert (await bench.assess(READ, path="/etc/hostname")).effects == {Effect.READ}
    for path in (".env", "~/.ssh/id_rsa", "/proc/self/environ", "innocent.txt"):
        assert Effect.CREDENTIALS in (await bench.assess(READ, path=path)).effects
    assert (await bench.assess(READ, path=".env.example")).effects == {Effect.READ}


# ------------------------------------------------------------------------------------------------------------ write


async def test_a_new_file_is_written_with_its_directories(bench: Bench) -> None:
    result = await bench.run(WRITE, path="src/deep/a.txt", content="grüße\n")

    path = bench.workspace / "src/deep/a.txt"
    assert path.read_bytes() == "grüße\n".encode()
    assert result.ok
    assert result.text == f"Created {path} (1 line, 8 bytes)."
    assert result.display == (DiffBlock(path=str(path), old="", new="grüße\n"),)
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


async def test_an_existing_file_must_have_been_read(bench: Bench) -> None:
    path = bench.workspace / "a.txt"
    path.write_text("old\n")

    refused = await bench.run(WRITE, path="a.txt", content="new\n")
    assert not refused.ok
    assert "has not been read" in refused.text
    assert path.read_text() == "old\n"

    await bench.run(READ, path=str(path))
    assert (await bench.run(WRITE, path="a.txt", content="new\n")).ok
    assert (await bench.run(WRITE, path="a.txt", content="newer\n")).ok  # what it wrote itself, it knows
    assert path.read_text() == "newer\n"


async def test_a_read_that_failed_does_not_count(bench: Bench) -> None:
    path = bench.workspace / "a.bin"
    path.write_bytes(b"\0\1")
    await bench.run(READ, path="a.bin")

    assert not (await bench.run(WRITE, path="a.bin", content="x")).ok
    assert path.read_bytes() == b"\0\1"


async def test_a_file_that_changed_since_it_was_read_is_not_overwritten(bench: Bench) -> None:
    path = bench.workspace / "a.txt"
    path.write_text("old\n")
    await bench.run(READ, path="a.txt")
    before = path.stat()
    path.write_text("neu\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # same size, same time: only the content tells

    stale = await bench.run(WRITE, path="a.txt", content="new\n")

    assert "has changed on disk" in stale.text
    assert path.read_text() == "neu\n"


async def test_a_file_that_was_only_touched_is_still_known(bench: Bench) -> None:
    path = bench.workspace / "a.txt"
    path.write_text("old\n")
    await bench.run(READ, path="a.txt")
    os.utime(path, (1, 1))

    assert (await bench.run(WRITE, path="a.txt", content="new\n")).ok


async def test_a_new_session_has_read_nothing(bench: Bench) -> None:
    (bench.workspace / "a.txt").write_text("old\n")
    await bench.run(READ, path="a.txt")

    await bench.state.release()

    assert not (await bench.run(WRITE, path="a.txt", content="new\n")).ok


async def test_permissions_links_line_ends_and_marks_survive(bench: Bench) -> None:
    real = bench.workspace / "real.sh"
    real.write_bytes("\ufeffecho eins\r\necho zwei\r\n".encode())
    real.chmod(0o754)
    link = bench.workspace / "link.sh"
    link.symlink_to("real.sh")
    await bench.run(READ, path="link.sh")

    await bench.run(WRITE, path="link.sh", content="echo drei\necho vier\n")

    assert link.is_symlink()
    assert real.read_bytes() == "\ufeffecho drei\r\necho vier\r\n".encode()
    assert real.stat().st_mode & 0o777 == 0o754


async def test_no_half_written_file_is_left_behind(bench: Bench) -> None:
    (bench.workspace / "dir").mkdir()
    (bench.workspace / "file").write_text("x")

    results = [
        await bench.run(WRITE, path="dir", content="x"),
        await bench.run(WRITE, path="file/below", content="x"),
        await bench.run(WRITE, path="half.txt", content="\ud800"),
        await bench.run(WRITE, path="n" * 300, content="x"),
    ]

    assert all(not result.ok and result.text.startswith("ERROR: ") for result in results)
    assert sorted(entry.name for entry in bench.workspace.iterdir()) == ["dir", "file"]


async def test_the_same_content_is_not_written_again(bench: Bench) -> None:
    path = bench.workspace / "a.txt"
    path.write_text("same\n")
    await bench.run(READ, path="a.txt")
    before = path.stat().st_ino

    assert "already has exactly this content" in (await bench.run(WRITE, path="a.txt", content="same\n")).text
    assert path.stat().st_ino == before


async def test_python_that_does_not_parse_is_written_with_a_note(bench: Bench) -> None:
    result = await bench.run(WRITE, path="a.py", content="x = 1\ndef f(:\n    pass\n")

    assert result.ok
    assert (bench.workspace / "a.py").exists()
    assert "line 2" in result.text
    assert "Note" not in (await bench.run(WRITE, path="b.py", content="x = 1\n")).text
    assert "Note" not in (await bench.run(WRITE, path="c.txt", content="def f(:\n")).text


@pytest.mark.parametrize(
    ("arguments", "notes"),
    [
        ("output_dir='out'", ["no push_to_hub", "no hub_model_id"]),
        ("push_to_hub=True", ["no hub_model_id"]),
        ("push_to_hub=False", []),
        ("push_to_hub=True, hub_model_id='me/x'", []),
        ("**options", []),
    ],
)
async def test_training_that_would_be_lost_is_noted(bench: Bench, arguments: str, notes: list[str]) -> None:
    code = f"import trl\nargs = trl.SFTConfig({arguments})\n"

    text = (await bench.run(WRITE, path="train.py", content=code)).text

    assert text.count("Note:") == len(notes)
    assert all(f"SFTConfig at line 2 has {note}" in text for note in notes)


async def test_training_that_pushes_at_its_end_is_not_noted(bench: Bench) -> None:
    code = "args = TrainingArguments('out')\ntrainer.train()\ntrainer.push_to_hub()\n"

    assert "Note" not in (await bench.run(WRITE, path="train.py", content=code)).text


async def test_files_are_kept_as_they_were_before_the_first_change(bench: Bench) -> None:
    path = bench.workspace / "a.txt"
    path.write_text("original\n")
    path.chmod(0o640)
    await bench.run(READ, path="a.txt")
    await bench.run(WRITE, path="a.txt", content="first\n")
    await bench.run(WRITE, path="a.txt", content="second\n")
    await bench.run(WRITE, path="new.txt", content="x\n")

    directory = bench.spill_dir / "snapshots"
    old, new = [json.loads(line) for line in (directory / "index.jsonl").read_text().splitlines()]

    assert (old["path"], old["existed"], old["mode"]) == (str(path), True, 0o640)
    assert (directory / old["snapshot"]).read_text() == "original\n"
    assert (new["path"], new["existed"], new["snapshot"]) == (str(bench.workspace / "new.txt"), False, None)
    assert all(entry.stat().st_mode & 0o077 == 0 for entry in directory.iterdir())


async def test_of_a_change_to_a_large_file_only_the_place_is_shown(bench: Bench) -> None:
    lines = [f"line {number}\n" for number in range(1, 10_001)]
    path = bench.workspace / "a.txt"
    path.write_text("".join(lines))
    await bench.run(READ, path="a.txt")
    lines[5000] = "changed\n"

    result = await bench.run(WRITE, path="a.txt", content="".join(lines))

    (block,) = result.display
    assert isinstance(block, DiffBlock)
    assert block.first_line == 4998
    assert block.old.splitlines()[3] == "line 5001"
    assert block.new.splitlines()[3] == "changed"
    assert len(block.old.splitlines()) == len(block.new.splitlines()) == 7


async def test_who_decides_on_a_file_sees_all_of_it(bench: Bench) -> None:
    text = "\n".join(f"line {number}: {'x' * 50}" for number in range(3_000)) + "\n" + "y" * 9_000 + "\nrm -rf /\n"
    asked = await bench.assess(WRITE, path="big.sh", content=text)
    (block,) = asked.display
    assert isinstance(block, DiffBlock)
    assert block.new == text
    assert asked.editable == "content"


async def test_where_a_file_goes_decides_whether_it_is_asked_about(bench: Bench) -> None:
    (bench.workspace / "out").symlink_to("/opt")
    (bench.workspace / "a.txt").write_text("old\n")

    inside = await bench.assess(WRITE, path="a.txt", content="new\n")
    assert inside.effects == {Effect.CHANGE}
    assert inside.subject == "a.txt"
    assert inside.display == (DiffBlock(path=str(bench.workspace / "a.txt"), old="old\n", new="new\n"),)
    assert (await bench.assess(WRITE, path="/tmp/scratch.txt", content="")).effects == {Effect.CHANGE}
    for path in ("/etc/motd", "~/x", "../x", "out/x", ".git/hooks/pre-commit"):
        assert Effect.OUTSIDE in (await bench.assess(WRITE, path=path, content="")).effects
    for path in (".env", "~/.netrc", ".ssh/authorized_keys"):
        assert Effect.CREDENTIALS in (await bench.assess(WRITE, path=path, content="")).effects


async def test_a_file_that_the_system_runs_by_itself_is_a_schedule(bench: Bench) -> None:
    for path in ("/etc/cron.d/x", "~/.config/systemd/user/x.timer", "~/.config/autostart/x.desktop"):
        assert Effect.SCHEDULE in (await bench.assess(WRITE, path=path, content="x")).effects
    assert Effect.SCHEDULE not in (await bench.assess(WRITE, path="cron_parser/systemd.py", content="x")).effects


async def test_writes_to_one_file_by_two_names_do_not_mix(bench: Bench) -> None:
    path = bench.workspace / "a.txt"
    (bench.workspace / "link.txt").symlink_to("a.txt")

    results = await asyncio.gather(
        bench.run(WRITE, path="a.txt", content="one\n" * 5000),
        bench.run(WRITE, path="link.txt", content="two\n" * 5000),
    )

    assert all(result.ok for result in results)
    assert len(set(path.read_text().splitlines())) == 1

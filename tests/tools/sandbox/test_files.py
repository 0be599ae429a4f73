from __future__ import annotations

import base64
from pathlib import Path

import pytest

from ml_intern.core.display import DiffBlock
from ml_intern.core.jobs import JobsError
from tests.support.pictures import png
from tests.tools.sandbox.support import Stage, on_stage


def file(stage: Stage, path: str) -> Path:
    place: Path = stage.area.path(stage.running[0].id, path)
    return place


async def test_a_written_file_is_in_the_sandbox_and_can_be_read_with_line_numbers(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        made = await stage.run("write", path="deep/down/a.txt", content="one\ntwo\n")
        assert made.text == "Created /app/deep/down/a.txt (2 lines, 8 bytes)."
        assert file(stage, "/app/deep/down/a.txt").read_bytes() == b"one\ntwo\n"
        assert list(file(stage, "/app/deep/down").iterdir()) == [file(stage, "/app/deep/down/a.txt")]
        assert (await stage.run("read", path="deep/down/a.txt")).text == "     1\tone\n     2\ttwo"
        part = await stage.run("read", path="/app/deep/down/a.txt", offset=1, limit=1)
        assert part.text == "     1\tone\n\n[… 1 more line; go on with offset=2]"


async def test_home_is_the_home_of_the_sandbox(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        await stage.run("write", path="~/note", content="x")
        assert (await stage.bash("cat ~/note")).text.startswith("x")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("missing.txt", "/app/missing.txt does not exist. Near it: missing2.txt."),
        ("no/such/file", "Its directory /app/no/such does not exist either."),
        ("sub", "/app/sub is a directory. List it with bash"),
        ("binary", "/app/binary is a binary file."),
        ("latin", "/app/latin is not UTF-8 text"),
        ("pipe", "/app/pipe is no regular file"),
        (" ", "path is empty"),
    ],
)
async def test_what_cannot_be_read_is_explained(tmp_path: Path, path: str, says: str) -> None:
    async with on_stage(tmp_path) as stage:
        await stage.bash("touch missing2.txt; mkdir sub; printf 'a\\0b' > binary; printf '\\351' > latin; mkfifo pipe")
        done = await stage.run("read", path=path)
        assert not done.ok
        assert says in done.text


async def test_an_image_of_the_sandbox_is_shown(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        await stage.bash(f"echo {base64.b64encode(png(64, 48)).decode()} | base64 -d > plot.png")
        done = await stage.run("read", path="plot.png")
        assert done.text.startswith("[image plot.png 64×48] /app/plot.png, ")
        assert [image.width for image in done.images] == [64]


async def test_an_existing_file_must_have_been_read_and_be_unchanged_since(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        await stage.bash("echo old > a.txt")
        for arguments in ({"content": "new\n"}, {"old_str": "old", "new_str": "new"}):
            tool = "write" if "content" in arguments else "edit"
            assert "has not been read in this session" in (await stage.run(tool, path="a.txt", **arguments)).text
        await stage.run("read", path="a.txt")
        await stage.bash("echo sly > a.txt")
        stale = await stage.run("edit", path="a.txt", old_str="sly", new_str="new")
        assert "has changed on disk since it was read" in stale.text
        assert "has changed on disk" in (await stage.run("write", path="a.txt", content="new\n")).text
        assert file(stage, "/app/a.txt").read_text() == "sly\n"
        await stage.run("read", path="a.txt")
        assert (await stage.run("write", path="a.txt", content="new\n")).text.startswith("Replaced /app/a.txt")
        assert (await stage.run("edit", path="a.txt", old_str="new", new_str="newer")).ok
        assert file(stage, "/app/a.txt").read_text() == "newer\n"


async def test_edits_are_found_as_loosely_as_on_the_own_machine_and_shown_as_a_diff(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        old = "def f(self):\n    return 1"
        await stage.run("write", path="a.py", content="class A:\n    def f(self):   \n        return 1\n")
        done = await stage.run("edit", path="a.py", old_str=old, new_str=old.replace("1", "2"))
        assert "old_str was found" in done.text
        assert file(stage, "/app/a.py").read_text() == "class A:\n    def f(self):\n        return 2\n"
        (block,) = done.display
        assert isinstance(block, DiffBlock)
        assert (block.path, "return 1" in block.old, "return 2" in block.new) == ("/app/a.py", True, True)
        twice = await stage.run("edit", path="a.py", old_str="f", new_str="g")
        assert "times in /app/a.py" in twice.text


async def test_line_ends_marks_permissions_and_links_survive(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        await stage.bash(
            "printf '\\357\\273\\277one\\r\\ntwo\\r\\n' > real.txt; chmod 751 real.txt; ln -s real.txt link.txt"
        )
        await stage.run("read", path="link.txt")
        assert (await stage.run("edit", path="link.txt", old_str="two", new_str="2\n3")).ok
        real = file(stage, "/app/real.txt")
        assert real.read_bytes() == b"\xef\xbb\xbfone\r\n2\r\n3\r\n"
        assert real.stat().st_mode & 0o777 == 0o751
        assert str(file(stage, "/app/link.txt").readlink()) == "real.txt"
        assert (await stage.run("write", path="real.txt", content="all\nnew\n")).ok
        assert real.read_bytes() == b"\xef\xbb\xbfall\r\nnew\r\n"


async def test_directories_that_are_links_are_followed(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        await stage.bash("mkdir /data; echo x > /data/f; ln -s /data linked")
        assert (await stage.run("read", path="linked/f")).text == "     1\tx"


async def test_python_files_are_looked_at(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        done = await stage.run("write", path="a.py", content="def f(:\n")
        assert "Note: it does not parse" in done.text
        assert file(stage, "/app/a.py").exists()


async def test_long_output_of_other_tools_is_read_from_where_it_is_kept(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        stage.bench.spill_dir.mkdir()
        kept = stage.bench.spill_dir / "hf_jobs-call.txt"
        kept.write_text("a line\n")
        assert (await stage.run("read", path=str(kept))).text == "     1\ta line"
        outside = await stage.run("read", path=f"{stage.bench.spill_dir}/../secret")
        assert not outside.ok


async def test_scripts_for_jobs_are_read_from_the_sandbox_and_never_start_one(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        with pytest.raises(JobsError, match="no sandbox yet"):
            await stage.sandboxes.read_script("train.py", stage.context())
        assert stage.area.all() == []
        await stage.run("write", path="train.py", content="print(1)\n")
        assert await stage.sandboxes.read_script("train.py", stage.context()) == "print(1)\n"
        with pytest.raises(JobsError, match=r"/app/other\.py"):
            await stage.sandboxes.read_script("other.py", stage.context())

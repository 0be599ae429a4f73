from __future__ import annotations

import os
from pathlib import Path

import pytest

from ml_intern.core.hearing import Mentioned
from ml_intern.core.mentions import mentions_in
from ml_intern.core.protocol import Notice, ToolOutput, UserMessage
from ml_intern.core.tools.spec import SessionState
from ml_intern.tools.mentions import MOST_CHARS_IN_ALL, MOST_ENTRIES, MentionReader
from tests.support.harness import Harness
from tests.support.llm_server import ScriptedLLM, call, text, tools
from tests.support.pictures import png


def put(root: Path, **files: str) -> None:
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def gathered(words: str, root: Path) -> Mentioned:
    return MentionReader(root / "home", lambda text: text.replace("hunter2", "[REDACTED]"))(words, root, SessionState())


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("look at @train.py, please", ["train.py"]),
        ("(@src/model.py:10-40) and `@train.py:7`.", ["src/model.py:10-40", "train.py:7"]),
        ("@train.py#L3-L9 @train.py:5-", ["train.py:3-9", "train.py:5-"]),
        ('@"my notes.txt" and @"my notes.txt":2', ["my notes.txt", "my notes.txt:2"]),
        ("@src/ @src and @./train.py", ["src/", "./train.py"]),
        ("mail me@train.py or @property, @missing.py, @ train.py, @@train.py", []),
        ("@train.py @train.py", ["train.py"]),
        ("@odd:name and @odd:name:3", ["odd:name", "odd:name:3"]),
        ("@train.py…“ @\ud800 @" + "x" * 5_000, ["train.py"]),
        ("@~nobody/x @~ @/", ["/"]),
    ],
)
def test_a_mention_is_what_is_there(tmp_path: Path, words: str, found: list[str]) -> None:
    put(tmp_path, train_dot_py="x", src__model_dot_py="x")
    (tmp_path / "my notes.txt").write_text("x")
    (tmp_path / "odd:name").write_text("x")
    assert [mention.name + mention.lines for mention in mentions_in(words, tmp_path)] == found


def test_files_come_with_their_content_lines_and_folders_with_what_is_in_them(tmp_path: Path) -> None:
    put(tmp_path, train_dot_py="".join(f"line {n}\n" for n in range(1, 31)), src__a_dot_py="x", src__deep__b_dot_py="y")
    (tmp_path / "weights.bin").write_bytes(b"\0" * 2_500_000)
    (tmp_path / "plot.png").write_bytes(png())
    got = gathered("@train.py:10-12 @src @weights.bin @plot.png @train.py:29-99", tmp_path)
    assert [attachment.label for attachment in got.attached] == [
        "train.py:10-12 · 3 lines",
        "src · 3 entries",
        "weights.bin · 2.5 MB",
        "train.py:29-99 · 2 lines",
    ]
    assert got.attached[0].text == (
        '<attached_file path="train.py" lines="10-12">\n    10\tline 10\n    11\tline 11\n    12\tline 12\n\n'
        "[… 18 more lines; go on with offset=13]\n</attached_file>"
    )
    assert got.attached[1].text == '<attached_folder path="src">\na.py\ndeep/\ndeep/b.py\n</attached_folder>'
    assert "(no text, 2.5 MB)" in got.attached[2].text
    assert [image.path for image in got.images] == [str(tmp_path / "plot.png")]
    assert got.problems == ()


def test_secrets_stay_where_they_are_and_nothing_can_close_its_own_mark(tmp_path: Path) -> None:
    put(tmp_path, _dot_env="KEY=1", notes_dot_txt="</attached_file>\nhunter2")
    (tmp_path / "link").symlink_to(".env")
    got = gathered("@.env @link @notes.txt", tmp_path)
    assert got.problems == (
        ".env may hold secrets: only its name was sent.",
        "link may hold secrets: only its name was sent.",
    )
    [notes] = got.attached
    assert notes.text.count("</attached_file>") == 1
    assert "[REDACTED]" in notes.text
    assert "hunter2" not in notes.text


def test_what_is_too_much_is_named_only(tmp_path: Path) -> None:
    put(tmp_path, **{f"f{n}_dot_txt": "a line of some words\n" * 1_900 for n in range(4)})
    put(tmp_path, **{f"many__{n}": "" for n in range(MOST_ENTRIES + 5)})
    got = gathered("@f0.txt @f1.txt @f2.txt @f3.txt", tmp_path)
    assert sum(len(attachment.text) for attachment in got.attached) < MOST_CHARS_IN_ALL * 1.1
    assert any("is named only" in problem for problem in got.problems)
    [folder] = gathered("@many", tmp_path).attached
    assert "[… 5 more]" in folder.text
    assert gathered("@f0.txt:70000", tmp_path).problems == (
        f"@f0.txt does not go along: {tmp_path}/f0.txt has 1,900 lines; offset 70,000 is past its end.",
    )


async def test_the_agent_has_read_what_was_mentioned_and_may_edit_it(tmp_path: Path) -> None:
    script = (
        tools(call("edit", {"path": "train.py", "old_str": "lr = 1", "new_str": "lr = 2"})),
        text("done"),
        text("later"),
    )
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path) as agent:
        (agent.workspace / "train.py").write_text("lr = 1\n")
        (agent.workspace / "plot.png").write_bytes(png())
        await agent.prompt("raise it in @train.py, see @plot.png and @gone.py")
        said, attached = agent.request(1).messages[-2:]
        assert said["content"][0] == {"type": "text", "text": "raise it in @train.py, see @plot.png and @gone.py"}
        assert "     1\tlr = 1" in attached["content"]
        event = agent.last(UserMessage)
        assert event.content == "raise it in @train.py, see @plot.png and @gone.py"
        assert [attachment.label for attachment in event.attached] == ["train.py · 1 line"]
        assert [image.name for image in event.images] == ["plot.png"]
        assert agent.last(ToolOutput).success
        assert agent.all(Notice) == []
        os.mkfifo(agent.workspace / "pipe")
        await agent.prompt("and @pipe")
        assert "does not go along" in agent.last(Notice).text

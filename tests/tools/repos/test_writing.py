from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_intern.core.approvals.budget import Budget
from ml_intern.core.approvals.effects import READS_ONLY, Effect
from ml_intern.core.approvals.policy import Policy
from ml_intern.core.display import DiffBlock, TableBlock
from ml_intern.core.settings import ApprovalRules
from ml_intern.core.tools.spec import ToolSpec
from ml_intern.tools.repos.files import create_files_tool
from tests.support.hub import StandInHub
from tests.tools.repos.support import MIA, afresh, api, assess, client, hub_of_two, make_context, run, until

MB = 10**6


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandInHub]:
    with hub_of_two(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture
def hub(served: StandInHub) -> StandInHub:
    afresh(served, ("mia/notes", True), ("ben/model", False))
    return served


@pytest.fixture
def tool(hub: StandInHub) -> ToolSpec:
    return create_files_tool(client(hub))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def put(hub: StandInHub, path: str, content: bytes, repo_id: str = "mia/notes") -> str:
    done = api(hub).upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=repo_id)
    return str(done.oid)


def files(hub: StandInHub, repo_id: str = "mia/notes", **where: str) -> list[str]:
    return [name for name in api(hub).list_repo_files(repo_id, **where) if name != ".gitattributes"]


def commits(hub: StandInHub, repo_id: str) -> list[tuple[dict[str, object], list[dict[str, object]]]]:
    """Header and operations of each commit that was posted."""
    bodies = [item.body for item in hub.requests(f"{repo_id}/commit/", "POST")]
    parsed = [[json.loads(line) for line in body.decode().splitlines()] for body in bodies]
    return [(lines[0]["value"], lines[1:]) for lines in parsed]


# ----------------------------------------------------------------------------------------------------------- upload


async def test_text_goes_up_in_one_commit_with_the_given_message(hub: StandInHub, tool: ToolSpec, work: Path) -> None:
    context, seen = make_context(work)

    result = await run(
        tool,
        context,
        operation="upload",
        repo_id="mia/notes",
        path="README.md",
        content="---\nlicense: mit\n---\n# Notes\n",
        commit_message="Say what it is",
    )

    assert result.ok
    assert f"{hub.url}/mia/notes/commit/" in result.text
    assert f"{hub.url}/mia/notes/blob/main/README.md" in result.text
    ((header, operations),) = commits(hub, "mia/notes")
    assert header["summary"] == "Say what it is"
    assert [operation["key"] for operation in operations] == ["file"]
    assert files(hub) == ["README.md"]
    (artifact,) = seen.artifacts
    assert (artifact.kind, artifact.id, artifact.state, artifact.private) == ("model", "mia/notes", "updated", True)


async def test_uploading_the_same_again_changes_nothing_and_says_so(
    hub: StandInHub, tool: ToolSpec, work: Path
) -> None:
    put(hub, "a.txt", b"same")
    context, seen = make_context(work)

    result = await run(tool, context, operation="upload", repo_id="mia/notes", path="a.txt", content="same")

    assert result.text.startswith("Nothing has changed")
    assert len(commits(hub, "mia/notes")) == 1
    assert seen.artifacts == []


async def test_a_pull_request_comes_with_its_address(hub: StandInHub, tool: ToolSpec, work: Path) -> None:
    context, seen = make_context(work)

    result = await run(
        tool, context, operation="upload", repo_id="ben/model", path="fix.txt", content="better", create_pr=True
    )

    assert result.ok
    assert f"{hub.url}/ben/model/discussions/1" in result.text
    assert "revision=refs/pr/1" in result.text
    assert files(hub, "ben/model") == []
    assert files(hub, "ben/model", revision="refs/pr/1") == ["fix.txt"]
    assert seen.artifacts == []


async def test_a_folder_goes_up_in_one_commit_without_what_does_not_belong(
    hub: StandInHub, tool: ToolSpec, work: Path
) -> None:
    run_dir = work / "run"
    for name in ("config.json", "weights/model.safetensors", "logs/a.log", ".git/HEAD", ".env", "__pycache__/x.pyc"):
        (run_dir / name).parent.mkdir(parents=True, exist_ok=True)
        (run_dir / name).write_bytes(name.encode() * 100)
    context, _ = make_context(work)

    asked = {"operation": "upload", "repo_id": "mia/notes", "local_path": "run", "ignore_patterns": ["*.log"]}
    assessment = await assess(tool, context, **asked)
    result = await run(tool, context, **asked, path="out/")

    assert result.ok
    assert files(hub) == ["out/config.json", "out/weights/model.safetensors"]
    assert len(commits(hub, "mia/notes")) == 1
    (table,) = [block for block in assessment.display if isinstance(block, TableBlock)]
    assert [row[0] for row in table.rows] == ["config.json", "weights/model.safetensors"]
    assert "Left out: .env (may hold secrets" in result.text
    assert "Left out: 1 file by ignore_patterns" in result.text


async def test_a_single_file_keeps_its_name_unless_one_is_given(hub: StandInHub, tool: ToolSpec, work: Path) -> None:
    (work / "eval.json").write_text("{}")
    context, _ = make_context(work)

    await run(tool, context, operation="upload", repo_id="mia/notes", local_path="eval.json")
    await run(tool, context, operation="upload", repo_id="mia/notes", local_path="eval.json", path="results/")
    await run(tool, context, operation="upload", repo_id="mia/notes", local_path="eval.json", path="other.json")

    assert files(hub) == ["eval.json", "other.json", "results/eval.json"]


async def test_an_upload_on_top_of_an_outdated_commit_is_refused(hub: StandInHub, tool: ToolSpec, work: Path) -> None:
    old = put(hub, "a.txt", b"one")
    put(hub, "a.txt", b"two")
    context, _ = make_context(work)
    asked = {"operation": "upload", "repo_id": "mia/notes", "path": "a.txt", "content": "mine", "parent_commit": old}

    assessment = await assess(tool, context, **asked)
    result = await run(tool, context, **asked)

    assert not result.ok
    assert "has changed since parent_commit" in result.text
    assert [passed for passed, _ in assessment.checks] == [False]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"path": "a.txt"}, "either `content`"),
        ({"path": "a.txt", "content": "x", "local_path": "a.txt"}, "either `content`"),
        ({"content": "x"}, "needs `path`"),
        ({"local_path": "nothing-here"}, "There is no file or folder"),
        ({"path": "a", "content": "x", "repo_id": "mia/none"}, "hf_repo_git create_repo makes one"),
        ({"path": "a", "content": "x", "repo_id": "ben/model"}, "may not write to model ben/model"),
    ],
)
async def test_what_cannot_go_up_is_refused_with_a_reason(
    hub: StandInHub, tool: ToolSpec, work: Path, arguments: dict[str, str], reason: str
) -> None:
    context, _ = make_context(work)

    result = await run(tool, context, **{"operation": "upload", "repo_id": "mia/notes", **arguments})

    assert not result.ok
    assert reason in result.text
    assert files(hub) == files(hub, "ben/model") == []


async def test_without_a_token_nothing_is_tried(hub: StandInHub, work: Path) -> None:
    context, _ = make_context(work)
    asked = {"operation": "upload", "repo_id": "mia/notes", "path": "a", "content": "x"}

    result = await run(create_files_tool(client(hub, "")), context, **asked)

    assert result.text == "ERROR: This needs a Hugging Face token: set HF_TOKEN or run `hf auth login`."
    assert hub.requests() == []


async def test_a_card_that_makes_no_sense_is_explained_line_by_line(
    hub: StandInHub, tool: ToolSpec, work: Path
) -> None:
    context, _ = make_context(work)
    card = "---\nlicense: [mit\n---\n# Notes\n"

    result = await run(tool, context, operation="upload", repo_id="mia/notes", path="README.md", content=card)

    assert not result.ok
    assert "Invalid metadata in README.md" in result.text
    assert len(result.text.splitlines()) > 1
    assert files(hub) == []


async def test_a_local_path_is_refused_while_the_files_are_in_a_sandbox(
    hub: StandInHub, tool: ToolSpec, work: Path
) -> None:
    (work / "a.txt").write_text("here")
    context, _ = make_context(work, tool_runtime="sandbox")

    result = await run(tool, context, operation="upload", repo_id="mia/notes", local_path="a.txt")

    assert not result.ok
    assert "local_path means this machine" in result.text
    assert files(hub) == []


# ------------------------------------------------------------------------------------------- large uploads, broken off


async def test_a_hundred_megabytes_show_progress_and_go_on_where_they_were_broken_off(
    hub: StandInHub, tool: ToolSpec, work: Path
) -> None:
    folder = work / "checkpoint"
    folder.mkdir()
    for number in range(10):
        (folder / f"shard-{number}.safetensors").write_bytes(os.urandom(MB) * 10)
    context, seen = make_context(work)
    asked = {"operation": "upload", "repo_id": "mia/notes", "local_path": "checkpoint"}

    def stop_in_the_middle(line: str) -> None:
        seen.log.append(line)
        if percent(line) >= 60:
            first.cancel()

    context.log = stop_in_the_middle
    first = asyncio.create_task(run(tool, context, **asked))
    with pytest.raises(asyncio.CancelledError):
        await first
    await until(lambda: not any(thread.name.startswith("hub") for thread in threading.enumerate()))
    assert files(hub) == []
    arrived, told = stored(hub), len(seen.log)
    context.log = seen.log.append
    second = await run(tool, context, **asked)

    assert second.ok
    assert files(hub) == [f"shard-{number}.safetensors" for number in range(10)]
    assert len(commits(hub, "mia/notes")) == 1
    assert any("of 100.0 MB" in line for line in seen.log[told:])
    assert 1 <= len(arrived) < 10
    sent = [item.path for item in hub.requests("/lfs/", "PUT")]
    again = [path for path in sent if path.split("/")[2] == sent[-1].split("/")[2]]  # those of the second attempt
    assert len(again) == 10 - len(arrived)
    assert not any(sha in path for sha in arrived for path in again)


def percent(line: str) -> int:
    found = re.search(r"\((\d+)%\)", line)
    return int(found[1]) if found else 0


def stored(hub: StandInHub) -> set[str]:
    """Hashes of the large files that have arrived whole."""
    kept = (path for path in hub.root.rglob("*") if re.fullmatch(r"[0-9a-f]{64}", path.name))
    return {path.name for path in kept if path.stat().st_size == 10 * MB}


async def test_nothing_that_has_arrived_is_sent_again(hub: StandInHub, tool: ToolSpec, work: Path) -> None:
    folder = work / "checkpoint"
    folder.mkdir()
    for number in range(4):
        (folder / f"shard-{number}.safetensors").write_bytes(os.urandom(MB))
    context, _ = make_context(work)
    hub.fail("mia/notes/commit/", 403, method="POST", message="no more room")

    first = await run(tool, context, operation="upload", repo_id="mia/notes", local_path="checkpoint")
    sent = len(hub.requests("", "PUT"))
    second = await run(tool, context, operation="upload", repo_id="mia/notes", local_path="checkpoint")

    assert not first.ok
    assert second.ok
    assert sent == 4
    assert len(hub.requests("", "PUT")) == sent


# ----------------------------------------------------------------------------------------------------------- delete


async def test_a_deletion_shows_which_files_match_and_takes_exactly_those(
    hub: StandInHub, tool: ToolSpec, work: Path
) -> None:
    for name in ("ckpt/1/a.bin", "ckpt/2/a.bin", "keep.txt", "log.txt"):
        put(hub, name, name.encode())
    context, _ = make_context(work)
    asked = {"operation": "delete", "repo_id": "mia/notes", "patterns": ["ckpt/", "l*.txt"]}

    assessment = await assess(tool, context, **asked)
    put(hub, "ckpt/3/a.bin", b"later")
    params = asked | {}
    result = await tool.handler(tool.parameters.model_validate(params), context)  # type: ignore[union-attr]  # a model

    assert result.ok
    assert assessment.effects == {Effect.DESTROY}
    assert assessment.reasons[0].startswith("deletes 3 files")
    (table,) = [block for block in assessment.display if isinstance(block, TableBlock)]
    assert [row[0] for row in table.rows] == ["ckpt/1/a.bin", "ckpt/2/a.bin", "log.txt"]
    assert files(hub) == ["ckpt/3/a.bin", "keep.txt"]
    _, operations = commits(hub, "mia/notes")[-1]
    assert [operation["key"] for operation in operations] == ["deletedFile"] * 3


async def test_a_deletion_can_be_proposed_instead(hub: StandInHub, tool: ToolSpec, work: Path) -> None:
    put(hub, "old.txt", b"old")
    context, _ = make_context(work)
    asked = {"operation": "delete", "repo_id": "mia/notes", "patterns": "old.txt", "create_pr": True}

    assessment = await assess(tool, context, **asked)
    result = await run(tool, context, **asked)

    assert assessment.effects == {Effect.PUBLISH}
    assert f"{hub.url}/mia/notes/discussions/1" in result.text
    assert files(hub) == ["old.txt"]


async def test_a_pattern_that_matches_nothing_deletes_nothing(hub: StandInHub, tool: ToolSpec, work: Path) -> None:
    put(hub, "a.txt", b"a")
    context, _ = make_context(work)

    result = await run(tool, context, operation="delete", repo_id="mia/notes", patterns=["b*"])

    assert not result.ok
    assert "No file of model mia/notes matches b*" in result.text


# -------------------------------------------------------------------------------------------------------- approvals


async def test_reading_is_never_asked_about_and_writing_is(hub: StandInHub, tool: ToolSpec, work: Path) -> None:
    put(hub, "a.txt", b"a")
    context, _ = make_context(work)
    policy = Policy(ApprovalRules())

    def answer(assessment: object) -> str:
        return policy.decide("hf_repo_files", assessment, "guarded", Budget(None)).action  # type: ignore[arg-type]

    listing = await assess(tool, context, operation="list", repo_id="mia/notes")
    reading = await assess(tool, context, operation="read", repo_id="mia/notes", path="a.txt")
    upload = await assess(tool, context, operation="upload", repo_id="mia/notes", path="b", content="b")
    deletion = await assess(tool, context, operation="delete", repo_id="mia/notes", patterns=["a.txt"])

    assert listing == reading == READS_ONLY
    assert answer(listing) == "allow"
    assert answer(upload) == answer(deletion) == "ask"
    assert upload.subject == "upload mia/notes"
    allowing = Policy(ApprovalRules(allow=("hf_repo_files(upload mia/*)",)))
    assert allowing.decide("hf_repo_files", upload, "guarded", Budget(None)).action == "allow"
    assert allowing.decide("hf_repo_files", deletion, "guarded", Budget(None)).action == "ask"


async def test_the_dialog_shows_how_a_text_would_change(hub: StandInHub, tool: ToolSpec, work: Path) -> None:
    put(hub, "train.py", b"lr = 1e-3\n")
    context, _ = make_context(work)

    assessment = await assess(
        tool, context, operation="upload", repo_id="mia/notes", path="train.py", content="lr = 2e-5\n"
    )

    (diff,) = [block for block in assessment.display if isinstance(block, DiffBlock)]
    assert (diff.path, diff.old, diff.new) == ("train.py", "lr = 1e-3\n", "lr = 2e-5\n")
    assert "private model mia/notes" in assessment.reasons[0]


async def test_a_token_in_what_goes_up_is_pointed_out(hub: StandInHub, tool: ToolSpec, work: Path) -> None:
    (work / "notes.py").write_text(f'login("{MIA}")\n')
    context, _ = make_context(work)

    text = await assess(tool, context, operation="upload", repo_id="mia/notes", path="a.py", content=f"t = '{MIA}'")
    file = await assess(tool, context, operation="upload", repo_id="mia/notes", local_path="notes.py")
    clean = await assess(tool, context, operation="upload", repo_id="mia/notes", path="a.py", content="t = 1")

    assert text.effects == file.effects == {Effect.PUBLISH, Effect.CREDENTIALS}
    assert [passed for passed, _ in text.checks] == [False]
    assert clean.effects == {Effect.PUBLISH}
    assert MIA not in " ".join(text.reasons + file.reasons)

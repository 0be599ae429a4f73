from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.display import TextBlock
from ml_intern.core.tools.spec import ToolSpec
from ml_intern.tools.repos.git import create_git_tool
from tests.support.hub import StandInHub
from tests.tools.repos.support import BEN, afresh, api, assess, client, hub_of_two, make_context, run


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandInHub]:
    with hub_of_two(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture
def hub(served: StandInHub) -> StandInHub:
    afresh(served, ("mia/notes", False), ("ben/model", False))
    return served


@pytest.fixture
def tool(hub: StandInHub) -> ToolSpec:
    return create_git_tool(client(hub))


def sent(hub: StandInHub, path: str, method: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(hub.requests(path, method)[-1].body)
    return body


# ------------------------------------------------------------------------------------------------------ repositories


async def test_a_new_repository_is_private_by_default(hub: StandInHub, tool: ToolSpec, tmp_path: Path) -> None:
    context, seen = make_context(tmp_path)
    public, _ = make_context(tmp_path, hub={"private": False})

    result = await run(tool, context, operation="create_repo", repo_id="mia/new", repo_type="dataset")
    await run(tool, public, operation="create_repo", repo_id="mia/open")
    await run(tool, context, operation="create_repo", repo_id="mia/shown", private=False)

    assert result.text == f"Created the private dataset mia/new. {hub.url}/datasets/mia/new"
    assert api(hub).repo_info("mia/new", repo_type="dataset").private is True
    assert api(hub).repo_info("mia/open").private is False
    assert api(hub).repo_info("mia/shown").private is False
    assert [(item.id, item.state, item.private) for item in seen.artifacts] == [
        ("mia/new", "created", True),
        ("mia/shown", "created", False),
    ]


async def test_a_space_without_an_sdk_is_refused_before_anything_is_sent(
    hub: StandInHub, tool: ToolSpec, tmp_path: Path
) -> None:
    context, _ = make_context(tmp_path)
    before = len(hub.requests())

    result = await run(tool, context, operation="create_repo", repo_id="mia/app", repo_type="space")

    assert not result.ok
    assert "needs `space_sdk`" in result.text
    assert len(hub.requests()) == before


async def test_a_taken_name_is_an_error_or_fine_as_asked(hub: StandInHub, tool: ToolSpec, tmp_path: Path) -> None:
    context, seen = make_context(tmp_path)

    taken = await run(tool, context, operation="create_repo", repo_id="mia/notes")
    fine = await run(tool, context, operation="create_repo", repo_id="mia/notes", exist_ok=True)
    theirs = await run(tool, context, operation="create_repo", repo_id="ben/mine")

    assert not taken.ok
    assert "exist_ok=true" in taken.text
    assert fine.text.startswith("model mia/notes exists already; nothing was changed.")
    assert not theirs.ok
    assert "may not create" in theirs.text
    assert seen.artifacts == []


@pytest.mark.parametrize("written", ["false", "False", False, "none"])
async def test_ending_a_gate_sends_a_boolean(hub: StandInHub, tool: ToolSpec, tmp_path: Path, written: Any) -> None:
    context, _ = make_context(tmp_path)
    await run(tool, context, operation="update_repo", repo_id="mia/notes", gated="manual")
    assert sent(hub, "/settings", "PUT")["gated"] == "manual"

    result = await run(tool, context, operation="update_repo", repo_id="mia/notes", gated=written)

    assert result.ok
    assert sent(hub, "/settings", "PUT")["gated"] is False
    assert "is not gated now" in result.text


async def test_going_public_is_named_in_the_question(hub: StandInHub, tool: ToolSpec, tmp_path: Path) -> None:
    context, _ = make_context(tmp_path)

    opening = await assess(tool, context, operation="update_repo", repo_id="mia/notes", private=False)
    creating = await assess(tool, context, operation="create_repo", repo_id="mia/x")

    assert opening.reasons == ("makes model mia/notes PUBLIC",)
    assert creating.reasons == ("creates the private model mia/x",)
    assert opening.effects == creating.effects == {Effect.PUBLISH}
    assert opening.subject == "update_repo mia/notes"


async def test_a_repository_can_be_moved_and_deleted(hub: StandInHub, tool: ToolSpec, tmp_path: Path) -> None:
    api(hub).upload_file(path_or_fileobj=b"one\n", path_in_repo="a.txt", repo_id="mia/notes")
    context, seen = make_context(tmp_path)

    moved = await run(tool, context, operation="move_repo", repo_id="mia/notes", new_repo_id="mia/journal")
    question = await assess(tool, context, operation="delete_repo", repo_id="mia/journal")
    deleted = await run(tool, context, operation="delete_repo", repo_id="mia/journal")

    assert f"{hub.url}/mia/journal" in moved.text
    assert question.effects == {Effect.CATASTROPHIC}  # asked about in every mode
    assert any("a.txt" in str(block) for block in question.display)
    assert deleted.text == "Deleted model mia/journal."
    assert not api(hub).repo_exists("mia/journal")
    assert seen.artifacts[-1].state == "deleted"


async def test_what_a_session_has_made_it_may_clear_away(tool: ToolSpec, tmp_path: Path) -> None:
    context, _ = make_context(tmp_path)
    await run(tool, context, operation="create_repo", repo_id="mia/scratch")

    question = await assess(tool, context, operation="delete_repo", repo_id="mia/scratch")

    assert question.effects == {Effect.DESTROY}


# ------------------------------------------------------------------------------------------------- branches and tags


async def test_branches_and_tags_come_and_go(hub: StandInHub, tool: ToolSpec, tmp_path: Path) -> None:
    context, _ = make_context(tmp_path)

    branch = await run(tool, context, operation="create_branch", repo_id="mia/notes", branch="exp")
    tag = await run(tool, context, operation="create_tag", repo_id="mia/notes", tag="v1", tag_message="first")
    both = await run(tool, context, operation="list_refs", repo_id="mia/notes")
    again = await run(tool, context, operation="create_branch", repo_id="mia/notes", branch="exp")
    await run(tool, context, operation="delete_branch", repo_id="mia/notes", branch="exp")
    await run(tool, context, operation="delete_tag", repo_id="mia/notes", tag="v1")
    after = await run(tool, context, operation="list_refs", repo_id="mia/notes")
    missing = await run(tool, context, operation="delete_branch", repo_id="mia/notes", branch="nope")

    assert f"{hub.url}/mia/notes/tree/exp" in branch.text
    assert f"{hub.url}/mia/notes/tree/v1" in tag.text
    assert "2 branches" in both.text
    assert "1 tag" in both.text
    assert "  exp " in both.text
    assert not again.ok
    assert "exist_ok=true" in again.text
    assert "1 branch:" in after.text
    assert "0 tags." in after.text
    assert not missing.ok


# ----------------------------------------------------------------------------------------------------- pull requests


async def test_only_pull_requests_are_listed_twenty_at_a_time(hub: StandInHub, tool: ToolSpec, tmp_path: Path) -> None:
    ben = api(hub, BEN)
    for number in range(23):
        ben.create_pull_request("mia/notes", f"change {number}")
    ben.create_discussion("mia/notes", "just a question")
    context, _ = make_context(tmp_path)

    first = await run(tool, context, operation="list_prs", repo_id="mia/notes")
    rest = await run(tool, context, operation="list_prs", repo_id="mia/notes", offset=20)
    talk = await run(tool, context, operation="list_prs", repo_id="mia/notes", kind="discussion")
    none = await run(tool, context, operation="list_prs", repo_id="mia/notes", status="closed")

    assert first.text.startswith("model mia/notes has 23 open pull requests.")
    assert sum(line.startswith("#") for line in first.text.splitlines()) == 20
    assert "[… 3 more; go on with offset=20]" in first.text
    assert sum(line.startswith("#") for line in rest.text.splitlines()) == 3
    assert "just a question" not in first.text + rest.text
    assert "just a question" in talk.text
    assert none.text == "model mia/notes has no closed pull request."


async def test_a_pull_request_is_shown_with_status_text_comments_and_changes(
    hub: StandInHub, tool: ToolSpec, tmp_path: Path
) -> None:
    api(hub).upload_file(path_or_fileobj=b"one\n", path_in_repo="a.txt", repo_id="mia/notes")
    ben = api(hub, BEN)
    proposed = ben.create_commit(
        "mia/notes",
        _adding("a.txt", b"two\n"),
        commit_message="Say two",
        commit_description="Since one is not enough.",
        create_pr=True,
    )
    assert proposed.pr_num is not None
    ben.comment_discussion("mia/notes", proposed.pr_num, "please look")
    context, _ = make_context(tmp_path)

    result = await run(tool, context, operation="get_pr", repo_id="mia/notes", pr_num=proposed.pr_num)

    assert "status: open · by ben" in result.text
    assert "conflicts: none" in result.text
    assert "please look" in result.text
    assert "a.txt (+1 -1)" in result.text
    assert "+two" in result.text
    assert f"revision=refs/pr/{proposed.pr_num}" in result.text


def _adding(path: str, data: bytes) -> list[Any]:
    from huggingface_hub import CommitOperationAdd

    return [CommitOperationAdd(path, data)]


async def test_a_pull_request_is_opened_commented_closed_and_merged(
    hub: StandInHub, tool: ToolSpec, tmp_path: Path
) -> None:
    context, _ = make_context(tmp_path)

    made = await run(tool, context, operation="create_pr", repo_id="mia/notes", title="Two", description="because")
    api(hub).upload_file(path_or_fileobj=b"2\n", path_in_repo="b.txt", repo_id="mia/notes", revision="refs/pr/1")
    opened = await run(tool, context, operation="change_pr_status", repo_id="mia/notes", pr_num=1, new_status="open")
    said = await run(tool, context, operation="comment_pr", repo_id="mia/notes", pr_num=1, comment="done")
    closed = await run(tool, context, operation="close_pr", repo_id="mia/notes", pr_num=1)
    await run(tool, context, operation="change_pr_status", repo_id="mia/notes", pr_num=1, new_status="open")
    question = await assess(tool, context, operation="merge_pr", repo_id="mia/notes", pr_num=1)
    merged = await run(tool, context, operation="merge_pr", repo_id="mia/notes", pr_num=1)

    assert "draft pull request #1" in made.text
    assert "revision=refs/pr/1" in made.text
    assert all(result.ok for result in (opened, said, closed, merged))
    assert f"{hub.url}/mia/notes/discussions/1" in said.text
    assert question.effects == {Effect.PUBLISH}
    assert question.checks == ((True, "conflicts: none"),)
    assert any(isinstance(block, TextBlock) and "b.txt" in block.text for block in question.display)
    assert api(hub).file_exists("mia/notes", "b.txt")
    assert api(hub).get_discussion_details("mia/notes", 1).status == "merged"


async def test_a_pull_request_that_is_not_there_is_told_so(hub: StandInHub, tool: ToolSpec, tmp_path: Path) -> None:
    context, _ = make_context(tmp_path)

    result = await run(tool, context, operation="get_pr", repo_id="mia/notes", pr_num=77)

    assert not result.ok
    assert "no pull request #77" in result.text


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        ({"operation": "create_branch"}, "`branch`"),
        ({"operation": "get_pr"}, "`pr_num`"),
        ({"operation": "comment_pr", "pr_num": 1}, "`comment`"),
        ({"operation": "update_repo"}, "`private` or `gated`"),
    ],
)
async def test_what_an_operation_needs_is_said(
    hub: StandInHub, tool: ToolSpec, tmp_path: Path, arguments: dict[str, Any], missing: str
) -> None:
    context, _ = make_context(tmp_path)
    before = len(hub.requests())

    result = await run(tool, context, repo_id="mia/notes", **arguments)

    assert not result.ok
    assert missing in result.text
    assert len(hub.requests()) == before


# ---------------------------------------------------------------------------------------------------------- approvals


@pytest.mark.parametrize(
    ("arguments", "mine", "theirs"),
    [
        ({"operation": "create_branch", "branch": "b"}, Effect.CHANGE, Effect.PUBLISH),
        ({"operation": "create_pr", "title": "t"}, Effect.CHANGE, Effect.PUBLISH),
        ({"operation": "comment_pr", "pr_num": 1, "comment": "c"}, Effect.CHANGE, Effect.PUBLISH),
        ({"operation": "close_pr", "pr_num": 1}, Effect.CHANGE, Effect.PUBLISH),
        ({"operation": "delete_branch", "branch": "b"}, Effect.DESTROY, Effect.DESTROY),
        ({"operation": "delete_tag", "tag": "v"}, Effect.DESTROY, Effect.DESTROY),
        ({"operation": "list_prs"}, Effect.READ, Effect.READ),
        ({"operation": "list_refs"}, Effect.READ, Effect.READ),
    ],
)
async def test_a_word_in_other_peoples_repositories_is_published(
    hub: StandInHub, tool: ToolSpec, tmp_path: Path, arguments: dict[str, Any], mine: Effect, theirs: Effect
) -> None:
    context, _ = make_context(tmp_path)

    in_mine = await assess(tool, context, repo_id="mia/notes", **arguments)
    in_theirs = await assess(tool, context, repo_id="ben/model", **arguments)

    assert in_mine.effects == {mine}
    assert in_theirs.effects == {theirs}


async def test_the_dialog_shows_a_comment_word_for_word(hub: StandInHub, tool: ToolSpec, tmp_path: Path) -> None:
    context, _ = make_context(tmp_path)

    assessment = await assess(
        tool, context, operation="comment_pr", repo_id="ben/model", pr_num=4, comment="Thank you!\nIt works."
    )

    assert assessment.reasons == ("comments on #4 of model ben/model",)
    (block,) = assessment.display
    assert isinstance(block, TextBlock)
    assert "Thank you!\nIt works." in block.text

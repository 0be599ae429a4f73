from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.community import DiscussionComment, DiscussionCommit, DiscussionStatusChange, DiscussionTitleChange
from huggingface_hub.errors import BadRequestError, HfHubHTTPError

from tests.support.hub import StandInHub
from tests.support.hub_people import as_ben, as_mia, as_nobody, hub_of_people


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with hub_of_people(tmp_path / "hub") as hub:
        hub.repos.create("mia/x", {"a.txt": "one\ntwo\n"})
        yield hub


@pytest.fixture
def api(hub: StandInHub) -> HfApi:
    return as_mia(hub)


def add(api: HfApi, path: str, text: str, revision: str) -> str:
    operation = CommitOperationAdd(path, text.encode())
    return api.create_commit("mia/x", [operation], commit_message=f"Write {path}", revision=revision).oid


def test_a_discussion_grows_by_what_people_say(hub: StandInHub, api: HfApi) -> None:
    opened = as_ben(hub).create_discussion("mia/x", "Is it good?", description="I **wonder**.")
    assert (opened.num, opened.status, opened.author, opened.is_pull_request) == (1, "open", "ben", False)
    comment = api.comment_discussion("mia/x", 1, "It <is>.")
    assert (comment.author, comment.content, comment.rendered) == ("mia", "It <is>.", "<p>It &lt;is&gt;.</p>")
    edited = api.edit_discussion_comment("mia/x", 1, comment.id, "It was.")
    assert (edited.content, edited.edited, edited.number_of_edits) == ("It was.", True, 1)
    as_ben(hub).rename_discussion("mia/x", 1, "Was it good?")
    with pytest.warns(UserWarning, match="irreversible"):
        assert api.hide_discussion_comment("mia/x", 1, comment.id).hidden
    seen = api.get_discussion_details("mia/x", 1)
    assert seen.title == "Was it good?"
    assert [type(event) for event in seen.events] == [DiscussionComment, DiscussionComment, DiscussionTitleChange]
    with pytest.raises(HfHubHTTPError, match="401"):
        as_nobody(hub).comment_discussion("mia/x", 1, "And me?")
    with pytest.raises(HfHubHTTPError, match="no discussion #7"):
        api.get_discussion_details("mia/x", 7)


def test_discussions_are_listed_by_kind_status_author_and_page(hub: StandInHub, api: HfApi) -> None:
    for number in range(5):
        as_ben(hub).create_discussion("mia/x", f"Question {number}")
    api.create_pull_request("mia/x", "A change")
    api.change_discussion_status("mia/x", 2, "closed", comment="Answered")
    hub.repos.discussions.page_size = 2

    def numbers(**filters: Any) -> list[int]:
        return [item.num for item in api.get_repo_discussions("mia/x", **filters)]

    assert numbers() == [6, 5, 4, 3, 2, 1]
    assert numbers(discussion_type="pull_request") == numbers(author="mia") == [6]
    assert numbers(discussion_type="discussion", discussion_status="open") == [5, 4, 3, 1]
    assert numbers(discussion_status="closed") == [2]
    closed = api.get_discussion_details("mia/x", 2).events
    assert isinstance(closed[-2], DiscussionComment)
    assert isinstance(closed[-1], DiscussionStatusChange)
    assert (closed[-2].content, closed[-1].new_status) == ("Answered", "closed")


def test_a_draft_is_filled_opened_and_merged(hub: StandInHub, api: HfApi) -> None:
    draft = as_ben(hub).create_pull_request("mia/x", "Better a", description="See below")
    assert (draft.status, draft.git_reference, draft.target_branch) == ("draft", "refs/pr/1", "refs/heads/main")
    oid = add(as_ben(hub), "a.txt", "one\n2\n", "refs/pr/1")
    assert hub.repos.read("mia/x", "a.txt", "refs/pr/1") == b"one\n2\n"
    seen = api.get_discussion_details("mia/x", 1)
    assert [event.oid for event in seen.events if isinstance(event, DiscussionCommit)] == [oid]
    assert seen.diff is not None
    assert seen.diff.splitlines()[2:] == ["--- a/a.txt", "+++ b/a.txt", "@@ -1,2 +1,2 @@", " one", "-two", "+2"]
    with pytest.raises(BadRequestError, match="draft"):
        api.merge_pull_request("mia/x", 1)
    api.change_discussion_status("mia/x", 1, "open")
    with pytest.raises(HfHubHTTPError, match="403"):
        as_ben(hub).merge_pull_request("mia/x", 1)
    hub.repos.push("mia/x", {"b.txt": "meanwhile"})
    api.merge_pull_request("mia/x", 1, comment="Thanks")
    merged = api.get_discussion_details("mia/x", 1)
    assert (merged.status, merged.merge_commit_oid) == ("merged", hub.repos.commits("mia/x")[0].id)
    assert hub.repos.commits("mia/x")[0].title == "Better a (#1)"
    assert (hub.repos.read("mia/x", "a.txt"), hub.repos.read("mia/x", "b.txt")) == (b"one\n2\n", b"meanwhile")
    with pytest.raises(HfHubHTTPError, match="merged"):
        add(as_ben(hub), "a.txt", "late", "refs/pr/1")
    with pytest.raises(BadRequestError, match="merged"):
        api.change_discussion_status("mia/x", 1, "open")


def test_a_commit_opens_a_pull_request_by_itself(hub: StandInHub) -> None:
    info = as_ben(hub).create_commit(
        "mia/x", [CommitOperationAdd("w.bin", b"\0\1\2")], commit_message="Add weights", create_pr=True
    )
    assert (info.pr_url, info.pr_num, info.pr_revision) == (f"{hub.url}/mia/x/discussions/1", 1, "refs/pr/1")
    assert "w.bin" not in hub.repos.paths("mia/x")
    assert hub.repos.read("mia/x", "w.bin", "refs/pr/1") == b"\0\1\2"
    refs = as_ben(hub).list_repo_refs("mia/x", include_pull_requests=True).pull_requests
    assert [(ref.ref, ref.target_commit) for ref in refs or []] == [("refs/pr/1", info.oid)]
    with pytest.raises(BadRequestError, match="branch to go into"):
        as_ben(hub).create_commit(
            "mia/x", [CommitOperationAdd("b", b"")], commit_message="On top", create_pr=True, revision="refs/pr/1"
        )


def test_conflicts_are_named_and_not_merged(hub: StandInHub, api: HfApi) -> None:
    operation = CommitOperationAdd("a.txt", b"theirs")
    as_ben(hub).create_commit("mia/x", [operation], commit_message="Their change", create_pr=True)
    assert api.get_discussion_details("mia/x", 1).conflicting_files == []
    hub.repos.push("mia/x", {"a.txt": "ours"})
    assert api.get_discussion_details("mia/x", 1).conflicting_files == ["a.txt"]
    with pytest.raises(HfHubHTTPError, match=r"a\.txt"):
        api.merge_pull_request("mia/x", 1)
    assert hub.repos.read("mia/x", "a.txt") == b"ours"

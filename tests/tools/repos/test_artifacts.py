from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ml_intern.core.artifacts import Artifacts
from ml_intern.core.protocol import ArtifactEvent
from ml_intern.services.hub import HubError
from ml_intern.tools.repos.artifacts import collection_title, delete_artifact, list_artifacts
from ml_intern.tools.repos.files import create_files_tool
from ml_intern.tools.repos.git import create_git_tool
from tests.support.hub import StandInHub
from tests.tools.repos.support import BEN, api, client, hub_of_two, make_context, run

CARD = "---\nlicense: mit\n---\n# Mine\n"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with hub_of_two(tmp_path / "hub") as served:
        yield served


def test_the_title_of_a_collection_names_day_and_session() -> None:
    title = collection_title("1a2b3c4d-0000-4000-8000-000000000000", datetime(2026, 5, 4, tzinfo=UTC))

    assert title == "ml-intern-artifacts-2026-05-04-1a2b3c4d"
    assert len(title) <= 59


async def test_nothing_is_gathered_and_no_card_touched_unless_asked_for(hub: StandInHub, tmp_path: Path) -> None:
    context, seen = make_context(tmp_path)
    git, files = create_git_tool(client(hub)), create_files_tool(client(hub))

    await run(git, context, operation="create_repo", repo_id="mia/run")
    await run(files, context, operation="upload", repo_id="mia/run", path="README.md", content=CARD)

    assert hub.requests("/api/collections") == []
    assert len(hub.requests("/commit/", "POST")) == 1
    assert [item.kind for item in seen.artifacts] == ["model", "model"]


async def test_what_is_published_is_gathered_once_in_one_private_collection(hub: StandInHub, tmp_path: Path) -> None:
    context, seen = make_context(tmp_path, hub={"collect_artifacts": True})
    git, files = create_git_tool(client(hub)), create_files_tool(client(hub))

    await run(git, context, operation="create_repo", repo_id="mia/run")
    await run(files, context, operation="upload", repo_id="mia/run", path="README.md", content=CARD)
    await run(git, context, operation="create_repo", repo_id="mia/rows", repo_type="dataset")
    await run(files, context, operation="upload", repo_id="mia/run", path="a.txt", content="a")

    (made,) = hub.requests("/api/collections", "POST")[:1]
    body = json.loads(made.body)
    assert body["private"] is True
    assert body["title"].startswith("ml-intern-artifacts-")
    assert body["title"].endswith("-1a2b3c4d")
    added = [json.loads(item.body)["item"] for item in hub.requests("/items", "POST")]
    assert added == [{"id": "mia/run", "type": "model"}, {"id": "mia/rows", "type": "dataset"}]
    readme = api(hub).hf_hub_download("mia/run", "README.md", local_dir=tmp_path / "down")
    assert Path(readme).read_text() == CARD
    assert [item.kind for item in seen.artifacts].count("collection") == 1


async def test_a_collection_is_found_again_after_a_resume(hub: StandInHub, tmp_path: Path) -> None:
    first, _ = make_context(tmp_path, hub={"collect_artifacts": True})
    git = create_git_tool(client(hub))
    await run(git, first, operation="create_repo", repo_id="mia/one")
    again, _ = make_context(tmp_path, hub={"collect_artifacts": True})
    for item in first.state.get(Artifacts).items:
        again.state.get(Artifacts).take(item)

    await run(git, again, operation="create_repo", repo_id="mia/two")

    assert len([item for item in hub.requests("/api/collections", "POST") if not item.path.endswith("/items")]) == 1
    assert len(hub.requests("/items", "POST")) == 2


async def test_the_list_tells_how_each_artifact_is_now(hub: StandInHub, tmp_path: Path) -> None:
    mine = api(hub)
    mine.create_repo("mia/run", private=True)
    mine.upload_file(path_or_fileobj=b"12345", path_in_repo="a.txt", repo_id="mia/run")
    items = [
        ArtifactEvent(kind="model", id="mia/run", state="created"),
        ArtifactEvent(kind="dataset", id="mia/imagined", state="found", via="bash"),
        ArtifactEvent(kind="model", id="mia/gone", state="deleted"),
        ArtifactEvent(kind="job", id="j1", state="created"),
    ]

    rows = await list_artifacts(client(hub), items)

    assert [row.item for row in rows] == items
    assert [row.exists for row in rows] == [True, False, False, None]
    assert rows[0].visibility == "private"
    assert rows[0].size is not None
    assert rows[0].size >= 5
    assert rows[0].modified is not None
    assert rows[1].problem == "not there"


async def test_an_artifact_is_deleted_for_good_and_only_by_its_owner(hub: StandInHub) -> None:
    api(hub).create_repo("mia/rows", repo_type="dataset")
    item = ArtifactEvent(kind="dataset", id="mia/rows", state="created")

    with pytest.raises(HubError):
        await delete_artifact(client(hub, BEN), item)
    event = await delete_artifact(client(hub), item)

    assert event.state == "deleted"
    assert not api(hub).repo_exists("mia/rows", repo_type="dataset")

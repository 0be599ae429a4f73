from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import RepoCard

from ml_intern.core.uploads import UploadError
from ml_intern.services.hub import HubError
from ml_intern.tools.repos.upload import UploadedDataset, upload_dataset
from tests.support.hub import StandInHub
from tests.tools.repos.support import api, client, hub_of_two, until

SESSION = "1a2b3c4d-0000-4000-8000-000000000000"
REPO = "mia/ml-intern-1a2b3c4d-datasets"
PARQUET = b"PAR1" + b"\0" * 100 + b"PAR1"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with hub_of_two(tmp_path / "hub") as served:
        yield served


async def upload(hub: StandInHub, path: Path, log: list[str] | None = None) -> UploadedDataset:
    return await upload_dataset(client(hub), path, SESSION, ([] if log is None else log).append)


def configs(hub: StandInHub, tmp_path: Path) -> dict[str, str]:
    card = api(hub).hf_hub_download(REPO, "README.md", repo_type="dataset", local_dir=tmp_path / "card")
    return {item["config_name"]: item["data_files"] for item in RepoCard.load(card).data["configs"]}


def files(hub: StandInHub) -> list[str]:
    return [name for name in api(hub).list_repo_files(REPO, repo_type="dataset") if name != ".gitattributes"]


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("my rows (1).csv", b"text,label\nhello,1\n", "csv"),
        ("rows.jsonl", b'{"text": "hello"}\n', "json"),
        ("rows.json", b'[{"text": "hello"}]', "json"),
        ("rows.parquet", PARQUET, "parquet"),
    ],
)
async def test_a_file_becomes_a_config_of_a_private_data_set(
    hub: StandInHub, tmp_path: Path, name: str, content: bytes, kind: str
) -> None:
    (tmp_path / name).write_bytes(content)

    done = await upload(hub, tmp_path / name)

    assert (done.repo_id, done.format, done.size, done.is_new) == (REPO, kind, len(content), True)
    assert done.config == f"upload_{done.path.split('/')[1]}"
    assert done.path in files(hub)
    assert " " not in done.path
    assert configs(hub, tmp_path) == {done.config: done.path}
    assert api(hub).repo_info(REPO, repo_type="dataset").private is True
    assert f'load_dataset("{REPO}", "{done.config}")' in done.note
    assert str(tmp_path / name) in done.note


async def test_the_same_content_is_not_sent_twice(hub: StandInHub, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a\n1\n")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/rows.csv").write_text("a\n1\n")
    first = await upload(hub, tmp_path / "rows.csv")
    commits = len(hub.requests("/commit/", "POST"))

    again = await upload(hub, tmp_path / "rows.csv")
    elsewhere = await upload(hub, tmp_path / "copy/rows.csv")

    assert (again.is_new, elsewhere.is_new) == (False, False)
    assert again.config == elsewhere.config == first.config
    assert len(hub.requests("/commit/", "POST")) == commits


async def test_each_upload_has_a_config_and_what_a_person_wrote_stays(hub: StandInHub, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("a\n1\n")
    (tmp_path / "two.jsonl").write_text('{"a": 1}\n')
    one = await upload(hub, tmp_path / "one.csv")
    readme = api(hub).hf_hub_download(REPO, "README.md", repo_type="dataset", local_dir=tmp_path / "edit")
    text = Path(readme).read_text() + "\nA word of mine.\n"
    api(hub).upload_file(path_or_fileobj=text.encode(), path_in_repo="README.md", repo_id=REPO, repo_type="dataset")

    two = await upload(hub, tmp_path / "two.jsonl")

    assert configs(hub, tmp_path) == {one.config: one.path, two.config: two.path}
    assert "A word of mine." in (tmp_path / "card/README.md").read_text()


async def test_a_folder_is_one_config_over_all_its_files(hub: StandInHub, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    for name in ("a.parquet", "deep/b.parquet"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(PARQUET)
    images = tmp_path / "cats"
    images.mkdir()
    (images / "1.png").write_bytes(b"\x89PNG")
    (images / "metadata.csv").write_text("file_name,text\n1.png,cat\n")

    shards, cats = await upload(hub, folder), await upload(hub, images)

    assert configs(hub, tmp_path) == {shards.config: f"{shards.path}/**", cats.config: f"{cats.path}/**"}
    assert {f"{shards.path}/a.parquet", f"{shards.path}/deep/b.parquet", f"{cats.path}/metadata.csv"} <= set(files(hub))
    assert (shards.files, cats.format) == (2, "images")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("notes.docx", b"x", "nothing that can be loaded as data"),
        ("empty.csv", b"", "is empty"),
        ("rows.jsonl", b"no json\n", "first line is no JSON"),
        ("rows.json", b"text", "begins with neither"),
        ("rows.parquet", b"no", "is no parquet file"),
        ("rows.csv", b"a\0b", "is no UTF-8 text"),
        ("cat.png", b"\x89PNG", "Upload the folder"),
        ("missing.csv", None, "There is no file or folder"),
    ],
)
async def test_what_is_no_data_is_refused_before_anything_is_made(
    hub: StandInHub, tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(UploadError, match=reason):
        await upload(hub, tmp_path / name)

    assert hub.requests("", "POST") == []


async def test_without_a_token_it_says_what_is_missing(hub: StandInHub, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a\n1\n")

    with pytest.raises(HubError, match="needs a Hugging Face token"):
        await upload_dataset(client(hub, ""), tmp_path / "rows.csv", SESSION, lambda line: None)


async def test_an_upload_that_was_broken_off_is_finished_by_the_next(hub: StandInHub, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.parquet").write_bytes(b"PAR1" + os.urandom(10**6))
    log: list[str] = []

    first = asyncio.create_task(upload(hub, folder, log))
    await until(lambda: any("%" in line for line in log))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = await upload(hub, folder, log)

    assert second.is_new
    assert len([name for name in files(hub) if name.endswith(".parquet")]) == 6

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder

from tests.support.hub import StandInHub
from tests.support.hub.repos import Content
from tests.support.hub_people import MIA, as_ben, as_mia, as_nobody, hub_of_people


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with hub_of_people(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def api(hub: StandInHub) -> HfApi:
    return as_mia(hub)


def files_of(api: HfApi, repo_id: str, revision: str | None = None) -> list[str]:
    return [path for path in api.list_repo_files(repo_id, revision=revision) if path != ".gitattributes"]


def upload(api: HfApi, repo_id: str, path: str, content: bytes, **options: object) -> str:
    info = api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=repo_id, **options)  # type: ignore[call-overload]  # its overloads want literals
    return str(info.oid)


def got(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers={"Authorization": f"Bearer {MIA}", **headers})


def sent(method: str, url: str, *lines: object) -> httpx.Response:
    content = "\n".join(json.dumps(line) for line in lines)
    return httpx.request(method, url, content=content, headers={"Authorization": f"Bearer {MIA}"})


# ------------------------------------------------------------------------------------- repositories come and go


def test_a_repository_is_created_once(hub: StandInHub, api: HfApi) -> None:
    url = api.create_repo("mia/x", private=True)
    assert (url, url.repo_id) == (f"{hub.url}/mia/x", "mia/x")
    with pytest.raises(HfHubHTTPError, match="already created this model") as caught:
        api.create_repo("mia/x")
    assert caught.value.response.status_code == 409
    assert api.create_repo("mia/x", exist_ok=True) == url
    assert api.create_repo("x", repo_type="dataset").repo_id == "mia/x"
    assert api.model_info("mia/x").private is True
    assert api.dataset_info("mia/x").private is False


def test_nobody_creates_in_the_name_of_others(hub: StandInHub) -> None:
    assert as_mia(hub).create_repo("acme/x").repo_id == "acme/x"
    with pytest.raises(HfHubHTTPError, match="403"):
        as_ben(hub).create_repo("acme/y")
    with pytest.raises(HfHubHTTPError, match="401"):
        as_nobody(hub).create_repo("mia/y")
    refused = sent("POST", f"{hub.url}/api/repos/create", {"name": "-y"})
    assert (refused.status_code, "Invalid repository name" in refused.text) == (400, True)


def test_a_repository_is_deleted_and_moved(hub: StandInHub, api: HfApi) -> None:
    hub.repos.create("mia/x", {"a.txt": "1"})
    api.move_repo("mia/x", "acme/y")
    assert api.hf_hub_download("acme/y", "a.txt").endswith("a.txt")
    assert not hub.repos.exists("mia/x")
    with pytest.raises(HfHubHTTPError, match="403"):
        as_ben(hub).delete_repo("acme/y")
    api.delete_repo("acme/y")
    assert not api.repo_exists("acme/y")
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo("acme/y")
    api.delete_repo("acme/y", missing_ok=True)


def test_settings_change_who_sees_what(hub: StandInHub, api: HfApi) -> None:
    hub.repos.create("mia/x", {"a.txt": "1"})
    api.update_repo_settings("mia/x", private=True, gated="manual")
    assert (api.model_info("mia/x").private, api.model_info("mia/x").gated) == (True, "manual")
    api.update_repo_settings("mia/x", private=False, gated=False)
    assert (api.model_info("mia/x").private, api.model_info("mia/x").gated) == (False, False)
    assert sent("PUT", f"{hub.url}/api/models/mia/x/settings", {"gated": "false"}).status_code == 400
    with pytest.raises(HfHubHTTPError, match="403"):
        as_ben(hub).update_repo_settings("mia/x", private=True)


def test_private_repositories_are_hidden_from_others(hub: StandInHub, api: HfApi) -> None:
    hub.repos.create("mia/x", {"a.txt": "1"}, private=True)
    assert files_of(api, "mia/x") == ["a.txt"]
    for stranger, status in ((as_ben(hub), 404), (as_nobody(hub), 401)):
        with pytest.raises(RepositoryNotFoundError) as caught:
            stranger.model_info("mia/x")
        assert caught.value.response.status_code == status
        with pytest.raises(RepositoryNotFoundError):
            stranger.hf_hub_download("mia/x", "a.txt")


def test_gated_repositories_show_what_they_are_and_keep_their_files(hub: StandInHub, api: HfApi) -> None:
    hub.repos.create("mia/x", {"a.txt": "1"}, gated="manual")
    for stranger, status in ((as_ben(hub), 403), (as_nobody(hub), 401)):
        assert stranger.model_info("mia/x").gated == "manual"
        with pytest.raises(GatedRepoError) as caught:
            stranger.get_hf_file_metadata(url=f"{hub.url}/mia/x/resolve/main/a.txt")
        assert caught.value.response.status_code == status
    api.get_hf_file_metadata(url=f"{hub.url}/mia/x/resolve/main/a.txt")
    hub.repos.grant("mia/x", ["ben"])
    assert as_ben(hub).get_hf_file_metadata(url=f"{hub.url}/mia/x/resolve/main/a.txt").size == 1


# ------------------------------------------------------------------------------------------ files go in and out


def test_what_is_uploaded_comes_back(hub: StandInHub, api: HfApi, tmp_path: Path) -> None:
    api.create_repo("mia/x")
    oid = upload(api, "mia/x", "notes/ünï.txt", b"hello", commit_message="Say hello")
    assert hub.repos.read("mia/x", "notes/ünï.txt") == b"hello"
    last = hub.repos.commits("mia/x")[0]
    assert (last.id, last.title, last.author) == (oid, "Say hello", "mia")
    local = api.hf_hub_download("mia/x", "notes/ünï.txt", cache_dir=tmp_path)
    assert Path(local).read_bytes() == b"hello"
    assert oid in local
    assert upload(api, "mia/x", "notes/ünï.txt", b"hello") == oid


@pytest.mark.parametrize("part_size", [1 << 30, 1_000_000])
def test_large_files_go_behind_pointers(hub: StandInHub, api: HfApi, tmp_path: Path, part_size: int) -> None:
    hub.repos.uploads.part_size = part_size
    content = os.urandom(2_500_000)
    api.create_repo("mia/x")
    upload(api, "mia/x", "model.safetensors", content)
    (entry,) = [item for item in api.list_repo_tree("mia/x") if item.path == "model.safetensors"]
    assert isinstance(entry, RepoFile)
    assert entry.lfs is not None
    assert (entry.size, entry.lfs.size, entry.lfs.pointer_size) == (2_500_000, 2_500_000, 132)
    parts = hub.requests("/parts/", "PUT")
    assert len(parts) == (3 if part_size == 1_000_000 else 0)
    local = api.hf_hub_download("mia/x", "model.safetensors", cache_dir=tmp_path)
    assert Path(local).read_bytes() == content
    head = got(f"{hub.url}/mia/x/resolve/main/model.safetensors", Range="bytes=0-0").headers
    assert (head["x-linked-size"], head["x-linked-etag"]) == ("2500000", f'"{entry.lfs.sha256}"')
    raw = got(f"{hub.url}/mia/x/raw/main/model.safetensors").text
    assert raw == f"version https://git-lfs.github.com/spec/v1\noid sha256:{entry.lfs.sha256}\nsize 2500000\n"


def test_content_that_is_there_is_not_sent_again(hub: StandInHub, api: HfApi) -> None:
    content = os.urandom(1000)
    api.create_repo("mia/x")
    upload(api, "mia/x", "a.bin", content)
    upload(api, "mia/x", "b.bin", content)
    assert len(hub.requests("/lfs/", "PUT")) == 1
    assert hub.repos.read("mia/x", "b.bin") == content


def test_a_file_that_is_not_what_was_announced_is_refused(hub: StandInHub, api: HfApi) -> None:
    hub.repos.create("mia/x")
    batch = sent(
        "POST", f"{hub.url}/mia/x.git/info/lfs/objects/batch", {"objects": [{"oid": "a" * 64, "size": 3}]}
    ).json()
    answer = httpx.put(batch["objects"][0]["actions"]["upload"]["href"], content=b"abc")
    assert answer.status_code == 400
    operation = {"key": "lfsFile", "value": {"path": "a.bin", "algo": "sha256", "oid": "a" * 64, "size": 3}}
    header = {"key": "header", "value": {"summary": "Add"}}
    assert sent("POST", f"{hub.url}/api/models/mia/x/commit/main", header, operation).status_code == 400
    assert hub.repos.paths("mia/x") == [".gitattributes"]


def test_one_commit_adds_copies_and_deletes(hub: StandInHub, api: HfApi) -> None:
    hub.repos.create("mia/x", {"a.txt": "1", "old/b.txt": "2", "old/deep/c.txt": "3", "w.bin": b"\0\1"})
    before = hub.repos.commits("mia/x")[0].id
    changes: list[CommitOperationAdd | CommitOperationCopy | CommitOperationDelete] = [
        CommitOperationAdd("new.txt", b"4"),
        CommitOperationCopy("w.bin", "v.bin"),
        CommitOperationDelete("a.txt"),
        CommitOperationDelete("old/"),
    ]
    info = api.create_commit("mia/x", changes, commit_message="Tidy", parent_commit=before)
    assert files_of(api, "mia/x") == ["new.txt", "v.bin", "w.bin"]
    assert hub.repos.read("mia/x", "v.bin") == b"\0\1"
    assert files_of(api, "mia/x", before) == ["a.txt", "old/b.txt", "old/deep/c.txt", "w.bin"]
    with pytest.raises(HfHubHTTPError, match="412"):
        api.create_commit("mia/x", [CommitOperationAdd("z", b"")], commit_message="Late", parent_commit=before)
    with pytest.raises(RemoteEntryNotFoundError, match="doesn't exist"):
        api.create_commit("mia/x", [CommitOperationDelete("none.txt")], commit_message="Wrong")
    assert hub.repos.commits("mia/x")[0].id == info.oid


def test_strangers_push_nothing(hub: StandInHub) -> None:
    hub.repos.create("mia/x")
    with pytest.raises(HfHubHTTPError, match="create_pr=1"):
        upload(as_ben(hub), "mia/x", "a.txt", b"1")
    assert hub.repos.paths("mia/x") == [".gitattributes"]


def test_trees_are_listed_by_folder_and_by_page(hub: StandInHub, api: HfApi) -> None:
    hub.repos.create("mia/x", {f"data/part-{n}/x.txt": str(n) for n in range(5)})
    hub.repos.files.page_size = 3
    assert [item.path for item in api.list_repo_tree("mia/x")] == [".gitattributes", "data"]
    inside = list(api.list_repo_tree("mia/x", "data"))
    assert [(type(item), item.path) for item in inside] == [(RepoFolder, f"data/part-{n}") for n in range(5)]
    assert len(list(api.list_repo_tree("mia/x", "data", recursive=True))) == 10
    assert len(hub.requests("/tree/main/data", "GET")) >= 5
    with pytest.raises(RemoteEntryNotFoundError):
        list(api.list_repo_tree("mia/x", "none"))


def test_trees_tell_the_last_commit_of_each_path(hub: StandInHub, api: HfApi) -> None:
    hub.repos.create("mia/x", {"a.txt": "1", "b/c.txt": "1"})
    last = hub.repos.push("mia/x", {"b/c.txt": "2"}, message="Change c")
    hub.repos.push("mia/x", {"d.txt": "3"})
    tree = api.list_repo_tree("mia/x", expand=True, recursive=True)
    told = {item.path: item.last_commit.title for item in tree if item.last_commit is not None}
    assert told == {
        ".gitattributes": "initial commit", "a.txt": "Add files", "b": "Change c", "b/c.txt": "Change c",
        "d.txt": "Update",
    }  # fmt: skip
    (info,) = api.get_paths_info("mia/x", ["b/c.txt", "none"], expand=True)
    assert info.last_commit is not None
    assert info.last_commit.oid == last


def test_downloads_answer_ranges(hub: StandInHub) -> None:
    hub.repos.create("mia/x", {"a.txt": "0123456789"})
    url = f"{hub.url}/mia/x/resolve/main/a.txt"
    for wanted, text, place in (
        ("2-4", "234", "2-4"),
        ("7-", "789", "7-9"),
        ("-2", "89", "8-9"),
        ("5-99", "56789", "5-9"),
    ):
        answer = got(url, Range=f"bytes={wanted}")
        assert (answer.status_code, answer.text, answer.headers["content-range"]) == (206, text, f"bytes {place}/10")
    assert got(url, Range="bytes=10-").status_code == 416
    assert got(url).headers["etag"] == f'"{hub.repos.get("mia/x").head.files["a.txt"].oid}"'


def test_what_is_missing_is_told_apart(hub: StandInHub, api: HfApi) -> None:
    hub.repos.create("mia/x", {"a.txt": "1"})
    with pytest.raises(RemoteEntryNotFoundError):
        api.hf_hub_download("mia/x", "b.txt")
    with pytest.raises(RevisionNotFoundError):
        api.hf_hub_download("mia/x", "a.txt", revision="none")
    with pytest.raises(RevisionNotFoundError):
        upload(api, "mia/x", "b.txt", b"1", revision="none")
    with pytest.raises(RepositoryNotFoundError):
        api.hf_hub_download("mia/y", "a.txt")


# ------------------------------------------------------------------------------------------------- history


def test_branches_and_tags_point_to_commits(hub: StandInHub, api: HfApi) -> None:
    hub.repos.create("mia/x", {"a.txt": "1"})
    first = hub.repos.commits("mia/x")[0].id
    api.create_tag("mia/x", tag="v1", tag_message="First")
    api.create_branch("mia/x", branch="try/it")
    upload(api, "mia/x", "b.txt", b"2", revision="try/it")
    assert files_of(api, "mia/x", "try/it") == ["a.txt", "b.txt"]
    assert files_of(api, "mia/x") == files_of(api, "mia/x", "v1") == files_of(api, "mia/x", first[:10]) == ["a.txt"]
    refs = api.list_repo_refs("mia/x")
    assert [(ref.name, ref.ref) for ref in refs.branches] == [
        ("main", "refs/heads/main"),
        ("try/it", "refs/heads/try/it"),
    ]
    assert [(ref.name, ref.target_commit) for ref in refs.tags] == [("v1", first)]
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_tag("mia/x", tag="v1")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_branch("mia/x", branch="try/it")
    api.create_branch("mia/x", branch="try/it", exist_ok=True)
    api.delete_tag("mia/x", tag="v1")
    api.delete_branch("mia/x", branch="try/it")
    refs = api.list_repo_refs("mia/x")
    assert ([ref.name for ref in refs.branches], refs.tags) == (["main"], [])
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag("mia/x", tag="v1")
    with pytest.raises(HfHubHTTPError, match="403"):
        api.delete_branch("mia/x", branch="main")


def test_commits_are_listed_by_page_and_squashed(hub: StandInHub, api: HfApi) -> None:
    hub.repos.create("mia/x")
    for number in range(5):
        hub.repos.push("mia/x", {"n.txt": str(number)}, message=f"Number <{number}>")
    hub.repos.refs.page_size = 2
    seen = api.list_repo_commits("mia/x", formatted=True)
    assert [commit.title for commit in seen] == [*(f"Number <{n}>" for n in range(4, -1, -1)), "initial commit"]
    assert seen[0].formatted_title == "Number &lt;4&gt;"
    api.super_squash_history("mia/x")
    assert len(api.list_repo_commits("mia/x")) == 1
    assert hub.repos.read("mia/x", "n.txt") == b"4"


# ------------------------------------------------------------------------------------- what is said of them


def test_a_model_is_described_by_its_card_its_config_and_its_weights(hub: StandInHub, api: HfApi) -> None:
    card = "---\nlicense: mit\npipeline_tag: text-generation\ntags: [tiny]\ndatasets: [mia/d]\n---\n# X\n"
    head = json.dumps({"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}).encode()
    weights = struct.pack("<Q", len(head)) + head + bytes(24)
    config = json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 7})
    files: dict[str, Content] = {"README.md": card, "config.json": config, "model.safetensors": weights}
    hub.repos.create("mia/x", files, downloads=7, likes=3, extra={"inference": "warm"})
    info = api.model_info("mia/x", files_metadata=True)
    assert (info.card_data.license, info.pipeline_tag, info.library_name) == ("mit", "text-generation", "transformers")  # type: ignore[union-attr]  # the card is there
    assert info.tags == ["tiny", "text-generation", "license:mit", "dataset:mia/d", "safetensors", "region:us"]
    assert info.config == {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    assert info.safetensors is not None
    assert (info.safetensors.parameters, info.safetensors.total) == ({"F32": 6}, 6)
    assert (info.downloads, info.likes, info.inference) == (7, 3, "warm")
    sizes = {item.rfilename: (item.size, item.lfs is not None) for item in info.siblings or []}
    assert sizes["model.safetensors"] == (len(weights), True)
    assert sizes["config.json"] == (len(config), False)
    only = api.model_info("mia/x", expand=["downloads", "safetensors"])
    assert (only.downloads, only.siblings, only.sha) == (7, None, None)
    assert api.model_info("mia/x", revision="main").sha == hub.repos.commits("mia/x")[0].id


def test_a_card_is_checked_before_it_is_uploaded(hub: StandInHub, api: HfApi) -> None:
    api.create_repo("mia/x")
    with pytest.raises(ValueError, match="Invalid metadata"):
        upload(api, "mia/x", "README.md", b"---\na: [\n---\n")
    with pytest.warns(UserWarning, match="empty or missing yaml metadata"):
        upload(api, "mia/x", "README.md", b"# X\n")
    assert api.model_info("mia/x").card_data is None

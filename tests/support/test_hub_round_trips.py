from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub import StandInHub
from tests.support.hub_people import as_mia, hub_of_people, in_a_program


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with hub_of_people(tmp_path / "hub") as hub:
        yield hub


def test_a_second_server_goes_on_where_the_first_ended(tmp_path: Path) -> None:
    with hub_of_people(tmp_path / "hub") as first:
        first.repos.create("mia/x", {"w.bin": b"\0" * 10}, private=True)
        as_mia(first).create_tag("mia/x", tag="v1")
        as_mia(first).create_pull_request("mia/x", "Try it")
        as_mia(first).create_collection("Mine")
    with hub_of_people(tmp_path / "hub") as second:
        api = as_mia(second)
        assert api.list_repo_files("mia/x", revision="v1") == [".gitattributes", "w.bin"]
        assert second.repos.read("mia/x", "w.bin") == b"\0" * 10
        assert api.get_discussion_details("mia/x", 1).title == "Try it"
        assert [item.title for item in api.list_collections(owner="mia")] == ["Mine"]


PUBLISH = """
import json, sys
from pathlib import Path
from huggingface_hub import *
folder = Path(sys.argv[1])
create_repo("mia/x")
upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id="mia/x")
upload_folder(folder_path=folder, repo_id="mia/x", path_in_repo="run", ignore_patterns="*.log")
create_repo("mia/d", repo_type="dataset")
upload_large_folder(repo_id="mia/d", folder_path=folder, repo_type="dataset", num_workers=1, print_report=False)
pull = create_commit("mia/x", [CommitOperationAdd("b.txt", b"b")], commit_message="Add b", create_pr=True)
merge_pull_request("mia/x", pull.pr_num)
create_tag("mia/x", tag="v1")
whole = snapshot_download("mia/x", revision="v1")
part = snapshot_download("mia/d", repo_type="dataset", allow_patterns="*.parquet")
seen = [sorted(str(p.relative_to(d)) for p in Path(d).rglob("*") if p.is_file()) for d in (whole, part)]
print(json.dumps([*seen, [model.id for model in list_models(author="mia")], pull.pr_revision]))
"""


def test_a_program_publishes_and_fetches_with_nothing_but_its_environment(hub: StandInHub, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "a.parquet").write_bytes(os.urandom(2000))
    (folder / "notes.txt").write_text("notes")
    (folder / "train.log").write_text("log")
    whole, part, models, pull = in_a_program(hub, PUBLISH, str(folder))
    assert whole == [".gitattributes", "b.txt", "config.json", "run/data/a.parquet", "run/notes.txt"]
    assert part == ["data/a.parquet"]
    assert (models, pull) == (["mia/x"], "refs/pr/1")
    assert hub.repos.read("mia/d", "train.log", kind="dataset") == b"log"
    assert hub.repos.commits("mia/x", "v1")[0].title == "Add b (#1)"


FETCH = """
import hashlib, json
from huggingface_hub import hf_hub_download
with open(hf_hub_download("mia/x", "model.bin"), "rb") as file:
    print(json.dumps(hashlib.file_digest(file, "sha256").hexdigest()))
"""


def test_a_download_that_breaks_off_goes_on_where_it_was(hub: StandInHub, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.write_bytes(os.urandom(14_000_000))
    hub.repos.create("mia/x", {"model.bin": weights})
    hub.repos.files.cut_after = 12_000_000
    assert in_a_program(hub, FETCH) == hub.repos.get("mia/x").head.files["model.bin"].sha256
    ranges = [item.headers.get("range", "") for item in hub.requests("/resolve/", "GET")]
    assert ranges == ["", f"bytes={10 << 20}-"]  # the client keeps pieces of 10 MB

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from huggingface_hub import HfApi, SpaceHardware, Volume
from huggingface_hub.errors import BadRequestError, BucketNotFoundError, HfHubHTTPError

from tests.support.hub import StandInHub
from tests.support.hub_people import MIA, as_ben, as_mia, hub_of_people


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with hub_of_people(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def api(hub: StandInHub) -> HfApi:
    return as_mia(hub)


# --------------------------------------------------------------------------------------------------------- Spaces


def test_a_space_is_created_with_its_surroundings(hub: StandInHub, api: HfApi) -> None:
    url = api.create_repo(
        "mia/s",
        repo_type="space",
        space_sdk="docker",
        space_hardware=SpaceHardware.T4_SMALL,
        space_sleep_time=300,
        space_secrets=[{"key": "TOKEN", "value": "s3cret"}],
        space_variables=[{"key": "MODE", "value": "fast", "description": "How"}],
        space_volumes=[Volume(type="bucket", source="mia/b", mount_path="/data")],
    )
    assert url == f"{hub.url}/spaces/mia/s"
    runtime = api.get_space_runtime("mia/s")
    assert (runtime.stage, runtime.hardware, runtime.requested_hardware) == ("NO_APP_FILE", None, "t4-small")
    assert runtime.sleep_time == 300
    assert [volume.mount_path for volume in runtime.volumes or []] == ["/data"]
    assert (list(api.get_space_secrets("mia/s")), hub.spaces.secrets("mia/s")) == (["TOKEN"], {"TOKEN": "s3cret"})
    told = httpx.get(f"{hub.url}/api/spaces/mia/s/secrets", headers={"Authorization": f"Bearer {MIA}"})
    assert (told.status_code, "s3cret" in told.text) == (200, False)
    variable = api.get_space_variables("mia/s")["MODE"]
    assert (variable.value, variable.description) == ("fast", "How")
    info = api.space_info("mia/s")
    assert (info.sdk, info.subdomain, info.host) == ("docker", "mia-s", f"{hub.url}/apps/mia-s")
    with pytest.raises(BadRequestError, match="hardware"):
        api.create_repo("mia/t", repo_type="space", space_sdk="docker", space_hardware="abacus")


def test_a_space_builds_after_each_commit_and_runs_then(hub: StandInHub, api: HfApi) -> None:
    hub.repos.create("mia/s", kind="space")
    hub.spaces.build_s = 1000.0
    api.upload_file(path_or_fileobj=b"1", path_in_repo="app.py", repo_id="mia/s", repo_type="space")
    assert api.get_space_runtime("mia/s").stage == "BUILDING"
    hub.spaces.build_s = 0.0
    assert api.restart_space("mia/s").stage == "RUNNING"
    assert api.request_space_hardware("mia/s", SpaceHardware.L4X1, sleep_time=60).hardware == "l4x1"
    assert api.set_space_sleep_time("mia/s", 90).sleep_time == 90
    hub.spaces.set_stage("mia/s", "BUILD_ERROR")
    assert api.get_space_runtime("mia/s").stage == "BUILD_ERROR"
    assert api.pause_space("mia/s").stage == "PAUSED"
    hub.repos.push("mia/s", {"app.py": "2"}, kind="space")
    assert api.get_space_runtime("mia/s").stage == "PAUSED"
    assert api.restart_space("mia/s").stage == "RUNNING"
    with pytest.raises(HfHubHTTPError, match="403"):
        as_ben(hub).pause_space("mia/s")


def test_secrets_variables_and_volumes_change(hub: StandInHub, api: HfApi) -> None:
    hub.repos.create("mia/s", kind="space")
    api.add_space_secret("mia/s", "A", "1")
    api.add_space_secret("mia/s", "B", "2")
    api.delete_space_secret("mia/s", "A")
    assert hub.spaces.secrets("mia/s") == {"B": "2"}
    assert api.add_space_variable("mia/s", "MODE", "slow")["MODE"].value == "slow"
    assert api.delete_space_variable("mia/s", "MODE") == {}
    api.set_space_volumes("mia/s", [Volume(type="model", source="mia/x", mount_path="/m")])
    assert [volume.source for volume in api.get_space_runtime("mia/s").volumes or []] == ["mia/x"]
    api.delete_space_volumes("mia/s")
    with pytest.raises(BadRequestError, match="no volumes"):
        api.delete_space_volumes("mia/s")


def test_logs_of_a_space_are_told(hub: StandInHub, api: HfApi) -> None:
    hub.repos.create("mia/s", kind="space")
    hub.spaces.log("mia/s", ["step 1", "step 2"], build=True)
    assert list(api.fetch_space_logs("mia/s", build=True)) == ["step 1\n", "step 2\n"]
    assert list(api.fetch_space_logs("mia/s")) == []
    hub.spaces.logs_open_s = 20.0
    stream = iter(api.fetch_space_logs("mia/s", follow=True))
    hub.spaces.log("mia/s", ["started"])
    assert next(stream) == "started\n"
    hub.spaces.log("mia/s", ["ready"])
    assert next(stream) == "ready\n"
    hub.spaces.logs_open_s = 0.0
    assert list(stream) == []


def test_a_space_is_duplicated(hub: StandInHub, api: HfApi) -> None:
    hub.repos.create("ben/s", {"app.py": "print()"}, kind="space", sdk="streamlit")
    url = api.duplicate_repo("ben/s", "mia/mine", repo_type="space", private=True)
    assert url == f"{hub.url}/spaces/mia/mine"
    assert hub.repos.read("mia/mine", "app.py", kind="space") == b"print()"
    assert api.space_info("mia/mine").private
    assert api.get_space_runtime("mia/mine").stage == "RUNNING"


def test_hardware_of_spaces_has_prices(api: HfApi) -> None:
    prices = {item.name: item.unit_cost_usd for item in api.list_spaces_hardware()}
    assert prices["cpu-basic"] == 0
    assert prices["t4-small"] > 0


# ------------------------------------------------------------------------------------------------------ collections


def test_a_collection_holds_what_is_put_into_it(hub: StandInHub, api: HfApi) -> None:
    hub.repos.create("mia/x")
    hub.repos.create("mia/d", kind="dataset")
    made = api.create_collection("Session 1: artifacts", description="All of it", private=True)
    assert made.slug.startswith("mia/session-1-artifacts-")
    assert made.url == f"{hub.url}/collections/{made.slug}"
    assert api.create_collection("Session 1: artifacts", exists_ok=True).slug == made.slug
    api.add_collection_item(made.slug, "mia/x", "model", note="The best")
    api.add_collection_item(made.slug, "mia/d", "dataset")
    again = api.add_collection_item(made.slug, "mia/x", "model", exists_ok=True)
    assert [(item.item_id, item.item_type, item.note) for item in again.items] == [
        ("mia/x", "model", "The best"),
        ("mia/d", "dataset", None),
    ]
    with pytest.raises(HfHubHTTPError, match="409"):
        api.add_collection_item(made.slug, "mia/x", "model")
    with pytest.raises(HfHubHTTPError, match="404"):
        api.add_collection_item(made.slug, "mia/none", "model")
    api.update_collection_item(made.slug, again.items[1].item_object_id, position=0, note="Data")
    api.delete_collection_item(made.slug, again.items[0].item_object_id)
    assert [(item.item_id, item.position, item.note) for item in api.get_collection(made.slug).items] == [
        ("mia/d", 0, "Data")
    ]
    renamed = api.update_collection_metadata(made.slug, title="Kept", private=False)
    assert (renamed.title, renamed.private, renamed.slug.startswith("mia/kept-")) == ("Kept", False, True)
    api.delete_collection(renamed.slug)
    with pytest.raises(HfHubHTTPError, match="404"):
        api.get_collection(made.slug)
    api.delete_collection(made.slug, missing_ok=True)


def test_collections_are_listed_to_whoever_may_see_them(hub: StandInHub, api: HfApi) -> None:
    hub.repos.create("mia/x")
    shown = api.create_collection("Shown")
    api.create_collection("Hidden", private=True)
    api.add_collection_item(shown.slug, "mia/x", "model")
    api.add_collection_item(shown.slug, "2401.00001", "paper")
    assert {item.title for item in api.list_collections(owner="mia")} == {"Shown", "Hidden"}
    assert [item.title for item in as_ben(hub).list_collections(owner="mia")] == ["Shown"]
    for item in ("models/mia/x", "papers/2401.00001"):
        assert [found.title for found in api.list_collections(item=item)] == ["Shown"]
    with pytest.raises(HfHubHTTPError, match="403"):
        as_ben(hub).delete_collection(shown.slug)


# ---------------------------------------------------------------------------------------------------------- buckets


def test_a_bucket_shows_what_is_in_its_directory(hub: StandInHub, api: HfApi) -> None:
    assert api.create_bucket("mia/b", private=True).bucket_id == "mia/b"
    assert api.create_bucket("b", exist_ok=True).bucket_id == "mia/b"
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_bucket("mia/b")
    (hub.buckets.files("mia/b") / "run").mkdir()
    (hub.buckets.files("mia/b") / "run" / "step 1.txt").write_text("loss 2")
    (hub.buckets.files("mia/b") / "top.txt").write_text("top")
    assert [(item.type, item.path) for item in api.list_bucket_tree("mia/b")] == [
        ("directory", "run"),
        ("file", "top.txt"),
    ]
    assert [item.path for item in api.list_bucket_tree("mia/b", "run", recursive=True)] == ["run/step 1.txt"]
    (found,) = api.get_bucket_paths_info("mia/b", ["run/step 1.txt", "none"])
    assert found.size == 6
    info = api.bucket_info("mia/b")
    assert (info.private, info.size, info.total_files) == (True, 9, 2)
    assert api.get_bucket_file_metadata("mia/b", "top.txt").size == 3
    api.batch_bucket_files("mia/b", delete=["top.txt"])
    assert [item.path for item in api.list_bucket_tree("mia/b")] == ["run"]


def test_buckets_are_listed_changed_moved_and_deleted(hub: StandInHub, api: HfApi) -> None:
    hub.buckets.create("mia/b", {"a.txt": b"1"}, private=True)
    with pytest.raises(BucketNotFoundError):
        as_ben(hub).bucket_info("mia/b")
    api.update_bucket_settings("mia/b", private=False)
    assert as_ben(hub).bucket_info("mia/b").total_files == 1
    api.move_bucket("mia/b", "acme/c")
    assert ([item.id for item in api.list_buckets()], [item.id for item in api.list_buckets("acme")]) == (
        [],
        ["acme/c"],
    )
    assert (hub.buckets.files("acme/c") / "a.txt").read_bytes() == b"1"
    api.delete_bucket("acme/c")
    assert not hub.buckets.exists("acme/c")
    with pytest.raises(BucketNotFoundError):
        api.delete_bucket("acme/c")
    api.delete_bucket("acme/c", missing_ok=True)

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from tests.support.hub import StandInHub
from tests.support.hub_people import as_ben, as_mia, hub_of_people


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with hub_of_people(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def api(hub: StandInHub) -> HfApi:
    return as_mia(hub)


def card(**values: object) -> dict[str, str | bytes | Path]:
    return {"README.md": f"---\n{json.dumps(values)}\n---\n"}


def weights(count: int) -> bytes:
    head = json.dumps({"w": {"dtype": "BF16", "shape": [count], "data_offsets": [0, 2 * count]}}).encode()
    return struct.pack("<Q", len(head)) + head


def ids(items: Any) -> list[str]:
    return [item.id for item in items]


def test_models_are_searched_and_filtered(hub: StandInHub, api: HfApi) -> None:
    hub.repos.create("mia/tiny-llama", card(pipeline_tag="text-generation", license="mit", language="en"), likes=1)
    hub.repos.create("ben/big-llama", {**card(tags=["rl"]), "w.safetensors": weights(3000)}, likes=2, gated="auto")
    hub.repos.create("ben/secret", private=True)
    assert ids(api.list_models()) == ["ben/big-llama", "mia/tiny-llama"]
    assert ids(as_ben(hub).list_models(author="ben")) == ["ben/big-llama", "ben/secret"]
    assert (
        ids(api.list_models(search="TINY"))
        == ids(api.list_models(pipeline_tag="text-generation"))
        == ["mia/tiny-llama"]
    )
    assert ids(api.list_models(filter=["license:mit", "en"])) == ids(api.list_models(gated=False)) == ["mia/tiny-llama"]
    assert (
        ids(api.list_models(filter="rl")) == ids(api.list_models(num_parameters="min:2K,max:4K")) == ["ben/big-llama"]
    )
    assert ids(api.list_models(num_parameters="min:1B")) == []
    hub.repos.create("mia/served", extra={"inference": "warm"})
    assert ids(api.list_models(inference="warm")) == ["mia/served"]


def test_lists_are_sorted_cut_and_paged(hub: StandInHub, api: HfApi) -> None:
    for number in range(5):
        created = f"2025-01-0{number + 1}T00:00:00.000Z"
        hub.repos.create(f"mia/m{number}", downloads=number * 7 % 5, likes=-number, created=created, changed=created)
    hub.repos.listing.page_size = 2
    assert ids(api.list_models(sort="downloads")) == ["mia/m2", "mia/m4", "mia/m1", "mia/m3", "mia/m0"]
    assert ids(api.list_models(sort="created_at", limit=3)) == ["mia/m4", "mia/m3", "mia/m2"]
    assert ids(api.list_models(sort="last_modified", limit=1)) == ["mia/m4"]
    assert len(hub.requests("/api/models", "GET")) == 6


def test_a_list_shows_as_much_as_was_asked_for(hub: StandInHub, api: HfApi) -> None:
    hub.repos.create("mia/x", {**card(license="mit"), "config.json": '{"model_type": "gpt2"}'})
    (plain,) = api.list_models()
    assert (plain.siblings, plain.card_data, plain.config) == (None, None, None)
    (full,) = api.list_models(full=True, fetch_config=True)
    assert (len(full.siblings or []), full.config) == (3, {"model_type": "gpt2"})
    (some,) = api.list_models(expand=["cardData"])
    assert some.card_data is not None
    assert (some.card_data.license, some.downloads) == ("mit", None)


def test_datasets_are_filtered_by_what_their_card_says(hub: StandInHub, api: HfApi) -> None:
    hub.repos.create("mia/a", card(language=["en", "de"], task_categories=["question-answering"]), kind="dataset")
    text = "# B\nFrom https://arxiv.org/abs/2401.00001v2"
    hub.repos.create("mia/b", {"train.parquet": b"PAR1", "README.md": text}, kind="dataset")
    assert (
        ids(api.list_datasets(language="de"))
        == ids(api.list_datasets(task_categories="question-answering"))
        == ["mia/a"]
    )
    assert ids(api.list_datasets(filter=["format:parquet", "arxiv:2401.00001"])) == ["mia/b"]
    assert api.dataset_info("mia/b").description == text
    assert ids(api.list_models()) == []


def test_spaces_are_found_by_meaning(hub: StandInHub, api: HfApi) -> None:
    app: dict[str, str | bytes | Path] = {"app.py": "", **card(title="Draw", short_description="Turns text to images")}
    hub.repos.create("mia/draw", app, kind="space")
    hub.repos.create("mia/talk", {"app.py": "", **card(title="Speak text aloud", sdk="docker")}, kind="space")
    hub.repos.create("mia/empty-draw", kind="space")
    found = list(api.search_spaces("text images"))
    assert [(item.id, item.semantic_relevancy_score) for item in found] == [("mia/draw", 1.0), ("mia/talk", 0.5)]
    assert (found[0].title, found[0].ai_short_description) == ("Draw", "Turns text to images")
    assert ids(api.search_spaces("text images", sdk="docker")) == ["mia/talk"]
    assert ids(api.search_spaces("draw")) == ["mia/draw"]
    assert ids(api.search_spaces("draw", include_non_running=True)) == ["mia/draw", "mia/empty-draw"]
    assert ids(api.list_spaces(search="draw", sort="created_at")) == ["mia/empty-draw", "mia/draw"]


def test_the_room_that_repositories_take_is_told_to_their_owner(hub: StandInHub, api: HfApi) -> None:
    hub.repos.create("acme/big", {"a.txt": "x" * 9000}, private=True)
    hub.repos.create("acme/small", kind="dataset")
    told = [(item.id, item.type, item.visibility) for item in api.list_user_repos("acme")]
    assert told == [("acme/big", "model", "private"), ("acme/small", "dataset", "public")]
    assert round(sum(item.storage_percent for item in api.list_user_repos("acme"))) == 100
    assert list(api.list_user_repos()) == []
    with pytest.raises(HfHubHTTPError, match="403"):
        list(as_ben(hub).list_user_repos("acme"))

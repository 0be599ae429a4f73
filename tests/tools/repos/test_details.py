from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd

from ml_intern.tools.repos.details import create_details_tool
from ml_intern.tools.repos.search import create_search_tool
from tests.support.hub import StandInHub
from tests.tools.repos.support import BEN, api, client, hub_of_two, make_context, run
from tests.tools.repos.test_reading import safetensors

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "max_position_embeddings": 8192,
    "vocab_size": 49152,
    "torch_dtype": "bfloat16",
}
MODEL_CARD = """\
---
license: apache-2.0
pipeline_tag: text-generation
library_name: transformers
tags:
- tiny
- arxiv:2401.01335
---
# A model
"""
DATA_CARD = """\
---
license: mit
task_categories:
- text-classification
dataset_info:
  config_name: plain
  features:
  - name: text
    dtype: string
  - name: label
    dtype: int64
  splits:
  - name: train
    num_examples: 1200
  - name: test
    num_examples: 300
  dataset_size: 4096
---
# Rows
"""


def put(hub: StandInHub, repo_id: str, repo_type: str, files: dict[str, bytes], token: str = BEN) -> None:
    theirs = api(hub, token)
    sdk = "gradio" if repo_type == "space" else None
    theirs.create_repo(repo_id, repo_type=repo_type, private=False, space_sdk=sdk)
    additions = [CommitOperationAdd(path, data) for path, data in files.items()]
    theirs.create_commit(repo_id, additions, commit_message="Files", repo_type=repo_type)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandInHub]:
    with hub_of_two(tmp_path_factory.mktemp("hub")) as served:
        model = {
            "README.md": MODEL_CARD.encode(),
            "config.json": json.dumps(CONFIG).encode(),
            "model.safetensors": safetensors(2000),
            "tokenizer.json": b"{}",
            "tokenizer_config.json": json.dumps({"chat_template": "{{ messages }}", "eos_token": "<end>"}).encode(),
        }
        put(served, "ben/tiny-llama", "model", model)
        put(served, "ben/tiny-bert", "model", {"a.txt": b"bert"})
        put(served, "ben/rows", "dataset", {"README.md": DATA_CARD.encode(), "data.csv": b"text,label\n"})
        put(served, "ben/app", "space", {"app.py": b"print(1)\n"})
        put(served, "ben/twice", "model", {"a.txt": b"twice"})
        put(served, "ben/twice", "dataset", {"a.txt": b"twice"})
        api(served, BEN).create_repo("ben/secret", private=True)
        yield served


async def test_a_model_is_described_without_a_token(hub: StandInHub, tmp_path: Path) -> None:
    context, _ = make_context(tmp_path)

    result = await run(create_details_tool(client(hub, "")), context, repo_ids=["ben/tiny-llama"])

    for fact in (
        f"# model ben/tiny-llama — {hub.url}/ben/tiny-llama",
        "licence: apache-2.0",
        "task: text-generation",
        "architecture: LlamaForCausalLM",
        "context length 8,192",
        "vocabulary 49,152",
        "with a chat template · eos <end>",
        "papers: 2401.01335",
        "model.safetensors (",
    ):
        assert fact in result.text
    assert result.ok


async def test_a_data_set_and_a_space_are_found_out_by_themselves(hub: StandInHub, tmp_path: Path) -> None:
    context, _ = make_context(tmp_path)

    result = await run(create_details_tool(client(hub)), context, repo_ids=["ben/rows", "ben/app"])

    assert "# dataset ben/rows" in result.text
    assert "config plain: train 1,200 rows, test 300 rows" in result.text
    assert "features: text: string, label: int64" in result.text
    assert "# space ben/app" in result.text
    assert "SDK: gradio" in result.text


async def test_one_repository_that_fails_does_not_hide_the_others(hub: StandInHub, tmp_path: Path) -> None:
    context, _ = make_context(tmp_path)

    result = await run(
        create_details_tool(client(hub)), context, repo_ids=["ben/nothing", "ben/tiny-bert", "ben/secret"]
    )

    assert result.ok
    assert "ERROR: ben/nothing: there is no model, data set or Space" in result.text
    assert "ERROR: ben/secret" in result.text
    assert "# model ben/tiny-bert" in result.text


async def test_a_name_that_two_repositories_have_is_pointed_out(hub: StandInHub, tmp_path: Path) -> None:
    context, _ = make_context(tmp_path)

    both = await run(create_details_tool(client(hub)), context, repo_ids="ben/twice")
    one = await run(create_details_tool(client(hub)), context, repo_ids="datasets/ben/twice")

    assert "There is also a dataset of this name (repo_type=dataset)" in both.text
    assert one.text.startswith("# dataset ben/twice")


async def test_a_search_is_a_table_that_can_be_paged(hub: StandInHub, tmp_path: Path) -> None:
    context, _ = make_context(tmp_path)
    tool = create_search_tool(client(hub, ""))

    found = await run(tool, context, query="tiny", sort="downloads")
    first = await run(tool, context, query="tiny", limit=1)
    second = await run(tool, context, query="tiny", limit=1, offset=1)
    nothing = await run(tool, context, query="zzzz")

    assert "id | task | parameters | downloads" in found.text
    assert "ben/tiny-llama | text-generation" in found.text
    assert "ben/tiny-bert" in found.text
    assert "[… more; go on with offset=1]" in first.text
    assert "more" not in second.text
    assert first.text.splitlines()[2] != second.text.splitlines()[2]
    assert nothing.text.startswith("No models `zzzz` found.")


async def test_data_sets_and_spaces_are_searched_too(hub: StandInHub, tmp_path: Path) -> None:
    context, _ = make_context(tmp_path)
    tool = create_search_tool(client(hub))

    rows = await run(tool, context, kind="datasets", query="rows", author="ben")
    spaces = await run(tool, context, kind="space", query="app")
    collections = await run(tool, context, kind="collection", query="x")

    assert "ben/rows" in rows.text
    assert "ben/app | gradio" in spaces.text
    assert not collections.ok

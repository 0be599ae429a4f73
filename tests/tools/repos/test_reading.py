from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd
from starlette.responses import RedirectResponse

from ml_intern.core.tools.spec import ToolSpec
from ml_intern.tools.repos.files import create_files_tool
from tests.support.hub import StandInHub
from tests.support.hub.server import Fault
from tests.tools.repos.support import BEN, MIA, api, client, hub_of_two, make_context, run

WEIGHTS = "model.safetensors"
LONG = "".join(f"line {number} ä\n" for number in range(8000))


def safetensors(parameters: int) -> bytes:
    header = json.dumps(
        {
            "__metadata__": {"format": "pt"},
            "embed.weight": {"dtype": "BF16", "shape": [parameters // 2, 2], "data_offsets": [0, 2 * parameters]},
        }
    ).encode()
    return struct.pack("<Q", len(header)) + header + b"\0" * (2 * parameters)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandInHub]:
    with hub_of_two(tmp_path_factory.mktemp("hub")) as served:
        mine = api(served)
        mine.create_repo("mia/notes", private=True)
        first = {
            "README.md": b"---\nlicense: mit\n---\n# Notes\n",
            "long.txt": LONG.encode(),
            "empty.txt": b"",
            "data/train.jsonl": b'{"text": "one"}\n' * 3,
            "data/deep/valid.jsonl": b'{"text": "two"}\n',
            WEIGHTS: safetensors(500_000),
            "odd.dat": b"\x89\0\1\2" * 5000,
            "latin.txt": "Käse".encode("latin-1"),
        }
        additions = [CommitOperationAdd(path, data) for path, data in first.items()]
        mine.create_commit("mia/notes", additions, commit_message="First")
        mine.create_repo("mia/only-data", repo_type="dataset")
        theirs = api(served, BEN)
        theirs.create_repo("ben/secret", private=True)
        theirs.create_repo("ben/gated", private=False)
        theirs.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id="ben/gated")
        theirs.update_repo_settings("ben/gated", gated="manual")
        yield served


@pytest.fixture
def tool(hub: StandInHub) -> ToolSpec:
    return create_files_tool(client(hub))


# ------------------------------------------------------------------------------------------------------------- list


async def test_a_listing_tells_folders_from_empty_files_and_gives_sizes(tool: ToolSpec, tmp_path: Path) -> None:
    context, _ = make_context(tmp_path)

    result = await run(tool, context, operation="list", repo_id="mia/notes")

    lines = result.text.splitlines()
    assert result.ok
    assert "9 files, 2 folders" in lines[0]
    assert "/mia/notes/tree/main" in lines[0]
    assert "data/" in lines
    assert "empty.txt (0 B)" in lines
    assert any(line.startswith("data/deep/valid.jsonl (16 B") for line in lines)
    assert any(line.startswith(f"{WEIGHTS} (1.0 MB, LFS") for line in lines)


async def test_a_long_listing_comes_in_pages(tool: ToolSpec, tmp_path: Path) -> None:
    context, _ = make_context(tmp_path)

    first = await run(tool, context, operation="list", repo_id="mia/notes", limit=4)
    rest = await run(tool, context, operation="list", repo_id="mia/notes", offset=4)
    beyond = await run(tool, context, operation="list", repo_id="mia/notes", offset=40)

    assert "[… 7 more; go on with offset=4]" in first.text
    shown = first.text.splitlines()[1:5] + rest.text.splitlines()[1:]
    assert len(shown) == len(set(shown)) == 11
    assert not beyond.ok
    assert "11 entries" in beyond.text


async def test_a_listing_can_be_of_a_folder_or_of_what_matches(tool: ToolSpec, tmp_path: Path) -> None:
    context, _ = make_context(tmp_path)

    folder = await run(tool, context, operation="list", repo_id="mia/notes", path="data", recursive=False)
    matching = await run(tool, context, operation="list", repo_id="mia/notes", patterns="*.jsonl")
    nothing = await run(tool, context, operation="list", repo_id="mia/notes", patterns=["*.gguf"])
    file = await run(tool, context, operation="list", repo_id="mia/notes", path="README.md")

    assert [line.split(" (")[0] for line in folder.text.splitlines()[1:]] == ["data/deep/", "data/train.jsonl"]
    assert "2 files, 0 folders" in matching.text
    assert nothing.text == "model mia/notes holds no files that match *.gguf."
    assert not file.ok
    assert "README.md is a file" in file.text


# ------------------------------------------------------------------------------------------------------------- read


async def test_a_long_text_is_cut_says_so_and_goes_on_without_a_gap(tool: ToolSpec, tmp_path: Path) -> None:
    context, _ = make_context(tmp_path)
    text, offset, parts = "", 0, 0

    while True:
        result = await run(tool, context, operation="read", repo_id="mia/notes", path="long.txt", offset=offset)
        body = result.text.split(">\n", 1)[1].split("\n</fetched", 1)[0]
        text += body
        parts += 1
        if "go on with offset=" not in result.text:
            break
        assert "(cut)" in result.text.splitlines()[0]
        assert len(result.text) <= 50_000
        offset = int(result.text.rsplit("go on with offset=", 1)[1].split(",")[0])

    assert parts > 1
    assert text == LONG


async def test_only_the_part_that_is_read_comes_over_the_wire(hub: StandInHub, tool: ToolSpec, tmp_path: Path) -> None:
    context, _ = make_context(tmp_path)

    result = await run(tool, context, operation="read", repo_id="mia/notes", path="long.txt", offset=-30, limit=1000)

    asked = [item for item in hub.requests("/resolve/") if "long.txt" in item.path][-1]
    size = len(LONG.encode())
    assert asked.headers["range"] == f"bytes={size - 30}-{size - 1}"
    assert "line 7999 ä" in result.text


async def test_a_binary_file_is_told_by_kind_and_size_and_not_downloaded(
    hub: StandInHub, tool: ToolSpec, tmp_path: Path
) -> None:
    context, _ = make_context(tmp_path)
    before = len(hub.requests("/resolve/"))

    weights = await run(tool, context, operation="read", repo_id="mia/notes", path=WEIGHTS)
    odd = await run(tool, context, operation="read", repo_id="mia/notes", path="odd.dat")
    latin = await run(tool, context, operation="read", repo_id="mia/notes", path="latin.txt")

    assert "binary file (1.0 MB, .safetensors, stored with LFS); it was not downloaded" in weights.text
    assert "1 tensor, 500k parameters (BF16 500k)" in weights.text
    assert "binary file (20.0 kB, .dat" in odd.text
    assert "binary file (4 B, .txt" in latin.text
    ranges = [item.headers.get("range", "") for item in hub.requests("/resolve/")[before:]]
    assert ranges[0] == "bytes=0-7"
    assert all(ranges)
    assert all(int(end) - int(start) < 100_000 for start, end in (item[6:].split("-") for item in ranges))


async def test_an_empty_file_a_folder_and_a_missing_file_are_three_things(tool: ToolSpec, tmp_path: Path) -> None:
    context, _ = make_context(tmp_path)

    empty = await run(tool, context, operation="read", repo_id="mia/notes", path="empty.txt")
    folder = await run(tool, context, operation="read", repo_id="mia/notes", path="data")
    missing = await run(tool, context, operation="read", repo_id="mia/notes", path="valid.jsonl")
    beyond = await run(tool, context, operation="read", repo_id="mia/notes", path="README.md", offset=10_000)

    assert empty.ok
    assert "(the file is empty)" in empty.text
    assert not folder.ok
    assert "data is a folder" in folder.text
    assert not missing.ok
    assert "has no file 'valid.jsonl'. Near it: data/deep/valid.jsonl" in missing.text
    assert not beyond.ok
    assert "past its end" in beyond.text


# ----------------------------------------------------------------------------------------------------------- failures


async def test_what_is_missing_is_told_apart(hub: StandInHub, tool: ToolSpec, tmp_path: Path) -> None:
    context, _ = make_context(tmp_path)

    repo = await run(tool, context, operation="list", repo_id="mia/no-such")
    other = await run(tool, context, operation="list", repo_id="mia/only-data")
    revision = await run(tool, context, operation="read", repo_id="mia/notes", path="README.md", revision="v9")
    private = await run(tool, context, operation="read", repo_id="ben/secret", path="x")

    assert "model mia/no-such does not exist, or your account may not see it" in repo.text
    assert "a dataset of that name: pass repo_type=dataset" in other.text
    assert "has no revision 'v9'" in revision.text
    assert "your account may not see it" in private.text
    assert not any(result.ok for result in (repo, other, revision, private))


async def test_a_private_repository_without_a_token_says_that_there_is_none(hub: StandInHub, tmp_path: Path) -> None:
    context, _ = make_context(tmp_path)

    result = await run(create_files_tool(client(hub, "")), context, operation="list", repo_id="mia/notes")

    assert not result.ok
    assert "there is no Hugging Face token" in result.text


async def test_a_token_that_is_not_accepted_is_not_taken_for_a_missing_repository(
    hub: StandInHub, tmp_path: Path
) -> None:
    context, _ = make_context(tmp_path)

    result = await run(create_files_tool(client(hub, "hf_wrong")), context, operation="list", repo_id="mia/notes")

    assert not result.ok
    assert "does not accept your token" in result.text
    assert f"{hub.url}/settings/tokens" in result.text


async def test_a_gated_file_comes_with_the_page_where_to_ask(hub: StandInHub, tool: ToolSpec, tmp_path: Path) -> None:
    context, _ = make_context(tmp_path)

    result = await run(tool, context, operation="read", repo_id="ben/gated", path="config.json")

    assert not result.ok
    assert "is gated" in result.text
    assert f"{hub.url}/ben/gated" in result.text


async def test_an_address_stands_for_the_repository_it_shows(hub: StandInHub, tool: ToolSpec, tmp_path: Path) -> None:
    context, _ = make_context(tmp_path)

    page = await run(tool, context, operation="list", repo_id=f"{hub.url}/mia/notes/tree/main")
    prefixed = await run(tool, context, operation="LIST", repo_id="datasets/mia/only-data")

    assert page.ok
    assert prefixed.ok
    assert "dataset mia/only-data" in prefixed.text


async def test_the_token_stays_with_the_hub_when_a_file_lies_on_another_host(
    hub: StandInHub, tool: ToolSpec, tmp_path: Path
) -> None:
    context, _ = make_context(tmp_path)
    with hub_of_two(tmp_path / "elsewhere") as store:
        api(store).create_repo("mia/store", private=False)
        api(store).upload_file(path_or_fileobj=b"0123456789" * 10, path_in_repo="a.txt", repo_id="mia/store")
        place = f"{store.url}/mia/store/resolve/main/a.txt"
        hub.faults.append(Fault(lambda _, path: "README.md" in path, lambda: RedirectResponse(place)))

        result = await run(tool, context, operation="read", repo_id="mia/notes", path="README.md")

        followed = store.requests("/resolve/")[-1]
    assert "0123456789" in result.text
    assert followed.headers["range"].startswith("bytes=0-")
    assert followed.token == ""
    assert hub.requests("/resolve/")[-1].token == MIA

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ml_intern.core.tools.spec import ToolResult
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.github import GitHub, GitHubError, TreeFile, split_repo
from ml_intern.services.http import HttpService
from ml_intern.tools.github.notebook import notebook_markdown
from ml_intern.tools.github.ranking import rank
from ml_intern.tools.github.tools import create_github_tools
from tests.support.github import StandInGitHub
from tests.support.tools import Bench
from tests.support.web import WebServer

TRL: dict[str, str | bytes] = {
    "README.md": "# TRL",
    "assets/demo.png": "png",
    "docs/source/guide.md": "guide",
    "examples/scripts/sft.py": "\n".join(f"line {number}" for number in range(1, 501)),
    "examples/scripts/sft_vlm.py": "x",
    "examples/scripts/dpo.py": "x",
    "examples/notebooks/sft_intro.ipynb": "{}",
    "tests/test_sft.py": "x",
    "trl/sample_utils.py": "x",
    "examples/proto_pb2.py": "x",
    "trl/trainer/grpo_trainer.py": "x",
}


def repo(name: str, stars: int, **more: Any) -> dict[str, Any]:
    return {"full_name": name, "stargazers_count": stars, "forks_count": 1, "pushed_at": "2026-01-02T00:00:00Z", **more}


@pytest.fixture
def github() -> Iterator[StandInGitHub]:
    with WebServer() as web:
        yield StandInGitHub(web, {"huggingface/trl": dict(TRL)}, {"huggingface": [repo("huggingface/trl", 9)]})


class Desk:
    """The tools in one session."""

    def __init__(self, tmp_path: Path, github: StandInGitHub, **env: str) -> None:
        self.http = HttpService(tmp_path / "cache", backoff_s=0.01)
        self.bench = Bench.at(tmp_path)
        self.specs = {spec.name: spec for spec in create_github_tools(self.http, Endpoints(github.env(**env)))}

    async def call(self, name: str, **arguments: object) -> ToolResult:
        return await self.bench.run(self.specs[f"github_{name}"], **arguments)


@pytest.fixture
async def desk(tmp_path: Path, github: StandInGitHub) -> AsyncIterator[Desk]:
    made = Desk(tmp_path, github)
    yield made
    await made.http.aclose()


def order(keyword: str = "") -> list[str]:
    return [example.file.path for example in rank([TreeFile(path, 1) for path in TRL], keyword)]


# ------------------------------------------------------------------------------------------------------- examples


def test_the_canonical_script_comes_first_and_tests_pictures_and_generated_code_do_not() -> None:
    found = order("sft")
    assert found[0] == "examples/scripts/sft.py"
    assert found.index("examples/scripts/sft_vlm.py") < found.index("tests/test_sft.py")
    assert "assets/demo.png" not in found
    assert "trl/sample_utils.py" not in found


def test_without_a_keyword_only_files_in_places_for_examples_count() -> None:
    found = order()
    assert set(found) == {
        "examples/scripts/sft.py", "examples/scripts/sft_vlm.py", "examples/scripts/dpo.py",
        "examples/notebooks/sft_intro.ipynb",
    }  # fmt: skip


def test_every_word_counts_and_camel_case_is_taken_apart() -> None:
    assert order("GRPOTrainer") == []
    assert order("grpo trainer") == ["trl/trainer/grpo_trainer.py"]
    assert order("SftVlm")[0] == "examples/scripts/sft_vlm.py"


async def test_one_example_among_fifty_thousand_files_is_found_without_holding_anything_up(
    desk: Desk, github: StandInGitHub
) -> None:
    files = github.files["huggingface/trl"]
    files.clear()
    files |= {f"src/package_{number % 97}/module_{number}.py": "x" for number in range(50_000)}
    files["examples/sft.py"] = "x"
    task = asyncio.create_task(desk.call("find_examples", repo="trl", keyword="sft"))
    beats = 0
    while not task.done():
        await asyncio.sleep(0.001)
        beats += 1
    assert "1 of 1 example files for 'sft'" in task.result().text
    assert "1. examples/sft.py" in task.result().text
    assert beats > 20  # taking the list apart and ranking it leaves the loop free


async def test_examples_come_with_what_reads_them(desk: Desk) -> None:
    result = await desk.call("find_examples", repo="trl", keyword="sft")
    assert result.ok
    assert "1. examples/scripts/sft.py" in result.text
    assert 'github_read_file: repo="huggingface/trl", path="examples/scripts/sft.py"' in result.text


@pytest.mark.parametrize("given", ["huggingface/trl", "https://github.com/huggingface/trl", "trl"])
async def test_a_repository_is_named_in_several_ways(given: str, desk: Desk) -> None:
    assert "sft.py" in (await desk.call("find_examples", repo=given, keyword="sft")).text


async def test_a_second_look_asks_github_for_nothing_or_for_changes_only(tmp_path: Path, github: StandInGitHub) -> None:
    first = Desk(tmp_path / "a", github)
    await first.call("find_examples", repo="trl")
    asked = len(github.web.asked)
    await first.call("find_examples", repo="trl", keyword="dpo")
    assert not [path for path in github.web.paths()[asked:] if "trees" in path]
    await first.http.aclose()
    later = Desk(tmp_path / "b", github)
    later.http = HttpService(tmp_path / "a" / "cache")
    later.specs = {spec.name: spec for spec in create_github_tools(later.http, Endpoints(github.env()))}
    await later.call("find_examples", repo="trl")
    assert github.unchanged >= 2
    await later.http.aclose()


async def test_a_list_that_is_cut_short_says_so(desk: Desk, github: StandInGitHub) -> None:
    github.truncated = True
    assert "too large" in (await desk.call("find_examples", repo="trl")).text


async def test_a_repository_that_is_not_there_brings_similar_ones(desk: Desk) -> None:
    result = await desk.call("find_examples", repo="trlx")
    assert not result.ok
    assert "404" in result.text
    assert "- huggingface/trl  ★ 9" in result.text


# ------------------------------------------------------------------------------------------------------ repositories


async def test_the_most_starred_repository_comes_first_even_from_the_second_page(
    desk: Desk, github: StandInGitHub
) -> None:
    github.repos["big"] = [repo(f"big/r{number}", number % 7) for number in range(100)]
    github.repos["big"].append(repo("big/star", 5000, archived=True, topics=["llm"], description="The one"))
    result = await desk.call("list_repos", owner="big")
    heads = [line for line in result.text.splitlines() if line.startswith("big/")]
    assert len(heads) == 30
    assert heads[0] == "big/star  ★ 5,000 · forks 1 · no language · updated 2026-01-02 · archived"
    assert "30 of 101 repositories" in result.text
    fewest = await desk.call("list_repos", owner="big", order="asc", limit=1)
    assert "★ 0" in fewest.text


async def test_a_person_is_found_where_an_organisation_was_asked_for(desk: Desk, github: StandInGitHub) -> None:
    github.repos["mia"], github.users = [repo("mia/notes", 1)], {"mia"}
    assert "mia/notes" in (await desk.call("list_repos", owner="mia")).text


async def test_the_limit_of_requests_is_explained_with_its_end(tmp_path: Path, github: StandInGitHub) -> None:
    github.left = 0
    http = HttpService(tmp_path / "cache")
    client = GitHub(http, Endpoints(github.env()), clock=lambda: 1_000_000.0)
    with pytest.raises(GitHubError, match=r"begins anew in 10 min \(at \d\d:\d\d UTC\)\. With a GITHUB_TOKEN"):
        await client.tree("huggingface/trl", "main", lambda _: None)
    await http.aclose()


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (403, {"retry-after": "60"}, r"begins anew in 1 min \(at \d\d:\d\d UTC\)\."),
        (403, {}, r"begins anew later\."),
        (429, {"retry-after": "1800"}, r"begins anew in 30 min"),
    ],
)
async def test_every_kind_of_limit_is_told_as_one(
    status: int, headers: dict[str, str], said: str, desk: Desk, github: StandInGitHub
) -> None:
    async def limited(request: Request) -> Response:
        return JSONResponse({"message": "You have exceeded a secondary rate limit"}, status, headers=headers)

    github.web.handlers["/repos/*"] = limited
    result = await desk.call("read_file", repo="huggingface/trl", path="README.md")
    assert not result.ok
    assert re.search(said, result.text)
    assert len(github.web.asked) == 1


async def test_a_token_goes_along_when_there_is_one(tmp_path: Path, github: StandInGitHub) -> None:
    for env in ({}, {"GITHUB_TOKEN": "ghp_x"}):
        desk = Desk(tmp_path / str(len(env)), github, **env)
        await desk.call("list_repos", owner="huggingface")
        await desk.http.aclose()
    assert [item.headers.get("authorization") for item in github.web.asked] == [None, "Bearer ghp_x"]


# ------------------------------------------------------------------------------------------------------------- files


async def test_a_file_comes_with_its_first_lines_and_the_way_to_the_rest(desk: Desk) -> None:
    result = await desk.call("read_file", repo="huggingface/trl", path="examples/scripts/sft.py")
    lines = result.text.splitlines()
    assert lines[0] == "huggingface/trl/examples/scripts/sft.py: lines 1 to 300 of 500"
    assert lines[2] == "line 1"
    assert lines[-1] == "[200 lines more: go on with line_start=301]"
    part = await desk.call("read_file", repo="huggingface/trl", path="examples/scripts/sft.py", line_start=499)
    assert part.text.splitlines()[2:] == ["line 499", "line 500"]
    beyond = await desk.call("read_file", repo="huggingface/trl", path="examples/scripts/sft.py", line_start=600)
    assert not beyond.ok


async def test_a_directory_is_listed(desk: Desk) -> None:
    result = await desk.call("read_file", repo="huggingface/trl", path="examples")
    assert result.text.splitlines() == [
        "huggingface/trl/examples is a directory with 3 entries:", "notebooks/", "scripts/", "proto_pb2.py",
    ]  # fmt: skip


async def test_a_file_of_megabytes_is_fetched_raw_and_its_long_lines_are_cut(desk: Desk, github: StandInGitHub) -> None:
    github.files["huggingface/trl"]["big file?.json"] = "x" * 1_500_000 + "\nend"
    result = await desk.call("read_file", repo="huggingface/trl", path="big file?.json")
    assert result.text.splitlines()[-1] == "end"
    assert len(result.text) < 3000


async def test_a_binary_file_is_not_shown(desk: Desk, github: StandInGitHub) -> None:
    github.files["huggingface/trl"]["model.bin"] = b"\0\1\2" * 100
    result = await desk.call("read_file", repo="huggingface/trl", path="model.bin")
    assert result.text == "ERROR: model.bin in huggingface/trl is a binary file of 300 bytes."


async def test_a_notebook_is_markdown_without_outputs(desk: Desk, github: StandInGitHub) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "text"]},
        {"cell_type": "code", "source": "print('```')", "outputs": [{"text": "SHOWN"}]},
        {"cell_type": "code", "source": "secret = 1", "metadata": {"tags": ["hide"]}},
    ]
    github.files["huggingface/trl"]["n.ipynb"] = json.dumps({"cells": cells, "metadata": {}})
    result = await desk.call("read_file", repo="huggingface/trl", path="n.ipynb")
    assert "# Title\ntext" in result.text
    assert "````python\nprint('```')\n````" in result.text
    assert "SHOWN" not in result.text
    assert "secret" not in result.text


def test_what_is_no_notebook_stays_as_it_is() -> None:
    for text in ("{not json", "[]", '{"cells": 3}'):
        assert notebook_markdown(text) == text
    odd = {"cells": [{"cell_type": "code", "source": ["x"], "metadata": "hide"}], "metadata": {"kernelspec": []}}
    assert notebook_markdown(json.dumps(odd)) == "```python\nx\n```"


def test_an_address_of_a_page_names_repository_revision_and_path() -> None:
    assert split_repo("https://github.com/a/b/blob/v1/x/y%20z.py") == ("a/b", "v1", "x/y z.py")
    assert split_repo("https://github.com/a/b.git") == ("a/b", "", "")
    for wrong in ("", "name", "a/b/c", "../..//x", "a/b?x=1", "https://[x/a/b"):
        with pytest.raises(GitHubError, match="is no repository"):
            split_repo(wrong)


async def test_a_slow_answer_can_be_left(desk: Desk, github: StandInGitHub) -> None:
    github.delay_s = 5
    task = asyncio.create_task(desk.call("list_repos", owner="huggingface"))
    async with asyncio.timeout(10):
        while not github.web.asked:
            await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 0.3)

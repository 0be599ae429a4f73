from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ml_intern.core.tools.spec import ToolResult, ToolSpec
from ml_intern.services.docs import Docs, markdown_address, table_of_contents
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import HttpService
from ml_intern.services.search_index import SearchIndex
from ml_intern.tools.docs.api import create_find_api
from ml_intern.tools.docs.tools import create_docs_tools
from tests.support.tools import Bench, validated
from tests.support.web import WebServer, page

PAGES = {
    "index": ("TRL", "# TRL\n\nA library for post-training. You can upload models."),
    "sft_trainer": (
        "SFT Trainer",
        (
            "# SFT Trainer\n\nIntroduction.\n\n## SFTConfig[[trl.SFTConfig]]\n\nSet `max_length` and packing.\n\n"
            "## Saving\n\nUploading happens with push_to_hub."
        ),
    ),
    "dpo_trainer": ("DPO Trainer", "# DPO Trainer\n\nPreference tuning; unlike the SFT trainer it needs pairs."),
}
API: dict[str, Any] = {
    "openapi": "3.1.0",
    "servers": [{"url": "https://huggingface.co"}],
    "tags": [{"name": "repo"}],
    "components": {
        "parameters": {"Repo": {"name": "repo", "in": "path", "required": True, "schema": {"type": "string"}}},
        "schemas": {
            "NewRepo": {
                "type": "object", "required": ["name", "kind"],
                "properties": {
                    "name": {"type": "string", "example": "mia/x"}, "kind": {"$ref": "#/components/schemas/Kind"},
                    "private": {"type": "boolean"},
                },
            },
            "Kind": {"enum": ["model", "dataset"]},
            "Loop": {"type": "object", "properties": {"again": {"$ref": "#/components/schemas/Loop"}}},
        },
    },
    "paths": {
        "/api/models/{repo}/tree": {
            "parameters": [{"$ref": "#/components/parameters/Repo"}],
            "get": {
                "summary": "List files", "tags": ["repos"], "operationId": "listFiles",
                "parameters": [{"name": "recursive", "in": "query", "required": True, "schema": {"type": "boolean"}}],
                "responses": {"200": {"description": "The files"}},
            },
        },
        "/api/repos/create": {
            "post": {
                "summary": "Create a repository", "tags": ["repo"],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewRepo"}}}},
                "responses": {
                    "200": {"description": "Made", "content": {"application/json": {"schema": {
                        "$ref": "#/components/schemas/Loop"}}}},
                },
            }
        },
    },
}  # fmt: skip


class Library:
    """The documentation of one library on a server, some pages of which may fail."""

    def __init__(self, web: WebServer, name: str = "trl", pages: dict[str, tuple[str, str]] | None = None) -> None:
        self.web, self.name, self.pages = web, name, dict(PAGES if pages is None else pages)
        self.broken: set[str] = set()
        web.handlers[f"/docs/{name}"] = self._contents
        web.handlers[f"/docs/{name}/*"] = self._page

    async def _contents(self, request: Request) -> Response:
        links = "".join(f'<a href="/docs/{self.name}/{slug}">{title}</a>' for slug, (title, _) in self.pages.items())
        return Response(
            f'<nav class="top"><a href="/x">no</a></nav><nav class="flex-auto"><div>Guides</div>{links}'
            f'<a href="https://evil.example/docs/x">away</a>'
            f'<a href="/docs/{self.name}/{next(iter(self.pages))}#part">again</a></nav>',
            media_type="text/html",
        )

    async def _page(self, request: Request) -> Response:
        await asyncio.sleep(0.005)  # long enough for others to come in meanwhile
        slug = request.url.path.rsplit("/", 1)[1].removesuffix(".md")
        if slug in self.broken or slug not in self.pages or not request.url.path.endswith(".md"):
            return Response("broken", 404)
        return Response(self.pages[slug][1], media_type="text/markdown")


class Desk:
    """The tools over one index; another desk at the same place is the next start of the program."""

    def __init__(self, place: Path, web: WebServer, **env: str) -> None:
        self.http = HttpService(place / "cache", backoff_s=0.01)
        self.index = SearchIndex(place / "search.db")
        endpoints = Endpoints({"HF_ENDPOINT": web.url, "GRADIO_DOCS_URL": web.url, "GRADIO_SEARCH_URL": web.url, **env})
        self.endpoints, self.docs = endpoints, Docs(self.http, endpoints, self.index)
        specs = [
            *create_docs_tools(self.http, endpoints, lambda: self.docs),
            create_find_api(self.http, endpoints, lambda: self.index),
        ]
        self.specs: dict[str, ToolSpec] = {spec.name: spec for spec in specs}
        self.bench = Bench.at(place)

    async def explore(self, endpoint: str = "trl", **arguments: object) -> ToolResult:
        return await self.bench.run(self.specs["explore_hf_docs"], endpoint=endpoint, **arguments)

    async def fetch(self, url: str, **arguments: object) -> ToolResult:
        return await self.bench.run(self.specs["fetch_hf_docs"], url=url, **arguments)

    async def api(self, **arguments: object) -> ToolResult:
        return await self.bench.run(self.specs["find_hf_api"], **arguments)

    async def aclose(self) -> None:
        await self.http.aclose()
        self.index.close()


@pytest.fixture
def web() -> Iterator[WebServer]:
    with WebServer() as server:
        yield server


@pytest.fixture
async def desk(tmp_path: Path, web: WebServer) -> AsyncIterator[Desk]:
    made = Desk(tmp_path / "desk", web)
    yield made
    await made.aclose()


def titles(result: ToolResult) -> list[str]:
    return re.findall(r"^\d+\. (.*)$", result.text, re.MULTILINE)


# -------------------------------------------------------------------------------------------------------- explore


async def test_without_a_query_the_table_of_contents_comes_in_order_with_a_glimpse(desk: Desk, web: WebServer) -> None:
    library = Library(web)
    library.pages["index"] = ("TRL", f"# TRL\n\nA library for post-training. {'word ' * 60} the end.")
    result = await desk.explore()
    assert result.ok
    assert "the end" not in result.text
    assert titles(result) == ["Guides › TRL", "Guides › SFT Trainer", "Guides › DPO Trainer"]
    assert "A library for post-training" in result.text
    assert web.paths()[0] == "/docs/trl"
    assert "evil" not in result.text


async def test_a_title_counts_more_than_a_mention_and_words_are_stemmed(desk: Desk, web: WebServer) -> None:
    library = Library(web)
    library.pages["faq"] = ("Questions", f"# Questions\n\n{'Which SFT trainer? The SFT trainer. ' * 5}")
    found = titles(await desk.explore(query="SFT trainer"))
    assert found[0].startswith("Guides › SFT Trainer")
    assert any("Questions" in title for title in found)
    stemmed = await desk.explore(query="upload")
    assert any("SFT Trainer › Saving" in title for title in titles(stemmed))
    assert "Uploading happens" in stemmed.text


@pytest.mark.parametrize(
    "query", ["config", "SFTConfig", "trl.SFTConfig", "max length", 'sft( AND "config', "max_length*"]
)
async def test_names_are_found_by_their_parts_and_nothing_is_syntax(query: str, desk: Desk, web: WebServer) -> None:
    Library(web)
    assert titles(await desk.explore(query=query))[0] == "Guides › SFT Trainer › SFTConfig"


async def test_nothing_found_brings_the_first_pages_and_says_so(desk: Desk, web: WebServer) -> None:
    Library(web)
    result = await desk.explore(query="zyzzyva")
    assert result.ok
    assert "Nothing fits 'zyzzyva'" in result.text
    assert len(titles(result)) == 3


async def test_more_than_fifty_results_are_not_shown(desk: Desk, web: WebServer) -> None:
    Library(web, pages={f"p{number}": (f"Page {number}", "text") for number in range(60)})
    result = await desk.explore(max_results="100")
    assert (len(titles(result)), len(titles(await desk.explore()))) == (50, 20)
    assert "50 results are the most" in result.text


@pytest.mark.parametrize("wrong", [0, -1, "abc"])
def test_a_senseless_number_of_results_is_refused(wrong: object, tmp_path: Path, web: WebServer) -> None:
    desk = Desk(tmp_path / "x", web)
    with pytest.raises(ValueError, match="max_results"):
        validated(desk.specs["explore_hf_docs"], {"endpoint": "trl", "max_results": wrong})


async def test_a_library_is_fetched_once_and_stays_for_the_next_start(tmp_path: Path, web: WebServer) -> None:
    Library(web)
    first = Desk(tmp_path / "desk", web)
    await asyncio.gather(first.explore(), first.explore(query="sft"))
    await first.explore(query="dpo")
    await first.aclose()
    asked = len(web.asked)
    assert asked == 1 + len(PAGES)
    later = Desk.__new__(Desk)
    later.http, later.index = HttpService(tmp_path / "other"), SearchIndex(tmp_path / "desk" / "search.db")
    later.docs = Docs(later.http, first.endpoints, later.index)
    later.specs = {spec.name: spec for spec in create_docs_tools(later.http, first.endpoints, lambda: later.docs)}
    later.bench = first.bench
    assert titles(await later.explore(query="sft trainer"))[0].startswith("Guides › SFT Trainer")
    await later.aclose()
    assert len(web.asked) == asked


async def test_a_page_that_failed_is_tried_again(desk: Desk, web: WebServer) -> None:
    library = Library(web)
    library.broken.add("dpo_trainer")
    first = await desk.explore()
    assert "1 of 3 pages could not be fetched" in first.text
    library.broken.clear()
    again = await desk.explore(query="preference")
    assert titles(again) == ["Guides › DPO Trainer › DPO Trainer"]
    assert "could not be fetched" not in again.text


async def test_few_pages_are_fetched_at_the_same_time_and_other_questions_come_through(
    desk: Desk, web: WebServer
) -> None:
    Library(web, pages={f"p{number}": (f"Page {number}", "text") for number in range(60)})
    answer, held = web.handlers["/docs/trl/*"], asyncio.Event()

    async def hold(request: Request) -> Response:
        while not held.is_set():
            await asyncio.sleep(0.005)
        return await answer(request)

    web.handlers["/docs/trl/*"] = hold
    web.handlers["/docs/other/*"] = page("meanwhile", kind="text/markdown")
    crawl = asyncio.create_task(desk.explore())
    while web.busiest < 6:
        await asyncio.sleep(0.005)
    assert "meanwhile" in (await asyncio.wait_for(desk.fetch(f"{web.url}/docs/other/page"), 10)).text
    held.set()
    await crawl
    assert web.busiest <= 7
    assert "trl: 60 of 60 pages" in desk.bench.log_lines


async def test_without_a_network_a_kept_library_still_answers(tmp_path: Path) -> None:
    with WebServer() as web:
        Library(web)
        first = Desk(tmp_path / "desk", web)
        await first.explore()
        await first.aclose()
    clock = 10.0**10
    http, index = HttpService(tmp_path / "cache", backoff_s=0.01), SearchIndex(tmp_path / "desk" / "search.db")
    docs = Docs(http, first.endpoints, index, clock=lambda: clock)
    explore, fetch = create_docs_tools(http, first.endpoints, lambda: docs)
    first.bench.logged.clear()
    result = await first.bench.run(explore, endpoint="trl", query="sft trainer")
    assert result.ok
    assert not [line for line in first.bench.log_lines if "of 3 pages" in line]  # none is asked for in vain
    assert "kept copy" in result.text
    assert titles(result)[0].startswith("Guides › SFT Trainer")
    assert "Preference tuning" in (await first.bench.run(fetch, url=f"{web.url}/docs/trl/dpo_trainer")).text
    await http.aclose()
    index.close()


async def test_a_library_that_does_not_exist_brings_near_names(desk: Desk) -> None:
    result = await desk.explore("transformer")
    assert not result.ok
    assert "answered 404" in result.text
    assert "Did you mean" in result.text
    assert "transformers" in result.text
    assert not (await desk.explore("../../etc")).ok


async def test_a_collection_of_libraries_survives_the_loss_of_one(desk: Desk, web: WebServer) -> None:
    Library(web, "optimum", {"index": ("Optimum", "Faster models")})
    Library(web, "optimum-tpu", {"index": ("TPU", "Run on TPUs")})
    result = await desk.explore("optimum", query="tpu")
    assert result.ok
    assert titles(result) == ["Guides › TPU"]
    assert "optimum-intel is missing" in result.text


async def test_the_token_goes_along_to_hugging_face_only(tmp_path: Path, web: WebServer) -> None:
    Library(web)
    desk = Desk(tmp_path / "desk", web, HF_TOKEN="hf_secret")
    await desk.explore()
    assert {item.headers.get("authorization") for item in web.asked} == {"Bearer hf_secret"}
    asked = len(web.asked)
    with WebServer({"/docs/trl/x.md": page("x")}) as other:
        result = await desk.fetch(f"{other.url}/docs/trl/x")
        assert not result.ok
        assert "web_fetch" in result.text
        assert other.asked == []
    assert len(web.asked) == asked
    await desk.aclose()


async def test_gradio_is_searched_where_its_documentation_is(desk: Desk, web: WebServer) -> None:
    async def found(request: Request) -> Response:
        return JSONResponse({"SYS_PROMPT": f"About {(await request.json())['prompt_to_embed']}"})

    web.handlers |= {"/api/prompt": found, "/llms.txt": page("# Gradio\n" + "x" * 50_000, kind="text/plain")}
    assert "About blocks" in (await desk.explore("gradio", query="blocks")).text
    whole = await desk.explore("gradio")
    assert len(whole.text) < 21_000
    assert f"web_fetch reads on: url={web.url}/llms.txt, offset=20000.]" in whole.text


# ---------------------------------------------------------------------------------------------------------- fetch


@pytest.mark.parametrize("form", ["{}", "{}.md", "{}.html", "{}/", "{}?x=1"])
async def test_a_page_is_read_whatever_the_form_of_its_address(form: str, desk: Desk, web: WebServer) -> None:
    Library(web)
    result = await desk.fetch(form.format(f"{web.url}/docs/trl/dpo_trainer"))
    assert result.ok
    assert "Preference tuning" in result.text
    assert web.paths() == ["/docs/trl/dpo_trainer.md"]


async def test_an_anchor_begins_at_its_heading(desk: Desk, web: WebServer) -> None:
    Library(web)
    for anchor, first in (("trl.SFTConfig", "## SFTConfig"), ("saving", "## Saving")):
        text = (await desk.fetch(f"{web.url}/docs/trl/sft_trainer#{anchor}")).text
        assert text.partition("\n\n")[2].startswith(first)


async def test_a_page_of_two_megabytes_comes_in_parts(desk: Desk, web: WebServer) -> None:
    Library(web, pages={"long": ("Long", "# Long\n" + "words and more\n" * 140_000)})
    result = await desk.fetch(f"{web.url}/docs/trl/long")
    assert len(result.text) < 13_000
    assert "2,100,0" in result.text
    assert "go on with offset=12000" in result.text
    await desk.fetch(f"{web.url}/docs/trl/long", offset=12_000)
    assert web.paths() == ["/docs/trl/long.md"]


def test_addresses_of_markdown_are_made_once() -> None:
    assert markdown_address("https://x.org/docs/a/b?v=1") == "https://x.org/docs/a/b.md?v=1"
    assert markdown_address("https://x.org/docs/a/b.md") == "https://x.org/docs/a/b.md"


def test_markup_without_contents_has_none() -> None:
    for markup in ("", "<html></html>", "<nav class='flex-auto'></nav>", "\0"):
        assert table_of_contents(markup, "https://x.org") == []


# ------------------------------------------------------------------------------------------------------------ API


async def test_an_operation_is_found_with_its_parameters_and_a_command_that_works(desk: Desk, web: WebServer) -> None:
    async def document(request: Request) -> Response:
        return JSONResponse(API)

    web.handlers["/.well-known/openapi.json"] = document
    files = (await desk.api(query="list the files")).text
    assert "GET /api/models/{repo}/tree" in files
    assert "- repo (path, string, required)" in files
    assert '-H "Authorization: Bearer $HF_TOKEN"' in files
    assert "'https://huggingface.co/api/models/<repo>/tree?recursive=<recursive>'" in files
    made = (await desk.api(query="create repository")).text
    assert '"kind": "one of model, dataset"' in made
    assert """-d '{"name": "mia/x", "kind": "model"}'""" in made
    assert len(web.asked) == 1


async def test_a_tag_is_exact_and_alone_lists_all_that_have_it(desk: Desk, web: WebServer) -> None:
    async def document(request: Request) -> Response:
        return JSONResponse(API)

    web.handlers["/.well-known/openapi.json"] = document
    only = (await desk.api(tag="repo")).text
    assert "POST /api/repos/create" in only
    assert "tree" not in only
    assert "these are all operations with it" in (await desk.api(query="zyzzyva", tag="repo")).text
    wrong = await desk.api(tag="rep")
    assert wrong.text == "ERROR: There is no tag 'rep'. Tags: repo, repos."
    assert not (await desk.api(query=None, tag=None)).ok
    assert "No operation" in (await desk.api(query="zyzzyva")).text


async def test_a_tag_picks_an_operation_out_however_many_others_fit_better(desk: Desk, web: WebServer) -> None:
    better = {f"/api/better/{n}": {"get": {"summary": "Create create create", "tags": ["repos"]}} for n in range(200)}

    async def document(request: Request) -> Response:
        return JSONResponse({**API, "paths": {**API["paths"], **better}})

    web.handlers["/.well-known/openapi.json"] = document
    assert "1 of 1 operations:\n\nPOST /api/repos/create" in (await desk.api(query="create", tag="repo")).text


async def test_a_description_that_is_missing_at_first_is_read_later(desk: Desk, web: WebServer) -> None:
    first = await desk.api(query="files")
    assert not first.ok
    assert "cannot be had now" in first.text

    async def document(request: Request) -> Response:
        return JSONResponse(API)

    web.handlers["/.well-known/openapi.json"] = document
    assert (await desk.api(query="files")).ok


# ---------------------------------------------------------------------------------------------------------- index


async def test_a_damaged_index_is_begun_anew(tmp_path: Path, web: WebServer) -> None:
    Library(web)
    (tmp_path / "desk").mkdir()
    (tmp_path / "desk" / "search.db").write_bytes(b"no database" * 500)
    desk = Desk(tmp_path / "desk", web)
    assert (await desk.explore(query="sft")).ok
    assert (tmp_path / "desk" / "search.damaged").exists()
    await desk.aclose()

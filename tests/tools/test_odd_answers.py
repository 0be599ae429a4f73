from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.tools.spec import ToolResult, ToolSpec
from ml_intern.services.datasets_server import DatasetsServer
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import HttpService
from ml_intern.services.openapi import described, described_api
from ml_intern.services.paper_edges import best_edges
from ml_intern.services.workers import Threads
from ml_intern.tools.datasets import sample
from ml_intern.tools.datasets.features import columns
from ml_intern.tools.datasets.inspector import Inspector
from ml_intern.tools.datasets.tool import create_inspect_dataset
from ml_intern.tools.github.tools import create_github_tools
from ml_intern.tools.papers import wording
from ml_intern.tools.papers.tool import create_papers_tool
from tests.support.tools import Bench
from tests.support.web import WebServer, page

ODD: tuple[Any, ...] = (None, 7, "words", [7], {"words": 7})

SCHOLAR = {"title": "T", "externalIds": {"ArXiv": "2401.00001"}, "year": 2024, "citationCount": 5, "venue": "V",
           "tldr": {"text": "short"}, "publicationDate": "2024-01-01"}  # fmt: skip
EDGE = {"citedPaper": SCHOLAR, "isInfluential": True, "intents": ["method"], "contexts": ["as in"]}
PAPER = {"id": "2401.00001", "title": "T", "summary": "S", "upvotes": 3, "ai_keywords": ["dpo"], "githubStars": 5,
         "githubRepo": "https://github.com/a/b", "authors": [{"name": "A"}], "numTotalModels": 3,
         "linkedModels": [{"id": "a/b"}], "publishedAt": "2024-01-01T00"}  # fmt: skip
MODEL = {"id": "a/b", "downloads": 3, "likes": 1, "tags": ["x"], "pipeline_tag": "t", "description": "D"}
COLLECTION = {"title": "T", "slug": "s", "owner": {"name": "o"}, "items": [1], "upvotes": 3}
LABELS = {"column_name": "label", "column_type": "class_label",
          "column_statistics": {"nan_count": 0, "nan_proportion": 0.0, "frequencies": {"a": 3, "b": 5}}}  # fmt: skip
LENGTHS = {"column_name": "text", "column_type": "string_text",
           "column_statistics": {"nan_count": 1, "min": 1, "max": 5, "mean": 2.5, "median": 2.0, "empty_count": 2,
                                 "histogram": {"hist": [1, 2], "bin_edges": [1, 3, 5]}}}  # fmt: skip
FEATURES = [{"name": "label", "type": {"_type": "ClassLabel", "names": ["a", "b"]}},
            {"name": "box", "type": {"_type": "Array2D", "shape": [2, 3], "dtype": "int"}},
            {"name": "chat", "type": [{"role": {"_type": "Value", "dtype": "string"}}]}]  # fmt: skip
API = {
    "openapi": "3.1.0", "servers": [{"url": "https://huggingface.co"}],
    "paths": {"/a/{p}": {"parameters": [{"name": "p", "in": "path", "schema": {"type": "string", "enum": ["x"]}}],
      "post": {"tags": ["t"], "summary": "s", "responses": {"200": {"description": "ok", "content": {
        "application/json": {"schema": {"type": "array", "items": {"type": "string"}}}}}},
        "requestBody": {"content": {"application/json": {"schema": {
          "type": "object", "required": ["a"], "properties": {"a": {"oneOf": [{"type": "string"}]}}}}}}}}},
}  # fmt: skip


def with_one_odd_part(whole: Any) -> Iterator[Any]:
    """Copies of an answer, in each of which one part is of a kind that it should not be."""

    def places(part: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        for key, value in inner:
            yield (*path, key)
            yield from places(value, (*path, key))

    for *way, last in places(whole, ()):
        for odd in ODD:
            part = made = copy.deepcopy(whole)
            for key in way:
                part = part[key]
            part[last] = odd
            yield made


def best(edge: Any) -> list[dict[str, Any]]:
    return best_edges(json.dumps({"data": [edge, EDGE]}).encode(), "references", 0, 9).shown


def _api(document: Any) -> None:
    found, base = described_api(json.dumps(document).encode())
    for operation in found:
        described(operation, base)


@pytest.mark.parametrize(
    ("told", "answer"),
    [
        (lambda item: wording.hub_paper(1, item), {"paper": PAPER}),
        (lambda item: wording.details(item, "https://hub", "https://arxiv"), PAPER),
        (lambda item: wording.scholar_paper(1, item), SCHOLAR),
        (lambda item: [wording.citation(1, edge, "citedPaper") for edge in best(item)], EDGE),
        (lambda item: wording.resource(1, "models", item, "https://hub"), MODEL),
        (lambda item: wording.resource(1, "collections", item, "https://hub"), COLLECTION),
        (lambda item: (sample.statistics_line(item), sample.histogram(item)), LABELS),
        (lambda item: (sample.statistics_line(item), sample.histogram(item)), LENGTHS),
        (lambda features: columns(features), FEATURES),
    ],
    ids=["paper", "details", "scholar", "citation", "model", "collection", "labels", "lengths", "features"],
)  # fmt: skip
def test_an_odd_part_of_an_answer_breaks_nothing(told: Callable[[Any], Any], answer: Any) -> None:
    assert told(answer)
    for odd in with_one_odd_part(answer):
        told(odd)


def test_an_odd_part_of_an_api_costs_its_operation_at_most() -> None:
    for odd in with_one_odd_part(API):
        if isinstance(odd.get("paths"), dict):
            _api(odd)
        else:
            with pytest.raises(ValueError, match="names no paths"):
                _api(odd)


@pytest.fixture
def web() -> Iterator[WebServer]:
    with WebServer() as server:
        yield server


def tools(http: HttpService, web: WebServer) -> dict[str, ToolSpec]:
    services = ("HF_ENDPOINT", "HF_DATASETS_SERVER_URL", "GITHUB_API_URL", "SEMANTIC_SCHOLAR_API_URL")
    endpoints = Endpoints(dict.fromkeys((*services, "ARXIV_BASE_URL", "AR5IV_BASE_URL"), web.url))
    inspector = Inspector(DatasetsServer(http, endpoints), Threads())
    made = [create_papers_tool(http, endpoints), *create_github_tools(http, endpoints)]
    return {spec.name: spec for spec in (*made, create_inspect_dataset(lambda: inspector))}


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("hf_papers", {"operation": "trending"}),
    ("hf_papers", {"operation": "search", "query": "x"}),
    ("hf_papers", {"operation": "snippet_search", "query": "x"}),
    ("hf_papers", {"operation": "paper_details", "arxiv_id": "2401.00001"}),
    ("hf_papers", {"operation": "read_paper", "arxiv_id": "2401.00001"}),
    ("hf_papers", {"operation": "citation_graph", "arxiv_id": "2401.00001"}),
    ("hf_papers", {"operation": "recommend", "arxiv_id": "2401.00001"}),
    ("hf_papers", {"operation": "find_all_resources", "arxiv_id": "2401.00001"}),
    ("hf_inspect_dataset", {"dataset": "mia/notes"}),
    ("github_find_examples", {"repo": "a/b"}),
    ("github_list_repos", {"owner": "a"}),
    ("github_read_file", {"repo": "a/b", "path": "x"}),
]


@pytest.mark.parametrize("odd", ["null", "7", '"words"'])
async def test_an_answer_that_is_none_is_a_failure_in_words(odd: str, web: WebServer, tmp_path: Path) -> None:
    web.handlers["/*"] = page(odd, kind="application/json")
    http, bench = HttpService(tmp_path / "cache", backoff_s=0.01), Bench.at(tmp_path)
    specs = tools(http, web)
    for name, arguments in CALLS:
        result: ToolResult = await bench.run(specs[name], **arguments)
        assert not result.ok, (name, arguments, result.text)
        assert "object has no attribute" not in result.text
    await http.aclose()


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        ({"failed": [{"config": "en", "error": {"error": "The file is damaged."}}]}, "into: The file is damaged. See"),
        ({"pending": [{"config": "en"}]}, "the viewer has not worked it out yet; ask again in a minute"),
        ({}, "it has no splits"),
    ],
)
async def test_why_the_viewer_has_no_splits_is_told(
    splits: dict[str, Any], said: str, web: WebServer, tmp_path: Path
) -> None:
    web.handlers["/*"] = page("{}", kind="application/json")
    web.handlers["/splits"] = page(json.dumps({"splits": [], **splits}), kind="application/json")
    web.handlers["/is-valid"] = page('{"viewer": true}', kind="application/json")
    http = HttpService(tmp_path / "cache", backoff_s=0.01)
    result = await Bench.at(tmp_path).run(tools(http, web)["hf_inspect_dataset"], dataset="mia/notes")
    assert not result.ok
    assert said in result.text
    await http.aclose()

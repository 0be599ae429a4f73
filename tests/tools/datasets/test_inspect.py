from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ml_intern.core.display import DatasetBlock
from ml_intern.core.tools.spec import ToolResult
from ml_intern.services.datasets_server import DatasetsServer
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import HttpService
from ml_intern.services.workers import Threads
from ml_intern.tools.datasets.features import cell, kind_of
from ml_intern.tools.datasets.inspector import Inspector
from ml_intern.tools.datasets.sample import bars
from ml_intern.tools.datasets.tool import create_inspect_dataset
from ml_intern.tools.known_datasets import KnownDatasets
from tests.support.tools import Bench, validated
from tests.support.web import WebServer

STRING = {"dtype": "string", "_type": "Value"}
CHAT = [{"role": STRING, "content": STRING}]


class Viewer:
    """The viewer's API and the Hub's card over one described data set."""

    def __init__(self, web: WebServer) -> None:
        self.web = web
        self.splits = [("default", "train", 1000), ("default", "test", 100)]
        self.features: dict[str, Any] = {"text": STRING, "label": {"_type": "ClassLabel", "names": ["neg", "pos"]}}
        self.rows: list[dict[str, Any]] = [{"text": f"text {n}", "label": n % 2} for n in range(20)]
        self.statistics: list[dict[str, Any]] = []
        self.card: dict[str, Any] = {
            "id": "mia/notes",
            "gated": False,
            "downloads": 1234,
            "tags": ["license:mit"],
            "lastModified": "2026-01-02T00",
        }
        self.valid: dict[str, Any] = {"viewer": True, "preview": True, "statistics": True, "search": False}
        self.partial = False
        self.failing: dict[str, tuple[int, str, str]] = {}
        web.handlers["/*"] = self._answer

    async def _answer(self, request: Request) -> Response:
        path = request.url.path.strip("/")
        name = "card" if path.startswith("api/datasets/") else path
        if name in self.failing:
            status, code, reason = self.failing[name]
            return JSONResponse({"error": reason}, status, headers={"X-Error-Code": code})
        return JSONResponse(self._body(name, request.query_params))

    def _body(self, name: str, asked: Mapping[str, str]) -> dict[str, Any]:
        match name:
            case "card":
                return self.card
            case "is-valid":
                return self.valid
            case "splits":
                return {"splits": [{"config": config, "split": split} for config, split, _ in self.splits]}
            case "size":
                sizes = [
                    {"config": config, "split": split, "num_rows": rows, "num_bytes_parquet_files": rows * 100}
                    for config, split, rows in self.splits
                ]
                return {"size": {"splits": sizes}, "partial": self.partial}
            case "first-rows":
                features = [{"name": column, "type": feature} for column, feature in self.features.items()]
                return {"features": features, "rows": [{"row": row, "truncated_cells": []} for row in self.rows]}
            case "statistics":
                return {"statistics": self.statistics, "partial": self.partial}
            case "info":
                return {"dataset_info": {"features": self.features}}
            case "parquet":
                return {"parquet_files": [{"config": asked.get("config"), "size": 1_500_000}]}
        raise AssertionError(name)


class Desk:
    """The tool in one session."""

    def __init__(self, place: Path, web: WebServer) -> None:
        env = {"HF_ENDPOINT": web.url, "HF_DATASETS_SERVER_URL": web.url, "HF_TOKEN": "hf_secret"}
        self.http = HttpService(place / "cache", backoff_s=0.01)
        self.inspector = Inspector(DatasetsServer(self.http, Endpoints(env)), Threads())
        self.tool = create_inspect_dataset(lambda: self.inspector)
        self.bench = Bench.at(place)

    async def __call__(self, **arguments: object) -> ToolResult:
        return await self.bench.run(self.tool, **{"dataset": "mia/notes", **arguments})


@pytest.fixture
def viewer() -> Iterator[Viewer]:
    with WebServer() as web:
        yield Viewer(web)


@pytest.fixture
async def inspect(tmp_path: Path, viewer: Viewer) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path, viewer.web)
    yield desk
    await desk.http.aclose()


# ------------------------------------------------------------------------------------------------------- the account


async def test_splits_rows_sizes_licence_and_columns_are_told(inspect: Desk, viewer: Viewer) -> None:
    viewer.statistics = [
        {"column_name": "text", "column_type": "string_text", "column_statistics": {
            "nan_count": 10, "nan_proportion": 0.01, "min": 3, "max": 900, "mean": 120.55, "median": 90,
            "histogram": {"hist": [1, 8, 0, 4], "bin_edges": [0, 1, 2, 3, 4]}}},
        {"column_name": "label", "column_type": "class_label", "column_statistics": {
            "nan_count": 0, "nan_proportion": 0, "frequencies": {"neg": 750, "pos": 250}}},
    ]  # fmt: skip
    result = await inspect()
    assert result.ok
    text = result.text
    assert (
        "licence mit · not gated · 1,234 downloads · changed 2026-01-02 · viewer: viewer, preview, statistics" in text
    )
    assert "- default/train: 1,000 rows, 100.0 KB (looked into)\n- default/test: 100 rows, 10.0 KB" in text
    assert "- text: string  [10 missing (1.0 %); 3 to 900 characters, mean 120.5, median 90; |▂█ ▅|]" in text
    assert "- label: label (neg, pos)  [none missing; neg 75 %, pos 25 %]" in text
    assert "classification: fits (label is a class, text is text)" in text
    assert "DPO: does not fit (needs chosen and rejected (and prompt))" in text
    assert "Parquet: 1 files, 1.5 MB" in text
    assert "- label: 1 (pos)" in text


async def test_rows_are_shown_with_short_cells(inspect: Desk, viewer: Viewer) -> None:
    viewer.rows[0]["text"] = "long " * 100
    result = await inspect(sample_rows=50)
    assert result.text.count("Row ") == 10
    line = next(line for line in result.text.splitlines() if line.startswith("- text: long"))
    assert len(line) <= 8 + 150 + 2
    assert (await inspect(sample_rows=0)).text.count("Row ") == 0


async def test_a_person_gets_the_whole_of_it_to_look_at(inspect: Desk, viewer: Viewer) -> None:
    viewer.rows[0] = {"text": "two\nlines", "label": None}
    viewer.rows[2]["label"], viewer.rows[3]["label"] = -1, 7  # as test sets have them whose labels are kept secret
    viewer.rows[1] = {"text": "x" * 50_000, "label": 1}
    viewer.statistics = [
        {"column_name": "text", "column_type": "string_text", "column_statistics": {
            "nan_count": 0, "min": 1, "max": 9, "mean": 5, "median": 5,
            "histogram": {"hist": [3, 0, 1], "bin_edges": [1, 4, 7, 9]}}},
        {"column_name": "label", "column_type": "class_label", "column_statistics": {
            "nan_count": 0, "frequencies": {"neg": 250, "pos": 750}}},
    ]  # fmt: skip
    (seen,) = (await inspect()).display
    assert isinstance(seen, DatasetBlock)
    assert (seen.name, seen.part, seen.row_count) == ("mia/notes", "default/train", 1000)
    assert seen.url == f"{viewer.web.url}/datasets/mia/notes"
    assert seen.splits == (("default/train", "1,000 rows", "100.0 KB"), ("default/test", "100 rows", "10.0 KB"))
    assert [(fit.method, fit.fits) for fit in seen.fits] == [
        ("SFT", True), ("DPO", False), ("GRPO", False), ("classification", True),
    ]  # fmt: skip
    text, label = seen.columns
    assert (text.kind, text.unit, text.counts, text.edges) == ("string", "characters", (3, 0, 1), (1, 4, 7, 9))
    assert (label.values, label.distinct) == ((("pos", 750), ("neg", 250)), 2)
    assert seen.rows[0] == ("two\nlines", None)
    assert [row[1] for row in seen.rows[1:5]] == ["1 (pos)", "-1 (no label)", "7", "0 (neg)"]
    assert (seen.rows[1][0] or "").endswith(" …[44,000 characters more]")
    assert len(seen.rows) == 20
    assert "In the first 20 rows: no row repeats" in seen.notes


async def test_repeated_rows_and_empty_cells_are_counted(inspect: Desk, viewer: Viewer) -> None:
    viewer.rows = [{"text": "same", "label": 1}] * 3 + [{"text": "", "label": 0}, {"text": None, "label": 0}]
    text = (await inspect()).text
    assert "In the first 5 rows: 2 repeat others" in text
    assert "- text: string  [2 of 5 looked at are empty]" in text


@pytest.mark.parametrize(
    "feature", [CHAT, {"_type": "List", "feature": CHAT[0]}, {"_type": "Sequence", "feature": CHAT[0]}]
)
async def test_chats_are_understood_however_they_are_described(feature: Any, inspect: Desk, viewer: Viewer) -> None:
    viewer.features = {"messages": feature}
    call = [{"function": {"name": "f"}}]
    viewer.rows = [
        {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "", "tool_calls": call}]},
        {"messages": [{"role": "user", "content": ""}]},
    ]
    text = (await inspect()).text
    assert "- messages: list of {role: string, content: string}" in text
    assert "messages: 2 chats of 1 to 2 messages; user 2, assistant 1" in text
    assert "messages: 1 messages say nothing" in text
    assert "messages: messages also have tool_calls" in text
    assert "SFT: fits (messages with role and content; but the assistant says nothing in 1 of 2 rows" in text
    assert "GRPO: fits after a change (rename messages to prompt)" in text


async def test_what_a_session_knows_of_a_data_set_is_kept_for_its_jobs(inspect: Desk) -> None:
    await inspect()
    known = inspect.bench.state.get(KnownDatasets).find("mia/notes")
    assert known is not None
    assert (known.columns, known.rows) == (frozenset({"text", "label"}), 1000)


# ---------------------------------------------------------------------------------------------- which config and split


async def test_a_config_without_a_split_gets_its_own_split(inspect: Desk, viewer: Viewer) -> None:
    viewer.splits = [("a", "train", 1), ("b", "test", 2)]
    assert "- b/test: 2 rows, 200 B (looked into)" in (await inspect(config="b")).text
    assert [item.query for item in viewer.web.asked if item.path == "/first-rows"] == [
        "dataset=mia%2Fnotes&config=b&split=test"
    ]
    assert "a/train: 1 rows, 100 B (looked into)" in (await inspect()).text


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"config": "c"}, "no config 'c'; its configs: default"),
        ({"split": "dev"}, "no split 'dev'; its splits: train, test"),
    ],
)
async def test_a_config_or_split_that_is_not_there_is_refused(wrong: dict[str, str], said: str, inspect: Desk) -> None:
    result = await inspect(**wrong)
    assert not result.ok
    assert said in result.text


# ----------------------------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("status", "reason", "said"),
    [
        (404, "The dataset does not exist.", "Check the name with hub_search"),
        (401, "The dataset does not exist, or is not accessible without authentication.", "ask for access at"),
        (403, "The dataset is gated.", "ask for access at"),
        (501, "The dataset viewer is disabled.", "still being worked on"),
        (500, "DatasetGenerationError: bad file", "bad file"),
    ],
)
async def test_a_data_set_that_cannot_be_seen_is_a_failure_with_the_reason(
    status: int, reason: str, said: str, inspect: Desk, viewer: Viewer
) -> None:
    for path in ("splits", "is-valid", "size"):
        viewer.failing[path] = (status, "SomeCode", reason)
    result = await inspect()
    assert not result.ok
    assert reason.rstrip(".") in result.text
    assert said in result.text


async def test_a_data_set_that_the_viewer_calls_invalid_is_a_failure(inspect: Desk, viewer: Viewer) -> None:
    viewer.valid = {"viewer": False, "preview": False}
    assert not (await inspect()).ok


async def test_what_is_not_ready_is_named_and_the_rest_is_told(inspect: Desk, viewer: Viewer) -> None:
    viewer.failing["statistics"] = (500, "ResponseNotReady", "The server is busier than usual.")
    viewer.failing["card"] = (503, "", "down")
    result = await inspect()
    assert result.ok
    assert "Missing here, its statistics: are still being worked out" in result.text
    assert "licence and gating could not be found out" in result.text
    assert "- text: string" in result.text


async def test_a_data_set_that_was_looked_at_in_part_says_so(inspect: Desk, viewer: Viewer) -> None:
    assert "part of" not in (await inspect()).text
    viewer.partial = True
    result = await inspect(dataset="mia/longer")
    assert "The data set is too large for the viewer: it has counted and looked at a part of it." in result.text
    assert "The statistics cover only a part of the split." in result.text


async def test_columns_come_from_the_description_when_no_rows_can_be_had(inspect: Desk, viewer: Viewer) -> None:
    viewer.failing["first-rows"] = (500, "StreamingRowsError", "cannot stream")
    result = await inspect()
    assert "- label: label (neg, pos)" in result.text
    assert "Missing here, its rows: cannot stream" in result.text


async def test_where_no_columns_are_known_no_verdict_is_given(inspect: Desk, viewer: Viewer) -> None:
    viewer.failing |= {"first-rows": (500, "ResponseNotReady", ""), "info": (500, "ResponseNotReady", "")}
    result = await inspect()
    assert "Fits:\n- cannot be told, since its columns are not known" in result.text
    (shown,) = result.display
    assert isinstance(shown, DatasetBlock)
    assert shown.fits == ()


async def test_the_split_that_was_looked_into_is_told_of_first(inspect: Desk, viewer: Viewer) -> None:
    viewer.splits = [(f"c{number}", split, number) for number in range(300) for split in ("train", "test")]
    text = (await inspect(config="c250", split="test")).text
    assert "- c250/test: 250 rows, 25.0 KB (looked into)\n- c250/train: 250 rows" in text
    assert "- and 590 more of 600" in text


async def test_rows_of_thousands_of_columns_are_cut_like_their_list(inspect: Desk, viewer: Viewer) -> None:
    viewer.features = {f"c{number}": STRING for number in range(2000)}
    viewer.rows = [dict.fromkeys(viewer.features, "x")]
    text = (await inspect()).text
    assert "- c59: x" in text
    assert "- c60: x" not in text


async def test_the_token_is_shown_to_both_services(inspect: Desk, viewer: Viewer) -> None:
    await inspect()
    assert {item.headers.get("authorization") for item in viewer.web.asked} == {"Bearer hf_secret"}


async def test_the_list_of_files_of_a_data_set_is_not_asked_for(inspect: Desk, viewer: Viewer) -> None:
    await inspect()
    (card,) = (item.query for item in viewer.web.asked if item.path == "/api/datasets/mia/notes")
    assert card.split("&")[:3] == ["expand=cardData", "expand=downloads", "expand=gated"]
    assert "siblings" not in card


@pytest.mark.parametrize(
    "name", ["a/b/c", "https://elsewhere.org/a/b", "https://huggingface.co/mia/model", "a b", "..", "mia/..", "a//b"]
)
async def test_what_names_no_data_set_is_refused(name: str, inspect: Desk, viewer: Viewer) -> None:
    result = await inspect(dataset=name)
    assert "is neither a data set of the Hub (owner/name) nor a data file" in result.text
    assert viewer.web.asked == []


@pytest.mark.parametrize(
    "form", [" mia/notes ", "datasets/mia/notes", "https://huggingface.co/datasets/mia/notes/viewer/x"]
)
async def test_a_data_set_is_named_in_several_ways(form: str, inspect: Desk) -> None:
    assert (await inspect(dataset=form)).text.startswith("mia/notes  http")


@pytest.mark.parametrize("wrong", [{"dataset": ""}, {"dataset": "a", "sample_rows": "many"}])
def test_wrong_arguments_are_refused(wrong: dict[str, object], inspect: Desk) -> None:
    with pytest.raises(ValueError, match=r"dataset|sample_rows"):
        validated(inspect.tool, wrong)


def test_a_number_of_rows_may_be_left_out_in_every_way(inspect: Desk) -> None:
    shown = [
        validated(inspect.tool, {"dataset": "a", "sample_rows": value}).model_dump()["sample_rows"]
        for value in (None, "5", -3, 99)
    ]
    assert shown == [3, 5, 0, 10]


# -------------------------------------------------------------------------------------------------------------- types


def test_sound_and_pictures_are_named_and_their_signed_addresses_left_out() -> None:
    assert cell({"src": "https://x/y.jpg?token=a", "height": 10, "width": 20}) == "(media 20x10)"
    assert cell([{"src": "https://x/y.wav?token=a", "type": "audio/wav"}]) == "(media audio/wav)"
    assert cell([{"src": "https://x/y"}]) == cell({"src": "https://x/y"}) == "(media)"


@pytest.mark.parametrize(
    ("feature", "kind"),
    [
        ({"_type": "Value", "dtype": "int64"}, "int64"),
        ({"_type": "ClassLabel", "names": [str(n) for n in range(9)]}, "label (9 classes)"),
        ({"_type": "LargeList", "feature": {"_type": "Value", "dtype": "float32"}}, "list of float32"),
        ({"a": {"_type": "Value", "dtype": "bool"}, "b": [STRING]}, "{a: bool, b: list of string}"),
        ({"_type": "Image"}, "image"),
        ({"_type": "Array2D", "shape": [None, 3], "dtype": "uint8"}, "array ?×3 of uint8"),
        ([], "list"),
        (None, "None"),
    ],
)
def test_types_are_put_into_words(feature: Any, kind: str) -> None:
    assert kind_of(feature) == kind


def test_bars_keep_small_counts_visible_and_zeros_blank() -> None:
    assert bars([0, 1, 1000]) == " ▁█"
    assert bars([]) == bars([0, 0]) == ""

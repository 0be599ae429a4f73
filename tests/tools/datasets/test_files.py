from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.approvals.effects import Effect
from ml_intern.core.display import DatasetBlock
from ml_intern.core.tools.spec import ToolResult
from ml_intern.services.datasets_server import DatasetsServer
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import HttpService
from ml_intern.services.workers import Threads, Workers
from ml_intern.tools.datasets.inspector import Inspector, is_path, preview
from ml_intern.tools.datasets.local import look_into_file
from ml_intern.tools.datasets.reading import DataFileError
from ml_intern.tools.datasets.tool import create_inspect_dataset
from tests.support.tools import Bench


class Desk:
    """The tool in one session, over a workspace."""

    def __init__(self, place: Path) -> None:
        self.bench = Bench.at(place)
        self.http = HttpService(place / "cache")
        self.inspector = Inspector(DatasetsServer(self.http, Endpoints({})), Threads())
        self.tool = create_inspect_dataset(lambda: self.inspector)

    def write(self, name: str, text: str | bytes) -> None:
        path = self.bench.workspace / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    async def __call__(self, name: str, **arguments: Any) -> ToolResult:
        return await self.bench.run(self.tool, dataset=name, **arguments)

    async def block(self, name: str) -> DatasetBlock:
        (block,) = (await self(name)).display
        assert isinstance(block, DatasetBlock)
        return block


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path)
    yield made
    await made.http.aclose()


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


async def test_a_table_is_described_with_types_statistics_and_what_is_odd(desk: Desk) -> None:
    desk.write(
        "data/reviews.csv",
        'text,stars,mood,price\n"good, really",5,pos,1.5\nbad,1,neg,\nbad,1,neg,\n"two\nlines",4,pos,2e1\nfine,3,pos\n',
    )
    result = await desk("data/reviews.csv", sample_rows=1)
    assert result.ok
    text = result.text
    assert text.startswith("data/reviews.csv\nCSV · 102 B\n")
    assert "Splits:\n- file: 5 rows, 102 B" in text
    assert "- text: string  [none missing; 3 to 12 characters, mean 6.2, median 4; |" in text
    assert "- stars: int64  [none missing; 1 to 5, mean 2.8, median 3; |" in text
    assert "- mood: string  [none missing; pos 60 %, neg 40 %]" in text
    assert "- price: float64  [3 missing (60.0 %); 1.5 to 20, mean 10.75, median 10.75" in text
    assert "In the first 5 rows: 1 repeat others" in text
    assert "Row 1:\n- text: good, really\n- stars: 5" in text
    assert "SFT: fits (text)" in text
    assert "classification: fits after a change (mood is string: make it a class label)" in text
    assert "1 rows have more or fewer cells than there are columns." in text
    block = await desk.block("data/reviews.csv")
    assert block.rows[3] == ("two\nlines", "4", "pos", "20.0")
    assert block.rows[1] == ("bad", "1", "neg", None)
    assert [column.values for column in block.columns if column.name == "mood"] == [(("pos", 3), ("neg", 2))]
    assert block.row_count == 5


async def test_chats_in_json_lines_are_understood_and_bad_lines_are_counted(desk: Desk) -> None:
    chat = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}], "n": 1}
    more = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho", "weight": 1}]}
    desk.write("chats.jsonl", lines(chat, more) + "{broken\n\n" + lines(chat) + "[1, 2]\n")
    text = (await desk("chats.jsonl")).text
    assert "- messages: list of {role: string, content: string, weight: int64}" in text
    assert "SFT: fits (messages with role and content" in text
    assert "messages: 3 chats of 2 to 2 messages; user 3, assistant 3" in text
    assert "Line 3 is no JSON: Expecting property name" in text
    assert "- value: list of int64" in text
    assert "- n: int64  [2 missing (50.0 %)" in text


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("rows.json", json.dumps([{"a": 1, "b": "x"}, {"a": 2, "b": None}])),
        ("rows.json", json.dumps({"version": 1, "data": [{"a": 1, "b": "x"}, {"a": 2, "b": None}]})),
        ("rows.json", json.dumps({"a": [1, 2], "b": ["x", None]})),
        ("rows.json", lines({"a": 1, "b": "x"}, {"a": 2, "b": None})),
        ("rows.tsv", "a\tb\n1\tx\n2\t\n"),
        ("rows.csv", "\ufeffa;b\r\n1;x\r\n2;\r\n"),
        ("rows.csv", "a|b\n1|x\n2|NULL\n".encode("utf-16")),
        ("rows.jsonl.gz", gzip.compress(lines({"a": 1, "b": "x"}, {"a": 2, "b": None}).encode(), mtime=0)),
        ("rows.csv.gz", gzip.compress(b"a,b\n1,x\n2,\n", mtime=0)),
    ],
)
async def test_the_same_rows_come_out_of_every_kind_of_file(name: str, data: str | bytes, desk: Desk) -> None:
    desk.write(name, data)
    block = await desk.block(name)
    assert [(column.name, column.kind) for column in block.columns] == [("a", "int64"), ("b", "string")]
    assert block.rows == (("1", "x"), ("2", None))


async def test_odd_tables_are_read_as_well_as_they_can_be(desk: Desk) -> None:
    desk.write("latin.csv", "name\ngr\xfcn\n".encode("latin-1"))
    assert "it was read as Latin-1" in (await desk("latin.csv")).text
    desk.write("bare.csv", "1,2\n3,4\n")
    assert [column.name for column in (await desk.block("bare.csv")).columns] == ["column 1", "column 2"]
    desk.write("twice.csv", "a,a,\n1,2,3\n")
    assert [column.name for column in (await desk.block("twice.csv")).columns] == ["a", "a (2)", "column 3"]
    desk.write("ids.csv", "zip,long,truth\n00123,1_000,true\n00456,12345678901234567890123456789012345,false\n")
    assert [column.kind for column in (await desk.block("ids.csv")).columns] == ["string", "string", "bool"]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("x.jsonl", "", "x.jsonl holds no rows."),
        ("x.jsonl", "{no\n{no\n", "holds no rows: Line 1 is no JSON"),
        ("x.json", "{", "It is no valid JSON"),
        ("x.json", '{"a": 1}', "It is JSON, but no list of rows."),
        ("x.json", "[" * 100_000, "nested too deeply"),
        ("x.csv", b"\0\1\2" * 100, "It is a binary file"),
        ("x.csv.gz", b"\x1f\x8b broken", "cannot be unpacked"),
        ("x.parquet", b"PAR1", "Parquet files are not read here. Look with Python"),
        ("./notes.txt", "hello", "notes.txt is no data file"),
    ],
)
async def test_what_cannot_be_read_is_a_failure_that_says_why(
    name: str, data: str | bytes, said: str, desk: Desk
) -> None:
    desk.write(name, data)
    result = await desk(name)
    assert not result.ok
    assert said in result.text


async def test_what_is_not_there_brings_near_names_and_a_directory_its_data_files(desk: Desk) -> None:
    desk.write("data/train.jsonl", lines({"a": 1}))
    assert "does not exist. Near it: train.jsonl" in (await desk("data/trian.jsonl")).text
    assert "is a directory; name one of its files: train.jsonl" in (await desk("./data")).text
    assert "those that were named were not used" in (await desk("data/train.jsonl", split="test")).text


async def test_a_path_is_assessed_like_one_that_is_read(desk: Desk) -> None:
    assert (await desk.bench.assess(desk.tool, dataset="mia/notes")).effects == {Effect.READ}
    assert (await desk.bench.assess(desk.tool, dataset="data/a.csv")).effects == {Effect.READ}
    secret = await desk.bench.assess(desk.tool, dataset="~/.kaggle/kaggle.json")
    assert secret.effects == {Effect.READ, Effect.CREDENTIALS}


async def test_files_of_a_sandbox_are_not_looked_for_here(desk: Desk) -> None:
    desk.write("a.csv", "a\n1\n")
    away = create_inspect_dataset(lambda: Inspector(desk.inspector.server, Threads(), local=False))
    result = await desk.bench.run(away, dataset="a.csv")
    assert "the files are in the sandbox: look at it there with bash" in result.text


def test_a_long_file_is_looked_into_as_far_as_it_says(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text(lines(*({"a": number} for number in range(50))))
    whole = look_into_file(path, "long.jsonl", 50)
    assert (whole.row_count, whole.problems) == (50, [])
    part = look_into_file(path, "long.jsonl", 20)
    assert (part.row_count, part.splits[0].rows, part.partial) == (None, 20, True)
    assert part.problems == ["The file is longer: everything here is about its first 20 rows."]


def test_a_file_that_cannot_be_opened_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="cannot be read"):
        look_into_file(tmp_path / "gone.csv", "gone.csv")


async def test_a_person_gets_the_same_preview_from_a_process_of_its_own(desk: Desk) -> None:
    desk.write("a.csv", "a,b\n" + "1,some text\n" * 30_000)
    workers, told, beats = Workers(), list[str](), 0
    inspector = Inspector(desk.inspector.server, workers)
    task = asyncio.create_task(preview(inspector, desk.bench.workspace, "a.csv", "", "", told.append))
    while not task.done():
        await asyncio.sleep(0.001)
        beats += 1
    await workers.aclose()
    assert task.result().row_count == 30_000
    assert told == ["reading a.csv"]
    assert beats > 20


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("mia/notes", False), ("squad", False), ("data.csv", True), ("a/b.jsonl.gz", True), ("./data", True),
        ("../x", True), ("/abs/x", True), ("~/x", True), ("C:\\data\\x", True), ("mia/notes.v2", False),
        ("https://huggingface.co/datasets/a/b.csv", False),
    ],
)  # fmt: skip
def test_paths_are_told_from_ids(name: str, path: bool) -> None:
    assert is_path(name) is path

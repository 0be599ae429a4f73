"""Rows of data files: CSV, TSV, JSON Lines and JSON, also packed with gzip."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

KINDS = {
    ".csv": "CSV", ".tsv": "TSV", ".jsonl": "JSON Lines", ".ndjson": "JSON Lines", ".json": "JSON",
    ".parquet": "Parquet", ".arrow": "Arrow",
}  # fmt: skip
"""What files are called by their endings."""
MOST_BYTES = 512_000_000
"""No more of a file is read, unpacked."""
MOST_JSON_BYTES = 100_000_000
"""A JSON file has to be held in memory as a whole."""
SNIFF_BYTES = 65_536
MOST_PROBLEMS = 5
ROW_KEYS = ("data", "rows", "instances", "examples", "records", "train")

Row = Mapping[str, Any]


class DataFileError(Exception):
    """A file cannot be read as data; the text is a sentence with the next step."""


def kind_of_file(name: str) -> str:
    """What kind of data file it is by its name, or empty."""
    path = Path(name.lower())
    return KINDS.get(Path(path.stem).suffix if path.suffix == ".gz" else path.suffix, "")


class Rows:
    """The rows of a file, one after the other.

    Attributes:
        kind: What kind of file it is.
        remarks: What was noticed on the way.
        problems: Rows that could not be read, and why.
        exhausted: All rows have been given.
    """

    def __init__(self, kind: str, stream: BinaryIO) -> None:
        self.kind = kind
        self.remarks: list[str] = []
        self.problems: list[str] = []
        self.exhausted = False
        self._bad = 0
        self._stream = stream

    def __iter__(self) -> Iterator[Row]:
        make = {"JSON Lines": self._json_lines, "JSON": self._json}.get(self.kind, self._table)
        yield from make()
        self.exhausted = self._stream.tell() < MOST_BYTES
        if self._bad > MOST_PROBLEMS:
            self.problems.append(f"{self._bad - MOST_PROBLEMS:,} more rows could not be read.")

    def _complain(self, what: str) -> None:
        self._bad += 1
        if self._bad <= MOST_PROBLEMS:
            self.problems.append(what)

    # --------------------------------------------------------------------------------------------------- JSON

    def _json_lines(self) -> Iterator[Row]:
        for number, line in enumerate(self._stream, 1):
            if not line.strip():
                continue
            if self._stream.tell() >= MOST_BYTES:
                return
            try:
                row = json.loads(line)
            except ValueError as error:
                self._complain(f"Line {number:,} is no JSON: {error}.")
                continue
            yield row if isinstance(row, dict) else {"value": row}

    def _json(self) -> Iterator[Row]:
        text = self._stream.read(MOST_JSON_BYTES + 1)
        if len(text) > MOST_JSON_BYTES:
            raise DataFileError(f"A JSON file of more than {MOST_JSON_BYTES // 10**6} MB: turn it into JSON Lines.")
        try:
            found = json.loads(text)
        except ValueError as error:
            begin = text[:SNIFF_BYTES].lstrip()
            if begin[:1] == b"{" and b"}\n{" in begin.replace(b"\r", b""):
                self.kind = "JSON Lines"
                self._stream = io.BytesIO(text)
                yield from self._json_lines()
                return
            raise DataFileError(f"It is no valid JSON: {error}.") from error
        for row in _rows_in(found):
            yield row if isinstance(row, dict) else {"value": row}

    # -------------------------------------------------------------------------------------------------- tables

    def _table(self) -> Iterator[Row]:
        start = self._stream.read(SNIFF_BYTES)
        self._stream.seek(0)
        if b"\0" in start and not start.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise DataFileError("It is a binary file, no text.")
        encoding = _encoding(start)
        if encoding == "latin-1":
            self.remarks.append("The file is not UTF-8; it was read as Latin-1.")
        csv.field_size_limit(10_000_000)
        text = io.TextIOWrapper(self._stream, encoding=encoding, errors="replace", newline="")
        separator = "\t" if self.kind == "TSV" else _separator(start.decode(encoding, errors="replace"))
        reader = csv.reader(text, delimiter=separator)
        try:
            yield from self._table_rows(reader)
        except csv.Error as error:
            self._complain(f"From line {reader.line_num:,} on it cannot be read: {error}.")
        finally:
            text.detach()

    def _table_rows(self, reader: Iterator[list[str]]) -> Iterator[Row]:
        header = next(reader, [])
        if not header:
            return
        if all(_is_number(name) for name in header if name) and any(header):
            self.remarks.append("The first line holds numbers, so it was taken for a row and columns got names.")
            reader = itertools.chain([header], reader)
            header = [""] * len(header)
        names = _names(header)
        uneven = 0
        for cells in reader:
            if not cells:
                continue
            uneven += len(cells) != len(names)
            row = {name: _value(text) for name, text in zip(names, cells, strict=False)}
            yield row | dict.fromkeys(names[len(cells) :])
        if uneven:
            self.problems.append(f"{uneven:,} rows have more or fewer cells than there are columns.")


@contextmanager
def open_rows(path: Path) -> Iterator[Rows]:
    """The rows of a file.

    Raises:
        DataFileError: It is no data file, or of a kind that is not read here.
        OSError: It cannot be opened.
    """
    kind = kind_of_file(path.name)
    if path.is_dir():
        inside = [entry.name for entry in sorted(path.iterdir()) if kind_of_file(entry.name)][:8]
        hint = f"name one of its files: {', '.join(inside)}" if inside else "it holds no data files"
        raise DataFileError(f"{path} is a directory; {hint}.")
    if kind in ("Parquet", "Arrow"):
        raise DataFileError(
            f"{kind} files are not read here. Look with Python (datasets, pandas), or turn it into JSON Lines."
        )
    if not kind:
        raise DataFileError(f"{path.name} is no data file: its name would end in .csv, .tsv, .jsonl or .json.")
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream: BinaryIO = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if packed else raw
        try:
            yield Rows(kind, stream)
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise DataFileError(f"{path.name} cannot be unpacked: {error}.") from error


def _rows_in(found: Any) -> list[Any]:
    if isinstance(found, list):
        return found
    if isinstance(found, dict):
        named = next((found[key] for key in ROW_KEYS if isinstance(found.get(key), list)), None)
        if isinstance(named, list):
            return named
        lists = [value for value in found.values() if isinstance(value, list)]
        if lists and len(lists) == len(found) and len({len(value) for value in lists}) == 1:  # column by column
            return [dict(zip(found, cells, strict=True)) for cells in zip(*lists, strict=True)]
    raise DataFileError("It is JSON, but no list of rows.")


def _encoding(start: bytes) -> str:
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(start) < SNIFF_BYTES or error.reason != "unexpected end of data":  # not merely cut within a character
            return "latin-1"
    return "utf-8-sig"


def _separator(start: str) -> str:
    """What stands between the cells of the first line most often, outside of quotes."""
    line = start.partition("\n")[0]
    plain = "".join(line.split('"')[::2])
    return max(",;\t|", key=lambda mark: plain.count(mark))


def _names(header: list[str]) -> list[str]:
    names: list[str] = []
    for number, name in enumerate(header, 1):
        name = name.strip() or f"column {number}"
        names.append(name if name not in names else f"{name} ({number})")
    return names


def _value(text: str) -> Any:
    """A cell as what it says: numbers and truth values are such, nothing is None."""
    if not text or text in ("NA", "NaN", "nan", "null", "NULL", "None"):
        return None
    if text in ("True", "true", "TRUE"):
        return True
    if text in ("False", "false", "FALSE"):
        return False
    if (
        text[0] in "0123456789-."
        and len(text) < 32
        and "_" not in text
        and not (text[0] == "0" and text[1:2].isdigit())
    ):
        for kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
    return text


def _is_number(text: str) -> bool:
    return isinstance(_value(text.strip()), int | float)

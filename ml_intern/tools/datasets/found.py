"""What was found out about a data set, wherever it lies, and how that is told: to models as text, to people as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ml_intern.core.display import DatasetBlock, DatasetColumn, DatasetFit
from ml_intern.tools.datasets import sample
from ml_intern.tools.datasets.features import Column, cell, whole_cell
from ml_intern.tools.datasets.verdicts import Verdict, verdicts

PREVIEW_ROWS = 50
PREVIEW_CHARS = 120_000
"""A preview is kept in the log of the session: it ends with the row that makes it longer than this."""
CELL_CHARS = 6_000
MOST_SPLITS = 10
MOST_COLUMNS = 60
MOST_VALUES = 30

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Split:
    """A part of a data set: its name, its rows and its bytes; None where they are not known."""

    name: str
    rows: int | None = None
    size: int | None = None


@dataclass(slots=True)
class Found:
    """Everything that was found out, and what could not be.

    Attributes:
        name: Its id on the Hub, or its path.
        url: Where a browser shows it, or empty.
        part: Config and split that were looked into; empty for a file.
        facts: Licence, gating, size and the like, one fact each.
        splits: All its parts.
        row_count: How many rows the part has; None when unknown.
        partial: Whether there may be more rows than were counted.
        columns: Its columns.
        rows: Some rows.
        statistics: What is known of the values of columns, as the viewer describes it.
        repeated: How many of the rows that were looked at repeat others, and how many were looked at.
        files: Something about its files, or empty.
        remarks: What else was seen.
        problems: Sentences on what is missing in this account.
    """

    name: str
    url: str = ""
    part: str = ""
    facts: list[str] = field(default_factory=list)
    splits: list[Split] = field(default_factory=list)
    row_count: int | None = None
    partial: bool = False
    columns: list[Column] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    statistics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    repeated: tuple[int, int] = (0, 0)
    files: str = ""
    remarks: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def verdicts(self) -> list[Verdict]:
        """A verdict for each way of training; none where the columns are not known."""
        return verdicts(self.columns, self.rows, self.statistics) if self.columns else []

    def observations(self) -> list[str]:
        """What its rows show: repetitions, how its chats are built, and what else was noticed."""
        lines = []
        if self.rows:
            again, seen = self.repeated
            lines = [f"In the first {seen:,} rows: " + (f"{again:,} repeat others" if again else "no row repeats")]
            lines += [line for column in self.columns for line in sample.chat_lines(column, self.rows)]
        return [*lines, *self.remarks]


# ----------------------------------------------------------------------------------------------------- for a model


def report(found: Found, sample_rows: int) -> str:
    """The account that a model gets."""
    lines = [f"{found.name}  {found.url}".rstrip()]
    lines += [" · ".join(found.facts)] if found.facts else []
    fits = [f"- {verdict.line()}" for verdict in found.verdicts()]
    lines += ["", "Fits:", *(fits or ["- cannot be told, since its columns are not known"])]
    lines += ["", *_split_lines(found)] if found.splits else []
    lines += ["", f"Columns of {found.part}:" if found.part else "Columns:", *_column_lines(found)]
    lines += ["", *seen] if (seen := found.observations()) else []
    for index, row in enumerate(found.rows[:sample_rows], 1):
        lines += [
            "",
            f"Row {index}:",
            *(f"- {each.name}: {cell(each.shown(row.get(each.name)))}" for each in found.columns[:MOST_COLUMNS]),
        ]
    lines += ["", found.files] if found.files else []
    if found.problems:
        lines += ["", "Mind:", *(f"- {problem}" for problem in dict.fromkeys(found.problems))]
    return "\n".join(lines)


def _split_lines(found: Found) -> list[str]:
    lines = ["Splits:"]
    nearest = sorted(
        _split_words(found), key=lambda split: _distance(split[0], found.part)
    )  # it may be the last of 600
    for name, rows, size in nearest[:MOST_SPLITS]:
        lines.append(f"- {name}: {rows}" + (f", {size}" if size else "") + (" (looked into)" * (name == found.part)))
    left = len(found.splits) - MOST_SPLITS
    return [*lines, f"- and {left} more of {len(found.splits)}"] if left > 0 else lines


def _distance(split: str, looked_into: str) -> int:
    """0 for the split that was looked into, 1 for those of its config, 2 for all others."""
    if split == looked_into:
        return 0
    return 1 if split.rpartition("/")[0] == looked_into.rpartition("/")[0] else 2


def _split_words(found: Found) -> list[tuple[str, str, str]]:
    more = "at least " if found.partial else ""
    return [
        (
            split.name,
            "rows not counted" if split.rows is None else f"{more}{split.rows:,} rows",
            "" if split.size is None else size_words(split.size),
        )
        for split in found.splits
    ]


def _column_lines(found: Found) -> list[str]:
    if not found.columns:
        return ["- not known"]
    lines = []
    for column in found.columns[:MOST_COLUMNS]:
        said, bars = _facts(found, column), sample.bars(sample.histogram(_statistics(found, column))[0])
        tail = "; ".join(filter(None, (said, f"|{bars}|" if bars else "")))
        lines.append(f"- {column.name}: {column.kind}" + (f"  [{tail}]" if tail else ""))
    left = len(found.columns) - MOST_COLUMNS
    return [*lines, f"- and {left} more columns"] if left > 0 else lines


def _statistics(found: Found, column: Column) -> Mapping[str, Any]:
    return found.statistics.get(column.name) or {}


def _facts(found: Found, column: Column) -> str:
    """What is known of the values of a column, in one line."""
    said = sample.statistics_line(_statistics(found, column))
    if not said and found.rows and (count := sample.missing(column, found.rows)):
        said = f"{count} of {len(found.rows)} looked at are empty"
    return said


# ---------------------------------------------------------------------------------------------------- for a person


def block(found: Found) -> DatasetBlock:
    """The preview that a person gets."""
    return DatasetBlock(
        name=found.name,
        part=found.part,
        url=found.url,
        facts=tuple(found.facts),
        row_count=found.row_count,
        splits=tuple(_split_words(found)) if found.part else (),
        fits=tuple(
            DatasetFit(method=verdict.method, fits=verdict.fits, reason=verdict.reason) for verdict in found.verdicts()
        ),
        columns=tuple(_shown_column(found, column) for column in found.columns),
        rows=_shown_rows(found),
        notes=(*found.observations(), *([found.files] if found.files else []), *dict.fromkeys(found.problems)),
    )


def _shown_column(found: Found, column: Column) -> DatasetColumn:
    statistics = _statistics(found, column)
    counts, edges, unit = sample.histogram(statistics)
    values = sample.frequencies(statistics)
    return DatasetColumn(
        name=column.name,
        kind=column.kind,
        facts=_facts(found, column),
        unit=unit,
        counts=tuple(counts),
        edges=tuple(edges) if len(edges) == len(counts) + 1 else (),
        values=tuple((cell(name, 80), count) for name, count in values[:MOST_VALUES]),
        distinct=len(values),
    )


def _shown_rows(found: Found) -> tuple[tuple[str | None, ...], ...]:
    rows = found.rows[:PREVIEW_ROWS]
    if not rows or not found.columns:
        return ()
    shown: list[tuple[str | None, ...]] = []
    left = PREVIEW_CHARS
    for row in rows:
        cells = tuple(whole_cell(each.shown(row.get(each.name)), CELL_CHARS) for each in found.columns)
        left -= sum(len(text or "") for text in cells)
        shown.append(cells)
        if left < 0:
            break
    return tuple(shown)


def size_words(size: int) -> str:
    """A number of bytes for people."""
    value = float(size)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"

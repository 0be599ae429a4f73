"""Looks into a data file of this machine. Takes seconds for a long one: run it in a worker."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from ml_intern.tools.datasets.features import columns
from ml_intern.tools.datasets.found import PREVIEW_ROWS, Found, Split, size_words
from ml_intern.tools.datasets.reading import DataFileError, Rows, open_rows
from ml_intern.tools.datasets.tally import Tally

MOST_ROWS = 100_000
"""Rows that statistics are made of, in"""
MOST_S = 20.0
"""at most so many seconds."""
MOST_COLUMNS = 300


def look_into_file(path: Path, name: str, most_rows: int = MOST_ROWS) -> Found:
    """What a data file holds.

    Args:
        path: The file.
        name: What it is called to a person.
        most_rows: Rows that statistics are made of.

    Raises:
        DataFileError: It cannot be read as data.
    """
    try:
        size = path.stat().st_size
        with open_rows(path) as rows:
            return _look(rows, name, size, most_rows)
    except OSError as error:
        raise DataFileError(f"{path} cannot be read: {error.strerror or error}.") from error
    except RecursionError as error:
        raise DataFileError(f"{path} cannot be read: its values are nested too deeply.") from error


def _look(rows: Rows, name: str, size: int, most_rows: int) -> Found:
    tallies: dict[str, Tally] = {}
    first: list[Mapping[str, Any]] = []
    seen: set[int] = set()
    count = 0
    left, deadline = iter(rows), time.monotonic() + MOST_S
    for row in islice(left, most_rows):
        if count < PREVIEW_ROWS:
            first.append(row)
        for key, value in row.items():
            if key not in tallies and len(tallies) < MOST_COLUMNS:
                tallies[key] = Tally(missed=count)
            if key in tallies:
                tallies[key].take(value)
        seen.add(hash(json.dumps(row, sort_keys=True, default=str)))
        count += 1
        if len(row) < len(tallies):
            for key in tallies.keys() - row.keys():
                tallies[key].take(None)
        if time.monotonic() > deadline:
            break
    if not count:
        raise DataFileError(f"{name} holds no rows" + (f": {rows.problems[0]}" if rows.problems else "") + ".")
    whole = next(left, None) is None and rows.exhausted
    found = Found(name, facts=[rows.kind, size_words(size)], row_count=count if whole else None)
    found.splits = [Split("file", count, size)]
    found.partial = not whole
    found.columns = columns({key: tally.feature for key, tally in tallies.items()})
    found.rows = first
    found.repeated = count - len(seen), count
    found.statistics = {key: tally.statistics(key) for key, tally in tallies.items()}
    found.remarks = list(rows.remarks)
    if not whole:
        found.problems.append(f"The file is longer: everything here is about its first {count:,} rows.")
    found.problems += rows.problems
    return found

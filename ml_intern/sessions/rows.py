"""What the index holds about a log, as rows: written when a log is new, has grown, or is gone."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from ml_intern.sessions import spend
from ml_intern.sessions.find import SessionFile
from ml_intern.sessions.reader import Portion, read_on
from ml_intern.sessions.summary import STATUSES, Summary

log = logging.getLogger(__name__)

NUMBER_BITS = 20
"""Of a row in the full text, the lower bits are the session's number and the upper ones milliseconds since 1970."""
_TEXTS_AT_ONCE = 100
"""Texts that are written between two looks whether to stop."""
NUMBER_MASK = (1 << NUMBER_BITS) - 1
COLUMNS = (
    *("id", "name", "prompt", "directory", "model", "started", "ended", "turns", "cost_usd", "status", "tags"),
    *("origin", "errors", "last_seq"),
)
"""What lists need of a summary. These and the following are fields of it, in their order."""

ALL_COLUMNS = (*COLUMNS, "answer", "tools", "jobs", "artifacts")
_AS_JSON = ("tags", "tools", "jobs", "artifacts")


class _Row(NamedTuple):
    number: int
    path: str
    size: int
    modified: int
    portion: Portion


def summary_of_row(values: Sequence[Any]) -> Summary:
    """The summary in a row of `COLUMNS` or `ALL_COLUMNS`.

    Raises:
        sqlite3.DatabaseError: The row makes no sense, so the index is damaged.
    """
    summary = Summary(*values)
    try:
        summary.tags = _loaded(summary.tags)
        if len(values) > len(COLUMNS):
            summary.tools = dict(json.loads(str(summary.tools)))
            summary.jobs, summary.artifacts = _loaded(summary.jobs), _loaded(summary.artifacts)
    except (ValueError, TypeError, RecursionError) as error:
        raise sqlite3.DatabaseError(f"the row of session {summary.id} cannot be read") from error
    if not _makes_sense(summary):
        raise sqlite3.DatabaseError(f"the row of session {summary.id} makes no sense")
    return summary


def _loaded(value: Any) -> tuple[str, ...]:
    """What a column holds as a JSON list; nearly always nothing."""
    return () if value == "[]" else tuple(json.loads(value))


_Kinds = tuple[type[str], ...]
_TEXTS: _Kinds = (str,) * 6
_NUMBERS = {(int, int, float, int), (int, int, int, int)}


def _makes_sense(summary: Summary) -> bool:
    texts = (summary.id, summary.name, summary.prompt, summary.directory, summary.model, summary.ended)
    numbers = (summary.turns, summary.errors, summary.cost_usd, summary.last_seq)
    kinds = summary.status in STATUSES and tuple(map(type, texts)) == _TEXTS and tuple(map(type, numbers)) in _NUMBERS
    return kinds and (not summary.tags or all(isinstance(tag, str) for tag in summary.tags))


class StoppedError(Exception):
    """What was being taken in is not wanted any more."""


def take_in(db: sqlite3.Connection, files: Iterable[SessionFile], stop: Callable[[], bool]) -> None:
    """Takes in what logs have more than is known of them.

    Raises:
        StoppedError: `stop` said so. What was written until then makes no sense.
    """
    texts: list[tuple[int, str, str, int]] = []
    for file in files:
        if stop():
            raise StoppedError
        row = _row_of(db, file)
        try:
            portion = read_on(file, None if row is None else row.portion)
        except OSError as error:
            log.warning("%s cannot be read: %s", file.place, error)
            continue
        if portion.from_start and row is not None:
            _forget_texts(db, row.number, row.portion)
        elif row is not None and row.portion.open_at:
            _forget_rows(db, row.number, row.portion.last_ms, row.portion.last_ms)
        number = _save(db, file, portion, row)
        spend.save(db, number, portion.spent, from_start=portion.from_start)
        texts += [(ms << NUMBER_BITS | number & NUMBER_MASK, text, kind, seq) for ms, kind, seq, text in portion.texts]
    texts.sort()  # ascending rows of one transaction go into one piece of the full text
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        if stop():
            raise StoppedError
        query = "INSERT OR REPLACE INTO texts (rowid, text, kind, seq) VALUES (?, ?, ?, ?)"
        db.executemany(query, texts[start : start + _TEXTS_AT_ONCE])


def _row_of(db: sqlite3.Connection, file: SessionFile) -> _Row | None:
    query = "SELECT number, path, size, modified, read_to, before, first_ms, last_ms, open_at, "
    query += f"{', '.join(ALL_COLUMNS)} FROM sessions WHERE id = ?"
    row = db.execute(query, (file.id,)).fetchone()
    if row is None:
        return None
    number, path, size, modified, read_to, before, first_ms, last_ms, open_at, *values = row
    portion = Portion(summary_of_row(values), read_to, before, first_ms, last_ms, open_at)
    return _Row(number, path, size, modified, portion)


def _save(db: sqlite3.Connection, file: SessionFile, portion: Portion, row: _Row | None) -> int:
    summary = portion.summary
    values = [getattr(summary, name) for name in ALL_COLUMNS]
    for name in _AS_JSON:
        values[ALL_COLUMNS.index(name)] = json.dumps(getattr(summary, name), ensure_ascii=False)
    names = ("path", "size", "modified", "read_to", "before", "first_ms", "last_ms", "open_at", *ALL_COLUMNS)
    values = [
        *(file.place, file.size, file.modified),
        *(portion.read_to, portion.before, portion.first_ms, portion.last_ms, portion.open_at),
        *values,
    ]
    if row is None:
        marks = ", ".join("?" * len(names))
        done = db.execute(f"INSERT INTO sessions ({', '.join(names)}) VALUES ({marks})", values)  # noqa: S608 - names of ours
        return int(done.lastrowid or 0)
    sets = ", ".join(f"{name} = ?" for name in names)
    db.execute(f"UPDATE sessions SET {sets} WHERE number = ?", (*values, row.number))  # noqa: S608 - names of ours
    return row.number


def forget(db: sqlite3.Connection, session_id: str) -> None:
    for number, first, last in db.execute(
        "SELECT number, first_ms, last_ms FROM sessions WHERE id = ?", (session_id,)
    ).fetchall():
        _forget_rows(db, number, first, last)
        spend.forget(db, number)
        db.execute("DELETE FROM sessions WHERE number = ?", (number,))


def _forget_texts(db: sqlite3.Connection, number: int, portion: Portion) -> None:
    _forget_rows(db, number, portion.first_ms, portion.last_ms)


def _forget_rows(db: sqlite3.Connection, number: int, first_ms: int, last_ms: int) -> None:
    span = (first_ms << NUMBER_BITS, (last_ms + 1) << NUMBER_BITS)
    query = "DELETE FROM texts WHERE rowid BETWEEN ? AND ? AND rowid & ? = ?"
    db.execute(query, (*span, NUMBER_MASK, number & NUMBER_MASK))

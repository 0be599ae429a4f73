"""Finds sessions in the full text without looking at more of it than the answer needs.

A row of the full text is numbered by its time and its session, so that the newest rows of any word come first and those
of one session lie together. Everything here walks such rows lazily and stops early.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ml_intern.sessions.query import SHORTEST_PREFIX, phrase, spaced
from ml_intern.sessions.rows import NUMBER_BITS, NUMBER_MASK

_MOST_COMPLETIONS = 300
"""A beginning that more words have than this is left to the full text itself, which is slow but leaves none out."""
_MOST_ROWS = 50_000
"""So many rows of a word are looked at for sessions, the newest first."""
_CANDIDATES = 300
"""So many sessions with the rarest word, the newest first, are asked for the other words."""
_RARE = 1_000

_LETTERS = re.compile(r"[^\W_]+")


class Place(NamedTuple):
    """Where a session has what was looked for: a row of the full text, and the query that row fits."""

    rowid: int
    query: str


class Scope(NamedTuple):
    """The sessions of a directory, by number, among which is searched, and the rows that can be theirs."""

    directory: str
    numbers: tuple[int, ...]
    first: int
    last: int


def scope_of(db: sqlite3.Connection, directory: str) -> Scope:
    """The sessions of a directory."""
    query = "SELECT number, first_ms, last_ms FROM sessions WHERE directory = ?"
    rows = db.execute(query, (directory,)).fetchall()
    first = min((row[1] for row in rows), default=0)
    last = max((row[2] for row in rows), default=0)
    return Scope(directory, tuple(row[0] for row in rows), first << NUMBER_BITS, (last + 1) << NUMBER_BITS)


def find_places(
    db: sqlite3.Connection, words: Sequence[str], scope: Scope | None, limit: int, *, complete: bool
) -> dict[int, Place]:
    """The sessions that hold all words, by number, at most `limit`.

    Those with a text that holds all of them come first, the newest first; then those whose texts only hold them
    together, of which the newest few hundred are looked at.

    Args:
        db: The index.
        words: What to look for; at least one.
        scope: Where to look; None for everywhere.
        limit: How many sessions at most.
        complete: The last word is the beginning of one.
    """
    last = _completed(db, words[-1]) if complete else phrase(words[-1])
    if not last:
        return {}
    each = [*map(phrase, words[:-1]), last]
    together = " AND ".join(each)
    places = {number: Place(rowid, together) for number, rowid in _newest(db, together, scope, limit)}
    if len(words) > 1 and len(places) < limit:
        for number, rowid in _spread(db, each, scope, frozenset(places), limit - len(places)):
            places[number] = Place(rowid, last)
    return places


def _completed(db: sqlite3.Connection, word: str) -> str:
    """A query for all words that begin like this one; empty when there are none, or it is too short to tell."""
    word = spaced(word)
    letters = _LETTERS.findall(word)
    if not letters or len(letters[-1]) < SHORTEST_PREFIX or not word.endswith(letters[-1]):
        return ""
    head = word[: -len(letters[-1])]
    begins = _folded(letters[-1])
    if len(begins) == SHORTEST_PREFIX:
        return f"{phrase(word)} *"  # of these beginnings the full text keeps lists, as of words
    found: list[str] = []
    # From one word to the next with a new question each: the table of words would count all places of each word.
    after = begins
    while len(found) <= _MOST_COMPLETIONS:
        row = db.execute("SELECT term FROM terms WHERE term >= ? LIMIT 1", (after,)).fetchone()
        if row is None or not row[0].startswith(begins):
            return f"({' OR '.join(phrase(head + term) for term in found)})" if found else ""
        found.append(row[0])
        after = f"{row[0]}\x01"
    return f"{phrase(word)} *"


def _folded(word: str) -> str:
    """The word as the full text keeps it: small letters without marks."""
    parts = unicodedata.normalize("NFD", word.lower())
    return "".join(part for part in parts if not unicodedata.combining(part))


def _newest(db: sqlite3.Connection, query: str, scope: Scope | None, limit: int) -> Iterator[tuple[int, int]]:
    """Sessions with their newest row that fits, newest first."""
    if scope is not None and len(scope.numbers) <= _CANDIDATES:
        rows = [(number, _row_in(db, number, query)) for number in scope.numbers]
        found = sorted(((rowid, number) for number, rowid in rows if rowid), reverse=True)
        yield from ((number, rowid) for rowid, number in found[:limit])
        return
    seen: set[int] = set()
    ask = "SELECT rowid FROM texts WHERE texts MATCH ?"
    values: list[int | str] = [query]
    if scope is not None:  # looked at here, the many rows of other directories would take as long as all the rest
        ask += " AND rowid BETWEEN ? AND ? AND rowid & ? IN (SELECT number FROM sessions WHERE directory = ?)"
        values += [scope.first, scope.last, NUMBER_MASK, scope.directory]
    for (rowid,) in db.execute(f"{ask} ORDER BY rowid DESC LIMIT ?", (*values, _MOST_ROWS)):
        number = rowid & NUMBER_MASK
        if number in seen:
            continue
        if len(seen) == limit:
            return
        seen.add(number)
        yield number, rowid


def _spread(
    db: sqlite3.Connection, queries: Sequence[str], scope: Scope | None, known: frozenset[int], limit: int
) -> Iterator[tuple[int, int]]:
    """Sessions in which each query fits some row, with the newest row of the last one."""
    count = "SELECT count(*) FROM (SELECT 1 FROM texts WHERE texts MATCH ? LIMIT ?)"
    by_count = sorted(queries, key=lambda query: int(db.execute(count, (query, _RARE)).fetchone()[0]))
    found = 0
    for number, _ in _newest(db, by_count[0], scope, _CANDIDATES):
        if number in known:
            continue
        rows = {query: _row_in(db, number, query) for query in by_count}
        if all(rows.values()):
            yield number, rows[queries[-1]]
            found += 1
            if found == limit:
                return


def _row_in(db: sqlite3.Connection, number: int, query: str) -> int:
    """The newest row of one session that fits; 0 when none does."""
    span = db.execute("SELECT first_ms, last_ms FROM sessions WHERE number = ?", (number,)).fetchone()
    if span is None:
        return 0
    ask = "SELECT rowid FROM texts WHERE texts MATCH ? AND rowid BETWEEN ? AND ? AND rowid & ? = ?"
    ask += " ORDER BY rowid DESC LIMIT 1"
    bounds = (span[0] << NUMBER_BITS, (span[1] + 1) << NUMBER_BITS)
    row = db.execute(ask, (query, *bounds, NUMBER_MASK, number & NUMBER_MASK)).fetchone()
    return int(row[0]) if row is not None else 0

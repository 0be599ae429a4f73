"""The index of all sessions: a table to list and a full text to search, derived from the logs beside it.

It holds nothing that the logs do not hold. Gone, damaged or of another version, it is made anew; a log that grew is
read on from where it was left. Every method opens the database for itself, so any thread may call it; none belongs on
an event loop.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ml_intern.sessions.find import SessionFile, logs_in
from ml_intern.sessions.lock import in_use
from ml_intern.sessions.log import make_private_directories
from ml_intern.sessions.query import fts_query, marked, words_of
from ml_intern.sessions.rows import COLUMNS, NUMBER_MASK, forget, summary_of_row, take_in
from ml_intern.sessions.summary import Summary

log = logging.getLogger(__name__)

VERSION = 1
_BATCH_BYTES = 4_000_000
_PASSING = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT})
_HOPELESS = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
_SCHEMA = f"""
BEGIN;
CREATE TABLE sessions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    read_to INTEGER NOT NULL,
    before BLOB NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    prompt TEXT NOT NULL,
    directory TEXT NOT NULL,
    model TEXT NOT NULL,
    started TEXT NOT NULL,
    ended TEXT NOT NULL,
    turns INTEGER NOT NULL,
    cost_usd REAL NOT NULL,
    status TEXT NOT NULL,
    tags TEXT NOT NULL,
    origin TEXT NOT NULL,
    errors INTEGER NOT NULL,
    last_seq INTEGER NOT NULL
);
CREATE INDEX by_time ON sessions (ended);
CREATE INDEX by_directory ON sessions (directory, ended);
CREATE VIRTUAL TABLE texts USING fts5 (text, kind UNINDEXED, seq UNINDEXED, tokenize = 'unicode61');
INSERT INTO texts (texts, rank) VALUES ('hashsize', 16777216);
PRAGMA user_version = {VERSION};
COMMIT;
"""  # noqa: S608 - no input, a number of ours

Result = TypeVar("Result")
_Summaries = list[Summary]


@dataclass(frozen=True, slots=True)
class Found:
    """A session that a search found.

    Attributes:
        session: The session.
        snippet: A piece of its newest text that fits, on one line.
        marks: Where the words stand in the snippet, as `(start, end)`.
        kind: What the text is: `prompt`, `answer`, `command`, `output` or `title`.
        seq: The event it stands in.
    """

    session: Summary
    snippet: str
    marks: tuple[tuple[int, int], ...]
    kind: str
    seq: int


class IndexUnavailableError(Exception):
    """The index can neither be read nor made. The message is one sentence."""


class SessionIndex:
    """Lists and searches the sessions of a directory.

    Args:
        directory: Where session logs live. The index is the file `index.sqlite` in it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.path = directory / "index.sqlite"

    # --------------------------------------------------------------------------------------------------- asking

    def list(
        self, directory: Path | None = None, *, words: str = "", limit: int = 1_000_000, offset: int = 0
    ) -> _Summaries:
        """Sessions as of the last `refresh`, the one used last first.

        Args:
            directory: Only those that worked there.
            words: Only those with all these words in title, prompt, directory, model or tags, in any letter case.
            limit: How many at most.
            offset: How many to pass over.

        Raises:
            IndexUnavailableError: There is no index to ask, and none can be made.
        """
        conditions: Any = ["1"]
        values: Any = []
        if directory is not None:
            conditions.append("directory = ?")
            values.append(str(directory))
        for word in words.split():
            conditions.append(
                r"name || ' ' || prompt || ' ' || directory || ' ' || model || ' ' || tags LIKE ? ESCAPE '\'"
            )
            values.append(f"%{_escaped(word)}%")
        query = f"SELECT path, {', '.join(COLUMNS)} FROM sessions WHERE {' AND '.join(conditions)}"  # noqa: S608 - no input in it
        query += " ORDER BY ended DESC, number DESC LIMIT ? OFFSET ?"
        return self._ask(lambda db: [self._summary(row) for row in db.execute(query, (*values, limit, offset))])

    def search(self, words: str, *, directory: Path | None = None, limit: int = 50) -> Sequence[Found]:
        """Sessions in which all these words were said or run, those with the newest such text first.

        The last word may be the beginning of one, if it is not found as it is. Texts that hold all words come before
        sessions whose texts only hold them together.

        Raises:
            IndexUnavailableError: There is no index to ask, and none can be made.
        """
        asked = words_of(words)
        return self._ask(partial(self._search, words=asked, directory=directory, limit=limit)) if asked else []

    def count(self) -> int:
        """How many sessions it knows."""
        return self._ask(lambda db: int(db.execute("SELECT count(*) FROM sessions").fetchone()[0]))

    def get(self, session_id: str) -> Summary | None:
        """A session as of the last `refresh`."""
        query = f"SELECT path, {', '.join(COLUMNS)} FROM sessions WHERE id = ?"  # noqa: S608 - no input in it
        return self._ask(lambda db: next((self._summary(row) for row in db.execute(query, (session_id,))), None))

    # ------------------------------------------------------------------------------------------------- updating

    def refresh(self, *, stop: Callable[[], bool] = lambda: False) -> int:
        """Learns what has changed in the logs, the newest first; what is learnt can be asked for at once.

        Args:
            stop: Asked now and then; when it says so, the rest is left for the next time.

        Returns:
            How many sessions were new, changed or gone.

        Raises:
            IndexUnavailableError: The index cannot be written.
        """
        return self._ask(lambda db: self._refresh(db, stop))

    def _refresh(self, db: sqlite3.Connection, stop: Callable[[], bool]) -> int:
        known = {row[0]: row[1:] for row in db.execute("SELECT id, path, size, modified FROM sessions")}
        there = {file.path.stem: file for file in logs_in(self._directory)}
        gone = [session_id for session_id in known if session_id not in there]
        changed = [
            file for name, file in there.items() if known.get(name) != (str(file.path), file.size, file.modified)
        ]
        if gone:
            with _transaction(db):
                for session_id in gone:
                    forget(db, session_id)
        changed.sort(key=lambda file: file.modified, reverse=True)
        done = len(gone)
        for batch in _batches(changed, lambda file: max(0, file.size - (known.get(file.path.stem) or (0, 0))[1])):
            if stop():
                break
            with _transaction(db):
                take_in(db, batch)
            done += len(batch)
        return done

    # --------------------------------------------------------------------------------------------------- within

    def _ask(self, question: Callable[[sqlite3.Connection], Result]) -> Result:
        """Puts a question to the database. A damaged one is made anew first, from the logs."""
        try:
            return self._put(question)
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            if code in _PASSING or code in _HOPELESS:
                raise IndexUnavailableError(
                    f"The index of the sessions cannot be used ({error}): {self.path}."
                ) from error
            log.warning("%s is damaged (%s) and is made anew", self.path, error)
        except OSError as error:
            raise IndexUnavailableError(f"The index of the sessions cannot be made ({error}).") from error
        self._discard()
        self._put(lambda db: self._refresh(db, lambda: False))
        return self._put(question)

    def _put(self, question: Callable[[sqlite3.Connection], Result]) -> Result:
        with contextlib.closing(self._connect()) as db:
            return question(db)

    def _connect(self) -> sqlite3.Connection:
        if not self.path.exists():
            make_private_directories(self._directory)
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600))
        db = sqlite3.connect(self.path, timeout=5, isolation_level=None)
        try:
            # It can be made anew at any time, so no write needs to wait for the disk.
            db.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -32000; PRAGMA temp_store = MEMORY;")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version not in {0, VERSION}:
                raise sqlite3.DatabaseError(f"version {version}")
            if version == 0:
                self._create(db)
        except BaseException:
            db.close()
            raise
        return db

    def _create(self, db: sqlite3.Connection) -> None:
        try:
            db.executescript(_SCHEMA)
        except sqlite3.OperationalError:
            db.rollback()
            if db.execute("PRAGMA user_version").fetchone()[0] != VERSION:  # else another process was quicker
                raise

    def _discard(self) -> None:
        for path in (self.path, self.path.with_name(f"{self.path.name}-journal")):
            path.unlink(missing_ok=True)

    def _summary(self, row: Sequence[Any]) -> Summary:
        path, *values = row
        summary = summary_of_row(values)
        if summary.status == "running" and not in_use(Path(path)):
            summary.status = "interrupted"
        return summary

    def _search(
        self, db: sqlite3.Connection, words: Sequence[str], directory: Path | None, limit: int
    ) -> Sequence[Found]:
        wanted = None
        if directory is not None:
            query = "SELECT number FROM sessions WHERE directory = ?"
            wanted = {row[0] for row in db.execute(query, (str(directory),))}
        # For the beginning of a word, texts of all words it fits are gathered; for a whole word they are walked from
        # the newest, only as far as needed. So beginnings are looked for when there is nothing else.
        rows = _rows(db, words, wanted, limit, prefix=False) or _rows(db, words, wanted, limit, prefix=True)
        return [found for number, place in rows.items() if (found := self._found(db, number, *place))]

    def _found(self, db: sqlite3.Connection, number: int, rowid: int, query: str) -> Found | None:
        ask = f"SELECT path, {', '.join(COLUMNS)} FROM sessions WHERE number = ?"  # noqa: S608 - no input in it
        row = db.execute(ask, (number,)).fetchone()
        ask = "SELECT snippet(texts, 0, char(2), char(3), '…', 24), kind, seq FROM texts"
        ask += " WHERE texts MATCH ? AND rowid = ?"
        text = db.execute(ask, (query, rowid)).fetchone()
        if row is None or text is None:
            return None
        return Found(self._summary(row), *marked(text[0]), kind=text[1], seq=text[2])


# -------------------------------------------------------------------------------------------------------- reading


def _rows(
    db: sqlite3.Connection, words: Sequence[str], wanted: set[int] | None, limit: int, *, prefix: bool
) -> dict[int, tuple[int, str]]:
    """For each session that fits, a row to show and the query it fits."""
    together = fts_query(words, prefix=prefix)
    rows = {number: (rowid, together) for number, rowid in _newest(db, together, wanted, limit)}
    if len(rows) < limit and len(words) > 1:
        each = [*(fts_query([word], prefix=False) for word in words[:-1]), fts_query(words[-1:], prefix=prefix)]
        for number, rowid in _spread(db, each, wanted, limit):
            if len(rows) < limit:
                rows.setdefault(number, (rowid, each[-1]))
    return rows


def _newest(db: sqlite3.Connection, query: str, wanted: set[int] | None, limit: int) -> Iterator[tuple[int, int]]:
    """Sessions with the newest row that fits, newest first. The full text is walked no further than needed."""
    seen: set[int] = set()
    for (rowid,) in db.execute("SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY rowid DESC", (query,)):
        number = rowid & NUMBER_MASK
        if number in seen or (wanted is not None and number not in wanted):
            continue
        if len(seen) == limit:
            return
        seen.add(number)
        yield number, rowid


def _spread(
    db: sqlite3.Connection, queries: Sequence[str], wanted: set[int] | None, limit: int
) -> list[tuple[int, int]]:
    """Sessions in which each query fits some row, with the newest row of the last one."""
    numbers = wanted
    for query in queries[:-1]:
        rows = db.execute("SELECT DISTINCT rowid & ? FROM texts WHERE texts MATCH ?", (NUMBER_MASK, query))
        found = {row[0] for row in rows}
        numbers = found if numbers is None else numbers & found
        if not numbers:
            return []
    return list(_newest(db, queries[-1], numbers, limit * 2))


def _escaped(word: str) -> str:
    return "".join(f"\\{character}" if character in "\\%_" else character for character in word)


# -------------------------------------------------------------------------------------------------------- writing


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.rollback()
        raise
    db.commit()


def _batches(files: Iterable[SessionFile], new_bytes: Callable[[SessionFile], int]) -> Iterator[list[SessionFile]]:
    batch: list[SessionFile] = []
    size = 0
    for file in files:
        batch.append(file)
        size += new_bytes(file)
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch

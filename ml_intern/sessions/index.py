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
from ml_intern.sessions.query import marked, words_of
from ml_intern.sessions.rows import ALL_COLUMNS, COLUMNS, forget, summary_of_row, take_in
from ml_intern.sessions.search import find_places, scope_of
from ml_intern.sessions.spend import SCHEMA as SPEND_SCHEMA
from ml_intern.sessions.summary import Summary

log = logging.getLogger(__name__)

VERSION = 3
_BATCH_BYTES = 4_000_000
_STEPS = 20_000
"""So many steps of the database, a fraction of a millisecond, lie between two looks whether a search is to stop."""
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
    last_seq INTEGER NOT NULL,
    answer TEXT NOT NULL,
    tools TEXT NOT NULL,
    jobs TEXT NOT NULL,
    artifacts TEXT NOT NULL
);
CREATE INDEX by_time ON sessions (ended);
CREATE INDEX by_directory ON sessions (directory, ended);
CREATE VIRTUAL TABLE texts USING fts5 (text, kind UNINDEXED, seq UNINDEXED, tokenize = 'unicode61');
CREATE VIRTUAL TABLE terms USING fts5vocab (texts, instance);
INSERT INTO texts (texts, rank) VALUES ('hashsize', 16777216);
{SPEND_SCHEMA}
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


@dataclass(frozen=True, slots=True)
class Details:
    """All that is known of a session.

    Attributes:
        session: The session, with what lists leave out.
        path: Its log.
        size: Bytes of the log.
    """

    session: Summary
    path: Path
    size: int


Tell = Callable[[Sequence[str], Sequence[str]], object]
"""Takes ids of sessions that are new or changed, and of those that are gone."""


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

    def list(self, directory: Path | None = None, *, limit: int = 1_000_000, offset: int = 0) -> _Summaries:
        """Sessions as of the last `refresh`, the one used last first.

        Args:
            directory: Only those that worked there.
            limit: How many at most.
            offset: How many to pass over.

        Raises:
            IndexUnavailableError: There is no index to ask, and none can be made.
        """
        query = f"SELECT path, {', '.join(COLUMNS)} FROM sessions"  # noqa: S608 - no input in it
        query += " WHERE directory = ?" if directory is not None else ""
        query += " ORDER BY ended DESC, number DESC LIMIT ? OFFSET ?"
        where = [] if directory is None else [str(directory)]
        return self._ask(lambda db: [self._summary(row) for row in db.execute(query, (*where, limit, offset))])

    def those(self, ids: Sequence[str]) -> _Summaries:
        """Those of these sessions that it knows, in no order."""
        query = f"SELECT path, {', '.join(COLUMNS)} FROM sessions WHERE id = ?"  # noqa: S608 - no input in it
        return self._ask(lambda db: [self._summary(row) for name in ids for row in db.execute(query, (name,))])

    def search(
        self, words: str, *, directory: Path | None = None, limit: int = 50, stop: Callable[[], bool] | None = None
    ) -> Sequence[Found]:
        """Sessions in which all these words were said or run, those with the newest such text first.

        The last word may be the beginning of one, if it is not found as it is. Texts that hold all words come before
        sessions whose texts only hold them together.

        Args:
            words: What is looked for; what stands in double quotes belongs together.
            directory: Only sessions that worked there.
            limit: How many at most.
            stop: Asked now and then; when it says so, the search ends without an answer.

        Raises:
            IndexUnavailableError: There is no index to ask, and none can be made; or the search was stopped.
        """
        asked = words_of(words)
        ask = partial(self._search, words=asked, directory=directory, limit=limit, stop=stop)
        return self._ask(ask) if asked else []

    def count(self) -> int:
        """How many sessions it knows."""
        return self._ask(lambda db: int(db.execute("SELECT count(*) FROM sessions").fetchone()[0]))

    def get(self, session_id: str) -> Details | None:
        """All about a session as of the last `refresh`."""
        query = f"SELECT path, size, {', '.join(ALL_COLUMNS)} FROM sessions WHERE id = ?"  # noqa: S608 - no input in it

        def read(db: sqlite3.Connection) -> Details | None:
            row = db.execute(query, (session_id,)).fetchone()
            if row is None:
                return None
            summary = self._settled(summary_of_row(row[2:], ALL_COLUMNS), row[0])
            return Details(summary, Path(row[0]), row[1])

        return self._ask(read)

    def ask(self, question: Callable[[sqlite3.Connection], Result]) -> Result:
        """Puts a question of another kind to the database; nothing may be written.

        Raises:
            IndexUnavailableError: There is no index to ask, and none can be made.
        """
        return self._ask(question)

    # ------------------------------------------------------------------------------------------------- updating

    def refresh(self, *, stop: Callable[[], bool] = lambda: False, tell: Tell = lambda _new, _gone: None) -> int:
        """Learns what has changed in the logs, the newest first; what is learnt can be asked for at once.

        Args:
            stop: Asked now and then; when it says so, the rest is left for the next time.
            tell: Hears of what was learnt, as soon as it can be asked for.

        Returns:
            How many sessions were new, changed or gone.

        Raises:
            IndexUnavailableError: The index cannot be written.
        """
        return self._ask(lambda db: self._refresh(db, stop, tell))

    def _refresh(self, db: sqlite3.Connection, stop: Callable[[], bool], tell: Tell) -> int:
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
            tell((), gone)
        changed.sort(key=lambda file: file.modified, reverse=True)
        done = len(gone)
        for batch in _batches(changed, lambda file: max(0, file.size - (known.get(file.path.stem) or (0, 0))[1])):
            if stop():
                break
            with _transaction(db):
                take_in(db, batch)
            tell([file.path.stem for file in batch], ())
            done += len(batch)
        return done

    # --------------------------------------------------------------------------------------------------- within

    def _ask(self, question: Callable[[sqlite3.Connection], Result]) -> Result:
        """Puts a question to the database. A damaged one is made anew first, from the logs."""
        try:
            return self._put(question)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter for a damaged schema
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            if code in _PASSING or code in _HOPELESS:
                raise IndexUnavailableError(
                    f"The index of the sessions cannot be used ({error}): {self.path}."
                ) from error
            log.warning("%s is damaged (%s) and is made anew", self.path, error)
        except OSError as error:
            raise IndexUnavailableError(f"The index of the sessions cannot be made ({error}).") from error
        self._discard()
        self._put(lambda db: self._refresh(db, lambda: False, lambda _new, _gone: None))
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
        return self._settled(summary_of_row(values), path)

    @staticmethod
    def _settled(summary: Summary, path: str) -> Summary:
        if summary.status == "running" and not in_use(Path(path)):
            summary.status = "interrupted"
        return summary

    def _search(
        self,
        db: sqlite3.Connection,
        words: Sequence[str],
        directory: Path | None,
        limit: int,
        stop: Callable[[], bool] | None,
    ) -> Sequence[Found]:
        db.set_progress_handler(stop, _STEPS)
        scope = None if directory is None else scope_of(db, str(directory))
        places = find_places(db, words, scope, limit, complete=False)
        places = places or find_places(db, words, scope, limit, complete=True)
        return [found for number, place in places.items() if (found := self._found(db, number, *place))]

    def _found(self, db: sqlite3.Connection, number: int, rowid: int, query: str) -> Found | None:
        ask = f"SELECT path, {', '.join(COLUMNS)} FROM sessions WHERE number = ?"  # noqa: S608 - no input in it
        row = db.execute(ask, (number,)).fetchone()
        ask = "SELECT snippet(texts, 0, char(2), char(3), '…', 24), kind, seq FROM texts"
        ask += " WHERE texts MATCH ? AND rowid = ?"
        text = db.execute(ask, (query, rowid)).fetchone()
        if row is None or text is None:
            return None
        return Found(self._summary(row), *marked(text[0]), kind=text[1], seq=text[2])


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

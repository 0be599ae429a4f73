"""The index of all sessions: a table to list and a full text to search, derived from the logs beside it.

It holds nothing that the logs do not hold. Gone, damaged or of another version, it is made anew; a log that grew is
read on from where it was left. Where it cannot be written (a full disk, one that is only read), one that ends with the
process does its work. Every method opens the database for itself, so any thread may call it; none belongs on
an event loop.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ml_intern.sessions.find import Lookout, SessionFile
from ml_intern.sessions.lock import in_use
from ml_intern.sessions.query import marked, words_of
from ml_intern.sessions.rows import ALL_COLUMNS, COLUMNS, StoppedError, forget, summary_of_row, take_in
from ml_intern.sessions.schema import PATIENCE_S, connect, discard, spare
from ml_intern.sessions.search import Place, find_places, scope_of
from ml_intern.sessions.summary import Summary

log = logging.getLogger(__name__)

_FIRST_BATCH_BYTES, _MOST_BATCH_BYTES = 1_000_000, 8_000_000
"""What is read before it can be asked for: little at first, since somebody waits; then more, which costs less."""
_STEPS = 20_000
"""So many steps of the database, a fraction of a millisecond, lie between two looks whether a search is to stop."""
_PASSING = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT})
_HOPELESS = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})

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


class Hit(NamedTuple):
    """A session that a search found, by its id, and where."""

    id: str
    place: Place


Tell = Callable[[Sequence[str], Sequence[str], int], object]
"""Takes ids of sessions that are new or changed, ids of those that are gone, and how many logs are left to read."""


class IndexUnavailableError(Exception):
    """The index can neither be read nor made. The message is one sentence."""


class SessionIndex:
    """Lists and searches the sessions of a directory.

    Args:
        directory: Where session logs live. The index is the file `index.sqlite` in it.
        waits: A question that finds the index damaged waits until it has been made anew; else it is answered from an
            empty one, which the next `refresh` fills.
        patience_s: How long to wait for another process that writes the index.
    """

    def __init__(self, directory: Path, *, waits: bool = True, patience_s: float = PATIENCE_S) -> None:
        self._waits = waits
        self._patience_s = patience_s
        self._lookout = Lookout(directory)
        self._spare: sqlite3.Connection | None = None
        self._spare_is_free = threading.Lock()
        self.path = directory / "index.sqlite"

    # --------------------------------------------------------------------------------------------------- asking

    def list(self, directory: Path | None = None, *, limit: int = 1_000_000) -> _Summaries:
        """Sessions as of the last `refresh`, the one used last first.

        Args:
            directory: Only those that worked there.
            limit: How many at most.

        Raises:
            IndexUnavailableError: There is no index to ask, and none can be made.
        """
        query = f"SELECT path, {', '.join(COLUMNS)} FROM sessions"  # noqa: S608 - no input in it
        query += " WHERE directory = ?" if directory is not None else ""
        query += " ORDER BY ended DESC, number DESC LIMIT ?"
        where = [] if directory is None else [str(directory)]
        return self._ask(lambda db: [self._summary(row) for row in db.execute(query, (*where, limit))])

    def those(self, ids: Sequence[str]) -> _Summaries:
        """Those of these sessions that it knows, in no order."""
        query = f"SELECT path, {', '.join(COLUMNS)} FROM sessions WHERE id = ?"  # noqa: S608 - no input in it
        return self._ask(lambda db: [self._summary(row) for name in ids for row in db.execute(query, (name,))])

    def search(self, words: str, *, directory: Path | None = None, limit: int = 50) -> Sequence[Found]:
        """Sessions in which all these words were said or run, those with the newest such text first.

        The last word may be the beginning of one, if it is not found as it is. Texts that hold all words come before
        sessions whose texts only hold them together.

        Args:
            words: What is looked for; what stands in double quotes belongs together.
            directory: Only sessions that worked there.
            limit: How many at most.

        Raises:
            IndexUnavailableError: There is no index to ask, and none can be made.
        """
        hits = self.hits(words, directory=directory, limit=limit)
        return self._ask(lambda db: [found for hit in hits if (found := self._found(db, hit)) is not None])

    def hits(
        self, words: str, *, directory: Path | None = None, limit: int = 50, stop: Callable[[], bool] | None = None
    ) -> Sequence[Hit]:
        """What `search` finds, without the texts, most of which nobody will look at; `quote` has them.

        Args:
            words: What is looked for.
            directory: Only sessions that worked there.
            limit: How many at most.
            stop: Asked now and then; when it says so, the search ends without an answer.

        Raises:
            IndexUnavailableError: There is no index to ask, and none can be made; or the search was stopped.
        """
        asked = words_of(words)
        ask = partial(self._hits, words=asked, directory=directory, limit=limit, stop=stop)
        return self._ask(ask) if asked else []

    def quote(self, hit: Hit) -> Found | None:
        """The text of a hit; None when it is not there any more."""
        return self._ask(lambda db: self._found(db, hit))

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
            summary = self._settled(summary_of_row(row[2:]), row[0])
            return Details(summary, Path(row[0]), row[1])

        return self._ask(read)

    def ask(self, question: Callable[[sqlite3.Connection], Result]) -> Result:
        """Puts a question of another kind to the database; nothing may be written.

        Raises:
            IndexUnavailableError: There is no index to ask, and none can be made.
        """
        return self._ask(question)

    # ------------------------------------------------------------------------------------------------- updating

    def refresh(
        self,
        *,
        closely: bool = True,
        stop: Callable[[], bool] = lambda: False,
        tell: Tell = lambda _new, _gone, _left: None,
    ) -> int:
        """Learns what has changed in the logs, the newest first; what is learnt can be asked for at once.

        Args:
            closely: Every log is looked at; see `Lookout`.
            stop: Asked often; when it says so, the rest is left for the next time.
            tell: Hears of what was learnt, as soon as it can be asked for, and once before how much there is to read.

        Returns:
            How many sessions were new, changed or gone.

        Raises:
            IndexUnavailableError: The index cannot be written.
        """
        return self._ask(lambda db: self._refresh(db, stop, tell, closely=closely))

    def _refresh(self, db: sqlite3.Connection, stop: Callable[[], bool], tell: Tell, *, closely: bool = True) -> int:
        known = {row[0]: row[1:] for row in db.execute("SELECT id, path, size, modified FROM sessions")}
        there = self._lookout.look(closely=closely)
        gone = [session_id for session_id in known if session_id not in there]
        changed = [file for name, file in there.items() if known.get(name) != file]
        if gone:
            with _transaction(db):
                for session_id in gone:
                    forget(db, session_id)
        left = len(changed)
        tell((), gone, left)
        changed.sort(key=lambda file: file.modified, reverse=True)
        done = len(gone)
        for batch in _batches(changed, lambda file: max(0, file.size - (known.get(file.id) or (0, 0))[1])):
            if stop():
                break
            try:
                with _transaction(db):
                    take_in(db, batch, stop)
            except StoppedError:
                break
            left -= len(batch)
            tell([file.id for file in batch], (), left)
            done += len(batch)
        return done

    # --------------------------------------------------------------------------------------------------- within

    def _ask(self, question: Callable[[sqlite3.Connection], Result]) -> Result:
        """Puts a question to the database. A damaged one is made anew first, from the logs."""
        try:
            return self._put(question)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter for a damaged schema
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            if code in _HOPELESS or (code in _PASSING and self._waits and code != sqlite3.SQLITE_INTERRUPT):
                return self._ask_spare(question, error)
            if code in _PASSING:
                raise self._unavailable(error) from error
            log.warning("%s is damaged (%s) and is made anew", self.path, error)
        except OSError as error:
            if not self.path.parent.is_dir():
                raise IndexUnavailableError(f"The index of the sessions cannot be made ({error}).") from error
            return self._ask_spare(question, error)
        discard(self.path)
        if self._waits:
            self._put(lambda db: self._refresh(db, lambda: False, lambda _new, _gone, _left: None))
        return self._put(question)

    def _unavailable(self, error: Exception) -> IndexUnavailableError:
        return IndexUnavailableError(f"The index of the sessions cannot be used ({error}): {self.path}.")

    def _ask_spare(self, question: Callable[[sqlite3.Connection], Result], reason: Exception) -> Result:
        """Puts a question to an index that ends with this process, now and from now on."""
        try:
            if self._spare is None:
                log.warning("%s cannot be used (%s): this run makes an index of its own", self.path, reason)
                self._spare = spare()
                if self._waits:
                    self._put(lambda db: self._refresh(db, lambda: False, lambda _new, _gone, _left: None))
            return self._put(question)
        except sqlite3.DatabaseError as error:
            raise self._unavailable(error) from error

    def _put(self, question: Callable[[sqlite3.Connection], Result]) -> Result:
        if self._spare is None:
            with contextlib.closing(connect(self.path, self._patience_s)) as db:
                return question(db)
        with self._spare_is_free:
            try:
                return question(self._spare)
            finally:
                self._spare.set_progress_handler(None, 0)

    def _summary(self, row: Sequence[Any]) -> Summary:
        path, *values = row
        return self._settled(summary_of_row(values), path)

    @staticmethod
    def _settled(summary: Summary, path: str) -> Summary:
        if summary.status == "running" and not in_use(Path(path)):
            summary.status = "interrupted"
        return summary

    @staticmethod
    def _hits(
        db: sqlite3.Connection,
        words: Sequence[str],
        directory: Path | None,
        limit: int,
        stop: Callable[[], bool] | None,
    ) -> Sequence[Hit]:
        db.set_progress_handler(stop, _STEPS)
        scope = None if directory is None else scope_of(db, str(directory))
        places = find_places(db, words, scope, limit, complete=False)
        places = places or find_places(db, words, scope, limit, complete=True)
        ask = "SELECT id FROM sessions WHERE number = ?"
        ids = ((db.execute(ask, (number,)).fetchone(), place) for number, place in places.items())
        return [Hit(row[0], place) for row, place in ids if row is not None]

    def _found(self, db: sqlite3.Connection, hit: Hit) -> Found | None:
        ask = f"SELECT path, {', '.join(COLUMNS)} FROM sessions WHERE id = ?"  # noqa: S608 - no input in it
        row = db.execute(ask, (hit.id,)).fetchone()
        ask = "SELECT snippet(texts, 0, char(2), char(3), '…', 24), kind, seq FROM texts"
        ask += " WHERE texts MATCH ? AND rowid = ?"
        text = db.execute(ask, (hit.place.query, hit.place.rowid)).fetchone()
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
    size, most = 0, _FIRST_BATCH_BYTES
    for file in files:
        batch.append(file)
        size += new_bytes(file)
        if size >= most:
            yield batch
            batch, size, most = [], 0, min(2 * most, _MOST_BATCH_BYTES)
    if batch:
        yield batch

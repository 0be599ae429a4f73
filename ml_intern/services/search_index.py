"""A full-text index on disk: collections of pages, searched passage by passage. SQLite FTS5; derived data throughout.

A damaged or foreign file is put aside and begun anew, since everything in it can be fetched again.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

SCHEMA = 2
PASSAGE_CHARS = 1500
_SNIPPET_WORDS = 40

_TABLES = """
CREATE TABLE IF NOT EXISTS collections (name TEXT PRIMARY KEY, listed_at REAL NOT NULL, about TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS pages (
  id INTEGER PRIMARY KEY, collection TEXT NOT NULL, position INTEGER NOT NULL, url TEXT NOT NULL, title TEXT NOT NULL,
  section TEXT NOT NULL, text TEXT, fetched_at REAL, failure TEXT NOT NULL DEFAULT '', UNIQUE (collection, url));
CREATE INDEX IF NOT EXISTS pages_in_order ON pages (collection, position);
CREATE INDEX IF NOT EXISTS pages_by_url ON pages (url);
CREATE VIRTUAL TABLE IF NOT EXISTS passages USING fts5 (
  title, heading, names, body, place, tokenize = "porter unicode61");
INSERT INTO passages (passages, rank) VALUES ('rank', 'bm25(8.0, 5.0, 4.0, 1.0, 0.0)');
"""
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM passages WHERE passages MATCH ? LIMIT ?)"
_RANK = (
    "SELECT rowid, score FROM (SELECT rowid, rank AS score FROM passages WHERE passages MATCH ? LIMIT ?) "
    "ORDER BY score LIMIT ?"
)
MOST_RANKED = 5_000
_SPLIT = "\x1f"
"""Between a heading and the parts of the names in it."""
PASSAGES_A_PAGE = 1000
"""The row of a passage is that of its page times this, plus its number: so both find each other without an index."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A page as a table of contents names it."""

    url: str
    title: str
    section: str = ""


@dataclass(frozen=True, slots=True)
class StoredPage:
    """A page of a collection.

    Attributes:
        text: Its text; None while it has not been fetched.
        failure: Why it could not be fetched the last time, or empty.
        fetched_at: When its text came, seconds since the epoch.
    """

    url: str
    title: str
    section: str
    text: str | None
    failure: str
    fetched_at: float | None


@dataclass(frozen=True, slots=True)
class Found:
    """A page that answers a query, with the passage that does.

    Attributes:
        score: Larger is better; comparable within one search only.
    """

    url: str
    title: str
    section: str
    heading: str
    snippet: str
    score: float


class SearchIndex:
    """The index in one file. Every method blocks for as long as SQLite takes and may be called from any thread.

    Args:
        path: The file; made with its directory when it is first needed.
        clock: Seconds since the epoch.
        most_ranked: How many passages are ranked at most. Where more of them fit, the words are everywhere, and what
            each passage says of them need not be weighed to the last one.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time, *, most_ranked: int = MOST_RANKED) -> None:
        self._path = path
        self._clock = clock
        self._most_ranked = most_ranked
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    # ------------------------------------------------------------------------------------------------- filling

    def listed_at(self, collection: str) -> float:
        """When the pages of a collection were listed the last time; 0 when never."""
        with self._open() as db:
            row = db.execute("SELECT listed_at FROM collections WHERE name = ?", (collection,)).fetchone()
        return float(row[0]) if row else 0.0

    def list_pages(self, collection: str, pages: Iterable[Listed], about: str = "") -> None:
        """Makes these the pages of a collection, in this order. Texts of pages that stay are kept."""
        with self._open() as db:
            kept = set()
            for position, page in enumerate(pages):
                db.execute(
                    "INSERT INTO pages (collection, position, url, title, section) VALUES (?, ?, ?, ?, ?) "
                    "ON CONFLICT (collection, url) DO UPDATE SET position = excluded.position, title = excluded.title, "
                    "section = excluded.section",
                    (collection, position, page.url, page.title, page.section),
                )
                kept.add(page.url)
            known = db.execute("SELECT id, url FROM pages WHERE collection = ?", (collection,)).fetchall()
            for page_id, url in known:
                if url not in kept:
                    first = page_id * PASSAGES_A_PAGE
                    db.execute("DELETE FROM passages WHERE rowid BETWEEN ? AND ?", (first, first + PASSAGES_A_PAGE - 1))
                    db.execute("DELETE FROM pages WHERE id = ?", (page_id,))
            db.execute("INSERT OR REPLACE INTO collections VALUES (?, ?, ?)", (collection, self._clock(), about))

    def store(self, collection: str, url: str, text: str) -> None:
        """Keeps the text of a page and makes it findable."""
        with self._open() as db:
            row = db.execute("SELECT id, title, text FROM pages WHERE collection = ? AND url = ?", (collection, url))
            found = row.fetchone()
            if found is None:
                return
            page_id, title, before = found
            db.execute(
                "UPDATE pages SET text = ?, fetched_at = ?, failure = '' WHERE id = ?", (text, self._clock(), page_id)
            )
            if before == text:
                return
            first = page_id * PASSAGES_A_PAGE
            if before is not None:
                db.execute("DELETE FROM passages WHERE rowid BETWEEN ? AND ?", (first, first + PASSAGES_A_PAGE - 1))
            place, named = _place(collection), f"{title} {split_names(title)}"
            cut = itertools.islice(passages(text), PASSAGES_A_PAGE)
            db.executemany(
                "INSERT INTO passages (rowid, title, heading, names, body, place) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (
                        first + number,
                        named,
                        f"{heading}{_SPLIT}{split_names(heading)}",
                        split_names(f"{heading} {body}"),
                        body,
                        place,
                    )
                    for number, (heading, body) in enumerate(cut)
                ),
            )

    def fail(self, collection: str, url: str, failure: str) -> None:
        """Remembers that a page could not be fetched; it is asked for again the next time."""
        with self._open() as db:
            db.execute("UPDATE pages SET failure = ? WHERE collection = ? AND url = ?", (failure, collection, url))

    # ------------------------------------------------------------------------------------------------- reading

    def missing(self, collection: str, older_than: float = 0.0) -> list[str]:
        """Addresses of pages without a text, or with one from before `older_than` seconds since the epoch."""
        with self._open() as db:
            rows = db.execute(
                "SELECT url FROM pages WHERE collection = ? AND (text IS NULL OR fetched_at < ?) ORDER BY position",
                (collection, older_than),
            ).fetchall()
        return [str(row[0]) for row in rows]

    def pages(self, collection: str, limit: int = 1_000_000) -> list[StoredPage]:
        """The pages of a collection in their order."""
        with self._open() as db:
            rows = db.execute(
                "SELECT url, title, section, text, failure, fetched_at FROM pages WHERE collection = ? "
                "ORDER BY position LIMIT ?",
                (collection, limit),
            ).fetchall()
        return [StoredPage(*row) for row in rows]

    def count(self, collection: str) -> tuple[int, int]:
        """How many pages a collection has, and how many of them have a text."""
        with self._open() as db:
            row = db.execute("SELECT count(*), count(text) FROM pages WHERE collection = ?", (collection,)).fetchone()
        return int(row[0]), int(row[1])

    def page(self, url: str) -> StoredPage | None:
        """A page by its address, whatever collection it is in."""
        with self._open() as db:
            row = db.execute(
                "SELECT url, title, section, text, failure, fetched_at FROM pages WHERE url = ? AND text IS NOT NULL",
                (url,),
            ).fetchone()
        return StoredPage(*row) if row else None

    def search(self, collections: Iterable[str], query: str, limit: int) -> list[Found]:
        """Pages that answer a query, the best first, each once with its best passage.

        Passages with all words come before those with some of them.
        """
        words = words_of(query)
        place = " OR ".join(f'"{_place(name)}"' for name in collections)
        if not words or not place:
            return []
        best: dict[int, tuple[int, float, str]] = {}
        with self._open() as db:
            for match in self._matches(db, f"place : ({place})", words):
                for rowid, rank in db.execute(_RANK, (match, self._most_ranked, limit * 4)):
                    best.setdefault(rowid // PASSAGES_A_PAGE, (rowid, -rank, match))
                if len(best) >= limit:
                    break
            return [_found(db, *hit) for hit in itertools.islice(best.values(), limit)]

    def _matches(self, db: sqlite3.Connection, place: str, words: list[str]) -> Iterator[str]:
        """What to look for, one after the other, until enough is found: all words, then any of them.

        Where too many passages have any, those with a rare word come first, since that tells what is meant. Then come
        those that are named so, and of the others some must do.
        """
        for joined in (" AND ".join(words), " OR ".join(words)) if len(words) > 1 else words:
            match = f"{place} AND ({joined})"
            if self._count(db, match) > self._most_ranked:
                if rare := self._rare(db, place, words):
                    yield f"{place} AND ({' OR '.join(rare)}) AND ({joined})"
                yield f"{place} AND ({{title heading}} : ({joined}))"
            yield match

    def _rare(self, db: sqlite3.Connection, place: str, words: list[str]) -> list[str]:
        """The words that few passages have, the rarest first, as many as can be ranked together."""
        counts = sorted((self._count(db, f"{place} AND {word}"), word) for word in words)
        room, rare = self._most_ranked, list[str]()
        for count, word in counts:
            room -= count
            if count and room >= 0:
                rare.append(word)
        return rare

    def _count(self, db: sqlite3.Connection, match: str) -> int:
        """How many passages there are for a match; one more than can be ranked stands for all larger numbers."""
        return int(db.execute(_COUNT, (match, self._most_ranked + 1)).fetchone()[0])

    def close(self) -> None:
        """Closes the file; it is opened again when it is needed."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # ------------------------------------------------------------------------------------------------ the file

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._connection is None:
                self._connection = self._connect()
            with self._connection as db:
                yield db

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            return self._prepared()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                raise
            log.warning("the search index %s is begun anew: %s", self._path, error)
            self._path.replace(self._path.with_suffix(".damaged"))
            return self._prepared()

    def _prepared(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=10, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, SCHEMA):
                raise sqlite3.DatabaseError(f"it was written by another version ({version})")
            db.executescript(_TABLES)
            db.execute(f"PRAGMA user_version = {SCHEMA}")
        except sqlite3.Error:
            db.close()
            raise
        return db


_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$")
_ANCHOR = re.compile(r"\[\[.*?\]\]")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[A-Z_.\-][A-Za-z0-9]+)+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[_.\-]+")
_WORD = re.compile(r"[^\W_]+(?:[_.\-][^\W_]+)*")


def passages(text: str) -> Iterator[tuple[str, str]]:
    """Heading and text of the parts of a markdown page: cut at headings, long parts at paragraphs."""
    heading, lines, fenced = "", list[str](), False
    for line in text.splitlines():
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        found = None if fenced else _HEADING.match(line)
        too_long = not line.strip() and not fenced and sum(map(len, lines)) > PASSAGE_CHARS
        if found or too_long:
            if body := "\n".join(lines).strip():
                yield heading, body
            lines = []
        if found:
            heading = found[2]
        else:
            lines.append(line)
    if body := "\n".join(lines).strip():
        yield heading, body


def split_names(text: str) -> str:
    """The parts of names in a text: `SFTConfig` as `SFT Config`, `max_length` as `max length`; each once."""
    parts: dict[str, None] = {}
    for name in _NAME.findall(text):
        for piece in _CAMEL.split(name):
            if len(piece) > 1:
                parts.setdefault(piece.lower())
    return " ".join(parts)


def words_of(query: str) -> list[str]:
    """The words of a query as FTS5 expressions in which nothing has a meaning of its own.

    A name matches as it is and by its parts.
    """
    words: dict[str, None] = {}
    for word in _WORD.findall(query):
        forms = [word.lower()]
        pieces = [piece.lower() for piece in _CAMEL.split(word) if len(piece) > 1]
        if len(pieces) > 1:
            forms.append(" AND ".join(f'"{piece}"' for piece in pieces))
            words.setdefault(f'("{forms[0]}" OR ({forms[1]}))')
        else:
            words.setdefault(f'"{forms[0]}"')
    return list(words)


def _found(db: sqlite3.Connection, rowid: int, score: float, match: str) -> Found:
    """A hit with what is shown of it. Snippets are cut only from the few that are."""
    page_id = rowid // PASSAGES_A_PAGE
    url, title, section = db.execute("SELECT url, title, section FROM pages WHERE id = ?", (page_id,)).fetchone()
    heading, snippet = db.execute(
        "SELECT heading, snippet(passages, 3, '', '', ' … ', ?) FROM passages WHERE passages MATCH ? AND rowid = ?",
        (_SNIPPET_WORDS, match, rowid),
    ).fetchone()
    heading = _ANCHOR.sub("", heading.partition(_SPLIT)[0]).strip()
    return Found(url, title, section, heading, " ".join(snippet.split()), score)


def _place(collection: str) -> str:
    """The word that stands for a collection in each of its passages; no text holds it."""
    return "in" + hashlib.sha256(collection.encode()).hexdigest()[:16]

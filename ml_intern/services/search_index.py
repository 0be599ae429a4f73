"""A full-text index on disk: collections of pages, searched passage by passage. SQLite FTS5; derived data throughout.

A damaged or foreign file is put aside and begun anew, since everything in it can be fetched again.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

SCHEMA = 1
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
  title, heading, names, body, page UNINDEXED, collection UNINDEXED, tokenize = "porter unicode61");
"""
_WEIGHTS = "8.0, 5.0, 4.0, 1.0"


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
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
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
                    db.execute("DELETE FROM passages WHERE page = ?", (page_id,))
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
            db.execute("DELETE FROM passages WHERE page = ?", (page_id,))
            db.executemany(
                "INSERT INTO passages (title, heading, names, body, page, collection) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (
                        f"{title} {split_names(title)}",
                        heading,
                        split_names(f"{heading} {body}"),
                        body,
                        page_id,
                        collection,
                    )
                    for heading, body in passages(text)
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
        """Pages that answer a query, the best first, each once with its best passage."""
        match = match_of(query)
        names = tuple(collections)
        if not match or not names:
            return []
        marks = ", ".join("?" * len(names))
        with self._open() as db:
            rows = db.execute(
                f"SELECT p.url, p.title, p.section, f.heading, snippet(passages, 3, '', '', ' … ', {_SNIPPET_WORDS}), "  # noqa: S608 - only question marks and constants of ours
                f"-bm25(passages, {_WEIGHTS}) AS score, f.page FROM passages f JOIN pages p ON p.id = f.page "
                f"WHERE passages MATCH ? AND f.collection IN ({marks}) ORDER BY score DESC LIMIT ?",
                (match, *names, limit * 6),
            ).fetchall()
        best: dict[int, Found] = {}
        for url, title, section, heading, snippet, score, page_id in rows:
            shown = _ANCHOR.sub("", heading).strip()
            best.setdefault(page_id, Found(url, title, section, shown, " ".join(snippet.split()), float(score)))
        return list(best.values())[:limit]

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


def match_of(query: str) -> str:
    """A query of a person or a model as an FTS5 expression in which nothing has a meaning of its own.

    Every word may match; those that are names also match by their parts.
    """
    words: dict[str, None] = {}
    for word in _WORD.findall(query):
        words.setdefault(word.lower())
        for piece in _CAMEL.split(word):
            if len(piece) > 1:
                words.setdefault(piece.lower())
    return " OR ".join('"' + word.replace('"', '""') + '"' for word in words)

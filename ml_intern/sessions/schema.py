"""The tables of the index, and how its database is opened and begun."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from ml_intern.sessions.log import make_private_directories
from ml_intern.sessions.query import SHORTEST_PREFIX
from ml_intern.sessions.spend import SCHEMA as SPEND_SCHEMA

VERSION = 7
PATIENCE_S = 20.0
"""Another process may be writing what it has learnt, which takes it a second, or more on a busy machine."""
_SETTINGS = """
PRAGMA synchronous = OFF;
PRAGMA cache_size = -32000;
PRAGMA cache_spill = OFF;
PRAGMA temp_store = MEMORY;
"""
"""It can be made anew at any time, so no write needs to wait for the disk. What is written stays in memory until it is
whole: written early, it would shut readers out for the rest of the transaction."""

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
    open_at INTEGER NOT NULL,
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
CREATE INDEX by_directory ON sessions (directory, ended, first_ms, last_ms);
CREATE INDEX by_file ON sessions (id, path, size, modified);
CREATE VIRTUAL TABLE texts USING fts5 (
    text, kind UNINDEXED, seq UNINDEXED, tokenize = 'unicode61', columnsize = 0, prefix = '{SHORTEST_PREFIX}'
);
CREATE VIRTUAL TABLE terms USING fts5vocab (texts, instance);
INSERT INTO texts (texts, rank) VALUES ('hashsize', 16777216);
INSERT INTO texts (texts, rank) VALUES ('automerge', 8);
{SPEND_SCHEMA}
PRAGMA user_version = {VERSION};
COMMIT;
"""  # noqa: S608 - no input, numbers of ours


def connect(path: Path, patience_s: float = PATIENCE_S) -> sqlite3.Connection:
    """Opens the database, begun anew if it is not there. Waits so long for whoever writes it.

    Raises:
        sqlite3.DatabaseError: It is damaged, of another version, or cannot be used.
        OSError: It cannot be made.
    """
    if not path.exists():
        make_private_directories(path.parent)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    db = sqlite3.connect(path, timeout=patience_s, isolation_level=None)
    return _opened(db)


def spare() -> sqlite3.Connection:
    """A database of the same kind for this process alone, which goes with it. Any one thread at a time may use it.

    Raises:
        sqlite3.DatabaseError: There is no room even for that.
    """
    return _opened(sqlite3.connect("", isolation_level=None, check_same_thread=False))


def _opened(db: sqlite3.Connection) -> sqlite3.Connection:
    try:
        db.executescript(_SETTINGS)
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version not in {0, VERSION}:
            raise sqlite3.DatabaseError(f"version {version}")
        if version == 0:
            _create(db)
    except BaseException:
        db.close()
        raise
    return db


def _create(db: sqlite3.Connection) -> None:
    try:
        db.executescript(_SCHEMA)
    except sqlite3.OperationalError:
        db.rollback()
        if db.execute("PRAGMA user_version").fetchone()[0] != VERSION:  # else another process was quicker
            raise


def discard(path: Path) -> None:
    """Throws the database away."""
    for each in (path, path.with_name(f"{path.name}-journal")):
        each.unlink(missing_ok=True)

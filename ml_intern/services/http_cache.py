"""Answers of services, kept on disk.

They are kept by method and address. A service says how long its answers stay fresh (`ttl_s`), or lets the server's own
headers decide (`ttl_s=None`: conditional requests with ETags). Answers to requests with a token are kept apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

CACHE_BYTES = 500_000_000
CACHED_FOR_S = 30 * 86_400.0

PERSONAL = frozenset({"authorization", "cookie", "x-api-key"})
"""Headers by which a server knows who asks."""
_TELLING = PERSONAL | {"accept"}
"""Headers that an answer depends on."""


def caching_of(ttl_s: float | None, method: str, url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """How the cache treats one request; answers to somebody who has signed in are that somebody's alone.

    Args:
        ttl_s: Seconds for which an answer is fresh; None: the server's headers decide.
        method: Of the request.
        url: Its whole address.
        headers: Its headers.

    Returns:
        The request's extension `caching`.
    """
    said_who = "|".join(f"{name}={headers[name]}" for name in sorted(headers) if name.lower() in _TELLING)
    key = hashlib.sha256(f"{method} {url} {said_who}".encode("utf-8", "surrogatepass")).hexdigest()
    if ttl_s is None:
        return {"key": f"rfc-{key}"}
    return {"rfc": False, "ttl": ttl_s, "key": key}


def with_cache(
    wire: httpx.AsyncBaseTransport, directory: Path, most_bytes: int, longest_body: int
) -> httpx.AsyncBaseTransport:
    """A transport that keeps what another one brings; that one itself where nothing can be kept. Blocks.

    Args:
        wire: Brings the answers.
        directory: Where they are kept.
        most_bytes: Most that is kept on disk.
        longest_body: Most bytes of a body that is kept.
    """
    from hishel import AsyncSqliteStorage, CacheOptions
    from hishel.httpx import AsyncCacheTransport

    path = directory / "answers.db"
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        _put_aside_if_unusable(path)
    except (OSError, RuntimeError) as error:
        log.warning("answers are not kept: %s", error)
        return wire
    storage = AsyncSqliteStorage(
        database_path=path, default_ttl=CACHED_FOR_S, max_size=most_bytes, max_stream_size=longest_body
    )
    return AsyncCacheTransport(wire, storage, rfc=CacheOptions(shared=False))


def _put_aside_if_unusable(path: Path) -> None:
    """All that is kept can be fetched again: a file that is damaged, or of another version, must not stop that.

    Raises:
        OSError: Nothing can be kept there.
        RuntimeError: Neither in a fresh file.
    """
    import sqlite3

    for last in (False, True):
        try:
            with contextlib.closing(sqlite3.connect(path)) as db:
                db.execute("SELECT name FROM sqlite_master").fetchall()
            asyncio.run(_try_storage(path))
        except (sqlite3.DatabaseError, RuntimeError) as error:
            if "locked" in str(error):
                return
            if last:
                raise RuntimeError(str(error)) from error
            log.warning("the cache of answers %s is begun anew: %s", path, error)
            path.replace(path.with_suffix(".damaged"))
        else:
            return


async def _try_storage(path: Path) -> None:
    """Raises RuntimeError when the file has tables of another version."""
    from hishel import AsyncSqliteStorage

    storage = AsyncSqliteStorage(database_path=path)
    try:
        await storage.get_entries("")
    finally:
        await storage.close()

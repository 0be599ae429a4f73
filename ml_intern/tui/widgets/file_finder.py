"""Finds files for what is typed after an `@`: indexed and matched in threads, never on the event loop."""

from __future__ import annotations

import re
import time
from pathlib import Path

from ml_intern.core.file_index import best_files, list_files, list_folder, matching_files
from ml_intern.services.threads import in_thread

OFFERED = 50
FRESH_S = 10.0
"""An index older than this is made anew when another `@` is typed."""
_MENTION = re.compile(r'(?:^|(?<=\s))@(?:"([^"\n]*)|([^\s"]*))$')
_OUTSIDE = ("/", "~/", "../", "./")
"""What is typed like this is looked up where it is, and not in the index."""


def mention_before(text: str) -> str | None:
    """What stands behind the `@` that a text ends with, without a quote that it begins with; None without one."""
    found = _MENTION.search(text)
    return None if found is None else found[1] or found[2] or ""


def mention_start(text: str) -> int:
    """Where the `@` stands that a text ends with; its length without one."""
    found = _MENTION.search(text)
    return len(text) if found is None else found.start()


def as_mention(path: str) -> str:
    """A path as a prompt mentions it: quoted when it holds white space."""
    return f'@"{path}"' if any(char.isspace() for char in path) else f"@{path}"


def as_begun(folder: str) -> str:
    """A folder as it is mentioned while more is to follow: a quote stays open."""
    return as_mention(folder).removesuffix('"')


class FileFinder:
    """The files of one workspace. None is found while `root` is None. One search at a time."""

    def __init__(self) -> None:
        self.root: Path | None = None
        self._indexed_root: Path | None = None
        self._indexed_at = 0.0
        self._paths: list[str] = []
        self._last: tuple[str, list[str]] = ("", [])

    async def find(self, query: str) -> list[str]:
        """The best few paths for a query. What was found for its beginning is narrowed down.

        What the index does not have, since it lies outside or is ignored, is found folder by folder.
        """
        root = self.root
        if root is not None and query.startswith(_OUTSIDE):
            return await in_thread(lambda: list_folder(root, query, OFFERED), name="listing a folder")
        await self._refresh(begins=not query)
        known, matches = self._last
        among = matches if known and query.startswith(known) else self._paths
        fitting, best = await in_thread(lambda: _search(query, among), name="finding files")
        self._last = (query, fitting)
        if not best and root is not None and "/" in query:
            return await in_thread(lambda: list_folder(root, query, OFFERED), name="listing a folder")
        return best

    async def _refresh(self, *, begins: bool) -> None:
        root = self.root
        stale = begins and time.monotonic() - self._indexed_at > FRESH_S
        if root is None or (root == self._indexed_root and not stale):
            return
        self._paths = await in_thread(lambda: list_files(root), name="listing files")
        self._indexed_root, self._indexed_at, self._last = root, time.monotonic(), ("", [])


def _search(query: str, paths: list[str]) -> tuple[list[str], list[str]]:
    fitting = matching_files(query, paths)
    return fitting, best_files(query, fitting, OFFERED)

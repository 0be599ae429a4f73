"""The files of a workspace, and which of them fit what was typed. Pure functions that block: call them in a thread."""

from __future__ import annotations

import heapq
import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

MOST_FILES = 200_000
"""A larger workspace is indexed as far as this."""
GIT_WITHIN_S = 20.0
SKIPPED = frozenset({"node_modules", "__pycache__", "venv", "env", "site-packages"})
MOST_IN_FOLDER = 5_000
CHUNK = 500
"""Paths that are matched before other threads, the one that paints above all, get their turn."""


def list_files(root: Path) -> list[str]:
    """Files and folders below `root`, relative and with `/`, the shallow ones first; folders end with `/`.

    A git repository tells which files are ignored (its own rules and a `.ignore` beside them). Elsewhere hidden
    entries, virtual environments and caches are left out.
    """
    files = _listed_by_git(root)
    if files is None:
        files = _walked(root)
    folders = dict.fromkeys(file[: at + 1] for file in files for at in _slashes(file))
    by_depth: dict[int, list[str]] = {}
    # Loops and small sorts, since one call for everything would hold up the other threads.
    for path in chain(files, folders):
        by_depth.setdefault(path.count("/", 0, -1), []).append(path)
    return [path for depth in sorted(by_depth) for path in sorted(by_depth[depth])]


def list_folder(root: Path, typed: str, count: int) -> list[str]:
    """What lies in the folder that a path names up to its last slash, and fits what is typed behind it.

    Args:
        root: What relative paths begin at; `~` is the home directory.
        typed: The beginning of a path.
        count: So many are given at most.

    Returns:
        Paths that begin as `typed` does, folders with `/` at the end; none when there is no such folder.
    """
    above, _, name = typed.rpartition("/")
    folder = root / Path(f"{above}/").expanduser()
    try:
        with os.scandir(folder) as entries:
            names = [f"{entry.name}/" if entry.is_dir() else entry.name for entry in islice(entries, MOST_IN_FOLDER)]
    except (OSError, ValueError, RuntimeError):  # no folder, no permission, no such person's home
        return []
    seen = sorted(each for each in names if name.startswith(".") or not each.startswith("."))
    return [f"{above}/{each}" for each in best_files(name, matching_files(name, seen), count)]


def matching_files(query: str, paths: Sequence[str]) -> list[str]:
    """The paths that hold the letters of `query` in this order, whatever the case. Keeps their order."""
    if not query:
        return list(paths)
    letters = [re.escape(letter) for letter in query]
    # Each gap excludes the letter it leads to, so that a path which does not fit is given up at once.
    wanted = re.compile(letters[0] + "".join(f"[^{letter}]*{letter}" for letter in letters[1:]), re.IGNORECASE)
    found: list[str] = []
    for start in range(0, len(paths), CHUNK):
        found += [path for path in paths[start : start + CHUNK] if wanted.search(path)]
        time.sleep(0)
    return found


def best_files(query: str, matches: Sequence[str], count: int) -> list[str]:
    """The best of what `matching_files` found, the best first."""
    if not query:
        return list(matches[:count])
    wanted = query.lower()
    best: list[tuple[tuple[int, int, str], str]] = []
    for start in range(0, len(matches), CHUNK):
        ranked = [(_rank(wanted, path), path) for path in matches[start : start + CHUNK]]
        best = heapq.nsmallest(count, [*best, *ranked])
        time.sleep(0)
    return [path for _, path in best]


def _rank(wanted: str, path: str) -> tuple[int, int, str]:
    """Smaller is better: the name itself, its beginning, a part of it, a part of the path, scattered letters."""
    lower = path.lower()
    name = lower.rstrip("/").rpartition("/")[2]
    if name == wanted or lower == wanted:
        tier = 0
    elif name.startswith(wanted):
        tier = 1
    elif lower.startswith(wanted):
        tier = 2
    elif wanted in name:
        tier = 3
    elif wanted in lower:
        tier = 4
    else:
        tier = 5
    return tier, len(path), path


def _slashes(path: str) -> Iterator[int]:
    at = path.find("/")
    while at >= 0:
        yield at
        at = path.find("/", at + 1)


def _listed_by_git(root: Path) -> list[str] | None:
    """What git knows and does not ignore; None where there is no repository or no git."""
    # A repository of somebody else may name a program as its file-system monitor: it is not to be run for this.
    command = ["git", "-c", "core.fsmonitor=false", "ls-files", "-z", "-co", "--exclude-standard"]
    if (root / ".ignore").is_file():
        command += ["--exclude-from", str(root / ".ignore")]
    try:
        done = subprocess.run(
            command, cwd=root, stdin=subprocess.DEVNULL, capture_output=True, timeout=GIT_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    names = done.stdout.decode("utf-8", "replace").split("\0")
    unique = {name: None for name in names if name}  # a file in conflict is listed more than once
    return list(unique)[:MOST_FILES]


def _walked(root: Path) -> list[str]:
    files: list[str] = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not _left_out(folder, name))
        prefix = os.path.relpath(folder, root).replace(os.sep, "/")
        prefix = "" if prefix == "." else f"{prefix}/"
        files += [prefix + name for name in sorted(names) if not name.startswith(".")]
        if len(files) >= MOST_FILES:
            break
    return files[:MOST_FILES]


def _left_out(folder: str, name: str) -> bool:
    return name.startswith(".") or name in SKIPPED or Path(folder, name, "pyvenv.cfg").exists()

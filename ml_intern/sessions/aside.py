"""Large texts of a session, in files beside its log, so that a line stays something that can be read at once.

A text is named by its content: the output of a call and the message made of it share one file.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

LARGE_TEXT = 64 * 1024
"""Characters from which on a text gets a file of its own."""

_NAME = re.compile(r"[0-9a-f]{40}\.txt\Z")


def files_of(path: Path) -> Path:
    """The directory of a log's large texts; it need not exist."""
    return path.with_suffix(".files")


def put_aside(value: Any, directory: Path) -> Any:
    """JSON-like data whose large texts are kept in files and referred to as `{"$file": name, "chars": length}`.

    Raises:
        OSError: A file cannot be written.
    """
    if isinstance(value, str):
        return _keep(value, directory) if len(value) > LARGE_TEXT else value
    if isinstance(value, dict):
        return {key: put_aside(item, directory) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [put_aside(item, directory) for item in value]
    return value


def bring_back(value: Any, directory: Path, limit: int | None = None) -> Any:
    """The inverse of `put_aside`. In the place of a text whose file is gone stands a sentence that says so.

    Args:
        value: The data.
        directory: Where the files are.
        limit: Of each file, at most so many bytes are read; None for all of it.
    """
    if isinstance(value, dict):
        if set(value) == {"$file", "chars"} and _NAME.match(str(value["$file"])):
            return _fetch(directory / value["$file"], value["chars"], limit)
        return {key: bring_back(item, directory, limit) for key, item in value.items()}
    if isinstance(value, list):
        return [bring_back(item, directory, limit) for item in value]
    return value


def _keep(text: str, directory: Path) -> dict[str, Any]:
    raw = text.encode("utf-8", "surrogatepass")
    name = f"{hashlib.sha256(raw).hexdigest()[:40]}.txt"
    if not (directory / name).exists():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = directory / f"{name}.{os.getpid()}"
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(raw)
        unfinished.replace(directory / name)
    return {"$file": name, "chars": len(text)}


def _fetch(path: Path, chars: Any, limit: int | None) -> str:
    try:
        if limit is None:
            return path.read_bytes().decode("utf-8", "surrogatepass")
        with path.open("rb") as file:
            return file.read(limit).decode("utf-8", "ignore")  # the cut may go through a character
    except (OSError, ValueError):
        return f"[A text of {chars} characters was kept in {path.name} beside the log; it cannot be read any more.]"

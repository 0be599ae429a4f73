"""JSON schemas of tools, kept from one start to the next: to make them takes longer than all else that tools need."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic

from ml_intern import __version__
from ml_intern.core.tools.spec import ToolSpec

log = logging.getLogger(__name__)

_PACKAGE = Path(__file__).parents[2]
_ROOMS = ("core", "tools", "services")
"""Where parameters of tools and what they are made of are defined."""


class Schemas:
    """The schemas of tools.

    Args:
        path: Where they are kept; the file need not exist, and a damaged one counts as none.
        stamp: What they depend on; those with another stamp are made anew.
    """

    def __init__(self, path: Path, stamp: str) -> None:
        self._path = path
        self._stamp = stamp
        self._known = _read(path, stamp)
        self._made = False

    def of(self, spec: ToolSpec) -> dict[str, Any]:
        """The schema of a tool. Only of parameters that are the same at every start it is kept."""
        if not _is_lasting(spec.parameters):
            return spec.schema()
        if spec.name not in self._known:
            self._known[spec.name] = spec.schema()
            self._made = True
        return self._known[spec.name]

    def keep(self) -> None:
        """Writes those that had to be made. That they cannot be kept only makes the next start slower."""
        if not self._made:
            return
        fresh = self._path.with_suffix(f".{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh.write_text(json.dumps({"stamp": self._stamp, "schemas": self._known}), encoding="utf-8")
            fresh.replace(self._path)
        except OSError as error:
            log.info("schemas of tools are not kept: %s", error)
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)


def program_stamp() -> str:
    """Changes whenever the program, or what makes its schemas, does: versions, and sizes and times of its files."""
    facts = [__version__, pydantic.VERSION, platform.python_version()]
    for room in _ROOMS:
        facts += sorted(_files(_PACKAGE / room))
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def _files(directory: Path | str) -> Iterator[str]:
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                facts = entry.stat()
                yield f"{entry.path} {facts.st_size} {facts.st_mtime_ns}"
            elif entry.is_dir() and entry.name != "__pycache__":
                yield from _files(entry.path)


def _is_lasting(parameters: Any) -> bool:
    """Whether parameters are a class of a module, and not made for one session."""
    if not isinstance(parameters, type):
        return False
    return getattr(sys.modules.get(parameters.__module__), parameters.__qualname__, None) is parameters


def _read(path: Path, stamp: str) -> dict[str, dict[str, Any]]:
    try:
        kept = json.loads(path.read_bytes())
        schemas = kept["schemas"] if kept["stamp"] == stamp else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return schemas if isinstance(schemas, dict) else {}

"""The prompts of earlier runs, kept for the arrow keys: one small, bounded, private file per directory."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

KEPT = 500
MAX_CHARS = 20_000
"""A longer prompt is remembered for this run but not written down."""


class PromptHistory:
    """Walks through earlier prompts, newest first, and comes back to the draft.

    Prompts are appended as they are sent, so that several apps in one directory do not overwrite one another.

    Args:
        path: Where prompts are kept, or None to keep them in memory.
        redact: Takes secrets out of what is written.
    """

    def __init__(self, path: Path | None = None, redact: Callable[[str], str] = lambda text: text) -> None:
        self._path = path
        self._redact = redact
        self._entries = _read(path) if path else []
        self._at = len(self._entries)
        self._draft = ""

    def add(self, text: str) -> None:
        """Remembers a prompt that was sent."""
        if text.strip() and (not self._entries or self._entries[-1] != text):
            self._entries.append(text)
            self._write(text)
        self.rewind()

    def rewind(self) -> None:
        """The next step back starts at the newest prompt again."""
        self._at = len(self._entries)
        self._draft = ""

    def newest_first(self) -> list[str]:
        """All prompts, the newest first, each once."""
        return list(dict.fromkeys(reversed(self._entries)))

    def older(self, current: str) -> str | None:
        """The prompt before this one, or None at the oldest. `current` is kept as the draft on the first step."""
        if self._at == 0:
            return None
        if self._at == len(self._entries):
            self._draft = current
        self._at -= 1
        return self._entries[self._at]

    def newer(self) -> str | None:
        """The prompt after this one, the draft after the newest, or None when already there."""
        if self._at >= len(self._entries):
            return None
        self._at += 1
        return self._draft if self._at == len(self._entries) else self._entries[self._at]

    def _write(self, text: str) -> None:
        if self._path is None or len(text) > MAX_CHARS:
            return
        line = json.dumps(self._redact(text), ensure_ascii=True) + "\n"
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            log.warning("the prompt history cannot be written: %s", error)


def history_file(state_dir: Path, directory: Path) -> Path:
    """Where the prompts given in a directory are kept."""
    name = hashlib.sha256(str(directory.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return state_dir / f"{name}.jsonl"


def _read(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return []
    entries = [entry for line in lines if isinstance(entry := _decoded(line), str)]
    if len(entries) > 2 * KEPT:
        _shorten(path, entries[-KEPT:])
    return entries[-KEPT:]


def _decoded(line: str) -> object:
    try:
        return json.loads(line) if line else None
    except ValueError:
        return None


def _shorten(path: Path, entries: list[str]) -> None:
    fresh = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(entry) + "\n" for entry in entries)
        fresh.replace(path)
    except OSError as error:
        log.warning("the prompt history cannot be shortened: %s", error)

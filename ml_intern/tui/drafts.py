"""What was written and not sent, kept so that it outlives the app: the prompt and the queue, by directory.

Each app appends to a file of its own and holds a lock on it for as long as it lives; so what a killed app has left is
known by its free lock, and two apps in one directory take nothing from each other.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from ml_intern.sessions.lock import SessionLock
from ml_intern.tui.entries import Entry

log = logging.getLogger(__name__)

LONGEST = 1_000_000
"""Characters of a draft; a longer one is not kept."""
GROWS_TO = 4 * LONGEST
"""Bytes after which a file begins anew."""
KEPT_S = 30 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Draft:
    """What was not sent.

    Attributes:
        prompt: What was in the prompt; large pastes are folded.
        queue: What waited, the oldest first.
        pastes: What the signs of folded pastes stand for.
    """

    prompt: Entry = field(default_factory=Entry)
    queue: tuple[Entry, ...] = ()
    pastes: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything to keep."""
        return bool(self.prompt or self.queue)


class DraftKeeper:
    """Keeps the draft of one app. Everything but the construction blocks.

    Args:
        directory: Where drafts are kept; None keeps none.
        workspace: The directory that the app works in.
        redact: Takes secrets out of what is written.
    """

    def __init__(
        self, directory: Path | None = None, workspace: Path = Path(), redact: Callable[[str], str] = str
    ) -> None:
        self._directory = directory
        self._stem = hashlib.sha256(str(workspace.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self._redact = redact
        self._path: Path | None = None
        self._lock: SessionLock | None = None
        self._alone = threading.RLock()  # what is typed is written in a thread, while the app may be leaving

    def claim(self) -> Draft:
        """What an app in this directory has left unsent, the newest; it is nobody else's from now on."""
        if self._directory is None:
            return Draft()
        for path in sorted(self._directory.glob(f"{self._stem}-*.jsonl"), key=_changed, reverse=True):
            with contextlib.suppress(OSError):
                lock = SessionLock.take(path)
                try:
                    draft = _read(path) if time.time() - _changed(path) < KEPT_S else Draft()
                    path.unlink()
                finally:
                    lock.release()
                if draft:
                    return draft
        return Draft()

    def save(self, draft: Draft) -> None:
        """Writes a draft down, or forgets the one before when there is nothing to keep."""
        with self._alone:
            try:
                if not draft:
                    self.close(forget=True)
                elif self._directory is not None:
                    self._append(self._directory, self._line(draft))
            except OSError as error:
                log.warning("the draft cannot be kept: %s", error)

    def close(self, *, forget: bool) -> None:
        """Ends the keeping.

        Args:
            forget: What was kept is not wanted any more.
        """
        with self._alone:
            if self._path is not None and forget:
                self._path.unlink(missing_ok=True)
            if self._lock is not None:
                self._lock.release()
            self._path = self._lock = None

    def _line(self, draft: Draft) -> str:
        redact = self._redact
        record = {
            "prompt": draft.prompt.record(redact),
            "queue": [entry.record(redact) for entry in draft.queue],
            "pastes": {sign: redact(text) for sign, text in draft.pastes.items()},
        }
        line = json.dumps(record, ensure_ascii=True)
        return line if len(line) <= LONGEST else ""

    def _append(self, directory: Path, line: str) -> None:
        if self._path is None:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = directory / f"{self._stem}-{uuid4().hex[:12]}.jsonl"
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            self._path, self._lock = path, SessionLock.take(path)
        mode = os.O_TRUNC if self._path.stat().st_size > GROWS_TO else os.O_APPEND
        with os.fdopen(os.open(self._path, os.O_WRONLY | mode), "w", encoding="ascii") as file:
            file.write(f"{line}\n")


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _read(path: Path) -> Draft:
    """The last draft that was written whole."""
    for line in reversed(path.read_text(encoding="utf-8", errors="replace").split("\n")):
        with contextlib.suppress(ValueError):
            if line and isinstance(record := json.loads(line), dict):
                return _draft_of(record)
    return Draft()


def _draft_of(record: Mapping[str, Any]) -> Draft:
    queue, pastes = record.get("queue"), record.get("pastes")
    entries = [Entry.from_record(each) for each in (queue if isinstance(queue, list) else ())]
    texts = pastes.items() if isinstance(pastes, dict) else ()
    return Draft(
        Entry.from_record(record.get("prompt")),
        tuple(entry for entry in entries if entry),
        {sign: text for sign, text in texts if isinstance(text, str)},
    )

"""Files as they were before the session changed them, so that going back in the conversation can take them along."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import stat
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from ml_intern.core.protocol import utc_now

log = logging.getLogger(__name__)

_MAX_SNAPSHOT_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """How a file was before its first change after a prompt.

    Attributes:
        prompt: Number of that prompt in the session, from 1.
        copy: Where its content is kept; None when it did not exist or is too large to keep.
        mode: Permissions; None when it did not exist.
    """

    prompt: int
    path: Path
    copy: Path | None
    mode: int | None


class FileSnapshots:
    """Keeps each file once for every prompt that led to a change of it, beside the session's other long texts.

    `index.jsonl` in the directory has one object a line: `time`, `prompt`, `path`, `snapshot` (a file name in the
    directory; null when the file did not exist or is too large to keep), `existed`, `mode`. Safe to use from threads.
    """

    def __init__(self) -> None:
        self.prompt = 0
        self._snapshots: list[_Snapshot] = []
        self._left_as: dict[Path, str] = {}
        self._lock = threading.Lock()

    def begin_prompt(self) -> None:
        """What is changed from now on belongs to another prompt."""
        self.prompt += 1

    def keep(self, path: Path, directory: Path) -> None:
        """Keeps the file, once for each prompt. A snapshot that fails does not stand in the way of the change."""
        with self._lock:
            if any(kept.path == path and kept.prompt == self.prompt for kept in self._snapshots):
                return
            try:
                self._snapshots.append(self._copy(path, directory))
            except OSError as error:
                log.warning("no snapshot of %s could be kept: %s", path, error)

    def wrote(self, path: Path, data: bytes) -> None:
        """The session left the file with this content; a file that differs from it was changed by somebody else."""
        self._left_as[path] = _digest(data)

    def put_back(self, prompt: int) -> tuple[list[str], list[str]]:
        """Makes files what they were before a prompt. Blocking.

        Args:
            prompt: Number of the prompt; changes that it and later ones led to are taken back.

        Returns:
            Paths that were put back, and those that were left alone, each with the reason.
        """
        with self._lock:
            first: dict[Path, _Snapshot] = {}
            for snapshot in self._snapshots:
                if snapshot.prompt >= prompt:
                    first.setdefault(snapshot.path, snapshot)
            done, kept = [], []
            for path, snapshot in first.items():
                if reason := self._objection(snapshot):
                    kept.append(f"{path} ({reason})")
                else:
                    self._put_back(snapshot)
                    done.append(str(path))
            self._snapshots = [snapshot for snapshot in self._snapshots if snapshot.prompt < prompt]
            self.prompt = prompt - 1
        return done, kept

    # --------------------------------------------------------------------------------------------------- within

    def _copy(self, path: Path, directory: Path) -> _Snapshot:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        state = path.stat() if path.exists() else None
        copy = None
        if state is not None and state.st_size <= _MAX_SNAPSHOT_BYTES:
            copy = directory / f"{time.time_ns()}-{path.name[:80]}"
            with path.open("rb") as source, os.fdopen(_private(copy), "wb") as target:
                shutil.copyfileobj(source, target)
        mode = stat.S_IMODE(state.st_mode) if state is not None else None
        entry = {
            "time": utc_now(),
            "prompt": self.prompt,
            "path": str(path),
            "snapshot": copy.name if copy else None,
            "existed": state is not None,
            "mode": mode,
        }
        with os.fdopen(_private(directory / "index.jsonl", os.O_APPEND), "a", encoding="utf-8") as index:
            index.write(json.dumps(entry) + "\n")
        return _Snapshot(self.prompt, path, copy, mode)

    def _objection(self, snapshot: _Snapshot) -> str:
        """Why a file must be left alone, or an empty string."""
        if snapshot.mode is not None and (snapshot.copy is None or not snapshot.copy.is_file()):
            return "it was too large to keep"
        try:
            now = _digest(snapshot.path.read_bytes()) if snapshot.path.exists() else ""
        except OSError as error:
            return (error.strerror or str(error)).lower()
        return "" if now == self._left_as.get(snapshot.path) else "it was changed by something else since"

    def _put_back(self, snapshot: _Snapshot) -> None:
        if snapshot.mode is None or snapshot.copy is None:
            snapshot.path.unlink(missing_ok=True)
            self._left_as.pop(snapshot.path, None)
            return
        data = snapshot.copy.read_bytes()
        handle, name = tempfile.mkstemp(dir=snapshot.path.parent, prefix=f".{snapshot.path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(snapshot.mode)
        Path(name).replace(snapshot.path)
        self.wrote(snapshot.path, data)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _private(path: Path, flags: int = 0) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600)

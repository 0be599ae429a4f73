"""Brings files to a repository in one commit: progress on the way, and nothing sent twice after an interruption.

Large files go up first, some at a time; the commit that names them all comes last. What has arrived before an
interruption is known to the Hub by its content, so the next attempt goes on from there, and nothing needs to be
remembered on this side.
"""

from __future__ import annotations

import asyncio
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ml_intern.services.hub import HubClient
from ml_intern.tools.repos.common import Repo, RepoError, count_text, matches, size_text

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo, CommitOperationAdd, HfApi

_FILES_AT_ONCE = 32
_BYTES_AT_ONCE = 256 * 10**6
_STEP = 0.05
"""Share of all bytes after which progress is told again."""
_STEP_S = 5.0
_SILENCE_S = 15.0


@dataclass(frozen=True, slots=True)
class Item:
    """One file on its way.

    Attributes:
        path: Where it goes in the repository.
        source: The local file, or the content itself.
        size: Bytes.
    """

    path: str
    source: Path | bytes
    size: int


@dataclass(frozen=True, slots=True)
class Order:
    """One commit.

    Attributes:
        repo: Where it goes.
        items: What it adds or replaces.
        message: Its message.
        revision: Branch, or empty for the main one.
        parent: The commit it must follow directly, or empty.
        create_pr: Whether it becomes a pull request.
    """

    repo: Repo
    items: Sequence[Item]
    message: str
    revision: str = ""
    parent: str = ""
    create_pr: bool = False

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(item.size for item in self.items)


class _Stopped(Exception):  # noqa: N818 - a way out, not a fault
    pass


@dataclass(slots=True)
class _Progress:
    """How far a transfer is. Written by the threads that send, read by the event loop."""

    total: int
    files: int
    tell: Callable[[str], None]
    sent: int = 0
    done: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)
    _told: int = 0
    _told_at: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, count: int) -> None:
        """More bytes are on the wire.

        Raises:
            _Stopped: Nobody wants them any more.
        """
        if self.stopped.is_set():
            raise _Stopped
        with self._lock:
            self.sent = min(self.total, self.sent + count)
            now = time.monotonic()
            if self.sent - self._told < _STEP * self.total and now - self._told_at < _STEP_S:
                return
            self._told, self._told_at = self.sent, now
        self.tell(self.text())

    def finish(self, files: int, at: int) -> None:
        """Some files are there, whether they were sent or had been there before."""
        with self._lock:
            self.done += files
            self.sent = max(self.sent, at)

    def text(self) -> str:
        """For a person who waits."""
        share = f" ({self.sent / self.total:.0%})" if self.total else ""
        return f"{size_text(self.sent)} of {size_text(self.total)}{share}, {self.done} of {self.files} files"

    def silent_for(self) -> float:
        """Seconds since something was told."""
        return time.monotonic() - self._told_at


async def send(hub: HubClient, order: Order, log: Callable[[str], None]) -> CommitInfo:
    """Uploads files and commits them. Cancelled, it stops sending and commits nothing.

    Args:
        hub: The way to the Hub.
        order: What goes where.
        log: Takes lines of progress, on the event loop.

    Raises:
        HubError: It failed. What has been sent so far need not be sent again.
    """
    loop = asyncio.get_running_loop()

    def tell(line: str) -> None:
        if not progress.stopped.is_set():
            loop.call_soon_threadsafe(log, line)

    progress = _Progress(order.size, len(order.items), tell)
    watching = asyncio.create_task(_break_the_silence(progress, log))
    try:
        return await hub.call(lambda api: _send(api, order, progress))
    except asyncio.CancelledError:
        _stop_xet()
        raise
    finally:
        progress.stopped.set()
        watching.cancel()


def _stop_xet() -> None:
    """Ends what the Xet library, which sends by itself, still has on the wire."""
    library = sys.modules.get("huggingface_hub.utils._xet")  # loaded only once something was sent that way
    if library is not None:
        threading.Thread(target=library.abort_xet_session, name="stopping xet", daemon=True).start()


async def _break_the_silence(progress: _Progress, log: Callable[[str], None]) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(_SILENCE_S)
        if progress.silent_for() >= _SILENCE_S:
            log(f"{progress.text()}, {time.monotonic() - began:.0f} s")


def _send(api: HfApi, order: Order, progress: _Progress) -> CommitInfo:
    additions = _additions(order.items, progress)
    at = 0
    for batch in _batches(order.items):
        at += sum(item.size for item in batch)
        if progress.stopped.is_set():
            raise _Stopped
        try:
            api.preupload_lfs_files(
                order.repo.id,
                [additions[item.path] for item in batch],
                repo_type=order.repo.type,
                revision=order.revision or None,
                create_pr=order.create_pr,
                free_memory=False,
            )
        except RuntimeError as error:  # the client wraps what went wrong with one of several files
            raise error.__cause__ or error from error
        progress.finish(len(batch), at)
    if progress.stopped.is_set():
        raise _Stopped
    if len(order.items) > 1 or order.size > 10**6:
        progress.tell(f"{progress.text()}; committing")
    try:
        return api.create_commit(
            order.repo.id,
            list(additions.values()),
            commit_message=order.message,
            repo_type=order.repo.type,
            revision=order.revision or None,
            create_pr=order.create_pr,
            parent_commit=order.parent or None,
        )
    except ValueError as error:
        if isinstance(error, OSError):  # an answer of the Hub, which is told like all others
            raise
        raise RepoError(str(error)) from error  # a card whose metadata make no sense, line by line


def _batches(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Files that go up together."""
    batch: list[Item] = []
    size = 0
    for item in items:
        if batch and (len(batch) >= _FILES_AT_ONCE or size + item.size > _BYTES_AT_ONCE):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += item.size
    if batch:
        yield batch


def _additions(items: Sequence[Item], progress: _Progress) -> dict[str, CommitOperationAdd]:
    from huggingface_hub import CommitOperationAdd

    class Counted(CommitOperationAdd):
        """An addition whose bytes are counted as they are sent."""

        @contextmanager
        def as_file(self, with_tqdm: bool = False) -> Iterator[BinaryIO]:
            # The client asks for a progress bar exactly where it sends the file to the large-file store.
            if with_tqdm and isinstance(self.path_or_fileobj, str):
                progress.add(0)
                with _Counting(io.FileIO(self.path_or_fileobj), progress) as file:
                    yield file
            else:
                with CommitOperationAdd.as_file(self) as plain:
                    yield plain

    def addition(item: Item) -> CommitOperationAdd:
        source = item.source if isinstance(item.source, bytes) else str(item.source)
        try:
            return Counted(path_in_repo=item.path, path_or_fileobj=source)
        except ValueError as error:
            raise RepoError(f"{item.path} cannot be uploaded: {error}") from error

    return {item.path: addition(item) for item in items}


class _Counting(io.BufferedReader):
    def __init__(self, raw: io.FileIO, progress: _Progress) -> None:
        super().__init__(raw)
        self._progress = progress

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._progress.add(len(data))
        return data


# ------------------------------------------------------------------------------------------------- what is to be sent

_LEFT_OUT_DIRECTORIES = frozenset({".git", "__pycache__", ".ipynb_checkpoints", ".venv", "node_modules"})
_LEFT_OUT_FILES = frozenset({".DS_Store", "Thumbs.db"})
MOST_FILES = 10_000
"""Files of one commit; the Hub becomes slow beyond."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Files of a folder that are to be sent, and why others are not."""

    items: tuple[Item, ...]
    left_out: tuple[str, ...] = ()


def select(
    root: Path, prefix: str, *, ignore: Sequence[str] = (), is_secret: Callable[[Path], bool] = lambda _: False
) -> Selection:
    """All files under a folder, by name.

    Args:
        root: The folder.
        prefix: Folder of the repository they go into, or empty.
        ignore: Wildcards over paths in the folder, or folders of it.
        is_secret: Whether a file holds secrets; such files are left out.

    Raises:
        RepoError: There are too many files, or the folder cannot be read.
    """
    found: list[str] = []
    left_out: list[str] = []
    for path in _walk(root):
        name = path.relative_to(root).as_posix()
        if is_secret(path):
            left_out.append(f"{name} (may hold secrets; upload it by itself if that is meant)")
        else:
            found.append(name)
        if len(found) > MOST_FILES:
            text = f"{root} holds more than {MOST_FILES:,} files. Pack them (parquet, tar), or upload folder by folder."
            raise RepoError(text)
    wanted = [name for name in found if not any(matches(name, pattern) for pattern in ignore)]
    if ignored := len(found) - len(wanted):
        left_out.append(f"{count_text(ignored, 'file')} by ignore_patterns")
    base = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    items = [Item(base + name, root / name, (root / name).stat().st_size) for name in sorted(wanted)]
    return Selection(tuple(items), tuple(left_out))


def _walk(root: Path) -> Iterator[Path]:
    def fail(error: OSError) -> Any:
        raise RepoError(f"{error.filename} cannot be read: {error.strerror}.") from error

    for directory, names, files in os.walk(root, onerror=fail):
        names[:] = sorted(name for name in names if name not in _LEFT_OUT_DIRECTORIES)
        if Path(directory).name == ".cache" and "huggingface" in names:
            names.remove("huggingface")
        for name in sorted(files):
            path = Path(directory, name)
            if name not in _LEFT_OUT_FILES and path.is_file():
                yield path

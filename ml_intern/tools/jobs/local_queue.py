"""The queue that local jobs of all apps share: one job for each GPU, a few jobs that need none.

There is no process that hands out places. Each job's watcher holds a ticket, a file that it keeps locked; tickets carry
the time of submission in their names, and whoever is first in line takes what is free. The kernel unlocks the tickets
of the dead, so a crash or a restart of the machine leaves nothing behind that blocks others. Used by the runner, and so
made of the standard library and of modules like this one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Need:
    """What a job waits for.

    Attributes:
        kind: `cpu` or `gpu`.
        count: How many places.
        allowed: Names of the places it may have.
    """

    kind: str
    count: int
    allowed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a job stands in the queue.

    Attributes:
        places: What it holds from now on; empty while it waits.
        before: How many jobs hold or will hold what it waits for before it does.
    """

    places: tuple[str, ...]
    before: int


@dataclass(frozen=True, slots=True)
class _Ticket:
    name: str
    kind: str
    allowed: frozenset[str]
    held: frozenset[str]


class Queue:
    """One job's place in the queue. Every method takes moments.

    Args:
        directory: Where the tickets are.
        job: The job's own directory.
        submitted_at: When it was submitted, in seconds since the epoch.
        need: What it waits for.
    """

    def __init__(self, directory: Path, job: Path, submitted_at: float, need: Need) -> None:
        self._directory = directory
        self._job = job
        self._need = need
        self._name = f"{int(submitted_at * 1_000_000):020d}-{job.name}"
        self._descriptor = -1

    def advance(self) -> Turn:
        """Takes what the job needs if it is its turn; enters the queue the first time.

        Raises:
            OSError: The queue cannot be read or written.
        """
        with self._alone():
            same = [ticket for ticket in self._others() if self._competes(ticket)]
            earlier = [ticket for ticket in same if ticket.held or ticket.name < self._name]
            taken = frozenset[str]().union(*(ticket.held for ticket in same))
            free = [place for place in self._need.allowed if place not in taken]
            first = all(ticket.held for ticket in earlier)
            places = tuple(free[: self._need.count]) if first and len(free) >= self._need.count else ()
            self._write(places)
        return Turn(places, len(earlier))

    def leave(self) -> None:
        """Gives back what the job holds, or its place in line."""
        if self._descriptor < 0:
            return
        with contextlib.suppress(OSError):
            (self._directory / self._name).unlink()
        os.close(self._descriptor)
        self._descriptor = -1

    # ------------------------------------------------------------------------------------------------- the tickets

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # held for a moment only, by whoever looks
            yield
        finally:
            os.close(descriptor)

    def _competes(self, ticket: _Ticket) -> bool:
        return ticket.kind == self._need.kind and not ticket.allowed.isdisjoint(self._need.allowed)

    def _others(self) -> Iterator[_Ticket]:
        for path in self._directory.iterdir():
            if path.name in {"lock", self._name}:
                continue
            try:
                data = json.loads(path.read_text(encoding="utf-8"))
                ticket = _Ticket(path.name, data["kind"], frozenset(data["allowed"]), frozenset(data["held"]))
            except FileNotFoundError:
                continue
            except (ValueError, KeyError, TypeError):  # its writer died, or its disk was full, while it wrote
                data, ticket = {}, None
            if not is_locked(path) and not _still_works(data):
                path.unlink(missing_ok=True)
            elif ticket:
                yield ticket

    def _write(self, places: tuple[str, ...]) -> None:
        if self._descriptor < 0:
            # Made and locked while nobody else looks: an unlocked ticket would count as one of the dead.
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = os.open(self._directory / self._name, flags, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        data = {"kind": self._need.kind, "allowed": self._need.allowed, "held": places, "job": str(self._job)}
        text = json.dumps(data).encode()
        os.pwrite(self._descriptor, text, 0)
        os.ftruncate(self._descriptor, len(text))


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock on a file."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _still_works(ticket: dict[str, Any]) -> bool:
    """Whether something of a job goes on whose watcher is dead. It is ended, so that its places become free soon."""
    job = Path(ticket.get("job", "/nonexistent"))
    if not is_locked(job / "work.lock"):
        return False
    with contextlib.suppress(OSError, ValueError, KeyError):
        os.killpg(json.loads((job / "status.json").read_text(encoding="utf-8"))["work_pid"], signal.SIGKILL)
    return True

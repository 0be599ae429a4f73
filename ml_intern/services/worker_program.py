"""What runs in a worker: takes one piece of work after the other from its input, until that ends."""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
from typing import Any, BinaryIO

HEAD_BYTES = 8
"""Before each message stands its length."""
MOST_MEMORY = 3 * 2**30
"""Bytes of address space. Enough for any honest document, too little to bring a machine down."""
SPARE_S = 5


class WorkError(Exception):
    """A piece of work was given up; the text says why, in words that go on after the name of the document."""


def main() -> None:
    """Works until the input ends."""
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not come between the answers
    _step_back()
    _limit_memory()
    while (head := source.read(HEAD_BYTES)) and len(head) == HEAD_BYTES:
        _answer(target, _done(source.read(int.from_bytes(head, "big"))))


def _done(task: bytes) -> tuple[bool, Any]:
    try:
        work, arguments, limit_s = pickle.loads(task)  # noqa: S301 - from our parent
        _limit_time(limit_s)
        return True, work(*arguments)
    except MemoryError:
        return False, WorkError("takes more memory than it may")
    except Exception as error:  # noqa: BLE001 - the edge of the worker: what went wrong belongs to whoever asked
        return False, error


def _answer(target: BinaryIO, answer: tuple[bool, Any]) -> None:
    try:
        data = pickle.dumps(answer)
        if not answer[0]:
            pickle.loads(data)  # noqa: S301 - an exception may be one that cannot be put together again
    except Exception as error:  # noqa: BLE001 - whatever does not survive the journey is told of instead
        data = pickle.dumps((False, RuntimeError(f"{answer[1]!r} cannot be handed over ({error})")))
    target.write(len(data).to_bytes(HEAD_BYTES, "big"))
    target.write(data)
    target.flush()


def _step_back() -> None:
    """Whoever types comes first."""
    with contextlib.suppress(AttributeError, OSError):
        os.nice(10)


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        limit = MOST_MEMORY if most == resource.RLIM_INFINITY else min(MOST_MEMORY, most)
        resource.setrlimit(resource.RLIMIT_AS, (limit, most))


def _limit_time(seconds: float) -> None:
    """A worker whose parent was killed ends too, even in the middle of work that would never end."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        limit = int(used.ru_utime + used.ru_stime + seconds) + SPARE_S
        resource.setrlimit(resource.RLIMIT_CPU, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))

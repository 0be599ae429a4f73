"""A watch over the app's loop: when it stands still, the log file tells what every thread was doing.

A thread of Python's own writes the stacks: it gets its turn while the loop computes, reads or waits. The interpreter
could write them without that (`faulthandler.dump_traceback_later`), but looks at frames while they change, and now and
then ends the program. What is not told is a loop held up by foreign code that lets no other thread run.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import sys
import threading
import time
import traceback
from datetime import datetime
from pathlib import Path

log = logging.getLogger(__name__)

BEAT_S = 1.0
STALL_S = 2.0
FILE = "stalls.log"
MAX_BYTES = 1_000_000


class StallWatch:
    """Watches the running loop.

    Args:
        directory: Where the stacks go; made when needed, for this user alone.
        stall_s: So long without a beat counts as a stall.
        beat_s: Time between beats.
    """

    def __init__(self, directory: Path, stall_s: float = STALL_S, beat_s: float = BEAT_S) -> None:
        self._path = directory / FILE
        self._stall_s = stall_s
        self._beat_s = beat_s
        self._file: io.FileIO | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._over = threading.Event()
        self._beat_at = time.monotonic()

    @property
    def stalled(self) -> bool:
        """Whether the loop stands still. May be asked from any thread."""
        return self._silent_s > self._stall_s

    @property
    def _silent_s(self) -> float:
        return time.monotonic() - self._beat_at

    def start(self) -> None:
        """Begins, or goes on after `stop`."""
        self.stop()
        if self._file is None:
            try:
                self._file = _opened(self._path)
            except OSError as error:
                log.warning("stalls are not recorded: %s", error)
                return
        self._beat_at = time.monotonic()
        self._over = threading.Event()
        threading.Thread(target=self._look, args=(self._file, self._over), name="stalls", daemon=True).start()
        self._beat()

    def stop(self) -> None:
        """Pauses: the loop is about to stand still on purpose."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._over.set()

    def close(self) -> None:
        """Ends it."""
        self.stop()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _beat(self) -> None:
        if self.stalled:
            log.warning("the app stood still for %.1f s; %s tells where", self._silent_s, self._path)
        self._beat_at = time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(self._beat_s, self._beat)

    def _look(self, file: io.FileIO, over: threading.Event) -> None:
        """Runs in the thread: writes the stacks down, once for each time that the loop stands still."""
        told_of = 0.0
        while not over.wait(self._beat_s):
            beat_at = self._beat_at
            if self.stalled and beat_at != told_of:
                told_of = beat_at
                with contextlib.suppress(OSError, ValueError):  # a full disk; or closed just now
                    file.write(_stacks().encode(errors="backslashreplace"))


def _stacks() -> str:
    """What every thread is doing, without the text of its code."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    lines = [f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}"]
    for ident, frame in sys._current_frames().items():  # the documented way, in spite of its name
        lines.append(f"Thread {names.get(ident, ident)}:")
        lines += [
            f'  File "{each.f_code.co_filename}", line {number} in {each.f_code.co_name}'
            for each, number in traceback.walk_stack(frame)
        ]
    return "\n".join([*lines, "", ""])


def _opened(path: Path) -> io.FileIO:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    if path.exists() and path.stat().st_size > MAX_BYTES:
        flags |= os.O_TRUNC
    return io.FileIO(os.open(path, flags, 0o600), "a")

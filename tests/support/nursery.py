"""Starts the program as a process of its own without the half second that Python takes to load it.

A process that has loaded the program once forks for each start: the arguments, the environment, the directory, the
standard streams, signals and the exit code are those of a process that was started anew. Not loaded beforehand is what
looks at its environment when it is imported; what is about loading itself is for `Program.started_anew`.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn, Self

LOADED = (
    "ml_intern.cli",
    "ml_intern.doctor",
    "ml_intern.headless.runner",
    "ml_intern.leftovers",
    "ml_intern.sessions.command",
    "ml_intern.wiring",
    "httpx",
)
ROOT = Path(__file__).resolve().parents[2]
_LENGTH = 8
"""Bytes of the number that says how long an order is."""


class Child:
    """A process of the program, to be used like a `subprocess.Popen` whose output is piped."""

    def __init__(self, arguments: Sequence[str], env: dict[str, str], directory: Path, stdin: int) -> None:
        self.args = list(arguments)
        self.returncode: int | None = None
        out, err = os.pipe(), os.pipe()
        self._told, theirs = socket.socketpair()
        order = json.dumps({"arguments": self.args, "env": env, "directory": str(directory)}).encode()
        try:
            _nursery().send(order, [stdin, out[1], err[1], theirs.fileno()])
        finally:
            theirs.close()
            os.close(out[1])
            os.close(err[1])
        self.stdout: IO[bytes] = os.fdopen(out[0], "rb")
        self.stderr: IO[bytes] = os.fdopen(err[0], "rb")
        self._heard = b""
        self.pid = self._number(None)

    def poll(self) -> int | None:
        """The exit code, None while it goes on."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0.0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end and gives the exit code, or the negative number of the signal that ended it.

        Raises:
            subprocess.TimeoutExpired: It goes on.
        """
        if self.returncode is None:
            try:
                self.returncode = self._number(timeout)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0) from None
        return self.returncode

    def _number(self, timeout: float | None) -> int:
        """The next number that is told of it: first its process id, then how it has ended."""
        self._told.settimeout(timeout)
        while b"\n" not in self._heard:
            said = self._told.recv(64)
            assert said, "the nursery has died"
            self._heard += said
        number, _, self._heard = self._heard.partition(b"\n")
        return int(number)

    def communicate(self, timeout: float | None = None) -> tuple[bytes, bytes]:
        """Reads all its output and waits for its end.

        Raises:
            subprocess.TimeoutExpired: It goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        read = [_Reader(stream) for stream in (self.stdout, self.stderr)]
        for reader in read:
            reader.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        self.wait(None if deadline is None else max(0.01, deadline - time.monotonic()))
        return read[0].data, read[1].data

    def send_signal(self, number: int) -> None:
        """Sends it a signal, unless it is known to have ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wait()
        for stream in (self.stdout, self.stderr, self._told):
            stream.close()


class _Reader(threading.Thread):
    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self.data = b""
        self.start()

    def run(self) -> None:
        self.data = self._stream.read()


class _Nursery:
    """The process that forks, as seen from the tests."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.nursery", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
                cwd=ROOT,
                start_new_session=True,  # Ctrl+C is for the tests
            )
        self._lock = threading.Lock()

    def send(self, order: bytes, descriptors: list[int]) -> None:
        with self._lock:
            socket.send_fds(self._orders, [len(order).to_bytes(_LENGTH)], descriptors)
            self._orders.sendall(order)

    def close(self) -> None:
        self._orders.close()
        self._process.wait(10)


@cache
def _nursery() -> _Nursery:
    nursery = _Nursery()
    atexit.register(nursery.close)
    return nursery


# -------------------------------------------------------------------------------------------------- in the nursery


def _serve(orders: socket.socket) -> None:
    for module in LOADED:
        import_module(module)
    while True:
        length, descriptors, _, _ = socket.recv_fds(orders, _LENGTH, 4)
        if not length:
            return  # whoever gave the orders is gone
        order = orders.recv(int.from_bytes(length), socket.MSG_WAITALL)
        if not os.fork():
            orders.close()
            _mind(json.loads(order), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _mind(order: dict[str, Any], descriptors: list[int]) -> None:
    """Lets the program run in a child, and tells its process id and what became of it."""
    *streams, told = descriptors
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if not child:
        os.close(told)
        _become(order, streams)
    for stream in streams:
        os.close(stream)
    os.write(told, b"%d\n" % child)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(OSError):  # nobody waits any more
        os.write(told, b"%d\n" % code)
    os._exit(0)


def _become(order: dict[str, Any], streams: list[int]) -> NoReturn:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    os.chdir(order["directory"])
    sys.path[0] = order["directory"]
    sys.argv = ["ml-intern", *order["arguments"]]
    sys.stdin = os.fdopen(0, encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
    runpy.run_module("ml_intern", run_name="__main__", alter_sys=True)
    raise SystemExit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those who mind are waited for by nobody
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        _serve(channel)

"""Watches over one local job: starts its program, stops it at its timeout or on demand, and writes down how it ended.

Runs as a process of its own, so that a job does not depend on the app that submitted it. Started as a plain file by an
isolated interpreter: it imports nothing but a few modules of the standard library, and nothing the job's directory or
environment could put in their place.

    runner.py DIRECTORY LOCK_FD

`DIRECTORY` holds `job.json`. `LOCK_FD` is an open file that is locked as long as this process lives: the kernel lets go
of the lock however it ends, so whoever finds it free knows that nobody watches the job any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

STATUS = "status.json"


class Runner:
    """One job from start to end."""

    def __init__(self, directory: Path, lock_fd: int, on_begin: Callable[[], None]) -> None:
        self.directory = directory
        self.on_begin = on_begin
        os.set_inheritable(lock_fd, False)
        self.job = json.loads((directory / "job.json").read_text(encoding="utf-8"))
        self.status: dict[str, object] = {"stage": "SCHEDULING", "runner_pid": os.getpid()}
        self.wakeup = self._listen()
        self.asked_to_stop = ""

    def run(self) -> None:
        """Runs the job and returns when everything it started has ended."""
        self.write()
        if self.cancelled():
            self.end("CANCELED", "Cancelled before it started.")
            return
        try:
            process = self.start()
        except OSError as error:
            self.end("ERROR", f"It could not be started: {error.strerror}: {error.filename or self.job['argv'][0]}.")
            return
        self.write(stage="RUNNING", started_at=time.time(), work_pid=process.pid)
        self.on_begin()
        self.end(*self.watch(process))

    def start(self) -> subprocess.Popen[bytes]:
        """Starts the program in a group of its own, its output going straight into the log file."""
        # Held by the program and, as a rule, by all it starts: tells later whether anything of it still runs.
        work_lock = os.open(self.directory / "work.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(work_lock, fcntl.LOCK_EX)
        log = os.open(self.directory / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            return subprocess.Popen(
                self.job["argv"],
                cwd=self.job["workdir"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(work_lock,),
            )
        finally:
            os.close(log)
            os.close(work_lock)

    def watch(self, process: subprocess.Popen[bytes]) -> tuple[str, str, int | None]:
        """Waits for the end, the timeout or a request to stop. Returns stage, message and exit code."""
        deadline = time.monotonic() + self.job["timeout_s"]
        while process.poll() is None:
            if self.cancelled():
                self.stop(process)
                return "CANCELED", self.asked_to_stop, None
            left = deadline - time.monotonic()
            if left <= 0:
                self.stop(process)
                return "ERROR", f"Timed out: stopped after {self.job['timeout_text']}.", None
            self.sleep(left)
        # As on any rented machine, a job is over when its program is: nothing it left in the background goes on.
        self.stop(process)
        code = process.returncode
        if code == 0:
            return "COMPLETED", "", 0
        return "ERROR", f"It was ended by {signal_name(-code)}." if code < 0 else f"It exited with code {code}.", code

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """Ends the whole group: asks first, and after the grace period does not ask."""
        send(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + self.job["grace_s"]
        while time.monotonic() < deadline and (process.poll() is None or alive(process.pid)):
            self.sleep(0.05)
        send(process.pid, signal.SIGKILL)
        process.wait()

    def cancelled(self) -> bool:
        """Whether somebody wants the job stopped, for the reason in `asked_to_stop`."""
        if (self.directory / "cancel").exists():
            self.asked_to_stop = "Cancelled."
        return bool(self.asked_to_stop)

    def sleep(self, seconds: float) -> None:
        """Sleeps until a signal arrives or the time is over."""
        ready, _, _ = select.select([self.wakeup], [], [], min(seconds, 86_400.0))
        if ready:
            os.read(self.wakeup, 512)

    def write(self, **changes: object) -> None:
        """Updates the status file, which is whole at every moment."""
        self.status.update(changes)
        part = self.directory / f"{STATUS}.part"
        # On a full disk the job goes on unrecorded rather than unwatched; the next change is written again in full.
        with contextlib.suppress(OSError):
            part.write_text(json.dumps(self.status), encoding="utf-8")
            part.replace(self.directory / STATUS)

    def end(self, stage: str, message: str, exit_code: int | None = None) -> None:
        """Writes down how it ended."""
        self.write(stage=stage, message=message, exit_code=exit_code, finished_at=time.time())

    def _listen(self) -> int:
        """Makes signals end a sleep. Returns the end of the pipe that becomes readable."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        return reading

    def _on_signal(self, number: int, _frame: object) -> None:
        # A signal with no request beside it comes from outside, at a shutdown of the machine for example.
        self.asked_to_stop = self.asked_to_stop or f"Stopped from outside ({signal_name(number)})."


def send(group: int, number: int) -> None:
    """Signals a group, if there still is one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def alive(group: int) -> bool:
    """Whether the group has members left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so of a group whose members have all ended and wait to be collected
        return False
    return True


def signal_name(number: int) -> str:
    """`SIGKILL` for 9."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def main() -> None:
    """Lets the app go on as soon as the job has begun; the job is nobody's child but init's from then on."""
    begun, begin = os.pipe()
    if os.fork():
        os.close(begin)
        os.read(begun, 1)  # ends when the other side is closed, by the runner or by its death
        os._exit(0)
    os.close(begun)
    Runner(Path(sys.argv[1]), int(sys.argv[2]), on_begin=lambda: os.close(begin)).run()


if __name__ == "__main__":
    main()

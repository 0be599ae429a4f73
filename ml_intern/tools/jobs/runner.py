"""Watches over one local job: waits for its turn, starts its program, stops it at its limits or on demand, and writes
down how it ended.

Runs as a process of its own, so that a job does not depend on the app that submitted it. Started by an isolated
interpreter: it imports the standard library and its neighbours that do the same, and nothing the job's directory or
environment could put in their place.

    python -I -S -c "…main()" DIRECTORY LOCK_FD

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
from typing import Any

from ml_intern.tools.jobs.local_log import JobLog, uv_failure
from ml_intern.tools.jobs.local_processes import adopt_orphans, boot_id, descendants, memory_of, oom_kills
from ml_intern.tools.jobs.local_queue import Need, Queue, Turn

STATUS = "status.json"
NICENESS = 5
"""The app and the person come first where CPUs are short."""

_LOOK_EVERY_S = 1.0
_LOOK_AT_QUEUE_S = 0.1
_LONGEST_WAIT_S = 2.0

End = tuple[str, str, int | None]
"""Stage, message and exit code."""


class Runner:
    """One job from submission to end."""

    def __init__(self, directory: Path, lock_fd: int, on_begin: Callable[[], None]) -> None:
        self.directory = directory
        self.on_begin = on_begin
        os.set_inheritable(lock_fd, False)
        self.job: dict[str, Any] = json.loads((directory / "job.json").read_text(encoding="utf-8"))
        need = Need(self.job["need"], self.job["need_count"], tuple(self.job["need_from"]))
        self.queue = Queue(Path(self.job["queue"]), directory, self.job["created_at"], need)
        self.status: dict[str, object] = {"stage": "SCHEDULING", "runner_pid": os.getpid(), "boot": boot_id()}
        self.adopts = adopt_orphans()
        self.wakeup = self._listen()
        self.log: JobLog | None = None
        self.asked_to_stop = ""

    def run(self) -> None:
        """Runs the job and returns when everything it started has ended."""
        self.write()
        try:
            self.end(*self.live())
        finally:
            self.queue.leave()

    def live(self) -> End:
        """From the queue to the end. What the job held is free again when this returns."""
        try:
            places = self.wait_for_turn()
        except OSError as error:
            return "ERROR", f"It could not be queued: {error.strerror}: {error.filename or self.job['queue']}.", None
        if not places:
            return "CANCELED", f"{self.asked_to_stop.rstrip('.')} before it started.", None
        kills = oom_kills()
        try:
            process = self.start(places)
        except OSError as error:
            what = error.filename or self.job["argv"][0]
            return "ERROR", f"It could not be started: {error.strerror}: {what}.", None
        self.write(stage="RUNNING", message="", started_at=time.time(), work_pid=process.pid, places=places)
        self.on_begin()
        stage, message, code = self.watch(process)
        note = self.log.close() if self.log else ""
        self.queue.leave()
        return stage, " ".join(filter(None, (self.explained(message, code, kills), note))), code

    # ---------------------------------------------------------------------------------------------------- the queue

    def wait_for_turn(self) -> tuple[str, ...]:
        """Waits for what the job needs. Returns the names of what it got; nothing when it was asked to stop."""
        told = ""
        while not self.cancelled():
            turn = self.queue.advance()
            if turn.places:
                return turn.places
            if (message := self.waits_for(turn)) != told:
                self.write(message=message)
                told = message
            self.on_begin()  # nobody waits for it to start while it waits itself
            # Short jobs pass their places on quickly; behind long ones, nobody looks often.
            waited = time.time() - self.job["created_at"]
            self.sleep(min(_LOOK_AT_QUEUE_S * turn.before + max(0.0, waited) / 60, _LONGEST_WAIT_S))
        return ()

    def waits_for(self, turn: Turn) -> str:
        """What a waiting job waits for, in words."""
        count = self.job["need_count"]
        if self.job["need"] == "gpu":
            what = "a GPU" if count == 1 else f"{count} GPUs"
        else:
            what = "a free place on this machine"
        return f"Waits for {what}: {turn.before} job{'' if turn.before == 1 else 's'} before it."

    # ------------------------------------------------------------------------------------------------- the program

    def start(self, places: tuple[str, ...]) -> subprocess.Popen[bytes]:
        """Starts the program in a group of its own."""
        # Held by the program and, as a rule, by all it starts: tells later whether anything of it still runs.
        work_lock = os.open(self.directory / "work.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(work_lock, fcntl.LOCK_EX)
        self.log = JobLog(self.directory / "log.txt", self.job["log_bytes"])
        try:
            return subprocess.Popen(
                self.job["argv"],
                cwd=self.job["workdir"],
                env=self.environment(places),
                stdin=subprocess.DEVNULL,
                stdout=self.log.writing,
                stderr=self.log.writing,
                start_new_session=True,
                pass_fds=(work_lock,),
                preexec_fn=lambda: os.nice(NICENESS),  # safe: this process has one thread
            )
        finally:
            self.log.started()
            os.close(work_lock)

    def environment(self, places: tuple[str, ...]) -> dict[str, str]:
        """The program's environment: it sees the GPUs it was given and no others, unless it was told otherwise."""
        seen = ",".join(places) if self.job["need"] == "gpu" else ""
        given = dict.fromkeys(self.job["gpu_variables"], seen)
        if seen:
            given["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # numbers mean what they mean to nvidia-smi
        return {**os.environ, **{name: value for name, value in given.items() if name not in self.job["env_names"]}}

    def watch(self, process: subprocess.Popen[bytes]) -> End:
        """Waits for the end, a limit or a request to stop."""
        deadline = time.monotonic() + self.job["timeout_s"]
        look_at = 0.0
        while process.poll() is None:
            now = time.monotonic()
            if self.cancelled():
                self.stop(process)
                return "CANCELED", self.asked_to_stop, None
            if now >= deadline:
                self.stop(process)
                return "ERROR", f"Timed out: stopped after {self.job['timeout_text']}.", None
            if now >= look_at:
                self.collect(process)
                look_at = now + _LOOK_EVERY_S
                if excess := self.excess():
                    self.stop(process)
                    return "ERROR", excess, None
            self.sleep(min(deadline, look_at) - now)
        # As on any rented machine, a job is over when its program is: nothing it left in the background goes on.
        self.stop(process)
        code = process.returncode
        if code == 0:
            return "COMPLETED", "", 0
        return "ERROR", f"It was ended by {signal_name(-code)}." if code < 0 else f"It exited with code {code}.", code

    def excess(self) -> str:
        """What to say when the job uses more memory than it may; empty when it does not."""
        limit = self.job["memory_bytes"]
        if not limit or (used := memory_of(descendants(os.getpid()), limit)) <= limit:
            return ""
        return (
            f"It was stopped: it used {used / 1e9:.1f} GB of memory, and {limit / 1e9:.1f} GB are allowed "
            "(jobs.local_memory_gb)."
        )

    def explained(self, message: str, code: int | None, kills: int) -> str:
        """A message with what else is known about why."""
        if code == -signal.SIGKILL and oom_kills() > kills:
            return f"{message} The machine ran out of memory."
        if code and self.job["uses_uv"] and self.log and (failure := uv_failure(self.log.tail)):
            return f"{message} {failure}"
        return message

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """Ends all of the job: asks first, and after the grace period does not ask."""
        self.signal_all(process, signal.SIGTERM)
        deadline = time.monotonic() + self.job["grace_s"]
        while time.monotonic() < deadline and (process.poll() is None or self.goes_on(process)):
            self.sleep(0.05)
        self.signal_all(process, signal.SIGKILL)
        process.wait()
        self.collect(process)

    def signal_all(self, process: subprocess.Popen[bytes], number: int) -> None:
        """Signals the program's group, and descendants that have left it."""
        send(process.pid, number)
        if self.adopts:
            for member in descendants(os.getpid()):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    if os.getpgid(member.pid) != process.pid:
                        os.kill(member.pid, number)

    def goes_on(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether anything of the job still runs."""
        self.collect(process)
        return bool(descendants(os.getpid())) if self.adopts else alive(process.pid)

    def collect(self, process: subprocess.Popen[bytes]) -> None:
        """Collects descendants that have ended after their own parents, and never the program itself."""
        with contextlib.suppress(ChildProcessError):
            while self.adopts:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is None or (ended.si_pid == process.pid and process.returncode is None):
                    return
                os.waitpid(ended.si_pid, 0)

    # ------------------------------------------------------------------------------------------- signals and files

    def cancelled(self) -> bool:
        """Whether somebody wants the job stopped, for the reason in `asked_to_stop`."""
        if (self.directory / "cancel").exists():
            self.asked_to_stop = "Cancelled."
        return bool(self.asked_to_stop)

    def sleep(self, seconds: float) -> None:
        """Sleeps until a signal arrives, the job prints something or the time is over."""
        output = [self.log.reading] if self.log and self.log.is_open else []
        ready, _, _ = select.select([self.wakeup, *output], [], [], min(max(seconds, 0.0), 86_400.0))
        if self.wakeup in ready:
            os.read(self.wakeup, 512)
        if self.log and self.log.reading in ready:
            self.log.carry()

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
        # The end of the login it was submitted from is no reason to end.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
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
    """Lets the app go on as soon as the job has begun or waits; it is nobody's child but init's from then on."""
    begun, begin = os.pipe()
    if os.fork():
        os.close(begin)
        os.read(begun, 1)  # ends when the other side is closed, by the runner or by its death
        os._exit(0)
    os.close(begun)

    def on_begin() -> None:
        nonlocal begin
        if begin >= 0:
            os.close(begin)
        begin = -1

    Runner(Path(sys.argv[1]), int(sys.argv[2]), on_begin).run()

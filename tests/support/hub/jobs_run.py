"""One job: what it was asked for, where it stands, and the thread that sees it through."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.hub.jobs_container import Container
from tests.support.hub.jobs_log import LogWriter, timestamp
from tests.support.hub.jobs_processes import kill_all

ACTIVE = frozenset({"SCHEDULING", "RUNNING"})
LOST = "The machine that ran this job was lost."
DEFAULT_TIMEOUT_S = 1800


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a job ended."""

    stage: str
    message: str | None = None


CANCELED = Ending("CANCELED")


@dataclass(slots=True, eq=False)
class Job:
    """A job as the server knows it. Everything of it is in one directory: `job.json`, `log.sse`, `root/`.

    Attributes:
        id: As the Hub makes them: 24 hex digits, rising with time.
        namespace: User or organisation that it runs for.
        spec: The body it was submitted with, secrets included.
        owner: `{id, name, type}` of the namespace.
        initiator: Who or what started it.
        directory: Its place on disk.
        environment: What its processes get.
        container: Where they run.
        expose_urls: Where its ports are reached.
        submitted: What was answered when it was created.
    """

    id: str
    namespace: str
    spec: dict[str, Any]
    owner: dict[str, str]
    initiator: dict[str, str]
    directory: Path
    environment: dict[str, str] = field(default_factory=dict)
    container: Container | None = None
    expose_urls: list[str] = field(default_factory=list)
    stage: str = "SCHEDULING"
    message: str | None = None
    created_at: str = field(default_factory=timestamp)
    started_at: str | None = None
    finished_at: str | None = None
    exit_code: int | None = None
    pid: int | None = None
    submitted: dict[str, Any] = field(default_factory=dict)
    ending: Ending | None = None
    may_start: threading.Event = field(default_factory=threading.Event)
    asked_to_end: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.stage in ACTIVE

    @property
    def labels(self) -> dict[str, str]:
        """Its labels; assign to `spec["labels"]` to replace them."""
        labels: dict[str, str] = self.spec.get("labels") or {}
        return labels

    @property
    def command(self) -> list[str]:
        """Program and arguments."""
        return [str(part) for part in (*self.spec["command"], *self.spec.get("arguments", []))]

    @property
    def timeout_s(self) -> float:
        """Seconds it may run."""
        return float(self.spec.get("timeoutSeconds") or DEFAULT_TIMEOUT_S)

    @property
    def log_path(self) -> Path:
        """Its log, as the events that are sent."""
        return self.directory / "log.sse"

    # ------------------------------------------------------------------------------------------------- running

    def start(self, work: Callable[[Job], Ending]) -> threading.Thread:
        """Runs `work` in a thread as soon as `may_start` is set."""
        thread = threading.Thread(target=self._see_through, args=(work,), name=f"job {self.id}", daemon=True)
        thread.start()
        return thread

    def end(self, ending: Ending) -> None:
        """Stops it with everything it started. Returns at once; nothing happens to a job that has ended."""
        with self._lock:
            if not self.active or self.ending is not None:
                return
            self.ending = ending
        self.asked_to_end.set()
        self.may_start.set()
        self.kill()

    def kill(self) -> None:
        """Kills all its processes."""
        with self._lock:  # the thread takes it to start a process, so that none slips through
            kill_all(self.id, self.pid)

    def spawn(self, argv: list[str], directory: Path | None) -> subprocess.Popen[bytes] | None:
        """Starts its program, or nothing when it was asked to end meanwhile."""
        with self._lock:
            if self.ending is not None:
                return None
            process = subprocess.Popen(
                argv, cwd=directory, env=self.environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            self.pid = process.pid
            return process

    def _see_through(self, work: Callable[[Job], Ending]) -> None:
        self.may_start.wait()
        if self.ending is None:
            with self._lock:
                self.stage, self.started_at = "RUNNING", timestamp()
            self.save()
            overdue = Ending("ERROR", "Job timeout")
            timer = threading.Timer(self.timeout_s, self.end, (overdue,))
            timer.daemon = True
            timer.start()
            try:
                outcome = work(self)
            except OSError as error:
                outcome = Ending("ERROR", f"Job failed to start: {error.strerror or error}")
            timer.cancel()
        else:
            outcome = self.ending
        self.kill()
        with self._lock:
            outcome = self.ending or outcome
            self.stage, self.message, self.finished_at = outcome.stage, outcome.message, timestamp()
        self.save()
        self.done.set()

    # --------------------------------------------------------------------------------------------------- on disk

    def save(self) -> None:
        """Writes it to disk, whole or not at all."""
        kept = {key: getattr(self, key) for key in _KEPT}
        draft = self.directory / f"job.json.{threading.get_ident()}"
        with self._lock:
            draft.write_text(json.dumps(kept, indent=1))
            draft.replace(self.directory / "job.json")

    @classmethod
    def load(cls, directory: Path) -> Job:
        """One that an earlier server left; if that one died with it running, it has failed."""
        kept = json.loads((directory / "job.json").read_text())
        state = {key: kept.pop(key) for key in _STATE}
        job = cls(directory=directory, **kept)
        for key, value in state.items():
            setattr(job, key, value)
        if job.active:
            kill_all(job.id)
            job.stage, job.message, job.finished_at = "ERROR", LOST, timestamp()
            job.save()
        job.done.set()
        return job

    def answer(self) -> dict[str, Any]:
        """As the Hub describes it: secrets by name only."""
        spec = self.spec
        status: dict[str, Any] = {"stage": self.stage, "message": self.message}
        if self.expose_urls:
            status["exposeUrls"] = self.expose_urls
        answer = {
            "type": "job",
            "id": self.id,
            "createdAt": self.created_at,
            "startedAt": self.started_at,
            "finishedAt": self.finished_at,
            "command": spec["command"],
            "arguments": spec.get("arguments", []),
            "environment": spec.get("environment", {}),
            "secrets": dict.fromkeys(spec.get("secrets") or {}, ""),
            "flavor": spec.get("flavor", "cpu-basic"),
            "timeout": self.timeout_s,
            "labels": self.labels,
            "volumes": spec.get("volumes", []),
            "status": status,
            "durations": self._durations(),
            "owner": self.owner,
            "initiator": self.initiator,
        }
        return answer | {key: spec[key] for key in ("dockerImage", "spaceId") if key in spec}

    def _durations(self) -> dict[str, int | None]:
        now = time.time()
        created = seconds(self.created_at)
        started = seconds(self.started_at) if self.started_at else None
        ended = seconds(self.finished_at) if self.finished_at else now
        return {
            "schedulingSecs": None if started is None else int(started - created),
            "runningSecs": None if started is None else int(ended - started),
            "totalSecs": int(ended - created),
        }


_STATE = ("stage", "message", "created_at", "started_at", "finished_at", "exit_code")
_KEPT = ("id", "namespace", "spec", "owner", "initiator", "environment", "expose_urls", *_STATE)


def run_process(job: Job) -> Ending:
    """Runs the command of a job to its end, its output going to the log."""
    assert job.container is not None
    argv, directory = job.container.command(job.command, "/workdir")
    with LogWriter(job.log_path) as log:
        log.write(f"===== Job started at {job.started_at} =====\n".encode())
        process = job.spawn(argv, directory)
        if process is None:
            return CANCELED
        assert process.stdout is not None
        reader = threading.Thread(target=log.copy, args=(process.stdout,), daemon=True)
        reader.start()
        code = process.wait()
        job.kill()  # what the program left behind ends with it, as in a container; then the pipe ends too
        job.pid = None
        reader.join()
        process.stdout.close()
    job.exit_code = code
    if code == 0:
        return Ending("COMPLETED")
    return Ending("ERROR", f"Job failed with exit code: {code if code > 0 else 128 - code}")


def seconds(text: str) -> float:
    """A time of the Hub, in seconds of the epoch."""
    return datetime.fromisoformat(text).timestamp()


_counter = iter(range(int.from_bytes(os.urandom(2), "big"), 1 << 63))


def new_id() -> str:
    """24 hex digits; later ones sort after earlier ones."""
    whole, rest = divmod(time.time_ns(), 1_000_000_000)
    return f"{whole:08x}{rest:08x}{next(_counter) & 0xFFFFFFFF:08x}"


def strings(values: Mapping[str, Any] | None) -> dict[str, str]:
    """Values of environment variables, which callers may give as numbers."""
    return {key: str(value) for key, value in (values or {}).items() if value is not None}

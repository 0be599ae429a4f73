"""One headless process with a chain of tool turns, measured from outside."""

from __future__ import annotations

import os
import random
import select
import string
import subprocess
import time
from pathlib import Path

from benchmarks.app import Figures, MeasurementError, turn_overheads
from benchmarks.endpoint import Endpoint
from benchmarks.procfs import kill_tree, memory_mb
from benchmarks.subjects import Subject

TURNS = 50
TIMEOUT_S = 120.0
SAMPLE_S = 0.05
_random = random.Random(1)


def measure_headless(subject: Subject, endpoint: Endpoint, script: str = f"tools {TURNS}") -> Figures:
    """Runs the subject on a prompt until it ends.

    Raises:
        MeasurementError: It did not do its work.
    """
    name = "".join(_random.choices(string.ascii_lowercase, k=8))
    errors = subject.cwd.parent / "stderr.txt"
    command = subject.prompted(f"bench {name} {script}")
    with errors.open("wb") as sink:
        started = time.monotonic()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=sink, env=subject.env, cwd=subject.cwd
        )
        peak, ended, cpu = _follow(process)
    exchanges = endpoint.exchanges(name)
    if process.returncode != 0 or not exchanges or exchanges[-1].ended is None:
        raise MeasurementError(f"exit code {process.returncode} after {len(exchanges)} requests: {_tail(errors)}")
    figures = {
        "headless_first_request_ms": 1000 * (exchanges[0].received - started),
        "headless_end_ms": 1000 * (ended - exchanges[-1].ended),
        "headless_s": ended - started,
        "headless_cpu_s": cpu,
        "headless_peak_mb": peak,
        "headless_request_kb": exchanges[0].size / 1024,
    }
    if len(exchanges) > 1:
        overheads = turn_overheads(exchanges, TURNS)
        figures |= {f"headless_{key}": value for key, value in overheads.items()}
    return figures


def measure_imports(subject: Subject) -> Figures:
    """How long it takes to import a library and end: below this no program that needs it can paint."""
    started = time.monotonic()
    process = subprocess.Popen(subject.imports, env=subject.env, cwd=subject.cwd)
    _, ended, _ = _follow(process)
    return {"first_frame_ms": 1000 * (ended - started)}


def _follow(process: subprocess.Popen[bytes]) -> tuple[float, float, float]:
    """Waits for the end. Returns the highest memory seen in MB, when it ended, and CPU seconds with its children's."""
    peak, deadline = 0.0, time.monotonic() + TIMEOUT_S
    end = os.pidfd_open(process.pid)
    try:
        while not select.select([end], [], [], SAMPLE_S)[0]:
            peak = max(peak, memory_mb(process.pid))
            if time.monotonic() > deadline:
                kill_tree(process.pid)
        ended = time.monotonic()
    finally:
        os.close(end)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return peak, ended, used.ru_utime + used.ru_stime


def _tail(path: Path) -> str:
    return " ".join(path.read_text(errors="replace").split())[-300:]

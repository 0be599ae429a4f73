"""From a key to the frame that shows what came of it, in the running program."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from benchmarks.app import MeasurementError, percentile
from benchmarks.procfs import busiest, process_cpu_seconds
from benchmarks.subjects import TERMINAL
from benchmarks.terminal import Terminal

PATIENCE_S = 60.0
IDLE_S = 0.5
PROGRAM = (sys.executable, "-m", "ml_intern", "--model", "vllm/bench")
F2 = "\x1bOQ"


Lines = Sequence[str]
Shown = Callable[[Lines], bool]
"""Whether the screen shows what is waited for."""


class Span(NamedTuple):
    """What something took.

    Attributes:
        wall_ms: By the clock.
        cpu_ms: Of the processor, all threads of the program together.
    """

    wall_ms: float
    cpu_ms: float


class Watch:
    """What has passed since it was made.

    Args:
        pid: The process whose time is taken; None for this one.
    """

    def __init__(self, pid: int | None = None) -> None:
        self._pid = pid
        self._wall, self._cpu = time.perf_counter(), self._cpu_seconds()

    def _cpu_seconds(self) -> float:
        return time.process_time() if self._pid is None else process_cpu_seconds(self._pid)

    @property
    def span(self) -> Span:
        """It, up to now."""
        return Span(1000 * (time.perf_counter() - self._wall), 1000 * (self._cpu_seconds() - self._cpu))


class Figure(NamedTuple):
    """A line of the table: all spans of one kind, and what they may be at most.

    Attributes:
        name: What was done.
        spans: How long it took, each time.
        target_ms: What the measure that counts may be; 0 when nothing is promised.
        p95: That measure is the 95th percentile; else the median.
    """

    name: str
    spans: Sequence[Span]
    target_ms: float = 0.0
    p95: bool = False

    def line(self) -> str:
        """It as a row of a table in markdown."""
        walls, cpus = zip(*self.spans, strict=True)
        shown = [statistics.median(walls), percentile(walls, 0.95), statistics.median(cpus), percentile(cpus, 0.95)]
        figures = " | ".join(f"{value:,.2f}" if value < 1 else f"{value:,.1f}" for value in shown)
        target = f"{'p95' if self.p95 else 'median'} ≤ {self.target_ms:g}" if self.target_ms else ""
        return f"| {self.name} | {len(walls)} | {figures} | {target} |"


HEADINGS = (
    "| measure | times | ms, median | p95 | CPU ms, median | p95 | target |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | --- |"
)


class KeyedApp:
    """The program in a terminal of 120 by 40.

    Args:
        home: Its `ML_INTERN_HOME`.
        cwd: Its working directory.
        command: How it is started.
    """

    def __init__(self, home: Path, cwd: Path, command: Sequence[str] = PROGRAM) -> None:
        env = {"HOME": str(home), "ML_INTERN_HOME": str(home), "LOCAL_LLM_BASE_URL": "http://127.0.0.1:9/v1"}
        self.terminal = Terminal(command, {**TERMINAL, **env}, cwd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.terminal.close()

    @property
    def pid(self) -> int:
        """The process that draws."""
        return busiest(self.terminal.pid)

    @property
    def lines(self) -> list[str]:
        """The screen."""
        return self.terminal.screen.text.split("\n")

    def press(self, keys: str, shown: Shown, what: str, patience_s: float = PATIENCE_S) -> Span:
        """Presses keys at once and waits until the screen shows what comes of them.

        Raises:
            MeasurementError: It never does.
        """
        watch = Watch(self.pid)
        pressed = self.terminal.send(keys)
        seen = self.terminal.wait_for(lambda text: shown(text.split("\n")), patience_s)
        spent = watch.span.cpu_ms
        if seen is None:
            raise MeasurementError(f"{what} does not show; the screen:\n{self.terminal.screen.text}")
        return Span(1000 * (seen - pressed), spent)

    def see(self, text: str) -> None:
        """Waits until a text is on the screen."""
        self.press("", lambda lines: any(text in line for line in lines), text)

    def rest(self, seconds: float = 0.3) -> None:
        """Waits until nothing is painted any more."""
        self.terminal.settle(seconds, PATIENCE_S)

    def idle(self, share: float = 0.05) -> None:
        """Waits until the program works for less than this share of the time."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            watch = Watch(self.pid)
            self.terminal.watch(IDLE_S)
            wall, cpu = watch.span
            if cpu < share * wall:
                return

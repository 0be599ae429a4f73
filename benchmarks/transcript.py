"""What the app costs with 10, 1,000 and 10,000 messages on its screen, typed at and read from outside.

python -m benchmarks.transcript [--messages 10 1000 10000] [--keys N] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import number
from benchmarks.terminal import Terminal
from benchmarks.words import ELSEWHERE

ROOT = Path(__file__).resolve().parent.parent
RATE = 100.0
"""Tokens a second."""
CLEAR = b"\x1b[2J"
COUNTED = re.compile(rb"\d of [\d,]+")
THINKING_S = 5.0
TURNS = 10
"""How often the apps take turns while keys are typed into them at rest."""
ROWS = {
    "open_cpu_s": "CPU until all messages are there, s",
    "key_ms": "key shows, median ms",
    "key_p95_ms": "key shows, p95 ms",
    "key_cpu_ms": "CPU per key, ms",
    "busy_key_ms": f"key shows while {RATE:.0f} tokens/s stream, median ms",
    "busy_key_p95_ms": f"key shows while {RATE:.0f} tokens/s stream, p95 ms",
    "token_bytes": "painted per token, bytes",
    "token_cpu_ms": "CPU per token, ms",
    "clears": "full-screen clears while it streams",
    "page_ms": "page up shows, median ms",
    "search_key_ms": "letter typed into the search shows, median ms",
    "search_key_p95_ms": "letter typed into the search shows, p95 ms",
    "search_s": "first search for a word in all answers until counted, s",
    "layouts": f"layouts in {THINKING_S:.0f} s of waiting for a call",
    "thinking_cpu_percent": "CPU meanwhile, %",
    "thinking_bytes_per_s": "painted meanwhile, bytes/s",
    "focus_ms": "terminal loses and regains the focus: until the next key shows, ms",
    "focus_kb": "painted for that, KB",
    "idle_cpu_percent": "CPU when idle, %",
    "output_s": "5 MB of output of one call until shown, s",
    "output_key_p95_ms": "key shows meanwhile, slowest ms",
    "calls_mb": "memory that 500 calls of 100 KB take, MB",
    "mb": "memory after all this, MB",
}
FLAT = (
    "key_ms",
    "key_p95_ms",
    "key_cpu_ms",
    "busy_key_ms",
    "busy_key_p95_ms",
    "page_ms",
    "token_cpu_ms",
    "token_bytes",
    "focus_ms",
)
"""Figures that should not depend on the number of messages."""


class Trial:
    """The app on a terminal, and a line over which it is told what to show.

    Args:
        directory: For the socket and the app's home.
        keys: How many keys a figure is made of.
    """

    def __init__(self, directory: Path, keys: int) -> None:
        self._keys = keys
        address = directory / "orders"
        env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "ML_INTERN_HOME": str(directory)}
        env |= {"PYTHONPATH": str(ROOT), "TZ": "UTC"}
        command = [sys.executable, "-m", "benchmarks.conversation", str(address)]
        self.terminal = Terminal(command, env, ROOT)
        self._line = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + 60
        while True:
            try:
                self._line.connect(str(address))
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self._file = self._line.makefile("rw")
        self._letters = cycle(ELSEWHERE)

    def close(self) -> None:
        """Ends the app."""
        self._file.close()
        self._line.close()
        self.terminal.close()

    def tell(self, what: str, **more: Any) -> dict[str, float]:
        """Has something done, and waits for its figures."""
        self.ask(what, **more)
        return self.answer()

    def ask(self, what: str, **more: Any) -> None:
        """Has something done without waiting."""
        self._file.write(json.dumps({"do": what, **more}) + "\n")
        self._file.flush()

    def answer(self) -> dict[str, float]:
        """The figures of what was asked for."""
        figures: dict[str, float] = json.loads(self._file.readline())
        return figures

    # ------------------------------------------------------------------------------------------------------ typing

    def key(self) -> float:
        """Types a letter into the prompt. Returns how long it takes to show, in ms."""
        letter = next(self._letters)
        sent = self.terminal.send(letter)
        shown = self.terminal.wait_for_bytes(lambda data: letter.encode() in data, 30.0)
        return 1000 * (shown - sent) if shown is not None else float("inf")

    def stroke(self, keys: str) -> float:
        """Presses a key while nothing else is painted. Returns how long it takes until something is, in ms."""
        self.terminal.skip(0.02)
        sent = self.terminal.send(keys)
        shown = self.terminal.wait_for_bytes(bool, 30.0)
        return 1000 * (shown - sent) if shown is not None else float("inf")

    def keys(self, pause: float, share: int = 1) -> list[float]:
        """Types for a while, or for a share of it, then empties the prompt. Returns how long each key took to show."""
        spans = []
        for _ in range(self._keys // share):
            spans.append(self.key())
            time.sleep(pause)
        self.terminal.send("\x01\x0b")
        self.terminal.skip()
        return spans


def _spread(name: str, spans: list[float]) -> dict[str, float]:
    return {f"{name}_ms": median(spans), f"{name}_p95_ms": sorted(spans)[int(0.95 * len(spans))]}


# ----------------------------------------------------------------------------------------------------------- figures


def measure(sizes: Sequence[int], keys: int) -> list[dict[str, float]]:
    """All figures for each number of messages. The apps take turns, so that a ratio compares neighbours in time."""
    with contextlib.ExitStack() as stack:
        trials = [stack.enter_context(_trial(keys)) for _ in sizes]
        results: list[dict[str, float]] = []
        for trial, messages in zip(trials, sizes, strict=True):
            print(f"{messages:,} messages", file=sys.stderr)
            results.append({"open_cpu_s": trial.tell("load", messages=messages)["cpu_s"]})
            trial.terminal.skip(1.0)
        for figures, typed in zip(results, _typing(trials), strict=True):
            figures |= typed
        for part in (_idle, _streaming, _pages, _searching, _thinking, _focus, _outputs):
            for figures, trial in zip(results, trials, strict=True):
                figures |= part(trial)
        return results


@contextlib.contextmanager
def _trial(keys: int) -> Iterator[Trial]:
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as directory:
        trial = Trial(Path(directory), keys)
        try:
            trial.terminal.skip(1.0)
            yield trial
        finally:
            trial.close()


def _idle(trial: Trial) -> dict[str, float]:
    before = trial.tell("figures")["cpu_s"]
    time.sleep(3)
    return {"idle_cpu_percent": 100 * (trial.tell("figures")["cpu_s"] - before) / 3}


def _typing(trials: Sequence[Trial]) -> list[dict[str, float]]:
    spans: list[list[float]] = [[] for _ in trials]
    spent = [0.0 for _ in trials]
    for turn in range(TURNS):
        for at in sorted(range(len(trials)), reverse=bool(turn % 2)):
            before = trials[at].tell("figures")["cpu_s"]
            spans[at] += trials[at].keys(0.02, TURNS)
            spent[at] += trials[at].tell("figures")["cpu_s"] - before
    return [
        {**_spread("key", typed), "key_cpu_ms": 1000 * cpu / len(typed)}
        for typed, cpu in zip(spans, spent, strict=True)
    ]


def _streaming(trial: Trial) -> dict[str, float]:
    trial.tell("stream", rate=RATE)
    trial.terminal.skip(timeout=3.0)
    before, painted = trial.tell("figures"), trial.terminal.painted
    began = time.monotonic()
    written = trial.terminal.skip(timeout=6.0)
    after, tokens = trial.tell("figures"), RATE * (time.monotonic() - began)
    figures = {
        "token_bytes": (trial.terminal.painted - painted) / tokens,
        "token_cpu_ms": 1000 * (after["cpu_s"] - before["cpu_s"]) / tokens,
        "clears": float(written.count(CLEAR)),
    }
    figures |= _spread("busy_key", trial.keys(0.05))
    trial.tell("stop")
    trial.terminal.skip(0.5)
    return figures


def _pages(trial: Trial) -> dict[str, float]:
    trial.terminal.send("\t")
    trial.terminal.skip()
    spans = []
    for _ in range(20):
        spans.append(trial.stroke("\x1b[5~"))
        trial.terminal.skip(0.1)
    trial.terminal.send("\x1b[F")
    trial.terminal.skip()
    return {"page_ms": median(spans)}


def _searching(trial: Trial) -> dict[str, float]:
    trial.terminal.send("\x06")
    trial.terminal.skip()
    sent = trial.terminal.send("loss")  # in every answer, none of which was ever looked at
    counted = trial.terminal.wait_for_bytes(lambda data: COUNTED.search(data) is not None, 120.0)
    _leave_search(trial)
    spans = []
    for text in ("baseline", "fell from", "what of run 7"):
        trial.terminal.send("\x06")
        trial.terminal.skip()
        for letter in text:
            spans.append(trial.stroke(letter))
            time.sleep(0.1)  # a fast typist
        _leave_search(trial)
    return {**_spread("search_key", spans), "search_s": counted - sent if counted is not None else float("nan")}


def _leave_search(trial: Trial) -> None:
    for _ in range(2):
        trial.terminal.skip()
        trial.terminal.send("\x1b")
    trial.terminal.skip()


def _thinking(trial: Trial) -> dict[str, float]:
    trial.tell("think")
    trial.terminal.skip(1.0, 3.0)
    before, painted = trial.tell("figures"), trial.terminal.painted
    time.sleep(THINKING_S)
    after = trial.tell("figures")
    figures = {
        "layouts": after["layouts"] - before["layouts"],
        "thinking_cpu_percent": 100 * (after["cpu_s"] - before["cpu_s"]) / THINKING_S,
        "thinking_bytes_per_s": (trial.terminal.painted - painted) / THINKING_S,
    }
    trial.tell("done")
    trial.terminal.skip()
    return figures


def _focus(trial: Trial) -> dict[str, float]:
    painted, spans = trial.terminal.painted, []
    for _ in range(5):
        trial.terminal.send("\x1b[O\x1b[I")
        spans.append(trial.key())
        trial.terminal.skip()
    painted = trial.terminal.painted - painted
    trial.terminal.send("\x01\x0b")
    trial.terminal.skip()
    return {"focus_ms": max(spans), "focus_kb": painted / 5 / 1024}


def _outputs(trial: Trial) -> dict[str, float]:
    began = time.monotonic()
    trial.ask("output", megabytes=5)
    spans = [trial.key() for _ in range(5)]
    trial.answer()
    took = time.monotonic() - began
    trial.terminal.send("\x01\x0b")
    calls = trial.tell("calls", number=500, kilobytes=100)
    trial.terminal.skip()
    return {
        "output_s": took,
        "output_key_p95_ms": max(spans),
        "calls_mb": calls["mb"],
        "mb": trial.tell("figures")["mb"],
    }


# -------------------------------------------------------------------------------------------------------------- table


def table(messages: Sequence[int], results: Sequence[dict[str, float]]) -> str:
    """Markdown: a column for each number of messages, and how much the last one costs more than the first."""
    lines = [f"| messages | {' | '.join(f'{count:,}' for count in messages)} | ratio |"]
    lines.append("| --- |" + " ---: |" * (len(messages) + 1))
    for key, title in ROWS.items():
        cells = [number(result[key]) for result in results]
        ratio = f"{results[-1][key] / results[0][key]:.2f}" if key in FLAT and results[0][key] else ""
        lines.append(f"| {title} | {' | '.join(cells)} | {ratio} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints the table. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transcript", description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, nargs="+", default=[10, 1_000, 10_000], metavar="N")
    parser.add_argument("--keys", type=int, default=100, metavar="N", help="keys of a figure (default 100)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    choice = parser.parse_args(arguments)
    results = measure(choice.messages, max(TURNS, choice.keys))
    print(table(choice.messages, results))
    if choice.json:
        choice.json.write_text(json.dumps(dict(zip(choice.messages, results, strict=True)), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

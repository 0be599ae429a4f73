"""Measures ml-intern from outside, beside yardsticks, and prints one table. Linux only.

python -m benchmarks [names …] [--runs N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.app import ON_REQUEST, PARTS, Figures, MeasurementError, measure_app
from benchmarks.endpoint import Endpoint
from benchmarks.headless import measure_headless, measure_imports
from benchmarks.procfs import cpu_seconds, machine_cpu_seconds
from benchmarks.report import Results, notes, table
from benchmarks.subjects import Subject, find_subjects

HEADLESS = "headless"
GROUPS = {"app": tuple(name for name in PARTS if name not in ON_REQUEST)}
ALONE = ("docs", "jobs", "origins", "review", "sessions", "soak", "transcript")
"""Programs with a table of their own; they run when named."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures what was asked for and prints it. Returns the exit code: 1 when something could not be measured."""
    choice = _parse(arguments)
    names = list(dict.fromkeys(part for name in choice.names for part in GROUPS.get(name, (name,))))
    if not choice.names:
        names = [*GROUPS["app"], HEADLESS]
    alone = [[sys.executable, "-m", f"benchmarks.{name}"] for name in names if name in ALONE]
    code = max((subprocess.run(command).returncode for command in alone), default=0)
    names = [name for name in names if name not in ALONE]
    if not names:
        return code
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as directory, Endpoint() as endpoint:
        results = _measure(find_subjects(endpoint.url, Path(directory)), endpoint, names, choice.runs)
    print(f"{table(results)}\n\n{notes(results, os.cpu_count() or 1)}")
    if choice.json:
        choice.json.write_text(json.dumps(_raw(results), indent=1) + "\n")
    return code or int(bool(results.problems))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    known = (*PARTS, HEADLESS, *GROUPS, *ALONE)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures ml-intern beside yardsticks.")
    parser.add_argument("names", nargs="*", choices=[*known, []], metavar="name", help=f"any of {', '.join(known)}")
    parser.add_argument(
        "--runs", type=int, default=3, metavar="N", help="rounds; each program once in each (default 3)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all single figures there")
    return parser.parse_args(arguments)


def _measure(subjects: Sequence[Subject], endpoint: Endpoint, names: Sequence[str], runs: int) -> Results:
    """All programs in turn, round by round, so that a ratio compares neighbours in time."""
    results = Results(subjects)

    def wanted(subject: Subject) -> bool:
        of_app = subject.app and set(names) & set(PARTS)
        return bool(of_app or (subject.headless and HEADLESS in names) or (subject.imports and "start" in names))

    for subject in filter(wanted, subjects):  # byte code is compiled and first-run files are written
        _try(subject, endpoint, ["start"] if set(names) & set(PARTS) else [], HEADLESS in names, "hello", {}, results)
    results.problems.clear()
    for number in range(runs):
        before = time.monotonic(), machine_cpu_seconds(), _own_cpu(endpoint)
        figures: dict[str, Figures] = {subject.name: {} for subject in subjects}
        for subject in filter(wanted, subjects):
            print(f"round {number + 1} of {runs}: {subject.name}", file=sys.stderr)
            _try(subject, endpoint, names, HEADLESS in names, "", figures[subject.name], results)
        results.rounds.append(figures)
        seconds, machine, own = (
            time.monotonic() - before[0],
            machine_cpu_seconds() - before[1],
            _own_cpu(endpoint) - before[2],
        )
        results.others_cpu.append(max(0.0, machine - own) / seconds)
    return results


def _try(
    subject: Subject,
    endpoint: Endpoint,
    names: Sequence[str],
    headless: bool,
    script: str,
    figures: Figures,
    results: Results,
) -> None:
    parts = [name for name in names if name in PARTS]
    try:
        if subject.imports and "start" in parts:
            figures.update(measure_imports(subject))
        if subject.headless and headless:
            figures.update(measure_headless(subject, endpoint, *([script] if script else [])))
    except MeasurementError as problem:
        results.problems.append(f"{subject.name}, headless, round {len(results.rounds) + 1}: {problem}")
    try:
        if subject.app and parts:
            measure_app(subject, endpoint, parts, figures)
    except MeasurementError as problem:
        results.problems.append(f"{subject.name}, app, round {len(results.rounds) + 1}: {problem}")


def _own_cpu(endpoint: Endpoint) -> float:
    """CPU of this process, of all it has measured, and of the model server."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system + cpu_seconds(endpoint.pid)


def _raw(results: Results) -> dict[str, object]:
    machine = {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}
    return {
        "machine": machine,
        "rounds": results.rounds,
        "others_cpu": results.others_cpu,
        "problems": results.problems,
    }


if __name__ == "__main__":
    sys.exit(main())

"""What the Jobs screen costs with a long log: key to paint beside the idle app, memory, and how long a curve takes.

The app works on a real job of this machine that has printed as many lines as asked for.

    python -m benchmarks.jobs [--lines 200000] [--points 100000] [--keys 60]
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.procfs import memory_mb
from ml_intern.core.jobs import JobInfo, JobSpec
from ml_intern.tools.jobs.local import LocalBackend
from ml_intern.tui.widgets.job_log import JobLog
from ml_intern.tui.widgets.plot import plot_lines
from tests.tui.playback import played_app
from tests.tui.stage import Stage, on_stage

SIZE = (160, 45)
PATIENCE_S = 300.0


async def _job(backend: LocalBackend, workdir: Path, lines: int) -> JobInfo:
    """A job that has printed its lines and ended."""
    line = "step {step} loss={2 + 1 / (step + 1):.5f} and what else there is"
    script = f"for step in range({lines}):\n    print(f'{line}')"
    info = await backend.submit(JobSpec("script", script=script, name="long", workdir=workdir))
    while info.active:
        await asyncio.sleep(0.2)
        info = await backend.inspect(info.ref)
    return info


async def _key_ms(stage: Stage, keys: tuple[str, ...], count: int) -> list[float]:
    """Milliseconds from a key to the painting that shows it, for each of so many presses."""
    spans = []
    for number in range(count):
        stage.app.painted.clear()
        began = time.perf_counter()
        stage.app.simulate_key(keys[number % len(keys)])
        await asyncio.wait_for(stage.app.painted.wait(), 5)
        spans.append(1000 * (time.perf_counter() - began))
        await stage.pilot.pause()
    return spans


async def measure(directory: Path, lines: int, keys: int) -> dict[str, float]:
    """Figures of the idle app and of the Jobs screen, in one process."""
    backend = LocalBackend(directory / "jobs", {"PATH": os.defpath})
    await _job(backend, directory, lines)
    app, _ = played_app(directory, jobs=backend, clock=time.time)
    figures: dict[str, float] = {}
    async with on_stage(app, SIZE) as stage:
        await stage.sees("claude-opus")
        await stage.pilot.pause()
        idle = await _key_ms(stage, ("x",), keys)
        before = memory_mb(os.getpid())
        began = time.perf_counter()
        await stage.press("f3")
        await stage.sees(f"log · {lines:,} lines", timeout=PATIENCE_S)
        figures["until all lines are here, s"] = time.perf_counter() - began
        app.screen.query_one(JobLog).focus()
        await stage.pilot.pause()
        scrolling = await _key_ms(stage, ("pageup", "up", "up", "pagedown"), keys)
        figures["memory of the log, MB"] = memory_mb(os.getpid()) - before
    for name, spans in (("idle app", idle), ("Jobs screen", scrolling)):
        figures[f"key to paint, {name}, median ms"] = median(spans)
        figures[f"key to paint, {name}, p95 ms"] = sorted(spans)[int(0.95 * len(spans))]
    figures["Jobs screen / idle app, median"] = median(scrolling) / median(idle)
    return figures


def curve_ms(points: int) -> float:
    """Milliseconds of drawing a curve of so many points, the best of five."""
    curve = [(float(step), math.sin(step / 1_000)) for step in range(points)]
    spans = []
    for _ in range(5):
        began = time.perf_counter()
        plot_lines({"loss": curve}, 120, 20)
        spans.append(1000 * (time.perf_counter() - began))
    return min(spans)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--keys", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as directory:
        figures = asyncio.run(measure(Path(directory), options.lines, options.keys))
    figures[f"a curve of {options.points:,} points, ms"] = curve_ms(options.points)
    for name, value in figures.items():
        print(f"{name:<44}{value:>10.2f}")


if __name__ == "__main__":
    main()

"""How long a long session takes to open for review, and to be at another of its moments.

python -m benchmarks.review [--events N] [--megabytes MB] [--jumps N]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual.app import App

from benchmarks.transcript import PARAGRAPHS
from ml_intern.core.events import EventStream
from ml_intern.core.protocol import (
    AssistantMessage,
    ContextUsage,
    EventBase,
    HistoryRecord,
    LLMCall,
    PlanItem,
    PlanUpdate,
    Processing,
    Ready,
    ToolCallEvent,
    ToolLog,
    ToolOutput,
    ToolStateChange,
    TurnComplete,
    UserMessage,
)
from ml_intern.core.redact import Redactor
from ml_intern.resources import styles_path
from ml_intern.sessions.log import SessionLog
from ml_intern.sessions.replay import Recording
from ml_intern.sessions.store import SessionStore
from ml_intern.tui.app import MLInternApp
from ml_intern.tui.screens.review import ReviewScreen
from ml_intern.tui.themes import OWN_THEMES
from ml_intern.tui.widgets.timeline import Timeline

CALLS_A_TURN = 12
SIZE = (120, 40)


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes a session, measures, and prints a table. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.review", description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=10_000, metavar="N", help="events of the session (default 10000)")
    parser.add_argument("--megabytes", type=int, default=20, metavar="MB", help="size of its log (default 20)")
    parser.add_argument("--jumps", type=int, default=60, metavar="N", help="how many jumps (default 60)")
    choice = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as directory:
        path = make_session(Path(directory), choice.events, choice.megabytes)
        figures = asyncio.run(_measure(path, choice.jumps))
        size = path.stat().st_size / 1e6
    print(f"| a session of {choice.events:,} events, {size:.0f} MB | ms | CPU ms |\n| --- | ---: | ---: |")
    for name, (wall, cpu) in figures:
        print(f"| {name} | {wall:.1f} | {cpu:.1f} |")
    return 0


def make_session(directory: Path, events: int, megabytes: int) -> Path:
    """Writes the log of a session of about this many events and this size, as a run writes it."""
    stream = EventStream("b0a710ad-0000-4000-8000-000000000000")
    log = SessionLog(directory / "sessions", Redactor(), "0", print)
    stream.subscribe(log)
    output = "".join(PARAGRAPHS) * 60
    share = max(200, int(4.6e6 * megabytes / events))  # one output in eleven events, and once more in the history
    for _, event in zip(range(events - 1), _told(output, share), strict=False):
        stream.emit(event)
    log.close()
    assert log.path is not None
    return log.path


def _told(output: str, chars: int) -> Iterator[EventBase]:
    yield Ready(tool_count=20, model="vllm/bench", workdir="/data/project")
    turn = 0
    while True:
        turn += 1
        prompt = f"Try learning rate {turn}e-5 and tell me what became of the loss."
        yield HistoryRecord(op="append", messages=({"role": "user", "content": prompt},))
        yield UserMessage(content=prompt)
        yield Processing()
        plan = tuple(
            PlanItem(id=str(n), content=f"Step {n} of turn {turn}", status="completed" if n < 3 else "pending")
            for n in range(5)
        )
        yield PlanUpdate(plan=plan)
        for number in range(CALLS_A_TURN):
            yield from _call(turn, number, output[: chars + 700 * (number % 3)])
        yield from _reply(turn, "".join(PARAGRAPHS))
        yield TurnComplete(reason="completed", final_response="done", iterations=13, cost_usd=0.1, tokens=50_000)


def _reply(turn: int, text: str, calls: tuple[dict[str, Any], ...] = ()) -> Iterator[EventBase]:
    yield LLMCall(
        model="vllm/bench",
        kind="main",
        cost_usd=0.01,
        prompt_tokens=20_000,
        completion_tokens=300,
        cached_tokens=19_000,
        latency_ms=900,
    )
    yield ContextUsage(tokens=20_000 + turn, window=200_000, cost_usd=0.01 * turn)
    yield HistoryRecord(op="append", messages=({"role": "assistant", "content": text, "tool_calls": list(calls)},))
    yield AssistantMessage(content=text, reasoning="The loss should fall more slowly now; one look at the log tells.")


def _call(turn: int, number: int, output: str) -> Iterator[EventBase]:
    call_id, command = f"call_{turn}_{number}", f"python train.py --lr {turn}e-5 --part {number}"
    made = {"id": call_id, "type": "function", "function": {"name": "bash", "arguments": f'{{"command": "{command}"}}'}}
    yield from _reply(turn, PARAGRAPHS[number % len(PARAGRAPHS)], (made,))
    yield ToolCallEvent(tool="bash", arguments={"command": command}, tool_call_id=call_id)
    yield ToolStateChange(tool="bash", tool_call_id=call_id, state="running")
    for part in range(2):
        yield ToolLog(tool="bash", log=f"{{'loss': 1.{part}31, 'epoch': {part}}}", tool_call_id=call_id)
    good = number % 10 != 9
    yield ToolOutput(tool="bash", tool_call_id=call_id, output=output, success=good, duration_s=1.2)
    yield ToolStateChange(tool="bash", tool_call_id=call_id, state="completed" if good else "failed")
    result = {"role": "tool", "content": output, "tool_call_id": call_id, "name": "bash"}
    yield HistoryRecord(op="append", messages=(result,))


# ------------------------------------------------------------------------------------------------------ measuring


class _Bench(App[None]):
    """The app's look without an agent; tells when it has painted."""

    CSS_PATH: ClassVar = sorted(styles_path().glob("*.tcss"))
    HORIZONTAL_BREAKPOINTS = MLInternApp.HORIZONTAL_BREAKPOINTS

    def __init__(self) -> None:
        super().__init__()
        self.painted = asyncio.Event()
        for theme in OWN_THEMES:
            self.register_theme(theme)
        self.theme = OWN_THEMES[0].name

    def post_display_hook(self) -> None:
        self.painted.set()

    async def rest(self) -> None:
        """Waits until it has painted and nothing more comes."""
        await self.painted.wait()
        while self.painted.is_set():
            self.painted.clear()
            for _ in range(10):
                await asyncio.sleep(0)


class _Watch:
    """Milliseconds since it was made: by the clock, and of the processor."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    @property
    def ms(self) -> tuple[float, float]:
        return 1000 * (time.perf_counter() - self._wall), 1000 * (time.process_time() - self._cpu)


Figure = tuple[str, tuple[float, float]]


async def _measure(path: Path, jumps: int) -> list[Figure]:
    """Opens the session twice and goes to and fro in it; each time ends when the screen has been painted."""
    app, figures = _Bench(), []
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(0.3)
        gc.collect()
        gc.freeze()  # as the app does when it is up
        for name in ("opened for the first time: all read, the end painted", "opened again"):
            watch = _Watch()
            recording = await asyncio.to_thread(Recording.open, path)
            screen = ReviewScreen(recording, SessionStore(path.parent, Redactor()))
            await app.push_screen(screen)
            while not screen.ready:
                await asyncio.sleep(0)
            await app.rest()
            figures.append((name, watch.ms))
        timeline, chance, last = screen.query_one(Timeline), random.Random(7), len(recording) - 1
        spans = []
        for _ in range(jumps):
            app.painted.clear()
            watch = _Watch()
            timeline.post_message(Timeline.Sought(chance.randint(0, last)))
            await app.rest()
            spans.append(watch.ms)
        figures += _middle_and_most("a jump anywhere", spans)
        spans = []
        for key in ("left", "right", "right") * (jumps // 3):
            app.painted.clear()
            watch = _Watch()
            await app.action_simulate_key(key)
            await app.rest()
            spans.append(watch.ms)
        figures += _middle_and_most("an arrow key", spans)
    watch = _Watch()
    recording.search("learning rate 7")
    return [*figures, ("a search through all texts, in a thread", watch.ms)]


def _middle_and_most(name: str, spans: list[tuple[float, float]]) -> list[Figure]:
    walls, cpus = zip(*spans, strict=True)
    middle = statistics.median(walls), statistics.median(cpus)
    return [(f"{name}, median", middle), (f"{name}, slowest", (max(walls), max(cpus)))]


if __name__ == "__main__":
    sys.exit(main())

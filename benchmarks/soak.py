"""One agent, one prompt, two thousand iterations full of faults: does it come through, and at what cost?

The model is `tests.support.night`, in a process of its own: every reply calls tools, every reply breaks off once at
another byte, and between them come rate limits, failing servers, refusals of what does not fit, malformed calls, empty
replies, and summaries that fail. Prints a table; the exit code is 1 when a condition does not hold. Linux only.

    python -m benchmarks.soak [--iterations 2000] [--window 60000]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any
from urllib.request import urlopen

from ml_intern.core.logs import start_logging
from ml_intern.core.places import Places, find_places
from ml_intern.core.protocol import Compacted, ErrorEvent, EventBase, LLMCall, ToolOutput, TurnComplete, UserInput
from ml_intern.core.redact import Redactor
from ml_intern.core.settings import LLMSettings, Settings
from ml_intern.run import Run
from ml_intern.sessions.restore import restore
from ml_intern.wiring import Wired, assemble
from tests.support.harness import is_end
from tests.support.llm_script import Step
from tests.support.llm_server import ScriptedLLM
from tests.support.night import FINISHED, PROMPT, Night, tools_of_the_night

ROOT = Path(__file__).resolve().parent.parent
REPORT = "/night"
BLOCK = 100
"""Iterations whose cost is compared: the last so many against the first."""
MAX_COST_RATIO = 1.2
MAX_MEMORY_RATIO = 1.1
"""Memory at the end against that after the first tenth, when all caches are filled and the window was full before."""
FIXED_WORK = [{"role": "tool", "content": f"row {n} 0.731\n" * 20, "id": n} for n in range(100)]
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


# ------------------------------------------------------------------------------------------------- the model's side


class Server(ScriptedLLM):
    """Plays a night and keeps no request that was answered: two thousand of them would fill the memory."""

    def __init__(self, night: Night) -> None:
        super().__init__(self._play)
        self._night = night
        self.handlers["GET", REPORT] = lambda _: Step(body=self._report())

    def _play(self, body: dict[str, Any], number: int) -> Step:
        if number > 1:
            self.requests[number - 2].body.clear()
        return self._night(body, number)

    def _report(self) -> dict[str, Any]:
        night = self._night
        return {
            "requests": len(self.requests),
            "played": night.played,
            "unplayed": sorted(night.unplayed),
            "problems": [*self.violations, *night.problems],
            "largest": night.largest,
            "finished": night.finished,
        }


def serve(iterations: int, window: int) -> None:
    """Plays a night until standard input ends; the first line of output is the address."""
    with Server(Night(iterations, window=window)) as server:
        print(server.origin, flush=True)
        sys.stdin.read()


@contextmanager
def served(iterations: int, window: int) -> Iterator[str]:
    """The address of a model in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.soak", "--serve", "--iterations", str(iterations)]
    command += ["--window", str(window)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate()  # it leaves when its standard input ends


# ------------------------------------------------------------------------------------------------- the agent's side


@dataclass(frozen=True, slots=True)
class Sample:
    """Where the agent's process stood when a reply had come in.

    Attributes:
        at: Seconds of the monotonic clock.
        cpu: CPU seconds of this process, without its children and without the yardstick.
        yardstick: CPU seconds that the yardstick has taken since the start.
        memory_mb: Resident memory.
    """

    at: float
    cpu: float
    yardstick: float
    memory_mb: float

    @classmethod
    def now(cls, yardstick: float) -> Sample:
        """A sample of this moment.

        Args:
            yardstick: CPU seconds that the yardstick has taken until now.
        """
        resident = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(time.monotonic(), time.process_time() - yardstick, yardstick, resident * PAGE_MB)


def yardstick_s() -> float:
    """CPU seconds of a fixed piece of work, of the kind an agent does.

    A shared machine is a third faster at one minute than at another. Beside this, an iteration's cost is comparable.
    """
    began = time.thread_time()
    json.loads(json.dumps(FIXED_WORK))
    return time.thread_time() - began


@dataclass
class Watch:
    """Consumer of the agent's events that keeps figures only.

    Attributes:
        samples: One for each reply of the model that counted.
        yardstick: CPU seconds that the yardstick has taken.
        compactions: How often the conversation was compacted.
        results: How many calls ended.
        wrong: Calls that ended as they should not.
        end: The event that ended the turn.
    """

    samples: list[Sample] = field(default_factory=list)
    yardstick: float = 0.0
    compactions: int = 0
    results: int = 0
    wrong: list[str] = field(default_factory=list)
    end: TurnComplete | ErrorEvent | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, event: EventBase) -> None:
        match event:
            case LLMCall(kind="main"):
                self.yardstick += yardstick_s()
                self.samples.append(Sample.now(self.yardstick))
            case Compacted():
                self.compactions += 1
            case ToolOutput():
                self.results += 1
                if event.tool_call_id.startswith("ill-" if event.success else "well-"):
                    self.wrong.append(f"{event.tool_call_id}: {event.output[:120]}")
        if is_end(event):
            self.end = event if isinstance(event, TurnComplete | ErrorEvent) else None
            self.ended.set()

    def blocks(self) -> list[list[Sample]]:
        """The samples in runs of `BLOCK` iterations, each with the sample before it; what is left over is left out."""
        starts = range(0, len(self.samples) - BLOCK, BLOCK)
        return [self.samples[start : start + BLOCK + 1] for start in starts]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run gave."""

    watch: Watch
    night: dict[str, Any]
    log_folds: bool
    log_mb: float


def settings_for(iterations: int, window: int) -> Settings:
    """A night without waiting: what would be seconds between attempts are milliseconds."""
    llm = LLMSettings(context_window=window, retry_base_s=0.001, retry_max_s=0.01, idle_timeout_s=0.5)
    return Settings(model_name="vllm/scripted", mode="yolo", max_iterations=4 * iterations, llm=llm)


def wire(origin: str, settings: Settings, directory: Path) -> Wired:
    """An agent as a headless run has it, its log file included."""
    places: Places = find_places({"ML_INTERN_HOME": str(directory / "home")})
    workspace = directory / "work"
    workspace.mkdir()
    start_logging(places.logs, Redactor.from_env({}).text)
    return assemble(
        Run(
            settings,
            places=places,
            workspace=workspace,
            env={"LOCAL_LLM_BASE_URL": f"{origin}/v1", "PATH": os.environ["PATH"], "HOME": str(directory)},
            headless=True,
            extra_tools=tools_of_the_night(),
        )
    )


async def live_through(origin: str, iterations: int, window: int, directory: Path) -> Outcome:
    """Runs the agent on the one prompt to its end."""
    wired = wire(origin, settings_for(iterations, window), directory)
    watch = Watch()
    wired.agent.events.subscribe(watch)
    # Loaded once in a session whatever its length: counted into the first iterations, it would hide growth.
    await wired.agent.session.context.count_well()
    serving = asyncio.create_task(wired.agent.run())
    wired.agent.submit(UserInput(text=PROMPT))
    await watch.ended.wait()
    with await asyncio.to_thread(urlopen, f"{origin}{REPORT}") as answer:
        night = json.load(answer)
    path = wired.session_log.path
    live = [message.record() for message in wired.agent.session.context.messages]
    folds = path is not None and restore(path).records == live
    await wired.agent.shut_down()
    await serving
    await wired.aclose()
    return Outcome(watch, night, folds, path.stat().st_size / 2**20 if path is not None else 0.0)


# ------------------------------------------------------------------------------------------------------- judgement


def cpu_ms(block: Sequence[Sample]) -> float:
    """CPU milliseconds of an iteration."""
    return 1000 * (block[-1].cpu - block[0].cpu) / (len(block) - 1)


def cost(block: Sequence[Sample]) -> float:
    """CPU of the iterations, in that of the yardstick beside them."""
    return (block[-1].cpu - block[0].cpu) / (block[-1].yardstick - block[0].yardstick)


def wall_ms(block: Sequence[Sample]) -> float:
    """Milliseconds of the median iteration, the tools and the model's own time included."""
    return 1000 * median(after.at - before.at for before, after in itertools.pairwise(block))


def memory_mb(samples: Sequence[Sample]) -> float:
    """Resident memory, as a mean over the samples."""
    return mean(sample.memory_mb for sample in samples)


def conditions(outcome: Outcome, iterations: int) -> dict[str, bool]:
    """What must hold of a night, and whether it does."""
    watch, night = outcome.watch, outcome.night
    end, tenth = watch.end, max(1, len(watch.samples) // 10)
    blocks = watch.blocks()
    early, late = watch.samples[tenth : 2 * tenth], watch.samples[-tenth:]
    return {
        "the turn is completed": isinstance(end, TurnComplete)
        and (end.reason, end.final_response) == ("completed", FINISHED)
        and night["finished"],
        f"at least {iterations:,} iterations": len(watch.samples) >= iterations,
        "every kind of fault happened": not night["unplayed"],
        "every request was valid": not night["problems"],
        "every call ended as it had to": not watch.wrong and watch.results > iterations,
        "the log folds to the live history": outcome.log_folds,
        f"cost of the last {BLOCK} iterations at most {MAX_COST_RATIO} × that of the first": len(blocks) > 1
        and cost(blocks[-1]) <= MAX_COST_RATIO * cost(blocks[0]),
        f"memory at the end at most {MAX_MEMORY_RATIO} × that after a tenth": len(blocks) > 1
        and memory_mb(late) <= MAX_MEMORY_RATIO * memory_mb(early),
    }


def table(outcome: Outcome) -> str:
    """The figures, as Markdown."""
    watch, night = outcome.watch, outcome.night
    samples, blocks = watch.samples, watch.blocks()
    faults = sum(night["played"].values())
    rows = [
        "| measure | first | middle | last | last / first |",
        "| --- | ---: | ---: | ---: | ---: |",
        _row("cost of an iteration (its CPU in that of a fixed piece of work)", [cost(block) for block in blocks]),
        _row(f"CPU of an iteration, ms (mean of {BLOCK})", [cpu_ms(block) for block in blocks]),
        _row(f"an iteration, ms (median of {BLOCK})", [wall_ms(block) for block in blocks]),
        _row(f"memory, MB (mean of {BLOCK})", [memory_mb(block) for block in blocks]),
    ]
    summary = (
        f"{len(samples):,} iterations and {watch.results:,} tool calls in {samples[-1].at - samples[0].at:.0f} s; "
        f"{night['requests']:,} requests, {faults:,} faults of {len(night['played'])} kinds, "
        f"{watch.compactions:,} compactions; largest request {night['largest']:,} tokens; log {outcome.log_mb:.0f} MB."
    )
    return "\n".join([*rows, "", summary])


def _row(title: str, values: Sequence[float]) -> str:
    first, middle, last = values[0], median(values), values[-1]
    return f"| {title} | {first:.1f} | {middle:.1f} | {last:.1f} | {last / first:.2f} |"


def trouble(outcome: Outcome) -> Iterator[str]:
    """The first few things that went wrong, for whoever has to find out why."""
    end = outcome.watch.end
    if not (isinstance(end, TurnComplete) and end.reason == "completed"):
        yield f"the turn ended with {end!r}"
    for name, found in (("problem", outcome.night["problems"]), ("call", outcome.watch.wrong)):
        yield from (f"{name}: {each}" for each in found[:5])
    yield from (f"never happened: {kind}" for kind in outcome.night["unplayed"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a night and prints what it gave. Returns the exit code: 1 when a condition does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="A night of faults from one prompt.")
    parser.add_argument("--iterations", type=int, default=2_000, metavar="N", help="iterations (default 2000)")
    parser.add_argument("--window", type=int, default=60_000, metavar="N", help="the model's window (default 60000)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    choice = parser.parse_args(arguments)
    if choice.iterations < 2 * BLOCK:
        parser.error(f"--iterations must be at least {2 * BLOCK}: the last {BLOCK} are compared with the first")
    if choice.serve:
        serve(choice.iterations, choice.window)
        return 0
    with tempfile.TemporaryDirectory(prefix="soak-") as directory, served(choice.iterations, choice.window) as origin:
        outcome = asyncio.run(live_through(origin, choice.iterations, choice.window, Path(directory)))
    found = conditions(outcome, choice.iterations)
    print(table(outcome))
    print("\n".join(["", *(f"{'ok  ' if holds else 'FAIL'} {name}" for name, holds in found.items())]))
    print("".join(f"     {line}\n" for line in trouble(outcome)), end="")
    return int(not all(found.values()))


if __name__ == "__main__":
    sys.exit(main())

"""How the index of sessions carries many of them, and how long a long one takes to open.

python -m benchmarks.sessions [--sessions N] [--events N]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from ml_intern.core.events import EventStream
from ml_intern.core.protocol import ToolLog, UserMessage
from ml_intern.core.redact import Redactor
from ml_intern.sessions.index import SessionIndex
from ml_intern.sessions.log import SessionLog
from ml_intern.sessions.restore import restore
from ml_intern.tui.screens.sessions_shelf import Shelf

WORDS = (
    *(
        "accuracy",
        "adam",
        "attention",
        "baseline",
        "batch",
        "bf16",
        "checkpoint",
        "config",
        "cosine",
        "dataset",
        "decoder",
    ),
    *(
        "dropout",
        "embedding",
        "epoch",
        "eval",
        "gradient",
        "head",
        "hub",
        "job",
        "kernel",
        "label",
        "layer",
        "learning",
    ),
    *(
        "loss",
        "lora",
        "mask",
        "model",
        "optimizer",
        "overfit",
        "padding",
        "parameter",
        "perplexity",
        "pipeline",
        "rank",
    ),
    *("precision", "quantize", "rate", "reward", "sampler", "schedule", "seed", "sequence", "shard", "split", "step"),
    *("tensor", "token", "tokenizer", "train", "validation", "warmup", "weight"),
)
TURNS = 6
RARE = "quokka"


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes sessions, measures, and prints a table. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sessions", description=__doc__.partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=2_000, metavar="N", help="how many (default 2000)")
    parser.add_argument("--kilobytes", type=int, default=100, metavar="KB", help="size of each (default 100)")
    parser.add_argument("--events", type=int, default=10_000, metavar="N", help="of the long one (default 10000)")
    choice = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as directory:
        place = Path(directory) / "sessions"
        size = make_sessions(place, choice.sessions, choice.kilobytes)
        print(f"{choice.sessions:,} sessions, {size / 1e6:,.0f} MB of logs\n\n| measure | ms |\n| --- | ---: |")
        for name, value in (*_index(place), *_one(Path(directory), choice.events)):
            print(f"| {name} | {value:,.2f} |", flush=True)
    return 0


def make_sessions(place: Path, count: int, kilobytes: int) -> int:
    """Writes logs as a run would leave them, a minute apart, and returns their size in bytes."""
    chance = random.Random(7)
    start = datetime(2031, 1, 1, tzinfo=UTC)
    size = 0
    for number in range(count):
        began = start + timedelta(minutes=number)
        path = place / f"{began:%Y/%m}" / f"{chance.getrandbits(64):016x}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        rare = f" {RARE}" if number % 500 == 0 else ""
        lines = "\n".join(json.dumps(event) for event in _events(path.stem, began, chance, kilobytes, rare))
        path.write_text(lines + "\n")
        size += len(lines)
    return size


def _events(name: str, began: datetime, chance: random.Random, kilobytes: int, rare: str) -> Iterator[dict[str, Any]]:
    length = kilobytes * 1000 // TURNS // 7 // 2  # each output is there twice: for people and as a message
    seq = 0

    def event(kind: str, **fields: Any) -> dict[str, Any]:
        nonlocal seq
        seq += 1
        now = (began + timedelta(milliseconds=seq)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"seq": seq, "time": now, "session_id": name, "type": kind, **fields}

    directory = f"/data/project-{chance.randrange(20)}"
    yield event("session_started", schema_version=1, directory=directory, model="vllm/qwen3", version="0")
    for turn in range(TURNS):
        said = " ".join(chance.choices(WORDS, k=12)) + (rare if turn == 0 else "")
        output = " ".join(chance.choices(WORDS, k=length))
        yield event("user_message", content=said)
        yield event("processing")
        yield event("tool_call", tool="bash", arguments={"command": f"python {said}"}, tool_call_id=f"c{turn}")
        yield event("tool_output", tool="bash", tool_call_id=f"c{turn}", output=output, success=True)
        message = {"role": "tool", "content": output, "tool_call_id": f"c{turn}"}
        yield event("history", op="append", messages=[message], keep=0)
        yield event("assistant_message", content=said)
        yield event("turn_complete", reason="completed", final_response=said, iterations=2, cost_usd=0.01, tokens=9)


def _index(place: Path) -> Iterator[tuple[str, float]]:
    index = SessionIndex(place)
    yield "index made from the logs", _once(index.refresh)
    yield "refresh when nothing changed", _median(index.refresh)
    yield "first 100 rows", _median(lambda: index.list(limit=100))
    yield "first 100 rows of a directory", _median(lambda: index.list(Path("/data/project-3"), limit=100))
    shelf = Shelf()
    shelf.put(index.list())
    typed = [word[:length] for word in ("warmup", "perplexity", "zebra") for length in range(1, len(word) + 1)]
    yield "filter, p95 of key presses", _p95([_once(partial(shelf.select, None, word)) for word in typed])
    yield "search for a rare word", _median(lambda: index.search(RARE))
    yield "search for a common word", _median(lambda: index.search("learning"))
    yield "search for two words in a row", _median(lambda: index.search('"learning rate"'))
    yield "search for a rare and a common word", _median(lambda: index.search(f"{RARE} learning"))
    yield "search for a beginning", _median(lambda: index.search("perp"))
    newest = max(place.rglob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    with newest.open("a") as file:
        file.write('{"seq": 999, "type": "user_message", "content": "one more"}\n')
    yield "refresh when one session grew", _once(index.refresh)


def _one(directory: Path, count: int) -> Iterator[tuple[str, float]]:
    stream = EventStream("long")
    log = SessionLog(directory / "long", Redactor(), "0", print)
    stream.subscribe(log)
    stream.emit(UserMessage(content="go"))
    line = " ".join(WORDS * 5)[:1_800]
    times = [_once(lambda: stream.emit(ToolLog(tool="bash", log=line))) for _ in range(count)]
    log.close()
    assert log.path is not None
    yield "appending an event, median", statistics.median(times)
    yield "the same, last tenth", statistics.median(times[-max(1, count // 10) :])
    size = log.path.stat().st_size / 1e6
    path = log.path
    yield f"reading a session of {count:,} events, {size:.0f} MB", _once(lambda: restore(path))


def _once(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def _median(work: Callable[[], object], runs: int = 5) -> float:
    return statistics.median(_once(work) for _ in range(runs))


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


if __name__ == "__main__":
    sys.exit(main())

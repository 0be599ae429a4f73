"""What the chat costs with 100 and with 10,000 messages: opening, a key press, a reply that streams in.

Each case is a process of its own on a terminal of its own as large as
the chat is on a screen of 120 by 40, so that what is painted is counted too.

    python benchmarks/transcript.py [--messages 100 10000] [--chunks 1000] [--rate 1000]
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT = 74, 34
KEYS = 60

PARAGRAPHS = (
    "The run on **two cards** ended after 41 minutes; `loss` fell from 2.31 to 1.02 and stays there.\n\n",
    "## Data\n\nOf 4,212 rows 31 are empty. They are left out: an empty answer teaches the model to stop.\n\n",
    "- the split is read as a stream\n- rows of 4,096 tokens and more are dropped\n- the *seed* is fixed\n\n",
    "```python\nfrom datasets import load_dataset\n\nrows = load_dataset('me/notes')\nprint(len(rows))\n```\n\n",
    "| run | rate | loss |\n|---|---|---|\n| a | 2e-5 | 1.312 |\n| b | 5e-5 | 1.297 |\n\n",
    "1. start the job\n2. read its log\n3. compare it with the [baseline](https://example.org/run)\n\n",
)


def words(number: int) -> list[str]:
    """As many pieces of markdown as asked for, of about a word each."""
    found: list[str] = []
    while len(found) < number:
        for paragraph in PARAGRAPHS:
            head, *rest = paragraph.split(" ")
            found += [head, *(" " + word for word in rest)]
    return found[:number]


# ------------------------------------------------------------------------------------------------- in the terminal


async def _measure(app: Any, messages: int, chunks: int, rate: float) -> dict[str, float]:
    from ml_intern.tui.widgets.blocks import AnswerBlock, PromptBlock
    from ml_intern.tui.widgets.transcript import Transcript

    transcript = app.query_one(Transcript)
    painted = _count_writes(app)
    texts = ["".join(PARAGRAPHS[at % 6 :] + PARAGRAPHS[: at % 6]) for at in range(6)]
    result: dict[str, float] = {}

    began = time.process_time()
    for number in range(messages):
        transcript.append(
            AnswerBlock(texts[number % 6], "14:03") if number % 2 else PromptBlock(f"And {number}?", "14:02")
        )
    await _painted(app)
    result["open_cpu_s"] = time.process_time() - began

    spans = []
    for key in ("pageup", "up", "down", "pagedown") * (KEYS // 4):
        start = time.perf_counter()
        await app.action_simulate_key(key)
        await _painted(app)
        spans.append(1000 * (time.perf_counter() - start))
    result["key_ms"] = median(spans)
    result["key_p95_ms"] = sorted(spans)[int(0.95 * len(spans))]

    transcript.follow()
    await _painted(app)
    before = painted[0]
    began, start = time.process_time(), time.perf_counter()
    transcript.stream_start()
    for number, word in enumerate(words(chunks), 1):
        transcript.stream_write(word)
        await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
    transcript.stream_end()
    await _painted(app)
    result["stream_cpu_s"] = time.process_time() - began
    result["stream_s"] = time.perf_counter() - start
    result["stream_kb"] = (painted[0] - before) / 1024

    began = time.process_time()
    await asyncio.sleep(2)
    result["idle_cpu_percent"] = 50 * (time.process_time() - began)
    return result


def _count_writes(app: Any) -> list[int]:
    """Counts from now on what the app writes to its terminal."""
    written = [0]
    write = app._driver.write

    def counting(data: str) -> None:
        written[0] += len(data.encode())
        write(data)

    app._driver.write = counting
    return written


async def _painted(app: Any) -> None:
    """Waits until what was asked for has been painted."""
    for widget in (app.screen.focused, app.screen):
        done = asyncio.Event()
        widget.call_after_refresh(done.set)
        await done.wait()


def _run_child(messages: int, chunks: int, rate: float, report: str) -> None:
    from textual.app import App, ComposeResult

    from ml_intern.tui.widgets.transcript import Transcript

    class Bench(App[None]):
        CSS_PATH = ROOT / "styles" / "transcript.tcss"

        def compose(self) -> ComposeResult:
            yield Transcript()

        def on_mount(self) -> None:
            self.query_one(Transcript).focus()
            self.run_worker(self._go())

        async def _go(self) -> None:
            await asyncio.sleep(0.3)
            Path(report).write_text(json.dumps(await _measure(self, messages, chunks, rate)))
            self.exit()

    Bench().run()


# ------------------------------------------------------------------------------------------------------- outside


def case(messages: int, chunks: int, rate: float, report: Path) -> dict[str, float]:
    """Runs one case in a terminal of its own."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    command = [sys.executable, __file__, "--child", str(messages), str(chunks), str(rate), str(report)]
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(command, stdin=side, stdout=side, stderr=side, env=environment, start_new_session=True)
    os.close(side)
    while child.poll() is None:
        if select.select([main], [], [], 0.2)[0]:
            try:
                os.read(main, 65_536)
            except OSError:
                break
    child.wait()
    os.close(main)
    result: dict[str, float] = json.loads(report.read_text())
    return result


def main() -> None:
    """Prints a table with one column per number of messages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, nargs="+", default=[100, 10_000])
    parser.add_argument("--chunks", type=int, default=1_000)
    parser.add_argument("--rate", type=float, default=1_000.0, help="chunks per second")
    options = parser.parse_args()
    report = Path(os.environ.get("TMPDIR", "/tmp")) / f"transcript-{os.getpid()}.json"
    results = [case(number, options.chunks, options.rate, report) for number in options.messages]
    report.unlink(missing_ok=True)
    print("messages".ljust(20) + "".join(f"{number:>12,}" for number in options.messages) + f"{'ratio':>10}")
    for key, first in results[0].items():
        ratio = f"{results[-1][key] / first:>10.2f}" if first else ""
        print(key.ljust(20) + "".join(f"{result[key]:>12.3f}" for result in results) + ratio)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _run_child(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5])
    else:
        main()

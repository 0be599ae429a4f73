"""How long a long session takes to open for review, and to be at another of its moments, in the app until painted.

python -m benchmarks.review [--events N] [--megabytes MB] [--jumps N] [--rounds N]
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.keyed import F2, HEADINGS, Figure, KeyedApp, Shown, Span
from benchmarks.words import PARAGRAPHS
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
from ml_intern.sessions.log import SessionLog

CALLS_A_TURN = 12
AGAIN = 3
FAR = 5
"""Cells of the timeline between a click and the next, so that another event is shown for certain."""
LEFT, RIGHT = "\x1b[D", "\x1b[C"
_AT = re.compile(r"event ([\d,]+) of ([\d,]+)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes a session, measures, and prints a table. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.review", description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=10_000, metavar="N", help="events of the session (default 10000)")
    parser.add_argument("--megabytes", type=int, default=20, metavar="MB", help="size of its log (default 20)")
    parser.add_argument("--jumps", type=int, default=60, metavar="N", help="how many jumps (default 60)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="starts of the app (default 3)")
    choice = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as directory:
        home, cwd = Path(directory) / "home", Path(directory) / "project"
        cwd.mkdir()
        path = make_session(home, str(cwd), choice.events, choice.megabytes)
        print(f"a session of {choice.events:,} events, {path.stat().st_size / 1e6:.0f} MB\n\n{HEADINGS}")
        for figure in _measure(home, cwd, choice.rounds, choice.jumps):
            print(figure.line(), flush=True)
    return 0


def make_session(home: Path, workdir: str, events: int, megabytes: int) -> Path:
    """Writes the log of a session of about this many events and this size, as a run writes it."""
    stream = EventStream("b0a710ad-0000-4000-8000-000000000000")
    log = SessionLog(home / "sessions", Redactor(), "0", print)
    stream.subscribe(log)
    output = "".join(PARAGRAPHS) * 60
    share = max(200, int(4.6e6 * megabytes / events))  # one output in eleven events, and once more in the history
    for _, event in zip(range(events - 1), _told(workdir, output, share), strict=False):
        stream.emit(event)
    log.close()
    assert log.path is not None
    return log.path


def _told(workdir: str, output: str, chars: int) -> Iterator[EventBase]:
    yield Ready(tool_count=20, model="vllm/bench", workdir=workdir)
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


def _measure(home: Path, cwd: Path, rounds: int, jumps: int) -> Iterator[Figure]:
    """Opens the session and goes to and fro in it."""
    first: list[Span] = []
    again: list[Span] = []
    near: list[Span] = []
    jumped: list[Span] = []
    stepped: list[Span] = []
    searched: list[Span] = []
    chance = random.Random(7)
    for _ in range(rounds):
        with KeyedApp(home, cwd) as app:
            app.see("vllm/bench")
            app.idle()
            app.press(F2, lambda lines: "Try learning rate" in lines[2], "the session")
            app.idle()
            first.append(_open(app))
            near.append(app.press("", lambda lines: "reading the session" not in "".join(lines), "the whole session"))
            for _ in range(AGAIN):
                app.idle()
                app.press("\x1b", lambda lines: "sessions  ⌕" in lines[0], "the list")
                app.idle()
                again.append(_open(app))
            app.idle()
            jumped += _jump(app, jumps // rounds, chance)
            stepped += [_step(app, key) for key in (LEFT, RIGHT, RIGHT) * (jumps // rounds // 3)]
            app.press("/", lambda lines: "search prompts" in "".join(lines), "the search field")
            searched.append(app.press("rate 7e-5\r", _found, "a find"))
    yield Figure("Enter to the end of the session, first time", first, 500)
    yield Figure("the same, again", again, 500)
    yield Figure("from then on until every moment is near", near)
    yield Figure("a click on the timeline", jumped, 100)
    yield Figure("an arrow key", stepped, 100)
    yield Figure("a search through all texts", searched)


def _open(app: KeyedApp) -> Span:
    """Opens the session in the list."""
    return app.press("\r", lambda lines: (at := _at(lines)) is not None and at[0] == at[1], "the end of the session")


def _at(lines: Sequence[str]) -> tuple[int, int] | None:
    """The event that is shown, and how many there are."""
    found = _AT.search("\n".join(lines))
    return None if found is None else (int(found[1].replace(",", "")), int(found[2].replace(",", "")))


def _found(lines: Sequence[str]) -> bool:
    """Whether the line of the search says which find is shown."""
    return any("rate 7e-5" in line and " 1 of " in line for line in lines)


def _elsewhere(before: tuple[int, int] | None) -> Shown:
    return lambda lines: _at(lines) not in (None, before)


def _jump(app: KeyedApp, times: int, chance: random.Random) -> Iterator[Span]:
    """Clicks somewhere on the timeline, and somewhere else."""
    row = next(number for number, line in enumerate(app.lines) if "├" in line)
    left, right = app.lines[row].index("├") + 2, app.lines[row].index("┤")
    column = right
    for _ in range(times):
        before = _at(app.lines)
        column = chance.choice([at for at in range(left, right) if abs(at - column) >= FAR])
        place = f"\x1b[<0;{column + 1};{row + 1}"
        yield app.press(f"{place}M{place}m", _elsewhere(before), "another event")
        app.rest(0.1)


def _step(app: KeyedApp, key: str) -> Span:
    """One event on or back."""
    at = _at(app.lines)
    assert at is not None
    wanted = at[0] + (1 if key == RIGHT else -1)
    span = app.press(key, lambda lines: _at(lines) == (wanted, at[1]), f"event {wanted}")
    app.rest(0.1)
    return span


if __name__ == "__main__":
    sys.exit(main())

"""A busy session that is killed: streaming, tools, approvals, large outputs, retries, a compaction, an undo.

    python -m tests.sessions.busy

reads a job from each line of its input, `DIRECTORY EVENT [MICROSECONDS]`, and answers each with a line once the session
is dead. A session works in a process of its own. It notes each event in `DIRECTORY/shown.jsonl` when a screen would
show it, after the log has had it, and prints what a run prints into `DIRECTORY/stdout.jsonl`. With the event of that
number it is killed: by itself, or from outside so many microseconds later. A negative number counts the pieces of
replies only. With number 0 it lives to its end.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from ml_intern.core.context.manager import ContextManager
from ml_intern.core.context.tokens import TokenCounter
from ml_intern.core.places import find_places
from ml_intern.core.protocol import (
    ApprovalDecision,
    ApprovalRequired,
    AssistantChunk,
    Compact,
    Compacted,
    EventBase,
    Undo,
    UndoComplete,
)
from ml_intern.core.redact import Redactor
from ml_intern.core.settings import LLMSettings, Settings
from ml_intern.headless.output import StreamJSONOutput
from ml_intern.headless.streams import Stream
from ml_intern.run import Run
from ml_intern.sessions.index import SessionIndex
from ml_intern.sessions.log import read_session
from ml_intern.sessions.restore import restore
from ml_intern.wiring import assemble
from tests.support.harness import MODEL, Harness
from tests.support.llm_script import Step, call, error, reasoning, text, tools
from tests.support.llm_server import ScriptedLLM, history_problems
from tests.support.night import tools_of_the_night

QUICK = LLMSettings(retry_base_s=0.001, retry_max_s=0.005, idle_timeout_s=2.0)
TALK = "The loss falls as it did in the last run, and the gradient norm stays below one. " * 6
PACE_S = 0.012
LARGE = "print('loss 0.31')\n" * 4_000
BEFORE_ALL = frozenset({"ready", "notice", "context_usage", "session_meta", "history", "mode_changed"})
"""What happens before anything was said; a session without a word leaves no log."""


def script() -> list[Step]:
    """What the model says."""
    item = {"id": "1", "content": "train it", "status": "completed"}
    return [
        (reasoning("What is there to train?", 4) + text(TALK, 12) + tools(call("plan_tool", {"todos": [item]}))).paced(
            PACE_S
        ),
        tools(call("write", {"path": "train.py", "content": LARGE}), content="A script.", pieces=3),
        tools(call("bash", {"command": "seq 1 300; echo done"}), content=TALK, pieces=20),
        tools(*(call("small", {"value": str(number)}) for number in range(4))),
        tools(call("large", {"value": "7"}), call("huge", {"value": "8"})),
        tools(call("bash", {"command": "exit 3"}), call("raises", {"value": "x"})),
        text(TALK, 12).paced(PACE_S),
        text("The script is written and the loss falls; nothing else was decided."),  # the summary
        error(503, "The model is overloaded."),
        text(TALK, 10).cut_after(4).paced(PACE_S),
        tools(call("edit", {"path": "train.py", "old_str": "0.31", "new_str": "0.30", "replace_all": True}), pieces=2),
        text("It is done.", 3),
        text(TALK, 12).paced(PACE_S),
        text("Once more.", 3),
    ]


# -------------------------------------------------------------------------------------------------- in the process


class _Session:
    """What happens in the process of one session."""

    def __init__(self, directory: Path, die_at: int, ring: int) -> None:
        self._directory = directory
        self._die_at = die_at
        self._ring = ring
        self._shown = os.open(directory / "shown.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._output = StreamJSONOutput(Stream((directory / "stdout.jsonl").open("a")), Redactor())
        self._count = self._pieces = 0
        self._agent: Harness

    def _show(self, event: EventBase) -> None:
        os.write(self._shown, json.dumps(event.model_dump(mode="json")).encode() + b"\n")
        self._output.event(event)
        self._count += 1
        self._pieces += isinstance(event, AssistantChunk)
        if self._die_at in {self._count, -self._pieces} and self._die_at:
            self._die_at = 0
            if self._ring < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            os.write(self._ring, b"!")
        if isinstance(event, ApprovalRequired):
            self._agent.decide(
                *(ApprovalDecision(tool_call_id=item.tool_call_id, approved=True) for item in event.tools)
            )

    async def live(self) -> None:
        async with ScriptedLLM(*script()) as server:
            agent = Harness(server, self._directory, tools=tools_of_the_night(), mode="ask", llm=QUICK)
            self._agent = agent
            agent.agent.events.subscribe(self._show)
            async with agent:
                await agent.prompt("Train something.")
                start = len(agent.events)
                agent.submit(Compact())
                await agent.until(lambda event: isinstance(event, Compacted), start)
                await agent.prompt("And better?")
                await agent.prompt("Why?")
                agent.submit(Undo())
                await agent.until(lambda event: isinstance(event, UndoComplete))
                await agent.prompt("And then?")


def _run(directory: Path, die_at: int, delay_us: int | None) -> str:
    ready, ring = os.pipe() if delay_us is not None else (-1, -1)
    child = os.fork()
    if not child:
        code = 1
        try:
            asyncio.run(_Session(directory, die_at, ring).live())
            code = 0
        finally:
            os._exit(code)
    if delay_us is not None:
        os.close(ring)
        if os.read(ready, 1):
            until = time.perf_counter() + delay_us / 1e6
            while time.perf_counter() < until:
                pass
            os.kill(child, signal.SIGKILL)
        os.close(ready)
    return str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def main() -> None:
    """Carries out jobs."""
    import_module("httpx")
    TokenCounter().load()  # once, and not in each session again
    for line in sys.stdin:
        directory, die_at, *delay = line.split()
        sys.stdout.write(_run(Path(directory), int(die_at), int(delay[0]) if delay else None) + "\n")
        sys.stdout.flush()


# ------------------------------------------------------------------------------------------------------- from outside


class Death(NamedTuple):
    """When a session dies: with which event, and how many microseconds after it; None for at once.

    A negative event is a piece of a reply, counted among those.
    """

    event: int
    delay_us: int | None


def deaths(count: int, events: int, pieces: int, seed: int) -> list[Death]:
    """Moments spread over a session of so many events; every third one from outside, every fourth within a reply."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        share = (number + chance.random()) / count
        moment = -1 - int(share * pieces) if number % 4 == 3 else 1 + int(share * events)
        found.append(Death(moment, chance.randrange(6_000) if number % 3 == 2 else None))
    return found


def kill_all(directory: Path, moments: Sequence[Death], processes: int = 2) -> list[Path]:
    """Lets a session die at each of the moments, and returns their directories."""
    places = [directory / f"{number:03}" for number in range(len(moments))]
    jobs = []
    for place, moment in zip(places, moments, strict=True):
        place.mkdir(parents=True)
        jobs.append(" ".join(str(part) for part in (place, *moment) if part is not None))
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.sessions.busy"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        for _ in range(processes)
    ]
    for number, worker in enumerate(workers):
        assert worker.stdin is not None
        worker.stdin.write("".join(f"{job}\n" for job in jobs[number::processes]).encode())
        worker.stdin.close()
    assert [worker.wait(timeout=600) for worker in workers] == [0] * processes
    return places


def shown_in(place: Path) -> list[dict[str, Any]]:
    """The events that a session has shown. Of the last one only a part may be there."""
    lines = (place / "shown.jsonl").read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines]


def printed_in(place: Path) -> list[dict[str, Any]]:
    """The events that a session has printed."""
    return [json.loads(line) for line in (place / "stdout.jsonl").read_bytes().split(b"\n")[:-1]]


def half_said_in(place: Path) -> str:
    """What a session had shown of the reply within which it was killed."""
    said = ""
    for event in shown_in(place):
        if event["type"] == "assistant_chunk" and event["kind"] == "text":
            said += event["content"]
        elif event["type"] == "history" or event.get("discarded"):
            said = ""
    return said


def problems_of(place: Path) -> list[str]:
    """What is wrong with the log that a killed session has left."""
    shown = shown_in(place)
    logs = list((place / "home" / "sessions").rglob("*.jsonl"))
    if not logs:
        return [f"{event['type']} was shown, and there is no log" for event in shown if event["type"] not in BEFORE_ALL]
    (log,) = logs
    kept = {event.get("seq"): event for event in read_session(log, pieces=True)}
    found = [
        f"event {event['seq']} ({event['type']}) was shown and is not in the log"
        for event in shown
        if kept.get(event["seq"]) != event
    ]
    found += [
        f"event {event['seq']} ({event['type']}) was printed and is not in the log"
        for event in printed_in(place)
        if kept.get(event["seq"]) != event
    ]
    saved = restore(log)
    if saved.unreadable:
        found.append(f"{saved.unreadable} lines are not understood")
    context = ContextManager("You are a careful engineer.", TokenCounter())
    context.load(saved.records)
    found += history_problems([message.wire() for message in context.request_messages()])
    index = SessionIndex(place / "home" / "sessions")
    index.refresh()
    statuses = [session.status for session in index.list()]
    if len(statuses) != 1 or statuses[0] == "running":
        found.append(f"the list says {statuses}")
    return found


async def resumption_problems(place: Path) -> list[str]:
    """What goes wrong when a killed session is gone on with by a new agent."""
    (log,) = (place / "home" / "sessions").rglob("*.jsonl")
    before = list(read_session(log, pieces=True))
    half_said = half_said_in(place)
    async with ScriptedLLM(text("I go on.")) as server:
        wired = assemble(
            Run(
                Settings(model_name=MODEL, mode="yolo", llm=QUICK),
                places=find_places({"ML_INTERN_HOME": str(place / "home")}),
                workspace=place / "work",
                env={"LOCAL_LLM_BASE_URL": server.url, "PATH": "/usr/bin:/bin", "HOME": str(place)},
                extra_tools=tools_of_the_night(),
                saved=restore(log),
            )
        )
        async with Harness.around(wired, server) as agent:
            ended = (await agent.prompt("Go on."))[-1]
    found = [*server.violations]
    sent = [message["content"] or "" for message in server.requests[0].messages if message["role"] == "assistant"]
    if half_said and not (sent and sent[-1].startswith(half_said)):  # killed a moment later, it may have become whole
        found.append(f"the model was not told that it had said {half_said[-40:]!r}")
    if ended.type != "turn_complete":  # type: ignore[attr-defined]  # every event has one
        found.append(f"the turn ended with {ended}")
    after = list(read_session(log, pieces=True))
    if after[: len(before)] != before:
        found.append("an earlier event has changed")
    if restore(log).records[-1].get("content") != "I go on.":
        found.append("what was said then is not in the log")
    return found


if __name__ == "__main__":
    main()

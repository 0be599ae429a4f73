"""One session in the full-screen app, driven by keys and measured from outside."""

from __future__ import annotations

import itertools
import random
import statistics
import string
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.endpoint import RESEARCHERS, Endpoint, Exchange
from benchmarks.procfs import busiest, cpu_seconds, memory_mb, queued_seconds
from benchmarks.subjects import Subject
from benchmarks.terminal import Terminal

Figures = dict[str, float]

KEYS = 60
STREAM_CHUNKS = 1000
PACE = 50
"""Chunks per second of a model that streams at an everyday speed."""
PACED_S = 4.0
TOOL_TURNS = 50
STUDY_TURNS = 12
"""Turns of a researcher; each takes about a second."""
LONG_TURNS = 1000
IDLE_S = 4.0
START_TIMEOUT_S = 60.0
WORK_TIMEOUT_S = 180.0
AT_ONCE_S = 0.1
"""An app that shows keys later than this is not ready for input."""
START_KEYS = 100
"""So many keys fit on a line."""
KEY_EVERY_S = 0.05
RARE_KEYS = "jxJX"
"""Keys that hardly a screen shows on its own."""

_LINE = 20
_random = random.Random(0)


def shows(text: str, times: int = 1) -> Callable[[str], bool]:
    """Whether this is on the screen, so many times at least."""
    return lambda screen: screen.count(text) >= times


class MeasurementError(Exception):
    """A program did not do what it was asked for, so that there is nothing to measure."""


@dataclass(frozen=True)
class Asked:
    """A prompt on its way.

    Attributes:
        name: The conversation's.
        entered: When Enter was pressed.
        first: The first request.
        cpu: CPU seconds of the program before that.
        painted: Bytes it had painted before that.
    """

    name: str
    entered: float
    first: Exchange
    cpu: float
    painted: int


class AppSession:
    """A running app.

    Args:
        subject: The program.
        endpoint: The model server that it talks to.
    """

    def __init__(self, subject: Subject, endpoint: Endpoint) -> None:
        self.terminal = Terminal(subject.app, subject.env, subject.cwd)
        self.endpoint = endpoint

    @property
    def cpu(self) -> float:
        """CPU seconds of the program so far."""
        return cpu_seconds(self.terminal.pid)

    def require(self, moment: float | None, what: str) -> float:
        """The moment, if there is one.

        Raises:
            MeasurementError: There is none; tells what the screen shows instead.
        """
        if moment is None:
            shown = " / ".join(line.strip() for line in self.terminal.screen.text.splitlines() if line.strip())
            raise MeasurementError(f"{what}; the screen ends in: {shown[-400:]}")
        return moment

    def ask(self, script: str) -> Asked:
        """Types a prompt and enters it."""
        name = "".join(_random.choices(string.ascii_lowercase, k=8))
        self.terminal.send(f"bench {name} {script}")
        self.require(self.terminal.wait_for(shows(f"{name} {script}"), 10.0), "the prompt does not show")
        self.terminal.watch(0.5)  # Enter right after a burst of keys may be taken for a part of pasted text
        cpu, painted = self.cpu, self.terminal.painted
        entered = self.terminal.send("\r")
        exchanges = self.endpoint.wait_for(name, timeout=20.0)
        self.require(entered if exchanges else None, "no request after Enter")
        return Asked(name, entered, exchanges[0], cpu, painted)

    def wait_for_end(self, name: str, timeout: float = WORK_TIMEOUT_S) -> float:
        """Waits until the end of the conversation has been painted. Returns when it was."""
        shown = self.terminal.wait_for(shows(f"end.{name}"), timeout)
        return self.require(shown, "the end of the reply does not show")

    def erase(self, keys: int, shown: str) -> None:
        """Takes back so many keys, and waits until what shows of them is gone."""
        self.terminal.send("\x7f" * keys)
        self.terminal.wait_for(lambda screen: shown[:3] not in screen, 2.0)
        self.terminal.watch(0.1)


# --------------------------------------------------------------------------------------------------------- the parts


def start(session: AppSession) -> Figures:
    """From the start until typing works as it will later. A key is pressed every 50 ms from the first frame on."""
    terminal = session.terminal
    frame = session.require(terminal.wait_for(lambda text: bool(text.strip()), START_TIMEOUT_S), "nothing is painted")
    typed, shown = _type_until_shown(session)
    cpu, painted = session.cpu, terminal.painted
    quick: list[float] = []
    while len(quick) < 5:
        if len(typed) >= START_KEYS:
            session.require(None, "keys never show at once")
        key = RARE_KEYS[len(typed) % len(RARE_KEYS)]
        one_more = shows(key, terminal.screen.text.count(key) + 1)
        pressed = terminal.send(key)
        typed += key
        seen = session.require(terminal.wait_for(one_more, 5.0), "a key does not show")
        quick = [*quick, seen] if seen - pressed < AT_ONCE_S else []
        if len(quick) == 1:
            cpu, painted = session.cpu, terminal.painted
        terminal.watch(pressed + KEY_EVERY_S - time.monotonic())
    in_order = next(typed[lost:] for lost in range(len(typed)) if typed[lost:] in terminal.screen.text)
    session.erase(len(typed), in_order)
    return {
        "first_frame_ms": 1000 * (frame - terminal.started),
        "text_shown_ms": 1000 * (shown - terminal.started),
        "ready_ms": 1000 * (quick[0] - terminal.started),
        "ready_cpu_s": cpu,
        "ready_kb": painted / 1024,
        "lost_keys": float(len(typed) - len(in_order)),
    }


def _type_until_shown(session: AppSession) -> tuple[str, float]:
    """Presses two keys by turns until something of it shows. Returns what was typed, and when it showed."""
    typed, shown = "", None
    while shown is None:
        if time.monotonic() - session.terminal.started > START_TIMEOUT_S:
            session.require(None, "typed text does not show")
        if len(typed) < START_KEYS // 2:
            typed += "qz"[len(typed) % 2]
            session.terminal.send(typed[-1])
        shown = session.terminal.wait_for(lambda text: "qz" in text or "zq" in text, KEY_EVERY_S)
    return typed, shown


def idle(session: AppSession) -> Figures:
    """Nothing happens, and nothing should."""
    terminal = session.terminal
    terminal.settle(1.0, 10.0)
    memory = memory_mb(terminal.pid)
    began, cpu, painted = time.monotonic(), session.cpu, terminal.painted
    terminal.watch(IDLE_S)
    spent, seconds = session.cpu - cpu, time.monotonic() - began
    return {
        "idle_mb": memory,
        "idle_cpu_percent": 100 * spent / seconds,
        "idle_bytes_per_s": (terminal.painted - painted) / seconds,
    }


def keys(session: AppSession) -> Figures:
    """Typing while nothing else happens."""
    delays, painted, cpu = _type(session, KEYS)
    return {
        "key_ms": statistics.median(delays),
        "key_p95_ms": percentile(delays, 0.95),
        "key_bytes": painted / len(delays),
        "key_cpu_ms": 1000 * cpu / len(delays),
    }


def _type(
    session: AppSession, number: int, going_on: Callable[[], bool] = lambda: True
) -> tuple[list[float], int, float]:
    """Presses keys one after the other. Returns each one's delay in ms, and bytes and CPU seconds without erasing."""
    terminal = session.terminal
    delays: list[float] = []
    painted, cpu = 0, 0.0
    while len(delays) < number and going_on():
        typed = "xqj"  # found nowhere else on the screen, so that the first key is not seen before it is there
        terminal.send(typed)
        session.require(terminal.wait_for(shows(typed), 5.0), "typed text does not show")
        terminal.watch(0.1)
        painted_before, cpu_before = terminal.painted, session.cpu
        while len(typed) < _LINE and len(delays) < number and going_on():
            typed += _random.choice("bcdfghkmnpvw")
            pressed = terminal.send(typed[-1])
            shown = terminal.wait_for(shows(typed), 5.0)
            delays.append(1000 * (session.require(shown, "a key does not show") - pressed))
            terminal.watch(_random.uniform(0.03, 0.07))
        painted += terminal.painted - painted_before
        cpu += session.cpu - cpu_before
        session.erase(len(typed), typed)
    return delays, painted, cpu


def requests(session: AppSession) -> Figures:
    """From Enter to the request at the server, and from the reply back to the screen."""
    sent, painted = [], []
    for _ in range(4):
        asked = session.ask("hello")
        sent.append(1000 * (asked.first.received - asked.entered))
        painted.append(1000 * (session.wait_for_end(asked.name) - asked.first.first))
        session.terminal.settle(0.5)
    return {
        "first_request_ms": sent[0],
        "request_ms": statistics.median(sent[1:]),
        "reply_painted_ms": statistics.median(painted[1:]),
    }


def stream(session: AppSession) -> Figures:
    """A long reply as fast as the app can take it. Nothing is worked out here meanwhile."""
    asked = session.ask(f"stream {STREAM_CHUNKS}")
    session.endpoint.wait_for(asked.name, ended=True, timeout=WORK_TIMEOUT_S)
    seconds = session.wait_for_end(asked.name) - asked.first.first
    session.terminal.settle(0.5)
    thousands = STREAM_CHUNKS / 1000
    return {
        "stream_chunks_per_s": STREAM_CHUNKS / seconds,
        "stream_cpu_s": (session.cpu - asked.cpu) / thousands,
        "stream_kb": (session.terminal.painted - asked.painted) / 1024 / thousands,
    }


def typing(session: AppSession) -> Figures:
    """A reply at an everyday speed: what it costs, and then how typing feels during it."""
    terminal = session.terminal
    chunks = round(PACE * (PACED_S + 4 + KEYS * 0.12))
    asked = session.ask(f"stream {chunks} {PACE}")
    terminal.watch(1.0)
    began, cpu, painted = time.monotonic(), session.cpu, terminal.painted
    terminal.watch(PACED_S)
    thousands = PACE * (time.monotonic() - began) / 1000
    figures = {
        "paced_cpu_s": (session.cpu - cpu) / thousands,
        "paced_kb": (terminal.painted - painted) / 1024 / thousands,
    }
    delays, _, _ = _type(session, KEYS, lambda: session.endpoint.exchanges(asked.name)[0].ended is None)
    if len(delays) < KEYS // 2:
        session.require(None, f"only {len(delays)} keys could be pressed during the reply")
    session.wait_for_end(asked.name)
    terminal.settle(0.5)
    figures["busy_key_ms"] = statistics.median(delays)
    figures["busy_key_p95_ms"] = percentile(delays, 0.95)
    return figures


def researchers(session: AppSession) -> Figures:
    """Eight researchers read and talk at an everyday speed. How typing feels meanwhile, beside before and after."""
    before, _, _ = _type(session, KEYS // 2)
    asked = session.ask(f"research {STUDY_TURNS} {PACE}")
    names = [asked.name + letter for letter in RESEARCHERS]
    for name in names:
        session.require(1.0 if session.endpoint.wait_for(name, timeout=20.0) else None, "a researcher is missing")
    began, cpu, painted = time.monotonic(), session.cpu, session.terminal.painted
    app = busiest(session.terminal.pid)
    queued = queued_seconds(app)
    delays, _, _ = _type(
        session, 2 * KEYS, lambda: all(len(session.endpoint.exchanges(name)) <= STUDY_TURNS for name in names)
    )
    seconds, spent, bytes_ = time.monotonic() - began, session.cpu - cpu, session.terminal.painted - painted
    queued = queued_seconds(app) - queued
    if len(delays) < KEYS // 2:
        session.require(None, f"only {len(delays)} keys could be pressed during the research")
    session.wait_for_end(asked.name)
    session.terminal.settle(0.5)
    after, _, _ = _type(session, KEYS // 2)
    alone = [*before, *after]
    return {
        "research_key_ms": statistics.median(delays),
        "research_key_p95_ms": percentile(delays, 0.95),
        "research_key_ratio": statistics.median(delays) / statistics.median(alone),
        "research_key_p95_ratio": percentile(delays, 0.95) / percentile(alone, 0.95),
        "research_cpu_percent": 100 * spent / seconds,
        "research_queued_percent": 100 * queued / seconds,
        "research_kb_per_s": bytes_ / 1024 / seconds,
    }


def tools(session: AppSession) -> Figures:
    """A chain of calls of the shell tool, each `true`: what stays is the app's own."""
    return {f"app_{key}": value for key, value in _chain(session, TOOL_TURNS).items()}


def long(session: AppSession) -> Figures:
    """A chain that goes on for a night's worth of turns."""
    return {f"long_{key}": value for key, value in _chain(session, LONG_TURNS).items()}


def _chain(session: AppSession, turns: int) -> Figures:
    asked = session.ask(f"tools {turns}")
    fifth = max(1, turns // 5)
    spent = [asked.cpu]
    for so_far in (fifth, turns - fifth, turns):
        session.endpoint.wait_for(asked.name, requests=so_far + 1, ended=so_far == turns, timeout=WORK_TIMEOUT_S)
        spent.append(session.cpu)
    session.wait_for_end(asked.name)
    figures = turn_overheads(session.endpoint.exchanges(asked.name), turns)
    figures["turn_cpu_first_fifth_ms"] = 1000 * (spent[1] - spent[0]) / fifth
    figures["turn_cpu_last_fifth_ms"] = 1000 * (spent[3] - spent[2]) / fifth
    session.terminal.settle(0.5)
    figures["turn_cpu_ms"] = 1000 * (session.cpu - asked.cpu) / turns
    figures["turn_kb"] = (session.terminal.painted - asked.painted) / 1024 / turns
    figures["after_mb"] = memory_mb(session.terminal.pid)
    delays, _, _ = _type(session, 20)
    figures["after_key_ms"] = statistics.median(delays)
    return figures


PARTS: dict[str, Callable[[AppSession], Figures]] = {
    "start": start,
    "idle": idle,
    "keys": keys,
    "requests": requests,
    "stream": stream,
    "typing": typing,
    "researchers": researchers,
    "tools": tools,
    "long": long,
}
ON_REQUEST = frozenset({"long", "researchers"})
"""Parts that run only when they are named."""


def measure_app(subject: Subject, endpoint: Endpoint, parts: Sequence[str], figures: Figures) -> None:
    """Runs one session and adds what was measured, part by part, to the figures.

    Raises:
        MeasurementError: The app stopped doing what it should; what came before it has been added.
    """
    session = AppSession(subject, endpoint)
    with session.terminal:
        for name, part in PARTS.items():
            if name == "start" or name in parts:
                found = part(session)
                figures.update(found if name in parts else {})


# ------------------------------------------------------------------------------------------------------ arithmetic


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def turn_overheads(exchanges: Sequence[Exchange], turns: int) -> Figures:
    """What lies between the end of each reply and the next request, in ms.

    Raises:
        MeasurementError: Some requests are missing.
    """
    gaps = [
        1000 * (after.received - before.ended)
        for before, after in itertools.pairwise(exchanges)
        if before.ended is not None
    ]
    if len(gaps) < turns:
        raise MeasurementError(f"only {len(gaps)} of {turns} tool turns were made")
    fifth = max(1, len(gaps) // 5)
    return {
        "turn_ms": statistics.median(gaps),
        "turn_p95_ms": percentile(gaps, 0.95),
        "turn_first_fifth_ms": statistics.median(gaps[:fifth]),
        "turn_last_fifth_ms": statistics.median(gaps[-fifth:]),
    }

"""A session's log as a row of steps one can stand at: opened fast, read piece by piece, never changed.

Opening looks at the head of each line only. Events are made from the file when they are needed, and large texts that
lie beside the log are read as far as a list shows them, or whole when somebody wants to see all of one call.
"""

from __future__ import annotations

import json
import logging
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from ml_intern.core.protocol import EVENT, AssistantChunk, EventBase
from ml_intern.sessions.lock import in_use
from ml_intern.sessions.log import parse_line
from ml_intern.sessions.needle import Needle
from ml_intern.sessions.pieces import NEXT, PIECE
from ml_intern.sessions.replay_events import PREVIEW_BYTES, Damage, EventParser
from ml_intern.sessions.replay_lines import LineReader, LogLine, Mark
from ml_intern.sessions.summary import docs_of

log = logging.getLogger(__name__)

IDLE_S = 5.0
"""A longer pause between two steps counts as this long in the shortened time of a replay."""
STEP_S = 0.02
"""Steps of one instant are this far apart in it, so that each can be seen."""
PAID_SHARE = 0.05
"""A model call counts as a large one from this share of the price of all on."""
PORTION = 256
"""Lines that are read at once."""

_UNFOLDED = frozenset({"history", "session_started", "session_meta", "leftovers"})
"""They change nothing that a screen shows."""
_SEARCHED = frozenset({"user_message", "assistant_message", "tool_call", "tool_output"})
_PIECE = PIECE.decode()
_AFTER_REPLY = frozenset({kind.decode() for kind in NEXT} | {"assistant_message"})


@dataclass(slots=True)
class Recording:
    """One session, to be stepped through. A step is an event that a person can see, with the silent ones around it.

    Attributes:
        path: The log.
        lines: What is known of each of its lines.
        stops: For each step, the index after its last line.
        times: For each step, when it was, in milliseconds since 1970.
        axis: For each step, the seconds of shortened time since the first: long pauses count `IDLE_S`.
        marks: What stands out, by step.
        tools: How often each tool was called.
        model: Model of its beginning, as the first line names it.
        metered: The log tells what the session has cost (`context_usage`), and need not be added up.
    """

    path: Path
    lines: list[LogLine] = field(default_factory=list)
    stops: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    axis: list[float] = field(default_factory=list)
    marks: dict[Mark, list[int]] = field(default_factory=lambda: {mark: [] for mark in Mark})
    tools: dict[str, int] = field(default_factory=dict)
    model: str = ""
    metered: bool = False
    _name: str = ""
    _prompt: str = ""
    _shown: list[int] = field(default_factory=list)
    _open: list[int] = field(default_factory=list)  # lines with pieces of the reply that streams in
    _whole_at: dict[int, int] = field(default_factory=dict)  # and with which line they are of no more use
    _readable: dict[int, bool] = field(default_factory=dict)  # whether that line is what it looks like
    _reader: LineReader = field(init=False)
    _parser: EventParser = field(init=False)

    def __post_init__(self) -> None:
        self._reader = LineReader(self.path)
        self._parser = EventParser(self.path)

    @classmethod
    def open(cls, path: Path) -> Recording:
        """Reads the heads of all lines of a log. Takes no lock: a session that runs can be looked at.

        Raises:
            OSError: It cannot be read.
        """
        recording = cls(path)
        recording.add(recording.read_on())
        if not in_use(path):
            recording.damage.torn = _has_rest(path, recording.read_to)
            recording._stop_at_open_reply()
        return recording

    def __len__(self) -> int:
        return len(self.stops)

    @property
    def damage(self) -> Damage:
        """What cannot be read, as far as it is known by now."""
        return self._parser.damage

    @property
    def title(self) -> str:
        """A name that a person gave the session, or its first prompt; empty when there is neither."""
        return self._name or self._prompt

    # ------------------------------------------------------------------------------------------------------ growing

    @property
    def read_to(self) -> int:
        """The place in the file up to which its lines are known."""
        return self.lines[-1].end if self.lines else 0

    def read_on(self) -> list[LogLine]:
        """The lines that the log has beyond the known ones, for `add`. Call it in a thread, one call at a time.

        Raises:
            OSError: It cannot be read.
        """
        return self._reader.lines(self.read_to)

    def add(self, found: Sequence[LogLine]) -> int:
        """Takes in lines that follow the known ones. Returns how many steps they bring."""
        before = len(self.stops)
        self.damage.torn = self.damage.torn and not found  # what was cut off has been written to its end, then
        for line in found:
            kind = line.kind
            if line.damaged:
                self.damage.lines += 1
            elif kind == "context_usage":
                self.metered = True
            elif kind == "tool_call" and line.tool:
                self.tools[line.tool] = self.tools.get(line.tool, 0) + 1
            if line.title and kind == "session_meta":
                self._name = line.title
            elif line.title:
                self._prompt = self._prompt or line.title
            self.model = self.model or line.model
            self._place(line)
        self._mark_large_calls()
        return len(self.stops) - before

    def _place(self, line: LogLine) -> None:
        """A line that is shown makes a step; a silent one belongs to the step before it, or waits for the next."""
        self.lines.append(line)
        number = len(self.lines)
        if self._open or line.kind == _PIECE:
            self._follow_reply(line, number - 1)
        if line.shown:
            if line.mark is not None:
                self.marks[line.mark].append(len(self.stops))
            self._add_step(number - 1)
        elif self.stops and not line.leads and self.stops[-1] == number - 1:
            self.stops[-1] = number

    def _add_step(self, at: int) -> None:
        self.stops.append(len(self.lines))
        self._shown.append(at)
        self._advance(self.lines[at].time_ms)

    def _follow_reply(self, line: LogLine, at: int) -> None:
        if line.kind == _PIECE:
            self._open.append(at)
        elif line.replaces:
            self._whole_at.update(dict.fromkeys(self._open, at))
            self._open.clear()
        elif line.kind in _AFTER_REPLY:
            self._open.clear()

    def _stop_at_open_reply(self) -> None:
        """Pieces are no steps, unless nothing else shows that they were there: the session ended within a reply."""
        if self._open and self._open[-1] > max(self._shown, default=-1):
            self._add_step(self._open[-1])

    def _advance(self, time_ms: int) -> None:
        times = self.times
        if not times:
            times.append(time_ms)
            self.axis.append(0.0)
            return
        time_ms = max(time_ms, times[-1])  # a clock may have been set back
        pause = (time_ms - times[-1]) / 1000
        self.axis.append(self.axis[-1] + min(pause, IDLE_S) + STEP_S)
        times.append(time_ms)

    def _mark_large_calls(self) -> None:
        """Model calls are many; those that took a good part of the money stand out beside jobs and sandboxes."""
        calls = [(step, self.lines[at].usd) for step, at in enumerate(self._shown) if self.lines[at].kind == "llm_call"]
        least = PAID_SHARE * sum(usd for _, usd in calls)
        large = {step for step, usd in calls if usd > 0 and usd >= least}
        rented = {step for step in self.marks[Mark.PAID] if self.lines[self._shown[step]].kind != "llm_call"}
        self.marks[Mark.PAID] = sorted(rented | large)

    # ---------------------------------------------------------------------------------------------- finding one's way

    @property
    def turns(self) -> list[int]:
        """The steps with which turns begin."""
        return [step for step in self.marks[Mark.PROMPT] if not self.line(step).steered]

    def line(self, step: int) -> LogLine:
        """The line that makes a step."""
        return self.lines[self._shown[step]]

    def pause_s(self, step: int) -> float:
        """Seconds between the step before and this one, as it was."""
        return (self.times[step] - self.times[step - 1]) / 1000 if 0 < step < len(self.times) else 0.0

    def last_seq(self, step: int) -> int:
        """Number of the last event that belongs to a step."""
        return max((line.seq for line in self.lines[: self.stops[step]]), default=0)

    def step_of_seq(self, seq: int) -> int:
        """The step that an event belongs to."""
        at = bisect_right(self.lines, seq, key=lambda line: line.seq) - 1
        return min(max(0, bisect_right(self.stops, at)), max(0, len(self) - 1))

    def next_of(self, steps: Sequence[int], step: int, direction: int) -> int | None:
        """The nearest of some steps after or before one; None when there is none."""
        at = bisect_right(steps, step) if direction > 0 else bisect_left(steps, step) - 1
        return steps[at] if 0 <= at < len(steps) else None

    def only(self, wanted: Callable[[LogLine], bool]) -> list[int]:
        """The steps whose line fits."""
        return [step for step, at in enumerate(self._shown) if wanted(self.lines[at])]

    # ------------------------------------------------------------------------------------------------------- reading

    def events(self, start: int, stop: int) -> Iterator[EventBase]:
        """The events of the lines from one index up to another, as far as they concern a screen. Texts that lie beside
        the log are cut to a preview. What cannot be read is noted in `damage`.

        Raises:
            OSError: The log cannot be read any more.
        """
        with self.path.open("rb") as file:
            for first in range(start, stop, PORTION):
                last = min(first + PORTION, stop)
                base = self.lines[first].offset
                file.seek(base)
                data = file.read(self.lines[last - 1].end - base)
                for at in range(first, last):
                    line = self.lines[at]
                    if line.kind in _UNFOLDED or line.damaged or self._is_replaced(at, stop):
                        continue
                    raw = data[line.offset - base : line.end - base]
                    if line.kind == _PIECE:
                        yield from self._parser.pieces(at, raw)
                    elif (event := self._parser.event(at, raw)) is not None:
                        yield event

    def events_of(self, kinds: Collection[str], last_of: Collection[str], stop: int) -> Iterator[EventBase]:
        """All events of some kinds, and the last one of each of some others, before the line of an index.

        Raises:
            OSError: The log cannot be read any more.
        """
        left = set(last_of)
        found: list[int] = []
        for at in range(stop - 1, -1, -1):
            kind = self.lines[at].kind
            if kind in kinds or kind in left:
                found.append(at)
                left.discard(kind)
        for at in reversed(found):
            yield from self.events(at, at + 1)

    def event(self, step: int) -> EventBase | None:
        """The event that makes a step; of pieces, the last ones."""
        at = self._shown[step]
        return max(self.events(at, at + 1), key=lambda event: event.seq, default=None)

    def _is_replaced(self, at: int, stop: int) -> bool:
        """Whether a line holds pieces of a reply that is whole before the line of an index."""
        whole = self._whole_at.get(at, stop)
        if whole >= stop:
            return False
        if whole not in self._readable:
            with self.path.open("rb") as file:
                self._readable[whole] = self._parser.event(whole, _read(file, self.lines[whole])) is not None
        return self._readable[whole]

    def whole_call(self, call_id: str, step: int) -> list[EventBase]:
        """All that was told of one tool call up to a step, its texts whole.

        Raises:
            OSError: The log cannot be read any more.
        """
        needle = json.dumps(call_id).encode() if call_id.isascii() else b""
        found: list[EventBase] = []
        with self.path.open("rb") as file:
            for line in self.lines[: self.stops[step]]:
                if not (line.kind.startswith("tool_") or line.kind == "origin") or line.damaged:
                    continue
                raw = _read(file, line)
                if needle not in raw:
                    continue
                try:
                    event = EVENT.validate_python(parse_line(raw, self.path))
                except ValidationError:
                    continue
                if getattr(event, "tool_call_id", None) == call_id:
                    found.append(event)
        return found

    def search(self, text: str, stop: Callable[[], bool] = lambda: False) -> list[int]:
        """Steps whose prompt, answer, command or output holds a text (see `Needle`). Slow: call it in a thread.

        Args:
            text: What to look for.
            stop: Asked now and then; True ends the search.

        Raises:
            OSError: The log cannot be read any more.
        """
        needle = Needle(text)
        found: list[int] = []
        with self.path.open("rb") as file:
            for step, at in enumerate(list(self._shown)):
                line = self.lines[at]
                if line.kind == _PIECE and any(needle.within(_said(piece)) for piece in self.events(at, at + 1)):
                    found.append(step)
                if line.kind not in _SEARCHED or line.damaged:
                    continue
                if stop():
                    return []
                event = parse_line(_read(file, line), self.path)
                if event is not None and any(needle.within(said) for _kind, said in docs_of(event)):
                    found.append(step)
        return found


def _said(event: EventBase) -> str:
    return event.content if isinstance(event, AssistantChunk) else ""


def _has_rest(path: Path, offset: int) -> bool:
    """Whether anything but blanks follows a place."""
    with path.open("rb") as file:
        file.seek(offset)
        return bool(file.read(PREVIEW_BYTES).strip(b"\0 \t\r\n"))


def _read(file: BinaryIO, line: LogLine) -> bytes:
    file.seek(line.offset)
    return file.read(line.end - line.offset)

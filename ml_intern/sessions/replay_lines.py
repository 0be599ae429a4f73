"""What the head of a line in a log tells, so that a long log opens without being parsed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from ml_intern.sessions import kinds
from ml_intern.sessions.log import parse_line
from ml_intern.sessions.pieces import PIECE, is_piece, replaces_pieces
from ml_intern.sessions.summary import milliseconds, number, string, whole
from ml_intern.sessions.text import one_line

TITLE_CHARS = 200

SHOWN = frozenset(
    {
        *("ready", "session_resumed", "model_changed", "mode_changed", "shutdown"),
        *("user_message", "assistant_message", "turn_complete", "error", "interrupted", "notice"),
        *("tool_call", "tool_log", "tool_state_change", "tool_output", "plan_update", "origin"),
        *("approval_required", "approval_resolved", "compacted", "undo_complete"),
        *("llm_call", "expense", "artifact", "feedback", "aside"),
    }
)
"""Types that make a step. What else there is changes nothing by itself that a person could see."""

_HEAD = re.compile(
    rb'\{"seq":\s?(\d{1,18}),\s?"time":\s?"([^"\\]*)",\s?"session_id":\s?"[^"\\]*",\s?"type":\s?"([a-z_]+)"'
    rb'(?:,\s?"tool":\s?"([^"\\]*)")?'
)
# Quotes inside a text are escaped, so none of these can match within one.
_FAILED = (b'"success":false', b'"success": false')
_USD = re.compile(rb'"cost_usd":\s?(-?[0-9][0-9.eE+-]*)')
_SETTLED = re.compile(rb'"state":\s?"(?:completed|failed)"')
_RESULTS = re.compile(rb'"messages":\s?\[\{"role":\s?"tool"')
_STEERED = re.compile(rb'"steered":\s?true')
_PIECE = PIECE.decode()
_PARSED = frozenset({"expense", "session_meta", "session_started"})
_WHOLE = (b"}\n", b"}")
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")
_AT_ONCE = 1 << 20


class Mark(Enum):
    """Why a step stands out; the one that matters more comes first."""

    ERROR = "error"
    APPROVAL = "approval"
    PROMPT = "prompt"
    PAID = "paid"
    JOB = "job"


class LogLine(NamedTuple):
    """One line of a log. Pieces of a reply that follow each other count as one line.

    Attributes:
        offset: Where it begins in the file, in bytes.
        end: Where the next one begins.
        seq: Number of the event.
        kind: Its type; empty when the line is no event.
        time_ms: When it was, in milliseconds since 1970; that of the line before when it does not say.
        tool: The tool it is about, or empty.
        shown: Whether it makes a step.
        leads: A silent one that belongs to the step after it.
        mark: Why it stands out, or None.
        steered: A prompt that was given while a turn ran.
        usd: What it says was paid.
        title: A name it gives the session, or empty.
        model: The model it names as that of the session, or empty.
        replaces: What streamed in before it is of no more use from here on.
    """

    offset: int
    end: int
    seq: int
    kind: str
    time_ms: int
    tool: str = ""
    shown: bool = False
    leads: bool = False
    mark: Mark | None = None
    steered: bool = False
    usd: float = 0.0
    title: str = ""
    model: str = ""
    replaces: bool = False

    @property
    def damaged(self) -> bool:
        """Whether the line is no event."""
        return not self.kind


class LineReader:
    """Reads lines one by one; what it has read tells it what is new in the next.

    Args:
        path: The log.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._time_ms = 0
        self._minute, self._minute_ms = b"", 0
        self._has_prompt = False
        self._stages: dict[str, str] = {}

    def lines(self, offset: int) -> list[LogLine]:
        """The lines from a place on. An unfinished last one is left for later, unless it is an event already.

        Args:
            offset: Where the last known line ends, in bytes.

        Raises:
            OSError: The log cannot be read.
        """
        found: list[LogLine] = []
        begin, piece = offset, b""
        with self._path.open("rb", buffering=_AT_ONCE) as file:
            file.seek(offset)
            for raw in file:
                if is_piece(raw) and raw.endswith(b"}\n"):
                    begin, piece, offset = begin if piece else offset, raw, offset + len(raw)
                    continue
                if piece:
                    found.append(self._pieces(piece, begin, offset))
                    piece = b""
                line = self.line(raw, offset)
                offset = line.end
                if line.kind == kinds.STATE and found and found[-1].mark is Mark.ERROR and kinds.STOPS.search(raw):
                    found[-1] = found[-1]._replace(mark=None)  # somebody did not want it: nothing went wrong
                if not line.damaged or (raw.endswith(b"\n") and raw.strip(b"\0 \t\r\n")):
                    found.append(line)
        return [*found, self._pieces(piece, begin, offset)] if piece else found

    def _pieces(self, last: bytes, begin: int, end: int) -> LogLine:
        """Pieces that stand together, with number and time of the last one."""
        return self.line(last, begin)._replace(end=end, kind=_PIECE, leads=True)

    def line(self, raw: bytes, offset: int) -> LogLine:
        """What is known of a line from its head. One whose head looks different is parsed."""
        end = offset + len(raw)
        head = _HEAD.match(raw)
        if head is None or not (raw.endswith(_WHOLE) or raw.rstrip().endswith(b"}")):
            return self._parsed(raw, offset, end)
        seq, time, kind, tool = head.groups()
        self._time_ms = self._milliseconds(time) or self._time_ms
        name = kind.decode()
        by = (tool or b"").decode("utf-8", "replace")
        base = LogLine(offset, end, int(seq), name, self._time_ms, by, name in SHOWN)
        return self._told(base, raw) if name in _TOLD else base

    def _milliseconds(self, time: bytes) -> int:
        """See `milliseconds`. Most events are of the same minute as the one before."""
        if time[:17] != self._minute or _TIME.match(time) is None:
            whole_ms = milliseconds(time.decode("ascii", "replace"))
            if not whole_ms or _TIME.match(time) is None:
                return whole_ms
            self._minute, self._minute_ms = time[:17], whole_ms - _within_minute(time)
        return self._minute_ms + _within_minute(time)

    def _parsed(self, raw: bytes, offset: int, end: int) -> LogLine:
        event = parse_line(raw, self._path, 0)
        kind = string((event or {}).get("type"))
        if event is None or not kind:
            return LogLine(offset, end, 0, "", self._time_ms)
        self._time_ms = milliseconds(event.get("time")) or self._time_ms
        seq, tool = whole(event.get("seq")), string(event.get("tool"))
        return self._told(LogLine(offset, end, seq, kind, self._time_ms, tool, kind in SHOWN), raw)

    def _told(self, line: LogLine, raw: bytes) -> LogLine:
        """What a line of one of the kinds in `_TOLD` tells beyond its head."""
        kind = line.kind
        if kind == "llm_call":
            usd = _USD.search(raw)
            return line if usd is None else line._replace(usd=number(_float(usd[1])))
        if kind in _PARSED:
            return self._about_money_or_names(line, parse_line(raw, self._path, 0) or {})
        if kind == "history":
            return line._replace(leads=_RESULTS.search(raw, 0, 512) is None)
        if kind == "user_message":
            return self._prompt(line, raw)
        if kind == "assistant_message" or kind == "assistant_stream_end":
            return line._replace(replaces=replaces_pieces(kind.encode(), raw))
        if kind == "approval_required":
            return line._replace(mark=Mark.APPROVAL)
        if kind == "error" or (kind == "tool_output" and any(failed in raw for failed in _FAILED)):
            return line._replace(mark=Mark.ERROR)
        if kind in {"tool_state_change", "tool_output"} and b'"job_id"' in raw:
            return self._job(line, raw)
        if kind == "tool_state_change" and _SETTLED.search(raw):  # the result was told just before
            return line._replace(shown=False)
        return line._replace(leads=True) if kind == _PIECE else line

    def _prompt(self, line: LogLine, raw: bytes) -> LogLine:
        title = ""
        if not self._has_prompt:
            self._has_prompt = True
            event = parse_line(raw, self._path, 4 * TITLE_CHARS) or {}
            title = one_line(string(event.get("content"))[: 4 * TITLE_CHARS], TITLE_CHARS)
        steered = _STEERED.search(raw) is not None
        return line._replace(mark=Mark.PROMPT, title=title, steered=steered)

    def _job(self, line: LogLine, raw: bytes) -> LogLine:
        """A job stands out when it appears and when its stage changes, not each time its clock is told."""
        event = parse_line(raw, self._path, 0) or {}
        blocks = event.get("display")
        news = False
        for block in blocks if isinstance(blocks, list) else ():
            if isinstance(block, Mapping) and block.get("type") == "job":
                job, stage = string(block.get("job_id")), string(block.get("stage"))
                news = news or self._stages.get(job) != stage
                self._stages[job] = stage
        return line._replace(mark=Mark.JOB if news else None)

    @staticmethod
    def _about_money_or_names(line: LogLine, event: Mapping[str, Any]) -> LogLine:
        match line.kind:
            case "expense":
                usd = number(event.get("cost_usd"))
                paid = usd > 0 and event.get("state") != "released"
                return line._replace(usd=usd, mark=Mark.PAID if paid else None)
            case "session_meta":
                return line._replace(title=one_line(string(event.get("title")), TITLE_CHARS))
            case _:
                return line._replace(model=string(event.get("model")), tool="")


_TOLD = _PARSED | {
    *("llm_call", "history", "user_message", "approval_required", "error", "tool_output", "tool_state_change"),
    *("assistant_message", "assistant_stream_end", _PIECE),
}
"""Kinds whose lines tell more than their heads."""


def _within_minute(time: bytes) -> int:
    return int(time[17:19]) * 1000 + int(time[20:23])


def _float(digits: bytes) -> float:
    try:
        return float(digits)
    except ValueError:
        return 0.0

"""Tool calls as data: what a person sees of them, kept small however much they said."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ml_intern.tui.widgets.text import clean_output, count, duration, one_line

if TYPE_CHECKING:
    from ml_intern.core.display import DisplayBlock
    from ml_intern.core.protocol import Origin, SubagentState

GLYPHS = {
    "pending": "○",
    "waiting": "○",
    "approved": "○",
    "running": "▸",
    "completed": "✓",
    "failed": "✗",
    "rejected": "⊘",
    "cancelled": "⊘",
    "abandoned": "⊘",
}
STATE_INKS = {
    "pending": "muted",
    "waiting": "warning",
    "approved": "muted",
    "running": "accent",
    "completed": "success",
    "failed": "error",
    "rejected": "warning",
    "cancelled": "muted",
    "abandoned": "muted",
}
ORIGIN_MARK = "⚑"
"""Stands at a call that follows words from outside."""
ENDED = frozenset({"completed", "failed", "rejected", "cancelled", "abandoned"})
SILENT = frozenset({"pending", "approved", "running", "completed", "failed"})
"""States that their glyph says; the others are put in words."""

TAIL_CHARS = 16_000
"""How much live output is kept while a call runs,"""
TAIL_AFTER = 2_000
"""and after it ended."""
PACK_CHARS = 8_000
"""Longer texts are kept compressed."""

_SUMMARY_KEYS = {
    "bash": ("command",),
    "read": ("path",),
    "edit": ("path",),
    "upload": ("path",),
    "research": ("task",),
    "web_search": ("query",),
    "web_fetch": ("url",),
    "fetch_hf_docs": ("url",),
    "explore_hf_docs": ("endpoint", "query"),
    "find_hf_api": ("query", "tag"),
    "hf_inspect_dataset": ("dataset", "config", "split"),
    "hf_papers": ("operation", "query", "arxiv_id"),
    "hub_repo_details": ("repo_ids", "repo_id"),
    "hub_search": ("query",),
    "hf_repo_files": ("operation", "repo_id", "path"),
    "hf_repo_git": ("operation", "repo_id", "branch", "tag"),
    "github_find_examples": ("repo", "keyword"),
    "github_list_repos": ("owner",),
    "github_read_file": ("repo", "path"),
    "sandbox_create": ("hardware",),
    "notify": ("title", "message"),
    "ask_user": ("question",),
}


class Packed:
    """A text, compressed when it is long."""

    __slots__ = ("_data", "size")

    def __init__(self, text: str) -> None:
        self.size = len(text)
        encoded = text.encode("utf-8", "surrogatepass") if len(text) > PACK_CHARS else None
        self._data: str | bytes = text if encoded is None else zlib.compress(encoded, 1)

    def text(self) -> str:
        """The text itself."""
        if isinstance(self._data, str):
            return self._data
        return zlib.decompress(self._data).decode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that a sub-agent said, or that a person was told of it.

    Attributes:
        notice: Whether it is a notice and not its own words.
    """

    text: str
    notice: bool = False


@dataclass(slots=True)
class ToolEntry:
    """One tool call as it is shown.

    Attributes:
        call_id: The call's id.
        tool: The tool's name.
        summary: What it was called with, on one line.
        state: `pending`, `waiting`, `approved`, `running`, `completed`, `failed`, `rejected`, `cancelled`, `abandoned`,
            or a stage of a job.
        started: When it began to run, by the list's clock; None before.
        seconds: How long it took; None while it runs.
        parent: The call on whose behalf it was made, or empty.
        figures: What a sub-agent that works for it has used so far, on one line.
        nested: What that sub-agent has done: its calls, and what it said between them.
        origin: Where words of it come from, if from outside.
        final: It failed, and nothing that came after in its turn has mended that.
    """

    call_id: str
    tool: str
    summary: str
    state: str = "pending"
    started: float | None = None
    seconds: float | None = None
    parent: str = ""
    figures: str = ""
    nested: tuple[ToolEntry | Remark, ...] = ()
    origin: Origin | None = None
    final: bool = False
    _arguments: Packed = field(default_factory=lambda: Packed("{}"))
    _output: Packed = field(default_factory=lambda: Packed(""))
    _display: tuple[DisplayBlock, ...] | Packed = ()
    _tail: str = ""

    @classmethod
    def of(cls, call_id: str, tool: str, arguments: Mapping[str, Any], parent: str = "") -> ToolEntry:
        """A call that was just asked for."""
        entry = cls(call_id, tool, summarise(tool, arguments), parent=parent)
        entry._arguments = Packed(json.dumps(arguments, ensure_ascii=False, default=str))
        return entry

    @property
    def arguments(self) -> dict[str, Any]:
        """What the tool was called with."""
        loaded: dict[str, Any] = json.loads(self._arguments.text())
        return loaded

    @property
    def output(self) -> str:
        """What the model got; empty while the call runs."""
        return self._output.text()

    @property
    def display(self) -> tuple[DisplayBlock, ...]:
        """What the tool shows a person."""
        if not isinstance(self._display, Packed):
            return self._display
        from pydantic import TypeAdapter

        from ml_intern.core.display import DisplayBlock

        adapter: TypeAdapter[tuple[DisplayBlock, ...]] = TypeAdapter(tuple[DisplayBlock, ...])
        return adapter.validate_json(self._display.text())

    @property
    def ended(self) -> bool:
        """Whether it has come to an end."""
        return self.state in ENDED

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self.started is not None and not self.ended

    def elapsed(self, now: float) -> float | None:
        """Seconds it has taken; None when it did not run."""
        if self.seconds is not None:
            return self.seconds
        return None if self.started is None or self.ended else max(0.0, now - self.started)

    def log(self, text: str) -> None:
        """Takes live output in. A line that ends in a carriage return will be written over by the next one."""
        whole = text if text.endswith(("\n", "\r")) else text + "\n"
        self._tail = (self._tail + whole)[-TAIL_CHARS:]

    def tail(self, limit: int) -> list[str]:
        """The last lines of live output that are not empty; of a progress bar its last state."""
        lines = clean_output(self._tail[-800 * limit :]).split("\n")
        return _without_earlier_states([text for text in lines if text.strip()])[-limit:]

    @property
    def live_output(self) -> str:
        """What is kept of the live output."""
        return self._tail

    @property
    def calls(self) -> list[ToolEntry]:
        """The calls of the sub-agent that works for it, oldest first."""
        return [part for part in self.nested if isinstance(part, ToolEntry)]

    def change_nested(self, call_id: str) -> ToolEntry | None:
        """A call of the sub-agent, as a copy that may be changed: what was kept of before stays as it was."""
        for index, part in enumerate(self.nested):
            if isinstance(part, ToolEntry) and part.call_id == call_id:
                changed = copy(part)
                self.nested = (*self.nested[:index], changed, *self.nested[index + 1 :])
                return changed
        return None

    def move(self, state: str, now: float) -> None:
        """Takes a change of state in. Stages of a job count as running."""
        self.state = state
        if state in ENDED:
            self._stop(now)
        elif state not in ("pending", "waiting", "approved") and self.started is None:
            self.started = now

    def finish(self, ok: bool, output: str, seconds: float | None, display: Sequence[DisplayBlock], now: float) -> None:
        """Takes the result in. A state that already says how it ended is kept."""
        if not self.ended or (ok and self.state == "failed") or (not ok and self.state == "completed"):
            self.state = "completed" if ok else "failed"
        if seconds:
            self.seconds = seconds
        self._stop(now)
        self._output = Packed(output)
        self.show(display)

    def show(self, display: Sequence[DisplayBlock]) -> None:
        """Takes in what the tool shows a person."""
        self._display = tuple(display)
        if sum(_size(block) for block in self._display) > PACK_CHARS:
            self._display = Packed(f"[{','.join(block.model_dump_json() for block in self._display)}]")

    def _stop(self, now: float) -> None:
        if self.seconds is None and self.started is not None:
            self.seconds = max(0.0, now - self.started)
        self._tail = self._tail[-TAIL_AFTER:]

    def spoken(self, now: float) -> str:
        """The call in words, for screen readers and plain terminals."""
        took = self.elapsed(now)
        said = (self.tool, self.state, self.summary, duration(took) if took else "", origin_text(self.origin))
        return ", ".join(part for part in said if part)


_SUBJECTS = ("command", "script", "path", "url", "query", "task", "repo_id", "question", "message")
"""Arguments that a call is about, the first one there counts."""


def subject_of(entry: ToolEntry) -> tuple[str, str]:
    """What a call is about, whole, and what that is called: its command, its path; else all arguments as JSON."""
    arguments = entry.arguments
    for name in _SUBJECTS:
        if isinstance(value := arguments.get(name), str) and value:
            return name, value
    return "arguments", json.dumps(arguments, indent=2, ensure_ascii=False, default=str)


def file_of(entry: ToolEntry) -> str:
    """The file that a call has read or written, as the call names it; empty when it is about none."""
    path = entry.arguments.get("path") if entry.tool in {"read", "write", "edit"} else None
    return path if isinstance(path, str) else ""


def can_be_stopped(entry: ToolEntry | None) -> bool:
    """Whether a call runs that can be ended for itself; those of a sub-agent end with it."""
    return entry is not None and entry.state == "running" and not entry.parent


def ink_of(entry: ToolEntry) -> str:
    """The ink of a call's mark. A failure is quiet until it is known that it was not mended."""
    return state_ink(entry.state, final=entry.final)


def state_ink(state: str, *, final: bool) -> str:
    """The ink of a state's mark."""
    return "muted" if state == "failed" and not final else STATE_INKS.get(state, "accent")


def unmended(calls: Iterable[tuple[str, str, str]]) -> set[str]:
    """Which calls of a turn have failed for good: the same tool did not succeed any more after them.

    Args:
        calls: Id, tool and state of each call, in their order.
    """
    left: dict[str, list[str]] = {}
    for call_id, tool, state in calls:
        if state == "failed":
            left.setdefault(tool, []).append(call_id)
        elif state == "completed":
            left.pop(tool, None)
    return {call_id for failed in left.values() for call_id in failed}


_PROGRESS = re.compile(r"(.{0,80}?)\d{1,3}(?:\.\d+)?%")


def _without_earlier_states(lines: Sequence[str]) -> list[str]:
    """Lines without those after which the same progress bar stands again."""
    bars = [match[1].strip() if (match := _PROGRESS.match(text)) else None for text in lines]
    following = [*bars[1:], None][: len(bars)]
    return [text for text, bar, after in zip(lines, bars, following, strict=True) if bar is None or bar != after]


def _size(block: DisplayBlock) -> int:
    """About how many characters a block holds. Only texts are looked at; points of a curve count as twenty."""
    if block.type == "curve":
        return sum(20 * len(points) for points in block.series.values())
    if block.type == "diff":
        return len(block.old) + len(block.new)
    if block.type == "log":
        return sum(map(len, block.lines))
    if block.type == "table" or block.type == "dataset":
        return sum(len(cell or "") for row in block.rows for cell in row)
    return len(block.text) if block.type == "text" else 0


# ---------------------------------------------------------------------------------------------------- summaries


def origin_text(origin: Origin | None) -> str:
    """Where words come from, in a sentence; empty when nobody found any."""
    if origin is None:
        return ""
    told = one_line(origin.found_in, 1_000)
    return f"Not from you: this follows an order {told}" if origin.order else told[:1].upper() + told[1:]


def figures_of(state: SubagentState) -> str:
    """What a sub-agent has used: calls, tokens, money."""
    tokens = f"{state.tokens / 1000:.1f}k" if state.tokens >= 1_000 else str(state.tokens)
    cost = f"${state.cost_usd:.2f}" if state.cost_usd >= 0.005 else ""
    parts = (count(state.tools, "call"), f"{tokens} tok" if state.tokens else "", cost)
    return " · ".join(part for part in parts if part)


Lines = Callable[[str], int]
"""Gives the number of lines of an argument."""


def summarise(tool: str, arguments: Mapping[str, Any], lines: Lines | None = None) -> str:
    """What a call is about, on one line. Long values are not looked at beyond their beginning.

    Args:
        tool: The tool.
        arguments: What it was called with; texts may be cut.
        lines: How many lines a text argument has, where it is not all there.
    """
    special = _SPECIAL.get(tool)
    if special is not None:
        return special(arguments, lines or (lambda key: _lines(arguments.get(key))))
    keys = [key for key in _SUMMARY_KEYS.get(tool, ()) if arguments.get(key)]
    if keys:
        return "  ".join(_value(arguments[key]) for key in keys)
    return "  ".join(f"{one_line(str(key), 40)} {_value(value)}" for key, value in list(arguments.items())[:4])


def _lines(text: object) -> int:
    return text.count("\n") + (not text.endswith("\n")) if isinstance(text, str) and text else 0


def _value(value: object) -> str:
    if isinstance(value, str):
        return one_line(value.strip()[:2_000], 200)
    if isinstance(value, list | tuple):
        return one_line(" ".join(_value(part)[:80] for part in value[:20]), 200)
    return one_line(json.dumps(value, ensure_ascii=False, default=str)[:400], 80)


def _write(arguments: Mapping[str, Any], lines: Lines) -> str:
    return f"{_value(arguments.get('path', ''))}  +{lines('content')}".strip()


def _plan(arguments: Mapping[str, Any], _lines: Lines) -> str:
    todos = arguments.get("todos")
    items = [todo for todo in todos if isinstance(todo, Mapping)] if isinstance(todos, list) else []
    done = sum(todo.get("status") == "completed" for todo in items)
    now = next((_value(todo.get("content", "")) for todo in items if todo.get("status") == "in_progress"), "")
    return "  ".join(part for part in (f"{done} of {len(items)}", now) if part)


def _job(arguments: Mapping[str, Any], lines: Lines) -> str:
    parts = [_value(arguments.get("operation", ""))]
    parts += [_value(arguments[key]) for key in ("hardware_flavor", "job_id") if arguments.get(key)]
    if name := _value(arguments.get("name") or ""):
        parts.append(f"“{name}”")
    script, size = arguments.get("script"), lines("script")
    if size > 1:
        parts.append(f"script of {count(size, 'line')}")
    elif script or arguments.get("command"):
        parts.append(_value(script or arguments["command"]))
    return "  ".join(part for part in parts if part)


_SPECIAL: dict[str, Callable[[Mapping[str, Any], Lines], str]] = {"write": _write, "plan_tool": _plan, "hf_jobs": _job}

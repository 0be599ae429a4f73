"""What a list says about a session, folded from its events one by one, so that a log that grew is read on, not anew."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from ml_intern.core.plain_text import plain
from ml_intern.sessions import kinds
from ml_intern.sessions.text import one_line

Status = Literal["completed", "error", "interrupted", "limit", "running"]
STATUSES = frozenset(get_args(Status))
DocKind = Literal["prompt", "answer", "command", "output", "title"]

_TITLE_LENGTH = 80
_PROMPT_LENGTH = 2_000
_ANSWER_LENGTH = 2_000
_MOST_NAMES = 200
"""So many jobs, artifacts and tools of a session are told apart."""
LONGEST_DOC = 100_000
"""Characters of one text that are searched."""

_ENDS: dict[str, Status] = {"turn_complete": "completed", "error": "error", "interrupted": "interrupted"}


@dataclass(slots=True)
class Summary:
    """One session at a glance.

    Attributes:
        id: Session id.
        name: The title a person gave it, or empty.
        prompt: The first prompt, cut.
        directory: Where it worked.
        model: Model in use at the end.
        started: Time of the first event, ISO 8601 in UTC.
        ended: Time of the last event that is not about the session itself.
        turns: Turns that were begun.
        cost_usd: What it has cost.
        status: How the last turn ended; `running` while it has not.
        tags: Tags, as a person gave them.
        origin: Where it comes from if not from a run.
        errors: Tool calls that failed; not those that somebody refused or stopped.
        last_seq: Number of the last event.
        answer: The last reply, cut. This and what follows is not in lists.
        tools: How often each tool was called.
        jobs: Ids of its jobs.
        artifacts: What it has put on the Hub and left there, as `kind id`.
    """

    id: str
    name: str = ""
    prompt: str = ""
    directory: str = ""
    model: str = ""
    started: str = ""
    ended: str = ""
    turns: int = 0
    cost_usd: float = 0.0
    status: Status = "interrupted"
    tags: tuple[str, ...] = field(default=())
    origin: str = ""
    errors: int = 0
    last_seq: int = 0
    answer: str = ""
    tools: dict[str, int] = field(default_factory=dict)
    jobs: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Its name, else its first prompt on one line."""
        return self.name or one_line(self.prompt, _TITLE_LENGTH) or "(no prompt)"

    def row(self) -> dict[str, Any]:
        """It as programs get it."""
        return {
            "id": self.id,
            "title": self.title,
            "directory": self.directory,
            "model": self.model,
            "started": self.started,
            "ended": self.ended,
            "turns": self.turns,
            "cost_usd": round(self.cost_usd, 6),
            "status": self.status,
            "tags": list(self.tags),
        }

    def take(self, event: Mapping[str, Any]) -> None:
        """Learns from the next event. Fields that make no sense count as absent."""
        kind = event.get("type")
        self.last_seq = max(self.last_seq, whole(event.get("seq")))
        time = string(event.get("time"))
        self.started = self.started or time
        if kind == "session_meta":
            self._take_meta(event)
            return
        self.ended = time or self.ended
        match kind:
            case "session_started":
                self.directory, self.model = string(event.get("directory")), string(event.get("model"))
            case "ready" | "model_changed" | "session_resumed":
                self.model = string(event.get("model")) or self.model
                self.directory = self.directory or string(event.get("workdir"))
            case "user_message":
                self.prompt = self.prompt or plain(string(event.get("content"))[:_PROMPT_LENGTH]) or _pictured(event)
            case "processing":
                self.turns, self.status = self.turns + 1, "running"
            case "llm_call":
                self.cost_usd += number(event.get("cost_usd"))
            case "context_usage":  # paid compute included
                self.cost_usd = max(self.cost_usd, number(event.get("cost_usd")))
            case "assistant_message":
                self.answer = plain(string(event.get("content"))[:_ANSWER_LENGTH]).strip() or self.answer
            case "tool_call":
                self._take_call(string(event.get("tool")))
            case "tool_state_change":  # told after the result, which says that the call failed
                self.errors = max(0, self.errors - (string(event.get("state")) in kinds.STOPPED))
            case "tool_output":
                self.errors += event.get("success") is False
                self._take_jobs(event.get("display"))
            case "artifact":
                self._take_artifact(event)
            case "turn_complete" | "error" | "interrupted":
                self._take_end(str(kind), event)

    def _take_call(self, tool: str) -> None:
        if tool and (tool in self.tools or len(self.tools) < _MOST_NAMES):
            self.tools = {**self.tools, tool: self.tools.get(tool, 0) + 1}

    def _take_jobs(self, display: Any) -> None:
        for block in display if isinstance(display, list) else ():
            if isinstance(block, Mapping) and block.get("type") == "job":
                self.jobs = _with(self.jobs, string(block.get("job_id")))

    def _take_artifact(self, event: Mapping[str, Any]) -> None:
        kind, name = string(event.get("kind")), string(event.get("id"))
        label, state = f"{kind} {name}", string(event.get("state"))
        if kind == "job":
            self.jobs = _with(self.jobs, name)
        elif state == "deleted":
            self.artifacts = tuple(known for known in self.artifacts if known != label)
        elif name and kind != "sandbox" and state in {"created", "updated"}:
            self.artifacts = _with(self.artifacts, label)

    def _take_end(self, kind: str, event: Mapping[str, Any]) -> None:
        if self.status == "running" and event.get("ends_turn", True):
            limited = kind == "turn_complete" and event.get("reason", "completed") != "completed"
            self.status = "limit" if limited else _ENDS[kind]

    def _take_meta(self, event: Mapping[str, Any]) -> None:
        if isinstance(event.get("title"), str):
            self.name = one_line(event["title"])
        if isinstance(event.get("tags"), list):
            self.tags = tuple(one_line(tag) for tag in event["tags"] if isinstance(tag, str))
        self.origin = string(event.get("origin")) or self.origin


def docs_of(event: Mapping[str, Any]) -> Iterator[tuple[DocKind, str]]:
    """The texts of an event that a search looks through."""
    match event.get("type"):
        case "user_message":
            yield "prompt", "\n".join(filter(None, [_doc(event.get("content")), _pictured(event)]))
        case "assistant_message":
            yield "answer", _doc(event.get("content"))
        case "aside" if event.get("answer"):
            yield "answer", _doc("\n".join([string(event.get("question")), string(event["answer"])]))
        case "tool_call":
            yield "command", _doc("\n".join([string(event.get("tool")), *strings_in(event.get("arguments"))]))
        case "tool_output":
            yield "output", _doc(event.get("output"))
        case "subagent" if isinstance(event.get("event"), Mapping):
            yield from docs_of(event["event"])
        case "session_meta" if event.get("title") or event.get("tags"):
            yield "title", _doc("\n".join([string(event.get("title")), *strings_in(event.get("tags"))]))


def strings_in(value: Any) -> Iterator[str]:
    """All texts in JSON-like data, however deep it is."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, Mapping):
            waiting.extend(reversed(item.values()) if isinstance(item, dict) else item.values())
        elif isinstance(item, (list, tuple)):
            waiting.extend(reversed(item))


def milliseconds(time: Any) -> int:
    """Milliseconds since 1970 of an ISO 8601 time; 0 when it is none."""
    try:
        moment = datetime.fromisoformat(time)
        return max(0, int(moment.timestamp() * 1000)) if moment.tzinfo else 0
    except (TypeError, ValueError, OverflowError, OSError):
        return 0


def string(value: Any) -> str:
    """The value if it is a text, in valid Unicode."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def whole(value: Any) -> int:
    """The value if it is a whole number that a database can hold."""
    return value if type(value) is int and 0 <= value < 2**62 else 0


def number(value: Any) -> float:
    """The value if it is a finite number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0.0
    try:
        return float(value) if math.isfinite(value) and value > 0 else 0.0
    except OverflowError:
        return 0.0


def _pictured(event: Mapping[str, Any]) -> str:
    """The names of what goes with a prompt: images, files, commands."""
    named = [(event.get("images"), "name"), (event.get("attached"), "label")]
    found = [item.get(key) for items, key in named if isinstance(items, list) for item in items if _is_mapping(item)]
    return plain(", ".join(string(name) for name in found if name))[:_PROMPT_LENGTH]


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _with(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return (*names, name) if name and name not in names and len(names) < _MOST_NAMES else names


def _doc(value: Any) -> str:
    return plain(value[:LONGEST_DOC]) if isinstance(value, str) else ""

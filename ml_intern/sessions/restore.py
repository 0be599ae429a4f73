"""Reads a session back from its log: what the model saw, what a person saw, and the choices that were made."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ml_intern.core.context.manager import fold, parse_record
from ml_intern.core.ledger import Ledger
from ml_intern.core.protocol import (
    EVENT,
    TURN_ENDS,
    UNANSWERED,
    AsideEvent,
    AssistantMessage,
    EventBase,
    Expense,
    HistoryRecord,
    Interrupted,
    LLMCall,
    Mode,
    ModeChanged,
    ModelChanged,
    NewComplete,
    PlanItem,
    PlanUpdate,
    Processing,
    QuestionResolved,
    Ready,
    SessionMeta,
    SessionStarted,
)
from ml_intern.sessions.find import logs_in
from ml_intern.sessions.log import read_session
from ml_intern.sessions.pieces import OpenReply
from ml_intern.sessions.summary import whole

log = logging.getLogger(__name__)

_NOT_SHOWN_AGAIN = frozenset(
    {
        "history",
        "session_started",
        "ready",
        "approval_required",
        "approval_resolved",
        "question_asked",
        "question_resolved",
        "context_usage",
        "session_meta",
        "shutdown",
    }
)
"""Events that say nothing about the past that a screen should repeat: a question long answered must not be asked."""


@dataclass(slots=True)
class SavedSession:
    """One session as its log tells it.

    Attributes:
        id: Session id.
        directory: Where it worked.
        elsewhere: Where it worked before it was imported: somebody else's word, by which nobody's directory is opened.
        model: Model in use at the end.
        effort: Reasoning effort at the end; empty when the log does not say.
        mode: Approval mode at the end; None when the log does not say.
        records: Message records for `ContextManager.load`.
        plan: The plan at the end.
        ledger: What it has cost. What still ran at the end counts at its worst case.
        turns: Turns that were begun.
        last_seq: Number of the last event.
        events: What a screen shows of it, oldest first. A turn that was cut off ends with `interrupted`.
        answers: What the person answered when the agent asked.
        open_reply: The reply within which the run was killed. It is in `events`, and not in `records`.
        unreadable: Lines, and messages in them, that make no sense. Types that this version does not know are none.
        size: Bytes of the log when it was read.
    """

    id: str
    directory: str = ""
    elsewhere: str = ""
    model: str = ""
    effort: str = ""
    mode: Mode | None = None
    records: list[dict[str, Any]] = field(default_factory=list)
    plan: tuple[PlanItem, ...] = ()
    ledger: Ledger = field(default_factory=Ledger)
    turns: int = 0
    last_seq: int = 0
    events: list[EventBase] = field(default_factory=list)
    answers: list[QuestionResolved] = field(default_factory=list)
    open_reply: OpenReply = field(default_factory=OpenReply)
    unreadable: int = 0
    size: int = 0

    @property
    def says_something(self) -> bool:
        """Whether there is anything to go on with."""
        return bool(self.records or self.events)

    def count_damage(self) -> None:
        """Counts a line that makes no sense."""
        self.unreadable += 1


def restore(path: Path) -> SavedSession:
    """Reads a session. Lines that make no sense are counted and passed over.

    Raises:
        OSError: The file cannot be read.
    """
    saved = SavedSession(path.stem, size=path.stat().st_size)
    changes: list[HistoryRecord] = []
    running = False
    for line in read_session(path, on_damage=saved.count_damage):
        try:
            event = EVENT.validate_python(line)
        except ValidationError as error:
            log.info("%s: an event of type %s is not understood (%s)", path, line.get("type"), error.error_count())
            saved.unreadable += error.errors()[0]["type"] != "union_tag_invalid"
            continue
        if isinstance(event, HistoryRecord):
            changes.append(event)
        running = _is_running(event, running)
        saved.open_reply.take(line)
        _take(saved, event)
    _close_asides(saved)
    records = fold(changes)
    saved.records = [record for record in records if parse_record(record) is not None]
    saved.unreadable += len(records) - len(saved.records)
    saved.ledger.keep_promises()
    if running:
        stamp = {"seq": saved.last_seq, "session_id": saved.id}
        if said := saved.open_reply.text:
            saved.events.append(AssistantMessage(content=said, partial=True, **stamp))
        saved.events.append(Interrupted(**stamp))
    return saved


def _close_asides(saved: SavedSession) -> None:
    """Says of questions on the side that nobody answers them any more."""
    asides = {event.aside_id: event for event in saved.events if isinstance(event, AsideEvent)}
    for event in asides.values():
        if event.state == "asked":
            saved.events.append(event.model_copy(update={"state": "failed", "answer": UNANSWERED}))


def latest_session(directory: Path, workdir: Path) -> Path | None:
    """The newest session that worked in a directory; None when there is none."""
    newest_first = sorted(logs_in(directory), key=lambda file: file.modified, reverse=True)
    return next((file.path for file in newest_first if _directory_of(file.path) == str(workdir)), None)


def title_of(path: Path) -> str:
    """The first prompt of a session, for a list; empty when there is none."""
    prompts = (line for line in read_session(path) if line.get("type") == "user_message")
    return " ".join(str(next(prompts, {}).get("content", "")).split())


_HEAD = 4
"""Events at the beginning of a log among which one names the directory, even where the first line is damaged."""


def _directory_of(path: Path) -> str:
    with contextlib.suppress(OSError):  # one that cannot be read is not the one that is meant
        for event in islice(read_session(path), _HEAD):
            if event.get("type") in {"session_started", "ready"}:
                return str(event.get("directory") or event.get("workdir") or "")
    return ""


def _is_running(event: EventBase, before: bool) -> bool:
    kind: str = getattr(event, "type", "")
    if isinstance(event, Processing):
        return True
    return before and not (kind in TURN_ENDS and getattr(event, "ends_turn", True))


def _take(saved: SavedSession, event: EventBase) -> None:
    saved.last_seq = max(saved.last_seq, whole(event.seq))
    match event:
        case SessionStarted():
            saved.directory, saved.model = event.directory, event.model
        case Ready():
            saved.model, saved.effort, saved.mode = event.model, event.effort, event.mode
            saved.directory = saved.directory or event.workdir
        case ModelChanged():
            saved.model, saved.effort = event.model, event.effort
        case ModeChanged():
            saved.mode = event.mode
        case SessionMeta() if (event.origin or "").startswith("imported"):
            # What may run unasked, and where, is decided here.
            saved.elsewhere, saved.directory, saved.mode = saved.directory, "", None
        case PlanUpdate():
            saved.plan = event.plan
        case LLMCall() | Expense():
            saved.ledger.take(event)
        case Processing():
            saved.turns += 1
        case QuestionResolved():
            saved.answers.append(event)
        case NewComplete():
            return
    if getattr(event, "type", "") not in _NOT_SHOWN_AGAIN:
        saved.events.append(event)

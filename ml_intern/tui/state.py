"""What the status line, the commands and the hints need to know: a fold over the agent's events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ml_intern.tui.widgets.text import fit, one_line

if TYPE_CHECKING:
    from ml_intern.core import protocol
    from ml_intern.tui.entries import Entry

TITLE_CELLS = 60
TURN_ENDS = {
    "completed": "done",
    "max_iterations": "stopped at the limit of model calls",
    "cost_limit": "stopped at the spending cap",
    "context_limit": "stopped: the context is full",
}
"""How a turn ended, by the reason that `turn_complete` gives."""


@dataclass(slots=True)
class SessionState:
    """The present of one conversation.

    Attributes:
        model_problem: Why the model cannot be used as things stand, or empty.
        ready: The agent serves operations.
        lost: The agent stopped by a fault; the next prompt starts another.
        running: A turn runs or is about to.
        waiting: An approval is pending, or a question.
        tokens: In the context now; 0 while unknown.
        window: Tokens the model takes; 0 while unknown.
        promised_usd: Worst case of the jobs that run now; not in `cost_usd`.
        unpriced: Model calls whose price nobody knows.
        tools: How many tools the agent has.
        jobs: How many jobs of the session wait or run.
        jobs_usd: What these have cost so far; None while nobody knows.
        practice: The model is the built-in one.
        told: What a turn was told while it ran, and has not heard yet.
    """

    session_id: str = ""
    title: str = ""
    model: str = ""
    model_problem: str = ""
    mode: str = ""
    effort: str = ""
    workdir: str = ""
    ready: bool = False
    lost: bool = False
    running: bool = False
    waiting: bool = False
    tokens: int = 0
    window: int = 0
    cost_usd: float = 0.0
    promised_usd: float = 0.0
    cap_usd: float | None = None
    unpriced: int = 0
    tools: int = 0
    jobs: int = 0
    jobs_usd: float | None = None
    told: list[Entry] = field(default_factory=list)

    @property
    def practice(self) -> bool:
        """Whether the built-in practice model answers."""
        return self.model.startswith("demo/")

    @property
    def context_share(self) -> float | None:
        """How full the context is, 0 to 1, or None while unknown."""
        return self.tokens / self.window if self.window and self.tokens else None

    def apply(self, event: protocol.EventBase) -> None:
        """Takes one event in. Types that do not concern it are ignored."""
        handler = _FOLD.get(getattr(event, "type", ""))
        if event.session_id:
            self.session_id = event.session_id
        if handler is not None:
            handler(self, event)


def _ready(state: SessionState, event: protocol.Ready) -> None:
    state.ready, state.lost = True, False
    state.model, state.mode, state.effort = event.model, event.mode, event.effort
    state.workdir, state.tools = event.workdir, event.tool_count


def _model(state: SessionState, event: protocol.ModelChanged) -> None:
    state.model, state.effort, state.model_problem = event.model, event.effort, ""


def _mode(state: SessionState, event: protocol.ModeChanged) -> None:
    state.mode = event.mode


def _usage(state: SessionState, event: protocol.ContextUsage) -> None:
    state.tokens, state.window = event.tokens, event.window
    state.cost_usd, state.promised_usd = event.cost_usd, event.promised_usd
    state.cap_usd, state.unpriced = event.cap_usd, event.unpriced_calls


def _prompt(state: SessionState, event: protocol.UserMessage) -> None:
    heard = next((entry for entry in state.told if entry.text == event.content), None)
    if heard is not None:
        state.told.remove(heard)
    if not state.title:
        state.title = fit(one_line(event.content), TITLE_CELLS)


def _began(state: SessionState, _event: protocol.EventBase) -> None:
    state.running, state.waiting = True, False


def _ended(state: SessionState, event: protocol.EventBase) -> None:
    if getattr(event, "ends_turn", True):
        state.running = state.waiting = False


def _completed(state: SessionState, event: protocol.EventBase) -> None:
    _ended(state, event)
    state.told.clear()  # a turn does not end by itself before it has heard everything


def _asked(state: SessionState, event: protocol.ApprovalRequired) -> None:
    state.waiting = True
    state.cost_usd, state.cap_usd = max(state.cost_usd, event.spent_usd), event.cap_usd


def _settled(state: SessionState, _event: protocol.EventBase) -> None:
    state.waiting = False


def _question(state: SessionState, _event: protocol.EventBase) -> None:
    state.waiting = True


def _fresh(state: SessionState, _event: protocol.EventBase) -> None:
    state.title, state.tokens, state.unpriced = "", 0, 0
    state.told.clear()
    state.cost_usd = state.promised_usd = 0.0
    state.running = state.waiting = False


def _undone(state: SessionState, event: protocol.UndoComplete) -> None:
    if event.removed_messages:
        state.told.clear()


def _stopped(state: SessionState, _event: protocol.EventBase) -> None:
    state.ready = state.running = state.waiting = False


_FOLD: dict[str, Callable[[SessionState, Any], None]] = {
    "ready": _ready,
    "model_changed": _model,
    "mode_changed": _mode,
    "context_usage": _usage,
    "user_message": _prompt,
    "processing": _began,
    "turn_complete": _completed,
    "interrupted": _ended,
    "error": _ended,
    "approval_required": _asked,
    "approval_resolved": _settled,
    "question_asked": _question,
    "question_resolved": _settled,
    "new_complete": _fresh,
    "undo_complete": _undone,
    "shutdown": _stopped,
}

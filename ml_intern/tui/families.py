"""Events of the agent as messages of the app: one family for each thing that a screen shows.

The live screen gets them through the bridge, the Review screen from a log: the same messages for the same events.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ml_intern.tui import messages


def message_of(event: Any) -> messages.AgentMessage | None:
    """The message that tells a screen of an event; None when no screen shows it."""
    make = _FAMILIES.get(event.type)
    return None if make is None else make(event)


def log_lines(event: Any) -> str:
    """The text of a `tool_log`, ended as a line."""
    return str(event.log).rstrip("\n") + "\n"


def _error(event: Any) -> messages.AgentMessage:
    return messages.TurnEnded(event) if event.ends_turn else messages.Noticed(event.error, "error", event)


def _compacted(event: Any) -> messages.AgentMessage:
    if event.new_tokens < event.old_tokens:
        text = f"Context compacted: {event.old_tokens:,} tokens are now {event.new_tokens:,}."
    else:
        text = f"The model found the conversation too long; its {event.old_tokens:,} tokens are sent once more."
    return messages.Noticed(text, "info", event)


def _of_subagent(event: Any) -> messages.AgentMessage | None:
    inner = message_of(event.event)
    return None if inner is None else messages.SubagentTold(event, inner)


_FAMILIES: dict[str, Callable[[Any], messages.AgentMessage | None]] = {
    "ready": messages.SessionChanged,
    "model_changed": messages.SessionChanged,
    "mode_changed": messages.SessionChanged,
    "context_usage": messages.SessionChanged,
    "llm_call": messages.Spent,
    "expense": messages.Spent,
    "artifact": messages.ArtifactChanged,
    "leftovers": messages.LeftoversFound,
    "session_resumed": messages.SessionChanged,
    "shutdown": messages.SessionChanged,
    "processing": messages.TurnStarted,
    "turn_complete": messages.TurnEnded,
    "interrupted": messages.TurnEnded,
    "error": _error,
    "user_message": messages.PromptEntered,
    "assistant_chunk": lambda event: messages.ReplyText(event.content, event.kind, event.time),
    "assistant_message": messages.ReplyWhole,
    "assistant_stream_end": lambda event: messages.ReplyEnded(event.discarded),
    "tool_drafts": messages.CallsDrafted,
    "tool_call": messages.ToolCalled,
    "tool_log": lambda event: messages.ToolLogged(event.tool_call_id, event.tool, log_lines(event)),
    "tool_state_change": messages.ToolMoved,
    "origin": messages.OriginTraced,
    "tool_output": messages.ToolFinished,
    "approval_required": messages.ApprovalAsked,
    "approval_resolved": messages.ApprovalSettled,
    "question_asked": messages.QuestionPut,
    "question_resolved": messages.QuestionSettled,
    "subagent_state": messages.SubagentMoved,
    "subagent": _of_subagent,
    "feedback": messages.Rated,
    "plan_update": messages.PlanChanged,
    "undo_complete": messages.Undone,
    "new_complete": messages.Begun,
    "notice": lambda event: messages.Noticed(event.text, event.level, event),
    "aside": messages.AsideMoved,
    "compacted": _compacted,
}

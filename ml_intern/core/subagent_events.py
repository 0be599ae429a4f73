"""What a sub-agent tells: its own calls and words wrapped, so that nobody takes them for those of the conversation."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ml_intern.core.events import EventSink, EventT
from ml_intern.core.protocol import (
    AssistantChunk,
    AssistantMessage,
    AssistantStreamEnd,
    Compacted,
    Notice,
    SubagentEvent,
    ToolCallEvent,
    ToolLog,
    ToolOutput,
    ToolStateChange,
)

_SHOWN_ARGUMENTS = 80


class SubagentEvents:
    """An event sink within another one.

    Approvals, money and what tools tell of the session go through as they are; tokens that stream in go nowhere.

    Args:
        outer: Where the main agent tells its events.
        agent_id: The tool call the sub-agent works for.
        log: Shows a line of progress of that call.

    Attributes:
        calls: Tool calls so far.
    """

    def __init__(self, outer: EventSink, agent_id: str, log: Callable[[str], None]) -> None:
        self.calls = 0
        self._outer = outer
        self._agent_id = agent_id
        self._log = log

    def emit(self, event: EventT) -> EventT:
        """Tells an event; gives it as it came, since it has no number of its own."""
        match event:
            case AssistantChunk() | AssistantStreamEnd():
                return event
            case ToolCallEvent() | ToolOutput() | ToolLog() | ToolStateChange() | AssistantMessage() | Compacted():
                self._outer.emit(SubagentEvent(agent_id=self._agent_id, event=event))
            case Notice():
                self._outer.emit(SubagentEvent(agent_id=self._agent_id, event=event))
                self._log(event.text)
            case _:
                return self._outer.emit(event)
        if isinstance(event, ToolCallEvent):
            self.calls += 1
            self._log(f"▸ {event.tool} {_brief(event.arguments)}")
        return event


def _brief(arguments: dict[str, Any]) -> str:
    text = " ".join(json.dumps(arguments, ensure_ascii=False).split()) if arguments else ""
    return text if len(text) <= _SHOWN_ARGUMENTS else f"{text[: _SHOWN_ARGUMENTS - 1]}…"

"""Keeps calls and results in pairs, message by message, so that the history is a valid request at every moment."""

from __future__ import annotations

import logging
from dataclasses import replace

from ml_intern.core.context.messages import Message, ToolCall

log = logging.getLogger(__name__)

STUB = "Not executed, or not to its end (interrupted): there is no result. Check what is there before repeating it."
"""The result of a call whose own was lost."""


class PairTracker:
    """Watches a history grow. Knows which calls of its last assistant message still lack their result.

    Providers refuse a request in which a call has no result right after it, or a result has no call.
    """

    def __init__(self) -> None:
        self._open: dict[str, ToolCall] = {}

    def admit(self, message: Message) -> tuple[Message, ...]:
        """What must really be appended for this message: stubs for open calls before it, or nothing for an orphan."""
        if message.role == "tool":
            return self._result(message)
        stubs = self.stubs()
        if message.role == "assistant" and not message.tool_calls and not message.content.strip():
            return ()
        message = _with_distinct_calls(message)
        self._open = {call.id: call for call in message.tool_calls}
        return (*stubs, message)

    def stubs(self) -> tuple[Message, ...]:
        """Results for the calls that have none, in call order."""
        return tuple(Message("tool", STUB, tool_call_id=call.id, name=call.name) for call in self._open.values())

    def restart(self) -> None:
        """The history now ends where no call is open."""
        self._open = {}

    def _result(self, message: Message) -> tuple[Message, ...]:
        if self._open.pop(message.tool_call_id or "", None) is None:
            log.warning("a result of %r was left out: no call waits for it", message.name or "a tool")
            return ()
        return (message,)


def _with_distinct_calls(message: Message) -> Message:
    calls = {call.id: call for call in message.tool_calls}
    return message if len(calls) == len(message.tool_calls) else replace(message, tool_calls=tuple(calls.values()))

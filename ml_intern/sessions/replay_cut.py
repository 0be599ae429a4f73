"""Cuts a session after one of its events so that what is left is a whole session: no turn without an end, no call
without a result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ml_intern.core.context.manager import parse_record
from ml_intern.core.context.messages import Message
from ml_intern.core.context.repair import STUB
from ml_intern.core.protocol import (
    TURN_ENDS,
    ApprovalResolved,
    EventBase,
    HistoryRecord,
    Interrupted,
    ToolStateChange,
)
from ml_intern.sessions.pieces import OpenReply
from ml_intern.sessions.summary import string, whole


def cut(events: Iterable[dict[str, Any]], last_seq: int) -> Iterator[dict[str, Any]]:
    """The events up to a number, and after them what ends a turn that is cut off by that.

    A call whose output is there keeps it; of one that still ran, the model is told that there is no result.

    Args:
        events: A log's events, in order.
        last_seq: Number of the last one to keep.
    """
    turn = _OpenTurn()
    for event in events:
        if whole(event.get("seq")) > last_seq:
            break
        turn.take(event)
        yield event
    for closing in turn.ending():
        made = closing.model_dump(mode="json")
        yield {**{key: value for key, value in made.items() if key not in {"seq", "session_id"}}, "time": turn.time}


@dataclass(slots=True)
class _OpenTurn:
    """What would be left hanging if the log ended now.

    Attributes:
        time: Of the last event.
        running: A turn has begun and not ended.
        unanswered: Calls in the model's history without a result there: names by id.
        working: Calls that were shown and whose output was not: names by id.
        outputs: What calls of the history have given, by id.
        asked: Calls that wait for an approval.
        reply: What streams in.
    """

    time: str = ""
    running: bool = False
    unanswered: dict[str, str] = field(default_factory=dict)
    working: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    reply: OpenReply = field(default_factory=OpenReply)

    def take(self, event: Mapping[str, Any]) -> None:
        """Follows the session by one event."""
        kind = event.get("type")
        self.time = string(event.get("time")) or self.time
        self.reply.take(event)
        call_id = string(event.get("tool_call_id"))
        match kind:
            case "processing":
                self.running = True
            case "history":
                self._take_history(event)
            case "tool_call":
                self.working[call_id] = string(event.get("tool"))
            case "tool_output":
                self.working.pop(call_id, None)
                if call_id in self.unanswered:
                    self.outputs[call_id] = string(event.get("output"))
            case "approval_required":
                items = event.get("tools")
                found = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
                self.asked = tuple(string(item.get("tool_call_id")) for item in found)
            case "approval_resolved":
                self.asked = ()
            case _ if kind in TURN_ENDS and event.get("ends_turn", True):
                self.running = False
                self.working.clear()
                self.asked = ()

    def _take_history(self, event: Mapping[str, Any]) -> None:
        if event.get("op") != "append":
            self.unanswered.clear()
        records = event.get("messages")
        for record in records if isinstance(records, list) else ():
            message = parse_record(record) if isinstance(record, dict) else None
            if message is None:
                continue
            if message.role == "tool":
                self.unanswered.pop(message.tool_call_id or "", None)
            else:
                self.unanswered = {call.id: call.name for call in message.tool_calls}
                self.outputs.clear()

    def ending(self) -> Iterator[EventBase]:
        """The events that end it."""
        results = tuple(
            Message("tool", self.outputs.get(call_id, STUB), tool_call_id=call_id, name=name).record()
            for call_id, name in self.unanswered.items()
        )
        if results:
            yield HistoryRecord(op="append", messages=results)
        if self.asked:
            yield ApprovalResolved(tool_call_ids=self.asked, how="withdrawn")
        for call_id, tool in self.working.items():
            yield ToolStateChange(tool=tool, tool_call_id=call_id, state="abandoned")
        yield from self.reply.left()
        if self.running:
            yield Interrupted()

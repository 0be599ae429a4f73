"""Sessions that an earlier kind of agent kept as one JSON document: all messages, and a list of events with times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ml_intern.core.context.messages import Message
from ml_intern.sessions.imports.build import Said, Trace, call, text_of, usage
from ml_intern.sessions.summary import string

_INJECTED = ("[SYSTEM:", "[CONTINUATION", "[DOOM LOOP")


def from_snapshot(records: list[dict[str, Any]]) -> Trace | None:
    """The trace; None when the records are of another kind."""
    if len(records) != 1 or not isinstance(records[0].get("messages"), list):
        return None
    (document,) = records
    found = document.get("events")
    clues = _Clues([event for event in found if isinstance(event, dict)] if isinstance(found, list) else [])
    trace = Trace(
        source="session snapshot",
        id=string(document.get("session_id")),
        model=string(document.get("model_name")),
    )
    time = string(document.get("session_start_time"))
    for record in document["messages"]:
        said = _said(record, clues, trace.model) if isinstance(record, dict) else None
        if said is not None:
            said.time = said.time or time
            time = said.time
            trace.messages.append(said)
        elif not isinstance(record, dict) or string(record.get("role")) not in {
            "system",
            "assistant",
        }:  # these can be empty
            trace.left_out += 1
    return trace


class _Clues:
    """What the events tell about messages, which carry neither times nor results of their own."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.outputs: dict[str, tuple[str, bool]] = {}
        self._turns: list[str] = []
        self._replies: list[tuple[str, dict[str, Any]]] = []
        for event in events:
            data, time = event.get("data"), string(event.get("timestamp"))
            data = data if isinstance(data, dict) else {}
            match event.get("event_type"):
                case "processing":
                    self._turns.append(time)
                case "llm_call" if data.get("kind", "main") == "main":
                    self._replies.append((time, data))
                case "tool_output":
                    self.outputs[string(data.get("tool_call_id"))] = time, data.get("success") is not False
        self._turn, self._reply = iter(self._turns), iter(self._replies)

    def turn(self) -> str:
        """Time of the next prompt."""
        return next(self._turn, "")

    def reply(self) -> tuple[str, dict[str, Any]]:
        """Time and figures of the next reply."""
        return next(self._reply, ("", {}))


def _said(record: dict[str, Any], clues: _Clues, model: str) -> Said | None:
    text = text_of(record.get("content"))
    match record.get("role"):
        case "user":
            if text.startswith(_INJECTED):
                return Said(Message("user", text, kind="guard"))
            return Said(Message("user", text), clues.turn())
        case "assistant":
            time, figures = clues.reply()
            said = Said(Message("assistant", text, tool_calls=tuple(_calls(record))), time, model=model)
            usage(said, figures, cached_apart=False)
            return said if text or said.message.tool_calls else None
        case "tool":
            call_id = string(record.get("tool_call_id"))
            time, ok = clues.outputs.get(call_id, ("", True))
            name = string(record.get("name")) or None
            return Said(Message("tool", text, tool_call_id=call_id, name=name), time, ok=ok)
    return None


def _calls(record: dict[str, Any]) -> Iterator[Any]:
    calls = record.get("tool_calls")
    for made in calls if isinstance(calls, list) else ():
        function = made.get("function") if isinstance(made, dict) else None
        if isinstance(function, dict):
            yield call(made.get("id"), function.get("name"), function.get("arguments"))

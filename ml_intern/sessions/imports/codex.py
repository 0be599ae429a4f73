"""Traces of Codex: JSONL, one item a line, in an envelope since its later versions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ml_intern.core.context.messages import Message, ToolCall
from ml_intern.sessions.imports.build import Said, Trace, call, text_of
from ml_intern.sessions.summary import string

_ENVELOPES = frozenset({"session_meta", "response_item", "turn_context", "event_msg", "compacted"})
_ITEMS = frozenset(
    {"message", "function_call", "function_call_output", "reasoning", "custom_tool_call", "local_shell_call"}
)
_INJECTED = ("<environment_context>", "<user_instructions>", "# AGENTS.md instructions")
"""How messages begin that the program itself puts in under the name of the user."""


def from_codex(records: list[dict[str, Any]]) -> Trace | None:
    """The trace; None when the records are of another kind."""
    in_envelopes = any(
        string(record.get("type")) in _ENVELOPES and isinstance(record.get("payload"), dict) for record in records
    )
    if not in_envelopes and not any(string(record.get("type")) in _ITEMS for record in records):
        return None
    trace = Trace(source="Codex")
    reader = _Reader(trace)
    for record in records:
        payload = record.get("payload") if in_envelopes else record
        if isinstance(payload, dict):
            reader.take(string(record.get("type")), payload, string(record.get("timestamp")))
    reader.finish()
    return trace


class _Reader:
    """Puts items together to messages: reasoning, text and calls that follow each other are one reply."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._model = ""
        self._time = ""
        self._thoughts: list[str] = []
        self._texts: list[str] = []
        self._calls: list[ToolCall] = []

    def take(self, envelope: str, item: dict[str, Any], time: str) -> None:
        trace = self._trace
        if envelope in {"session_meta", "turn_context"} or (not trace.id and "id" in item and "type" not in item):
            trace.id = trace.id or string(item.get("id"))
            trace.directory = trace.directory or string(item.get("cwd"))
            trace.version = trace.version or string(item.get("cli_version"))
            self._model = string(item.get("model")) or self._model
            trace.model = trace.model or self._model
        elif envelope != "event_msg":
            self._item(item, time)

    def _item(self, item: dict[str, Any], time: str) -> None:
        match item.get("type"):
            case "message":
                self._message(string(item.get("role")), text_of(item.get("content")), time)
            case "reasoning":
                self._begin_reply(time)
                self._thoughts.append(text_of(item.get("summary")) or text_of(item.get("content")))
            case "function_call" | "custom_tool_call":
                self._begin_reply(time, after_calls=True)
                arguments = item.get("arguments", item.get("input"))
                self._calls.append(call(item.get("call_id"), item.get("name"), arguments))
            case "local_shell_call":
                self._begin_reply(time, after_calls=True)
                self._calls.append(call(item.get("call_id"), "local_shell", item.get("action")))
            case "function_call_output" | "custom_tool_call_output":
                self.finish()
                self._trace.messages.append(_result(item, time))

    def _message(self, role: str, text: str, time: str) -> None:
        if role == "assistant":
            self._begin_reply(time)
            self._texts.append(text)
        elif role == "user" and text:
            self.finish()
            injected = text.lstrip().startswith(_INJECTED)
            self._trace.messages.append(Said(Message("user", text, kind="context" if injected else "plain"), time))

    def _begin_reply(self, time: str, *, after_calls: bool = False) -> None:
        if self._calls and not after_calls:
            self.finish()
        self._time = self._time or time

    def finish(self) -> None:
        """Ends the reply that is being put together."""
        texts, thoughts = (_joined(pieces) for pieces in (self._texts, self._thoughts))
        if texts or self._calls:
            reply = Message("assistant", texts, tool_calls=tuple(self._calls), reasoning=thoughts)
            self._trace.messages.append(Said(reply, self._time, model=self._model))
        self._thoughts, self._texts, self._calls, self._time = [], [], [], ""


def _result(item: dict[str, Any], time: str) -> Said:
    output: Any = item.get("output")
    ok = True
    if isinstance(output, str) and output.startswith("{"):
        output, ok = _unwrapped(output)
    elif isinstance(output, dict):
        ok = output.get("success") is not False
        output = output.get("content", output.get("output"))
    return Said(Message("tool", text_of(output), tool_call_id=string(item.get("call_id"))), time, ok=ok)


def _unwrapped(output: str) -> tuple[str, bool]:
    """The text of an output that is JSON with figures beside it, and whether its exit code was 0."""
    try:
        value = json.loads(output)
    except (ValueError, RecursionError):
        return output, True
    about = value.get("metadata")
    code = about.get("exit_code", 0) if isinstance(about, dict) else 0
    return (value["output"], code == 0) if isinstance(value.get("output"), str) else (output, True)


def _joined(pieces: Iterable[str]) -> str:
    return "\n".join(piece for piece in pieces if piece)

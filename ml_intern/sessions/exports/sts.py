"""A session in the simple trace format of the Hub: a line about the session, then one line a message."""

from __future__ import annotations

from typing import Any

from ml_intern.sessions.conversation import Conversation, Entry
from ml_intern.sessions.exports.lines import json_line
from ml_intern.sessions.summary import milliseconds


def to_sts(conversation: Conversation) -> str:
    """The trace as JSONL."""
    summary = conversation.summary
    head = {
        "type": "session",
        "harness": "ml-intern",
        "id": summary.id,
        "name": summary.title,
        "version": conversation.version,
        "cwd": summary.directory,
        "timestamp": summary.started,
    }
    lines = [head, *({"type": "message", "message": _message(entry)} for entry in conversation.paired)]
    return "".join(map(json_line, lines))


def _message(entry: Entry) -> dict[str, Any]:
    message = entry.message
    found: dict[str, Any] = {"role": message.role, "content": message.told}
    if message.reasoning:
        found["reasoningContent"] = message.reasoning
    if message.tool_calls:
        found["toolCalls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": call.arguments}} for call in message.tool_calls
        ]
    if message.role == "tool":
        found["toolCallId"] = message.tool_call_id
    if time := milliseconds(entry.time):
        found["timestamp"] = time
    if entry.model:
        found["model"] = entry.model
    return found

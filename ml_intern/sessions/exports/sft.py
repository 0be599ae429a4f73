"""A session as a row of a data set for supervised fine-tuning: messages in the OpenAI format, tools, and tags."""

from __future__ import annotations

from typing import Any

from ml_intern.core.context.messages import Message
from ml_intern.sessions.conversation import Conversation
from ml_intern.sessions.exports.claude import input_of
from ml_intern.sessions.exports.lines import json_line
from ml_intern.sessions.exports.tags import tags_of

_JSON_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


def to_sft(conversation: Conversation) -> str:
    """One row as a line of JSON. What was taken back and summaries of what is there anyway are left out."""
    messages = [_message(entry.message) for entry in conversation.paired if entry.message.kind != "summary"]
    row = {
        "session_id": conversation.summary.id,
        "model": conversation.summary.model,
        "timestamp": conversation.summary.started,
        "tags": tags_of(conversation),
        "messages": messages,
        "tools": _tools(conversation),
    }
    return json_line(row)


def _message(message: Message) -> dict[str, Any]:
    return {**message.wire(), "content": message.told} if message.images else message.wire()


def _tools(conversation: Conversation) -> list[dict[str, Any]]:
    """The tools that were called, with the parameters that were seen: a log does not keep definitions."""
    seen: dict[str, dict[str, Any]] = {}
    for entry in conversation.kept:
        for call in entry.message.tool_calls:
            properties = seen.setdefault(call.name, {})
            for name, value in input_of(call.arguments).items():
                properties.setdefault(name, {"type": kind} if (kind := _JSON_TYPES.get(type(value))) else {})
    return [
        {
            "type": "function",
            "function": {"name": name, "parameters": {"type": "object", "properties": properties}},
        }
        for name, properties in sorted(seen.items())
    ]

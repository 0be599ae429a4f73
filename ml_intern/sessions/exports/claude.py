"""A session as a trace in the format of Claude Code: one JSON object a line, each with the uuid of the one before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from ml_intern.core.context.messages import Message
from ml_intern.sessions.conversation import Conversation, Entry
from ml_intern.sessions.exports.lines import json_line


def to_claude(conversation: Conversation) -> str:
    """The trace as JSONL. The same log gives the same uuids every time, and they stay when it grows."""
    summary = conversation.summary
    lines: list[str] = []
    parent: str | None = None
    seen: dict[int, int] = {}
    for entry in conversation.paired:
        for kind, message, extra in _messages(entry):
            place = seen[entry.seq] = seen.get(entry.seq, -1) + 1  # a record of the log can hold several messages
            uuid = _uuid(f"{summary.id}::{entry.seq}::{place}::{entry.message.role}")
            line = {
                "type": kind,
                "message": message,
                "uuid": uuid,
                "parentUuid": parent,
                "sessionId": summary.id,
                "timestamp": entry.time or summary.started,
                "cwd": summary.directory,
                "version": conversation.version,
                "isSidechain": False,
                "userType": "external",
                **extra,
            }
            lines.append(json_line(line))
            parent = uuid
    return "".join(lines)


def _messages(entry: Entry) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    message = entry.message
    if message.role == "user":
        extra: dict[str, Any] = {"isMeta": True} if message.kind in {"guard", "context"} else {}
        if message.kind == "summary":
            extra = {"isCompactSummary": True}
        yield "user", {"role": "user", "content": message.told}, extra
    elif message.role == "tool":
        result: dict[str, Any] = {
            "type": "tool_result",
            "tool_use_id": message.tool_call_id,
            "content": message.told,
        }
        if entry.ok is False:
            result["is_error"] = True
        yield "user", {"role": "user", "content": [result]}, {}
    elif content := _content(message):
        yield "assistant", _reply(entry, content), {}


def _content(message: Message) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    if message.reasoning:
        content.append({"type": "thinking", "thinking": message.reasoning, "signature": ""})
    if message.content:
        content.append({"type": "text", "text": message.content})
    content.extend(
        {"type": "tool_use", "id": call.id, "name": call.name, "input": input_of(call.arguments)}
        for call in message.tool_calls
    )
    return content


def _reply(entry: Entry, content: list[dict[str, Any]]) -> dict[str, Any]:
    reply: dict[str, Any] = {"role": "assistant", "model": entry.model, "content": content}
    if entry.usage:
        prompt, cached = entry.usage.get("prompt_tokens"), entry.usage.get("cached_tokens")
        tokens, hits = (value if isinstance(value, int) else 0 for value in (prompt, cached))
        reply["stop_reason"] = "tool_use" if entry.message.tool_calls else "end_turn"
        reply["usage"] = {
            "input_tokens": max(0, tokens - hits),
            "cache_read_input_tokens": hits,
            "output_tokens": entry.usage.get("completion_tokens", 0),
        }
    return reply


def input_of(arguments: str) -> dict[str, Any]:
    """Arguments of a call as an object; what is none is kept as `_raw`."""
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"_raw": arguments}


def _uuid(name: str) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))

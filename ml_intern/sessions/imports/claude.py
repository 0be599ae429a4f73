"""Traces of Claude Code: JSONL, one message a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ml_intern.core.context.messages import Kind, Message
from ml_intern.sessions.imports.build import Said, Trace, call, text_of, usage
from ml_intern.sessions.summary import string


def from_claude(records: list[dict[str, Any]]) -> Trace | None:
    """The trace; None when the records are of another kind."""
    lines = [record for record in records if _is_message(record)]
    if not lines:
        return None
    first = lines[0]
    titles = [string(record.get("summary")) for record in records if record.get("type") == "summary"]
    trace = Trace(
        source="Claude Code",
        id=string(first.get("sessionId")),
        directory=next((string(line.get("cwd")) for line in lines if line.get("cwd")), ""),
        version=string(first.get("version")),
        title=next((title for title in reversed(titles) if title), ""),
    )
    for line in _joined(line for line in lines if not line.get("isSidechain")):
        trace.messages += _messages(line)
    trace.model = next((said.model for said in trace.messages if said.model), "")
    return trace


def _is_message(record: dict[str, Any]) -> bool:
    said = string(record.get("type")) in {"user", "assistant"}
    return said and isinstance(record.get("message"), dict) and "uuid" in record


def _joined(lines: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The lines, those of one reply as one: each block of it has a line of its own, and the usage of all of it."""
    waiting: dict[str, Any] | None = None
    counted: set[str] = set()
    for line in lines:
        message = line["message"]
        reply_id = string(message.get("id")) if line["type"] == "assistant" else ""
        if waiting is not None and reply_id and waiting["message"].get("id") == reply_id:
            before = waiting["message"]
            content = [*_blocks(before.get("content")), *_blocks(message.get("content"))]
            spent = message.get("usage") if before.get("usage") else None
            waiting = {**waiting, "message": {**message, "content": content, "usage": spent}}
            continue
        if waiting is not None:
            yield waiting
        waiting = {**line, "message": {**message, "usage": None}} if reply_id in counted else line
        counted |= {reply_id} - {""}
    if waiting is not None:
        yield waiting


def _blocks(content: Any) -> list[Any]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if isinstance(content, str) else []


def _messages(line: dict[str, Any]) -> Iterator[Said]:
    message, time = line["message"], string(line.get("timestamp"))
    content = message.get("content")
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    if line["type"] == "assistant":
        yield _reply(message, text_of(content), blocks, time)
        return
    for block in blocks:
        if block.get("type") == "tool_result":
            result = Message("tool", text_of(block.get("content")), tool_call_id=string(block.get("tool_use_id")))
            yield Said(result, time, ok=not block.get("is_error"))
    if text := text_of(content):
        kind: Kind = "summary" if line.get("isCompactSummary") else "guard" if line.get("isMeta") else "plain"
        yield Said(Message("user", text, kind=kind), time)


def _reply(message: dict[str, Any], text: str, blocks: list[dict[str, Any]], time: str) -> Said:
    calls = [
        call(block.get("id"), block.get("name"), block.get("input"))
        for block in blocks
        if block.get("type") == "tool_use"
    ]
    thoughts = [string(block.get("thinking")) for block in blocks if block.get("type") == "thinking"]
    reply = Message("assistant", text, tool_calls=tuple(calls), reasoning="\n".join(filter(None, thoughts)))
    said = Said(reply, time, model=string(message.get("model")))
    usage(said, message.get("usage"), cached_apart=True)
    return said

"""A scripted reply on the wire: OpenAI chat completions, and OpenAI responses for programs that speak only those."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

SHELLS = ("bash", "shell", "shell_command", "exec_command", "run_shell_command", "terminal")


@dataclass(frozen=True)
class Reply:
    """One reply of the model: pieces of text, calls of tools, or both.

    Attributes:
        pieces: Text, one streamed chunk each.
        calls: Name and arguments of each tool call.
        serial: Told apart by this, as call ids must be.
    """

    serial: str
    pieces: list[str] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


def shell_call(tools: list[dict[str, Any]], command: str) -> tuple[str, dict[str, Any]] | None:
    """A call of the tool that runs a command line, with everything that its schema requires; None without one."""
    known = {function["name"]: function.get("parameters") or {} for tool in tools if (function := _function(tool))}
    name = next((name for name in SHELLS if name in known), None)
    if name is None:
        return None
    properties = known[name].get("properties") or {}
    arguments = {key: _filler(properties.get(key) or {}) for key in known[name].get("required") or []}
    taken = "command" if "command" in properties else "cmd"
    is_list = properties[taken].get("type") == "array"
    return name, {**arguments, taken: ["bash", "-c", command] if is_list else command}


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    """The function's description: inside `function` in chat completions, at the top in responses."""
    found: dict[str, Any] = tool.get("function") or tool
    return found if found.get("name") else {}


def _filler(schema: dict[str, Any]) -> Any:
    fillers: dict[str, Any] = {"integer": 10, "number": 10, "boolean": False, "array": [], "object": {}}
    return (schema.get("enum") or [fillers.get(str(schema.get("type")), "a step")])[0]


# -------------------------------------------------------------------------------------------------------- requests


def newest_prompt(body: dict[str, Any], mark: str) -> str:
    """The newest text of the user that holds the mark, or nothing."""
    messages = body.get("messages") or body.get("input") or []
    texts = (_flat(message.get("content")) for message in reversed(messages) if message.get("role") == "user")
    return next((text for text in texts if mark in text), "")


def _flat(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(part.get("text") or "" for part in content)
    return content or ""


# --------------------------------------------------------------------------------------------------------- replies


def chat_events(reply: Reply) -> Iterator[bytes]:
    """The reply as `chat.completion.chunk` events: one before and three after those of the pieces."""
    head = {"id": f"chatcmpl-{reply.serial}", "object": "chat.completion.chunk", "created": 1, "model": "bench"}

    def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return _sse({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    yield event({"role": "assistant", "content": ""})
    for piece in reply.pieces:
        yield event({"content": piece})
    for index, (name, arguments) in enumerate(reply.calls):
        function = {"name": name, "arguments": json.dumps(arguments)}
        call_id = f"call_{reply.serial}_{index}"
        yield event({"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]})
    yield event({}, "tool_calls" if reply.calls else "stop")
    usage = {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010}
    yield _sse({**head, "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def responses_events(reply: Reply) -> Iterator[bytes]:
    """The reply as events of the responses interface."""
    numbers = itertools.count()

    def event(kind: str, **fields: Any) -> bytes:
        return b"event: %s\n" % kind.encode() + _sse({"type": kind, "sequence_number": next(numbers), **fields})

    items = _items(reply)
    usage = {"input_tokens": 1000, "output_tokens": 10, "total_tokens": 1010}
    response = {"id": f"resp_{reply.serial}", "object": "response", "created_at": 1, "model": "bench", "output": []}
    yield event("response.created", response={**response, "status": "in_progress"})
    for index, item in enumerate(items):
        begun = {**item, "status": "in_progress", "content": []}
        yield event("response.output_item.added", output_index=index, item=begun)
        where = {"item_id": item["id"], "output_index": index, "content_index": 0}
        for piece in reply.pieces if item["type"] == "message" else ():
            yield event("response.output_text.delta", delta=piece, **where)
        yield event("response.output_item.done", output_index=index, item=item)
    yield event("response.completed", response={**response, "status": "completed", "output": items, "usage": usage})


def _items(reply: Reply) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if reply.pieces or not reply.calls:
        part = {"type": "output_text", "text": "".join(reply.pieces), "annotations": []}
        message = {"type": "message", "role": "assistant", "content": [part]}
        items.append({"id": f"msg_{reply.serial}", "status": "completed", **message})
    for index, (name, arguments) in enumerate(reply.calls):
        call_id = f"call_{reply.serial}_{index}"
        call = {"type": "function_call", "call_id": call_id, "name": name, "arguments": json.dumps(arguments)}
        items.append({"id": f"fc_{reply.serial}_{index}", "status": "completed", **call})
    return items


def _sse(data: dict[str, Any]) -> bytes:
    return b"data: %s\n\n" % json.dumps(data, separators=(",", ":")).encode()

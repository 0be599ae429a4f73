"""The body of a chat request: the same for both transports, with what single providers need beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from ml_intern.core.context.messages import Message
from ml_intern.core.llm.pictures import Picturing, encode_parts
from ml_intern.core.llm.reasoning import replayed
from ml_intern.core.llm.routing import Route
from ml_intern.core.llm.types import Request

MAX_SESSION_HEADER = 256
_CACHE_MARK = {"type": "ephemeral"}


Sent = tuple[Message | None, dict[str, Any]]
"""A message as it goes out, and the one of the conversation that it stands for, if it stands for one alone."""


def build_body(request: Request, route: Route) -> dict[str, Any]:
    """The request as a chat-completions body. Nothing of the request itself is changed."""
    return _body(request, route, _messages(request, route))


def _body(request: Request, route: Route, sent: list[Sent]) -> dict[str, Any]:
    body: dict[str, Any] = {"model": route.wire_model, "messages": [wire for _, wire in sent]}
    if request.tools:
        body["tools"] = list(request.tools)
        body["tool_choice"] = "auto"
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    if request.effort and not route.is_local:
        body["reasoning_effort"] = request.effort
    if request.max_tokens is not None:
        # OpenAI's reasoning models refuse the older name.
        body["max_completion_tokens" if route.is_public_openai else "max_tokens"] = request.max_tokens
    _add_cache_hints(body, request, route)
    return body


def encode_body(request: Request, route: Route) -> bytes:
    """The request body as JSON in UTF-8. What was sent before is not encoded again."""
    sent = _messages(request, route)
    body = _body(request, route, sent)
    del body["messages"]
    messages = ", ".join(
        message.encoded() if message is not None and wire == message.wire() else encode_parts(wire)
        for message, wire in sent
    )
    rest = json.dumps(body, ensure_ascii=False)
    # A lone surrogate cannot be sent; it comes from undecodable tool output and means nothing to a model.
    return f'{{"messages": [{messages}], {rest[1:]}'.encode("utf-8", "replace")


def build_headers(request: Request, route: Route) -> dict[str, str]:
    """Request headers beside authorization."""
    headers = dict(route.headers)
    if route.is_router and request.session_id:
        headers["X-HF-Session-id"] = request.session_id[:MAX_SESSION_HEADER]
    return headers


def _messages(request: Request, route: Route) -> list[Sent]:
    sent: list[Sent] = []
    picturing = Picturing(request.images)
    for message in request.messages:
        if message.role != "tool":
            sent += [(None, shown) for shown in picturing.of_results()]
        wire = picturing.wire(message)
        if extra := replayed(message, request.model, route.replay):
            wire.update(extra)
        sent.append((message, wire))
    return [*sent, *((None, shown) for shown in picturing.of_results())]


# ------------------------------------------------------------------------------------------------- prompt cache


def _add_cache_hints(body: dict[str, Any], request: Request, route: Route) -> None:
    """Marks where a provider may cache the prompt; most do it by themselves."""
    if route.is_router and request.model.startswith("anthropic/") and ":fal" in request.model:
        body["cache_control"] = _CACHE_MARK
        _mark_last_tool(body)
        _mark_last(body["messages"][:-1], _is_system_or_user)
    elif route.is_router and re.match(r"openai/gpt-5\.5.*:fal", request.model) and request.session_id:
        body["prompt_cache_key"] = request.session_id
        body["prompt_cache_retention"] = "24h"
    elif route.provider == "anthropic":
        # Four marks are allowed: tools, system, and the last two points that a next request will share.
        _mark_last_tool(body)
        _mark_last(body["messages"][:1], _is_system_or_user)
        _mark_last(body["messages"][1:], _is_input)
        _mark_last(body["messages"][1:-1], _is_input)


def _is_system_or_user(message: dict[str, Any]) -> bool:
    return message["role"] in {"system", "user"}


def _is_input(message: dict[str, Any]) -> bool:
    return message["role"] in {"user", "tool"}


def _mark_last_tool(body: dict[str, Any]) -> None:
    if tools := body.get("tools"):
        body["tools"] = [*tools[:-1], {**tools[-1], "cache_control": _CACHE_MARK}]


def _mark_last(messages: list[dict[str, Any]], wanted: Callable[[dict[str, Any]], bool]) -> None:
    """Marks the last message of a kind. The dicts are the body's own; their texts are shared and stay as they are."""
    for message in reversed(messages):
        content = message["content"]
        if not wanted(message) or not content:
            continue
        if isinstance(content, list):
            _mark_last_text(content)
        elif message["role"] == "tool":
            message["cache_control"] = _CACHE_MARK
        else:
            message["content"] = [{"type": "text", "text": content, "cache_control": _CACHE_MARK}]
        return


def _mark_last_text(parts: list[dict[str, Any]]) -> None:
    at = max((at for at, part in enumerate(parts) if part["type"] == "text"), default=-1)
    if at >= 0:
        parts[at] = {**parts[at], "cache_control": _CACHE_MARK}

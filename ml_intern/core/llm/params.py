"""The body of a chat request: the same for both transports, with what single providers need beside it."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ml_intern.core.context.messages import Message
from ml_intern.core.llm.pictures import Picturing
from ml_intern.core.llm.reasoning import replayed
from ml_intern.core.llm.routing import Route
from ml_intern.core.llm.types import Request

MAX_SESSION_HEADER = 256
_CACHE_MARK = {"type": "ephemeral"}
_SYSTEM_OR_USER = frozenset({"system", "user"})
_INPUT = frozenset({"user", "tool"})


class Replayed(NamedTuple):
    """A message that goes out with its reasoning.

    Attributes:
        message: The message.
        extra: Fields that are sent beside its own.
    """

    message: Message
    extra: dict[str, Any]

    @property
    def role(self) -> str:
        """Whose message it is."""
        return self.message.role

    def wire(self) -> dict[str, Any]:
        """All of it in the OpenAI chat format."""
        return {**self.message.wire(), **self.extra}

    def encoded(self) -> str:
        """`wire` as JSON text, made once."""
        return self.message.encoded(self.extra)


Sent = Message | Replayed | dict[str, Any]
"""A message of the conversation, or what goes out instead of or beside those."""


def build_body(request: Request, route: Route) -> dict[str, Any]:
    """The request as a chat-completions body. Nothing of the request itself is changed."""
    body = body_of(request, route)
    return {**body, "messages": [sent if isinstance(sent, dict) else sent.wire() for sent in body["messages"]]}


def body_of(request: Request, route: Route) -> dict[str, Any]:
    """The same with messages that are yet to be put into words; what went out before is not made anew."""
    body: dict[str, Any] = {"model": route.wire_model, "messages": _messages(request, route)}
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


def build_headers(request: Request, route: Route) -> dict[str, str]:
    """Request headers beside authorization."""
    headers = dict(route.headers)
    if route.is_router and request.session_id:
        headers["X-HF-Session-id"] = request.session_id[:MAX_SESSION_HEADER]
    return headers


def _messages(request: Request, route: Route) -> list[Sent]:
    sent: list[Sent] = []
    picturing, always = Picturing(request.images), route.replay == "always"
    for message in request.messages:
        if picturing.due and message.role != "tool":
            sent.append(picturing.of_results())
        if message.images:
            sent.append(picturing.wire(message))
        elif (always or message.reasoning or message.provider) and (
            extra := replayed(message, request.model, route.replay)
        ):
            sent.append(Replayed(message, extra))
        else:
            sent.append(message)
    return [*sent, picturing.of_results()] if picturing.due else sent


# ------------------------------------------------------------------------------------------------- prompt cache


def _add_cache_hints(body: dict[str, Any], request: Request, route: Route) -> None:
    """Marks where a provider may cache the prompt; most do it by themselves."""
    if route.is_router and request.model.startswith("anthropic/") and ":fal" in request.model:
        body["cache_control"] = _CACHE_MARK
        _mark_last_tool(body)
        _mark_last(body["messages"], slice(None, -1), _SYSTEM_OR_USER)
    elif route.is_router and re.match(r"openai/gpt-5\.5.*:fal", request.model) and request.session_id:
        body["prompt_cache_key"] = request.session_id
        body["prompt_cache_retention"] = "24h"
    elif route.provider == "anthropic":
        # Four marks are allowed: tools, system, and the last two points that a next request will share.
        _mark_last_tool(body)
        _mark_last(body["messages"], slice(None, 1), _SYSTEM_OR_USER)
        _mark_last(body["messages"], slice(1, None), _INPUT)
        _mark_last(body["messages"], slice(1, -1), _INPUT)


def _mark_last_tool(body: dict[str, Any]) -> None:
    if tools := body.get("tools"):
        body["tools"] = [*tools[:-1], {**tools[-1], "cache_control": _CACHE_MARK}]


def _mark_last(messages: list[Sent], where: slice, roles: frozenset[str]) -> None:
    """Marks the last message of some roles. Dicts are the body's own; their texts are shared and stay as they are."""
    for at in reversed(range(*where.indices(len(messages)))):
        sent = messages[at]
        if (sent["role"] if isinstance(sent, dict) else sent.role) not in roles:
            continue
        message = sent if isinstance(sent, dict) else sent.wire()
        if message["content"]:
            messages[at] = message
            _mark(message)
            return


def _mark(message: dict[str, Any]) -> None:
    content = message["content"]
    if isinstance(content, list):
        _mark_last_text(content)
    elif message["role"] == "tool":
        message["cache_control"] = _CACHE_MARK
    else:
        message["content"] = [{"type": "text", "text": content, "cache_control": _CACHE_MARK}]


def _mark_last_text(parts: list[dict[str, Any]]) -> None:
    at = max((at for at, part in enumerate(parts) if part["type"] == "text"), default=-1)
    if at >= 0:
        parts[at] = {**parts[at], "cache_control": _CACHE_MARK}

"""Token counts: read from what providers send, or estimated where they send none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ml_intern.core.llm.types import Reply, Request, Usage

CHARS_PER_TOKEN = 4
"""A rule of thumb for English and code; only for providers that do not count."""
_TOKENS_PER_MESSAGE = 4


def parse_usage(record: Mapping[str, Any]) -> Usage | None:
    """A provider's usage object; None when it counts nothing.

    Cached tokens are part of the prompt tokens, reasoning tokens part of the completion tokens.
    """
    prompt = _count(record, "prompt_tokens") or _count(record, "input_tokens")
    completion = _count(record, "completion_tokens") or _count(record, "output_tokens")
    if not prompt and not completion:
        return None
    prompt_details = record.get("prompt_tokens_details") or record.get("input_tokens_details")
    completion_details = record.get("completion_tokens_details") or record.get("output_tokens_details")
    cached = (
        _count(prompt_details, "cached_tokens")
        or _count(record, "prompt_cache_hit_tokens")
        or _count(record, "cache_read_input_tokens")
    )
    written = _count(record, "cache_creation_input_tokens") or _count(prompt_details, "cache_creation_tokens")
    cost = record.get("cost")
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=min(cached, prompt),
        cache_write_tokens=written,
        reasoning_tokens=_count(completion_details, "reasoning_tokens"),
        cost_usd=float(cost) if isinstance(cost, int | float) and 0 <= cost < math.inf else None,
    )


def estimate_usage(request: Request, reply: Reply) -> Usage:
    """Counts by text length, marked as estimated."""
    characters = sum(
        len(message.content) + sum(len(call.name) + len(call.arguments) for call in message.tool_calls)
        for message in request.messages
    )
    shown = [image.tokens for message in request.messages for image in message.images if image.file in request.images]
    written = len(reply.content) + len(reply.reasoning)
    written += sum(len(call.name) + len(call.arguments) for call in reply.tool_calls)
    return Usage(
        prompt_tokens=characters // CHARS_PER_TOKEN
        + tokens_of_tools(request.tools)
        + _TOKENS_PER_MESSAGE * len(request.messages)
        + sum(shown),
        completion_tokens=max(1, written // CHARS_PER_TOKEN),
        estimated=True,
    )


def tokens_of_tools(tools: Iterable[Mapping[str, Any]]) -> int:
    """What the definitions of tools come to, by text length."""
    return sum(len(str(tool)) for tool in tools) // CHARS_PER_TOKEN


def _count(record: object, key: str) -> int:
    """A count, or 0 for anything that is none."""
    value = record.get(key) if isinstance(record, Mapping) else None
    return int(value) if isinstance(value, int | float) and value > 0 else 0

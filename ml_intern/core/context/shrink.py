"""Makes single messages smaller: placeholders for old tool output, excerpts of messages that are too long to keep."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ml_intern.core.context.messages import Message, ToolCall
from ml_intern.core.context.tokens import TokenCounter

WORTH_SHRINKING = 200
"""Tokens below which an old tool output or argument stays as it is."""
_GLIMPSE = 160
_SHARE_OF_HEAD = 0.6
_MARKER = 40


def without_old_output(message: Message, size: int, counter: TokenCounter) -> Message:
    """An old message without its bulk: of tool output, attached texts and long arguments a glimpse of both ends stays,
    of images their names.

    What people and the model said in words is kept.
    """
    if size < WORTH_SHRINKING:
        return message
    if message.images:
        message = without_images(message)
        size = counter.message(message)
    if size < WORTH_SHRINKING:
        return message
    if message.role == "tool" or message.kind == "attached":
        tokens = counter.text(message.content)
        what, again = ("output", "Call the tool") if message.role == "tool" else ("attachments", "Read the file")
        note = f"[Old {what} removed to save room: {len(message.content):,} characters, about {tokens:,} tokens."
        note += f" {again} again if it is needed.]"
        return replace(message, content=_glimpse(message.content, note))
    if message.tool_calls:
        limit = WORTH_SHRINKING * 3
        calls = tuple(_shorter_call(call, limit) for call in message.tool_calls)
        return replace(message, tool_calls=calls)
    return message


def without_images(message: Message) -> Message:
    """The message with its images named only."""
    named = [f"{image.label[:-1]}, taken out to save room]" for image in message.images]
    return replace(message, content="\n".join(filter(None, [message.content, *named])), images=())


def excerpt(message: Message, size: int, limit: int) -> Message:
    """A message cut down to about `limit` tokens, saying how large it was. Images are the first to go.

    Args:
        message: Any message; ids, roles and the fields a provider needs stay as they are.
        size: Its size in tokens.
        limit: What may stay, in tokens.
    """
    if size <= limit:
        return message
    if message.images:
        size -= sum(image.tokens for image in message.images)
        return excerpt(without_images(message), size, limit)
    characters = len(message.content) + sum(len(call.arguments) for call in message.tool_calls)
    keep = max(0, int(characters * (limit - _MARKER) / size))
    arguments_share = keep // (len(message.tool_calls) + 1)
    calls = tuple(_shorter_call(call, arguments_share) for call in message.tool_calls)
    left = keep - sum(len(call.arguments) for call in calls)
    note = f"[… {size:,} tokens originally; the middle was removed to keep the conversation within the window …]"
    return replace(message, content=_ends(message.content, max(left, arguments_share), note), tool_calls=calls)


def fair_limit(sizes: Sequence[int], room: int, floor: int) -> int:
    """The size to which the largest messages must be cut so that all of them together take `room` tokens.

    Args:
        sizes: Size of each message.
        room: What they may take together.
        floor: No message is cut below this, whatever comes of it.
    """
    left = room
    for index, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - index)
        if size > share:
            return max(share, floor)
        left -= size
    return max(*sizes, floor) if sizes else floor


def _glimpse(text: str, note: str) -> str:
    if len(text) <= 2 * _GLIMPSE:
        return note
    return f"{note}\n{text[:_GLIMPSE]}\n…\n{text[-_GLIMPSE:]}"


def _ends(text: str, keep: int, note: str) -> str:
    """Head and tail of a text that is longer than `keep` characters, with a note between."""
    if len(text) <= keep:
        return text
    head = int(keep * _SHARE_OF_HEAD)
    return f"{text[:head]}\n{note}\n{text[len(text) - (keep - head) :]}".strip()


def _shorter_call(call: ToolCall, limit: int) -> ToolCall:
    """The call with long texts in its arguments cut; the arguments stay a JSON object with the same keys."""
    if len(call.arguments) <= limit:
        return call
    shortened = _cut_values(call.arguments, max(40, limit // 2))
    if len(shortened) > max(limit, 400):
        shortened = json.dumps({"removed": f"{len(call.arguments):,} characters of arguments, to save room"})
    return replace(call, arguments=shortened)


def _cut_values(arguments: str, limit: int) -> str:
    try:
        values = json.loads(arguments)
    except ValueError:
        return "{}"
    return json.dumps(_walk(values, lambda text: _cut(text, limit)), ensure_ascii=False)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]} [… {len(text):,} characters originally]"


def _walk(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_walk(item, change) for item in value]
    if isinstance(value, dict):
        return {key: _walk(item, change) for key, item in value.items()}
    return value

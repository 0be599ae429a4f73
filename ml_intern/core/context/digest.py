"""Says in text what a stretch of history holds: as a record for a model to summarise, or summed up without one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ml_intern.core.context.messages import Message, ToolCall
from ml_intern.core.context.tokens import TokenCounter

_CAPS = (8_000, 2_000, 600, 150)
_LAST_CALLS = 20
_LAST_WORDS = 3
_MAX_FILES = 40
_WRITERS = frozenset({"write", "edit"})


def record_of(messages: Iterable[Message], room: int, counter: TokenCounter) -> str:
    """The messages as plain text, long ones cut so that the whole takes at most about `room` tokens."""
    told = [message for message in messages if message.kind != "guard"]
    text = ""
    for cap in _CAPS:
        text = "\n\n".join(_entry(message, cap) for message in told)
        if counter.text(text) <= room:
            return text
    return fit(text, room, counter)


def digest(messages: Sequence[Message], room: int, counter: TokenCounter) -> str:
    """What can be said without a model, in at most about `room` tokens.

    An earlier summary, the last plan, the files written, which tools were called on what, the last words.
    """
    calls = [call for message in messages for call in message.tool_calls]
    sections = (
        ("Earlier summary", fit(_earlier_summary(messages), room // 2, counter)),
        ("Last plan", _last_plan(calls)),
        ("Files written or edited", "\n".join(f"- {path}" for path in _files(calls))),
        ("Tools called", ", ".join(f"{name} ×{count}" for name, count in Counter(c.name for c in calls).most_common())),
        ("Last calls and how their results begin", _last_calls(messages, calls)),
        ("Last words", _last_words(messages)),
    )
    text = "\n\n".join(f"## {title}\n{body}" for title, body in sections if body)
    return fit(text, room, counter) or "Nothing of note."


def quotes(prompts: Sequence[Message], room: int, counter: TokenCounter) -> str:
    """What the user wrote, word for word, the newest first to find room; empty without prompts."""
    kept: list[str] = []
    for message in reversed(prompts):
        line = f"- {_cut(message.told, 1_000)}"
        room -= counter.text(line)
        if room < 0:
            kept.append(f"- [{len(prompts) - len(kept)} earlier messages left out]")
            break
        kept.append(line)
    return "\n".join(reversed(kept))


def fit(text: str, room: int, counter: TokenCounter) -> str:
    """The text cut in the middle to about `room` tokens; its end is worth more than its beginning."""
    tokens = counter.text(text)
    if tokens <= room:
        return text
    keep = int(len(text) * room * 0.95 / tokens)
    head = keep // 3
    return f"{text[:head]}\n[… part left out …]\n{text[len(text) - (keep - head) :]}"


def summary_message(text: str, said: str, count: int) -> Message:
    """The message that stands for others.

    Args:
        text: What they held.
        said: What the user wrote in them (see `quotes`), or empty.
        count: How many they were.
    """
    header = f"[Summary of {count} earlier messages, removed to save room. It is a record, not a new request.]"
    words = f"\n\nWhat the user wrote in that part, word for word:\n{said}" if said else ""
    # A user message, because that is the one role that every provider takes at any place.
    return Message("user", f"{header}\n\n{text}{words}", kind="summary")


def _entry(message: Message, cap: int) -> str:
    told = message.told
    if message.role == "tool":
        return f"[result of {message.name or 'a tool'}]\n{_cut(told, cap)}"
    if message.kind == "attached":
        return f"[attached by the user]\n{_cut(told, cap)}"
    parts = []
    if told.strip():
        speaker = "earlier summary" if message.kind == "summary" else message.role
        # What was said in words is worth more than what a tool printed.
        parts.append(f"[{speaker}]\n{_cut(told, cap * 4)}")
    parts += [f"[assistant calls {call.name}] {_cut(call.arguments, cap)}" for call in message.tool_calls]
    return "\n".join(parts)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    head = limit // 3
    return f"{text[:head]}\n[… {len(text) - limit:,} characters left out …]\n{text[len(text) - (limit - head) :]}"


def _earlier_summary(messages: Sequence[Message]) -> str:
    """Without the line it begins with, which would pile up."""
    return "\n\n".join(message.content.partition("\n\n")[2] for message in messages if message.kind == "summary")


def _last_plan(calls: Sequence[ToolCall]) -> str:
    for call in reversed(calls):
        steps = _arguments(call).get("todos") if call.name == "plan_tool" else None
        if isinstance(steps, list):
            named = [step for step in steps if isinstance(step, dict)]
            return "\n".join(f"- [{step.get('status')}] {_cut(str(step.get('content')), 200)}" for step in named)
    return ""


def _files(calls: Sequence[ToolCall]) -> list[str]:
    """Paths in the order in which they were last written."""
    paths = [str(_arguments(call).get("path", "")) for call in calls if call.name in _WRITERS]
    return list(reversed(dict.fromkeys(path for path in reversed(paths) if path)))[-_MAX_FILES:]


def _last_calls(messages: Sequence[Message], calls: Sequence[ToolCall]) -> str:
    results = {message.tool_call_id: message.content for message in messages if message.role == "tool"}
    lines = []
    for call in calls[-_LAST_CALLS:]:
        outcome = " ".join(results.get(call.id, "").split())
        lines.append(f"- {call.name} {_brief(call.arguments)} → {_brief(outcome)}")
    return "\n".join(lines)


def _last_words(messages: Sequence[Message]) -> str:
    said = [message.content for message in messages if message.role == "assistant" and message.content.strip()]
    return "\n\n".join(_cut(text, 800) for text in said[-_LAST_WORDS:])


def _arguments(call: ToolCall) -> dict[str, Any]:
    try:
        value = json.loads(call.arguments)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _brief(text: str) -> str:
    return text if len(text) <= 140 else f"{text[:140]}…"

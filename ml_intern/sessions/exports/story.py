"""A session as people read it: what was said, each call with what came of it, and what happened on the way."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ValidationError

from ml_intern.core.images import ImageRef
from ml_intern.core.plain_text import plain
from ml_intern.core.protocol import EVENT, Attachment, EventBase, Origin
from ml_intern.core.trail import EVENTS as TRAIL_EVENTS
from ml_intern.core.trail import Source, Trail
from ml_intern.sessions.conversation import Conversation
from ml_intern.sessions.summary import string

LONGEST_OUTPUT = 20_000
_SCRIPTS = {"command": "bash", "script": "python", "content": "", "code": "python"}
"""Arguments that are texts of their own, and their language."""


@dataclass(slots=True)
class Part:
    """A piece of the story.

    Attributes:
        kind: What it is.
        text: What was said; of a call, its main argument.
        time: When, ISO 8601 in UTC.
        title: Of a call, the tool; of a note, its level.
        language: Of a call, the language of `text`.
        details: Of a call, its other arguments.
        output: Of a call, what came of it.
        ok: Of a call, whether it succeeded; None when it has no result.
        reasoning: Of an answer, what the model thought before.
        origin: Of a call, where words of it come from, if from outside.
        images: Images that went with a prompt, or came of a call.
        attached: Texts that went with a prompt.
    """

    kind: Literal["prompt", "answer", "call", "note"]
    text: str
    time: str = ""
    title: str = ""
    language: str = ""
    details: str = ""
    output: str = ""
    ok: bool | None = None
    reasoning: str = ""
    origin: str = ""
    images: tuple[ImageRef, ...] = ()
    attached: tuple[Attachment, ...] = ()


@dataclass(slots=True)
class Story:
    """The parts in order, facts about the whole as `(name, value)`, and what was looked into on the way."""

    title: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    sources: tuple[Source, ...] = ()


def tell(conversation: Conversation) -> Story:
    """The story of a session."""
    summary = conversation.summary
    facts = [
        ("Session", summary.id),
        ("Directory", summary.directory),
        ("Model", summary.model),
        ("Began", moment(summary.started)),
        ("Ended", moment(summary.ended)),
        ("Turns", str(summary.turns)),
        ("Cost", f"${summary.cost_usd:.4f}"),
        ("Outcome", summary.status),
        ("Tags", ", ".join(summary.tags)),
        ("Origin", summary.origin),
    ]
    story = Story(plain(summary.title), [(name, plain(value)) for name, value in facts if value])
    story.parts.extend(_parts(conversation.events))
    story.sources = Trail.of(_understood(conversation.events)).sources
    return story


def about(source: Source) -> str:
    """What is said of a source beside its name: what of it was read, in which step, by whom."""
    said = (
        ("read", "; ".join(source.parts)),
        ("step", "; ".join(source.steps)),
        ("by", "; ".join(source.agents)),
    )
    return plain(" · ".join(f"{name}: {text}" for name, text in said if text))


def _understood(events: Iterable[Mapping[str, Any]]) -> Iterator[EventBase]:
    for event in events:
        if event.get("type") in TRAIL_EVENTS:
            with contextlib.suppress(ValidationError):
                yield EVENT.validate_python(event)


def moment(time: str) -> str:
    """A time as people read it, in UTC."""
    return f"{time[:10]} {time[11:16]} UTC" if len(time) >= 16 else time


def _parts(events: Iterable[Mapping[str, Any]]) -> Iterator[Part]:
    calls: dict[str, Part] = {}
    parts: list[Part] = []
    for event in events:
        call_id = string(event.get("tool_call_id"))
        if event.get("type") == "tool_output" and call_id in calls:
            part = calls[call_id]
            part.output, part.ok = _shortened(plain(string(event.get("output")))), event.get("success") is True
            part.images = _images(event)
        elif event.get("type") == "origin" and call_id in calls:
            calls[call_id].origin = _origin(event)
        elif part_of_event := _part(event):
            parts.append(part_of_event)
            if part_of_event.kind == "call":
                calls[call_id] = part_of_event
    return iter(parts)


def _part(event: Mapping[str, Any]) -> Part | None:
    time = string(event.get("time"))
    match event.get("type"):
        case "user_message":
            said = plain(string(event.get("content")))
            return Part("prompt", said, time, images=_images(event), attached=_attached(event))
        case "assistant_message":
            return Part(
                "answer", plain(string(event.get("content"))), time, reasoning=plain(string(event.get("reasoning")))
            )
        case "tool_call":
            return _call(event, time)
        case "notice":
            return Part("note", plain(string(event.get("text"))), time, title=string(event.get("level")))
        case "aside" if event.get("answer"):
            text = f"By the way: {plain(string(event.get('question')))}\n\n{plain(string(event['answer']))}"
            return Part("note", text, time, title="info")
        case "origin":  # of a call that a sub-agent has made
            return Part("note", f"{plain(string(event.get('tool')))}: {_origin(event)}", time, title="warning")
        case "error":
            return Part("note", plain(string(event.get("error"))), time, title="error")
        case "interrupted":
            return Part("note", "Interrupted.", time, title="warning")
        case "compacted":
            return Part("note", "The older part of the conversation was summarised.", time, title="info")
        case "undo_complete" if event.get("removed_messages"):
            return Part("note", f"Taken back: {event['removed_messages']} messages.", time, title="info")
    return None


def _images(event: Mapping[str, Any]) -> tuple[ImageRef, ...]:
    found = event.get("images")
    refs = []
    for item in found if isinstance(found, list) else ():
        with contextlib.suppress(ValidationError):
            refs.append(ImageRef.model_validate(item))
    return tuple(refs)


def _attached(event: Mapping[str, Any]) -> tuple[Attachment, ...]:
    found = event.get("attached")
    return tuple(
        Attachment(label=plain(string(item.get("label"))), text=_shortened(plain(string(item.get("text")))))
        for item in (found if isinstance(found, list) else ())
        if isinstance(item, Mapping)
    )


def _origin(event: Mapping[str, Any]) -> str:
    with contextlib.suppress(ValidationError):
        origin = Origin.model_validate(event.get("origin"))
        lead = "Not from the user: this follows an order " if origin.order else "Words of it were "
        return plain(f"{lead}{origin.found_in}")
    return ""


def _call(event: Mapping[str, Any], time: str) -> Part:
    given = event.get("arguments")
    arguments = dict(given) if isinstance(given, dict) else {}
    main = next((name for name in _SCRIPTS if isinstance(arguments.get(name), str)), "")
    text = plain(arguments.pop(main)) if main else ""
    details = json.dumps(arguments, ensure_ascii=False, indent=1) if arguments else ""
    return Part(
        "call",
        text,
        time,
        title=plain(string(event.get("tool"))),
        language=_SCRIPTS.get(main, ""),
        details=plain(details),
    )


def _shortened(text: str) -> str:
    if len(text) <= LONGEST_OUTPUT:
        return text
    half = LONGEST_OUTPUT // 2
    return f"{text[:half]}\n\n[… {len(text) - LONGEST_OUTPUT:,} characters left out …]\n\n{text[-half:]}"

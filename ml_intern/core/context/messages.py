"""The messages of a conversation, as the model sees them and as the log keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ml_intern.core.images import ImageRef

Role = Literal["system", "user", "assistant", "tool"]
Kind = Literal["plain", "guard", "summary", "context", "attached"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call as it stands in the history: `arguments` is always the text of a JSON object."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        role: As on the wire.
        content: Text.
        tool_calls: Calls of an assistant message.
        tool_call_id: Which call a tool message answers.
        name: Tool name of a tool message.
        kind: `plain` for what people, models and tools said. `guard` is a notice of ours to the model, `summary` stands
            for messages that were compacted away, `context` carries volatile facts, `attached` what went with the
            prompt before it. Undo, titles and counts look at `plain` user messages only.
        reasoning: The model's reasoning text, replayed only where the provider wants it.
        provider: Fields a provider needs back unchanged (signed thinking blocks, for example).
        images: What is shown with the text, as far as the model takes images; `wire` is the message without them.
    """

    role: Role
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    kind: Kind = "plain"
    reasoning: str = ""
    provider: dict[str, Any] = field(default_factory=dict)
    images: tuple[ImageRef, ...] = ()
    _encoded: dict[tuple[str, ...], str] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def is_prompt(self) -> bool:
        """Whether a person wrote it."""
        return self.role == "user" and self.kind == "plain"

    @property
    def told(self) -> str:
        """The text, with its images in words."""
        labels = [image.label for image in self.images if image.label not in self.content]
        return "\n".join([*([self.content] if self.content else []), *labels])

    def wire(self) -> dict[str, Any]:
        """The message in the OpenAI chat format, without reasoning, images or provider fields."""
        message: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            message["content"] = self.content or None
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in self.tool_calls
            ]
        if self.role == "tool":
            message["tool_call_id"] = self.tool_call_id
        return message

    def encoded(self, extra: Mapping[str, Any] | None = None) -> str:
        """`wire` as JSON text. Made once: a message is sent with every request that follows it.

        Args:
            extra: Fields to be sent beside it. They come from the message: of one name they are always the same.
        """
        names = tuple(extra) if extra else ()
        if (known := self._encoded.get(names)) is None:
            known = self._encoded[names] = json.dumps({**self.wire(), **(extra or {})}, ensure_ascii=False)
        return known

    def record(self) -> dict[str, Any]:
        """The message as the session log keeps it: everything, without empty fields."""
        record = self.wire()
        for key in ("name", "reasoning", "provider"):
            if value := getattr(self, key):
                record[key] = value
        if self.kind != "plain":
            record["kind"] = self.kind
        if self.images:
            record["images"] = [image.model_dump() for image in self.images]
        return record

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Message:
        """The inverse of `record`.

        Raises:
            KeyError, TypeError, AttributeError, ValueError: The record is not one of ours.
        """
        calls = tuple(
            ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
            for call in record.get("tool_calls") or ()
        )
        return cls(
            role=record["role"],
            content=record.get("content") or "",
            tool_calls=calls,
            tool_call_id=record.get("tool_call_id"),
            name=record.get("name"),
            kind=record.get("kind", "plain"),
            reasoning=record.get("reasoning", ""),
            provider=record.get("provider", {}),
            images=tuple(ImageRef.model_validate(image) for image in record.get("images") or ()),
        )

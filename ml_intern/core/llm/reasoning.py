"""Reasoning: collected from a stream, and given back to the providers that want it.

Providers show reasoning under different names, and some must get it back unchanged with the next request: signed
thinking blocks, structured details, plain text. What came is kept in `Reply.provider`; what is sent back is decided per
model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Literal

from ml_intern.core.context.messages import Message

TEXT_KEYS = ("reasoning_content", "reasoning")
_BLOCK_KEYS = ("thinking_blocks", "reasoning_details", "reasoning_items")

ORIGIN = "origin"
"""Key in `Message.provider`: the model that wrote the fields beside it."""
_TEXT_KEY = "text_key"

WANTED_BACK = ("*deepseek-v*", "*kimi-k*", "*minimax-m*", "*glm-[4-9]*", "*gpt-oss*")
"""Models whose makers ask for the reasoning of earlier replies, by their names in lower case."""

Replay = Literal["auto", "always", "never"]


@dataclass(slots=True)
class ReasoningRecord:
    """The reasoning of one reply as it streams in."""

    _pieces: list[str] = field(default_factory=list)
    _text_key: str = ""
    _blocks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All of it, as people read it."""
        return "".join(self._pieces)

    def take(self, delta: Mapping[str, Any]) -> list[str]:
        """Takes what a delta holds of reasoning; returns the text to show."""
        for key in _BLOCK_KEYS:
            for block in delta.get(key) or ():
                if isinstance(block, dict):
                    _merge(self._blocks.setdefault(key, []), block)
        for key in TEXT_KEYS:
            piece = delta.get(key)
            if isinstance(piece, str) and piece:
                # The same piece under both names is one piece.
                self._text_key = self._text_key or key
                self.add_text(piece)
                return [piece]
        return []

    def add_text(self, piece: str) -> None:
        """Adds text that came some other way."""
        self._pieces.append(piece)

    def provider_fields(self) -> dict[str, Any]:
        """What has to be kept to give the reasoning back."""
        fields: dict[str, Any] = {key: _whole(blocks) for key, blocks in self._blocks.items() if _whole(blocks)}
        if self._text_key:
            fields[_TEXT_KEY] = self._text_key
        return fields


def replayed(message: Message, model: str, replay: Replay) -> dict[str, Any]:
    """The reasoning fields that go out with an assistant message.

    Args:
        message: The message.
        model: Id of the model that is asked.
        replay: `auto` sends blocks back to the model that wrote them, and text to models that want it; a provider that
            refused or missed them sets `never` or `always`.
    """
    if message.role != "assistant" or replay == "never":
        return {}
    fields = message.provider
    sent: dict[str, Any] = {}
    if fields.get(ORIGIN) == model:
        sent = {key: fields[key] for key in _BLOCK_KEYS if fields.get(key)}
    if replay == "always" or (message.reasoning and not sent and wants_text(model)):
        sent[fields.get(_TEXT_KEY) or TEXT_KEYS[0]] = message.reasoning
    return sent


@lru_cache(maxsize=64)
def wants_text(model: str) -> bool:
    """Whether a model's makers ask for its earlier reasoning text."""
    name = model.lower().rpartition("/")[2]
    return any(fnmatchcase(name, pattern) for pattern in WANTED_BACK)


def _merge(blocks: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    """Adds a piece of a block to the block it continues: same type and index, and not yet signed."""
    last = blocks[-1] if blocks else None
    continues = (
        last is not None
        and last.get("type") == piece.get("type")
        and last.get("index") == piece.get("index")
        and not last.get("signature")
        and "data" not in piece
        and (not piece.get("id") or last.get("id") in {None, piece.get("id")})
    )
    if last is None or not continues:
        blocks.append(dict(piece))
        return
    for key, value in piece.items():
        if key in {"thinking", "text", "summary"} and isinstance(value, str) and isinstance(last.get(key), str):
            last[key] += value
        elif value:
            last[key] = value


def _whole(blocks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Blocks without thinking that was never signed: a provider would refuse it."""
    return [block for block in blocks if block.get("type") != "thinking" or block.get("signature")]

"""Builds one reply out of streamed chunks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ml_intern.core.llm.call_parts import CallAssembler
from ml_intern.core.llm.reasoning import ReasoningRecord
from ml_intern.core.llm.types import Chunk, Delta, Reply, Usage
from ml_intern.core.llm.usage import parse_usage

_FINISH_WORDS: Mapping[str, str] = {
    "end_turn": "stop",
    "eos": "stop",
    "stop_sequence": "stop",
    "STOP": "stop",
    "max_tokens": "length",
    "model_length": "length",
    "MAX_TOKENS": "length",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "SAFETY": "content_filter",
}
"""Other words for the finish reasons of the OpenAI wire."""


class Accumulator:
    """Takes OpenAI-shaped chunks one by one, gives the deltas to show, and at the end the reply.

    A reply is whole when some chunk brought a finish reason. The wire's `[DONE]` does not count: proxies send it too
    after the model behind them has gone, and half an answer taken for a whole one is worse than asking again.

    Args:
        tool_names: Names of the tools that were offered.
    """

    def __init__(self, tool_names: Iterable[str] = ()) -> None:
        self._text: list[str] = []
        self._calls = CallAssembler(tool_names)
        self._reasoning = ReasoningRecord()
        self._finish_reason = ""
        self._usage: Usage | None = None
        self._model = ""

    @property
    def text(self) -> str:
        """The answer text so far."""
        return "".join(self._text)

    @property
    def finished(self) -> bool:
        """Whether the model said that it was done."""
        return bool(self._finish_reason)

    @property
    def failed(self) -> bool:
        """Whether the model broke down over it, which some servers report as a finish reason."""
        return self._finish_reason == "error"

    def feed(self, chunk: Chunk) -> list[Delta]:
        """Takes a chunk; returns what it adds to the reply, in order."""
        if not self._model and isinstance(model := chunk.get("model"), str):
            self._model = model
        if isinstance(usage := chunk.get("usage"), dict) and (counted := parse_usage(usage)):
            self._usage = counted
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return []
        if reason := choice.get("finish_reason"):
            self._finish_reason = _FINISH_WORDS.get(reason, str(reason))
        delta = choice.get("delta") or choice.get("message")
        return self._take(delta) if isinstance(delta, dict) else []

    def reply(self) -> Reply:
        """The reply as far as it has come; `usage` is empty when the provider sent none."""
        return Reply(
            content=self.text,
            reasoning=self._reasoning.text,
            tool_calls=self._calls.finish(),
            finish_reason=self._finish_reason,
            usage=self._usage or Usage(),
            provider=self._reasoning.provider_fields(),
            model=self._model,
        )

    def _take(self, delta: dict[str, Any]) -> list[Delta]:
        content = delta.get("content")
        if len(delta) == 1 and isinstance(content, str):
            return self._take_text(content)
        deltas = [Delta("reasoning", piece) for piece in self._reasoning.take(delta)]
        if isinstance(content, str):
            deltas += self._take_text(content)
        elif isinstance(content, list):
            deltas += self._take_parts(content)
        if isinstance(refusal := delta.get("refusal"), str):
            deltas += self._take_text(refusal)
        calls = delta.get("tool_calls")
        for piece in calls if isinstance(calls, list) else [calls]:
            if isinstance(piece, dict):
                deltas += self._take_call(piece)
        if isinstance(legacy := delta.get("function_call"), dict):
            deltas += self._take_call({"index": 0, "function": legacy})
        return deltas

    def _take_text(self, text: str) -> list[Delta]:
        if not text:
            return []
        self._text.append(text)
        return [Delta("text", text)]

    def _take_parts(self, parts: list[Any]) -> list[Delta]:
        """Content as a list of parts, some of which may be reasoning."""
        deltas: list[Delta] = []
        for part in parts:
            if isinstance(part, str):
                deltas += self._take_text(part)
            elif not isinstance(part, dict):
                continue
            elif isinstance(text := part.get("text"), str):
                deltas += self._take_text(text)
            elif piece := _thinking_text(part.get("thinking")):
                self._reasoning.add_text(piece)
                deltas.append(Delta("reasoning", piece))
        return deltas

    def _take_call(self, piece: dict[str, Any]) -> list[Delta]:
        added = self._calls.add(piece)
        deltas = []
        if added.name:
            deltas.append(Delta("tool_name", added.name, added.position))
        if added.arguments:
            deltas.append(Delta("tool_arguments", added.arguments, added.position))
        return deltas


def _thinking_text(thinking: object) -> str:
    if isinstance(thinking, str):
        return thinking
    parts = thinking if isinstance(thinking, list) else []
    return "".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))

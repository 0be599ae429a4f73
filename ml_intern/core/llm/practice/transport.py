"""The practice model as a transport: the next reply, streamed word by word like anybody else's."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from ml_intern.core.llm.practice.material import material
from ml_intern.core.llm.practice.policy import Step, answer_aside, decide, summarize
from ml_intern.core.llm.practice.story import read_story
from ml_intern.core.llm.types import Chunk, Request

PACE_VARIABLE = "ML_INTERN_PRACTICE_PACE_MS"
DEFAULT_PACE_MS = 6.0
"""Wait after each word: quick to read along, and not more than three seconds in a whole session."""

_WORD = re.compile(r"\s*\S+\s*")
_ARGUMENT_CHARS = 400


class PracticeTransport:
    """Answers from prepared material and from what the tools in the conversation have said. Keeps no state.

    Args:
        pace_s: Seconds after each word; by default what `ML_INTERN_PRACTICE_PACE_MS` says, or a natural pace.
        env: Environment variables.
    """

    def __init__(self, pace_s: float | None = None, env: Mapping[str, str] | None = None) -> None:
        self._pace_s = _pace(os.environ if env is None else env) if pace_s is None else pace_s

    async def send(self, request: Request) -> AsyncIterator[Chunk]:
        """Yields the chunks of the next reply."""
        step = _next_step(request)
        calls = _wire_calls(step, request)
        finish = "tool_calls" if calls else "stop"
        if not request.stream:
            yield _chunk(request, _whole(step, calls), finish)
            return
        for delta in _spoken(step):
            yield _chunk(request, delta)
            await asyncio.sleep(self._pace_s)
        for delta in _written(calls):
            yield _chunk(request, delta)
        yield _chunk(request, {}, finish)

    async def aclose(self) -> None:
        """Nothing is open."""


def _pace(env: Mapping[str, str]) -> float:
    try:
        return max(0.0, float(env.get(PACE_VARIABLE) or DEFAULT_PACE_MS)) / 1000
    except ValueError:
        return DEFAULT_PACE_MS / 1000


def _next_step(request: Request) -> Step:
    if request.kind == "aside":
        *said, asked = request.messages
        question = asked.content.partition("\n\n")[2] or asked.content
        return answer_aside(read_story(said, material()), question, material())
    if request.kind != "main":
        return Step(summarize("\n".join(message.content for message in request.messages), material()))
    step = decide(read_story(request.messages, material()), material())
    offered = {tool["function"]["name"] for tool in request.tools}
    missing = next((name for name, _ in step.calls if name not in offered), None)
    return step if missing is None else Step(material().say("no_tool", tool=missing))


def _wire_calls(step: Step, request: Request) -> list[dict[str, Any]]:
    # The length of the conversation makes ids unique in it, and the same ones again after an undo.
    return [
        {
            "index": index,
            "id": f"practice_{len(request.messages)}_{index}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)},
        }
        for index, (name, arguments) in enumerate(step.calls)
    ]


def _whole(step: Step, calls: list[dict[str, Any]]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": step.text}
    if step.thought:
        message["reasoning_content"] = step.thought
    if calls:
        message["tool_calls"] = calls
    return message


def _spoken(step: Step) -> Iterator[dict[str, Any]]:
    for word in _WORD.findall(step.thought):
        yield {"reasoning_content": word}
    for word in _WORD.findall(step.text):
        yield {"content": word}


def _written(calls: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for call in calls:
        arguments = call["function"]["arguments"]
        yield {"tool_calls": [{**call, "function": {"name": call["function"]["name"], "arguments": ""}}]}
        for start in range(0, len(arguments), _ARGUMENT_CHARS):
            piece = arguments[start : start + _ARGUMENT_CHARS]
            yield {"tool_calls": [{"index": call["index"], "function": {"arguments": piece}}]}


def _chunk(request: Request, delta: dict[str, Any], finish: str | None = None) -> Chunk:
    return {
        "object": "chat.completion.chunk",
        "model": request.model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }

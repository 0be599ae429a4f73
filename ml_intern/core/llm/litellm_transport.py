"""Every provider that does not speak the OpenAI chat wire, through litellm.

litellm costs seconds and much memory to import, so that happens late and in a thread. It is kept from what it likes to
do on its own: looking up prices in the network, printing banners over the screen, retrying, and giving up on a model
that says the same thing a hundred times.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
from collections.abc import AsyncIterator
from typing import Any

from ml_intern.core.llm.errors import LLMError, from_exception, stream_cut, timed_out
from ml_intern.core.llm.params import build_body, build_headers
from ml_intern.core.llm.routing import Route
from ml_intern.core.llm.types import Chunk, Request
from ml_intern.core.settings import LLMSettings

_OFFLINE = (
    "LITELLM_LOCAL_MODEL_COST_MAP",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS",
    "LITELLM_LOCAL_BLOG_POSTS",
    "LITELLM_LOCAL_POLICY_TEMPLATES",
)
"""Switches that make litellm use the data it was installed with; read when it is imported."""
_NO_REPEAT_LIMIT = 10**9
_UNKNOWN = object()


@functools.cache
def load_litellm() -> Any:
    """Imports litellm, once, and settles it. Takes seconds: call it in a thread."""
    for name in _OFFLINE:
        os.environ.setdefault(name, "True")
    import litellm

    litellm.suppress_debug_info = True
    litellm.modify_params = True
    litellm.telemetry = False
    litellm.num_retries = 0
    litellm.disable_aiohttp_transport = True
    litellm.REPEATED_STREAMING_CHUNK_LIMIT = _NO_REPEAT_LIMIT
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        # Its handlers write to the terminal; records still reach the handlers of the program.
        logging.getLogger(name).handlers.clear()
    return litellm


async def close_litellm() -> None:
    """Closes the connections that litellm keeps, if it was loaded at all."""
    if load_litellm.cache_info().currsize:
        await load_litellm().close_litellm_async_clients()


class LiteLLMTransport:
    """Speaks to one route.

    Args:
        route: Where to.
        settings: Timeouts.
    """

    def __init__(self, route: Route, settings: LLMSettings) -> None:
        self._route = route
        self._settings = settings

    async def send(self, request: Request) -> AsyncIterator[Chunk]:
        """Yields the chunks of one reply.

        Raises:
            LLMError: Typed by exception class and HTTP status.
        """
        litellm = await asyncio.to_thread(load_litellm)
        answer = await self._open(litellm, request)
        if not request.stream:
            yield _as_chunk(answer)
            return
        async with contextlib.aclosing(answer):
            limit = self._settings.first_byte_timeout_s
            while (chunk := await self._next(answer, limit)) is not None:
                limit = self._settings.idle_timeout_s
                yield chunk

    async def aclose(self) -> None:
        """Nothing of its own to close: litellm keeps the connections (see `close_litellm`)."""

    async def _open(self, litellm: Any, request: Request) -> Any:
        limit = self._settings.first_byte_timeout_s
        try:
            async with asyncio.timeout(limit):
                answer = await litellm.acompletion(**self._arguments(request))
        except TimeoutError as error:
            raise timed_out(self._route, limit) from error
        except Exception as error:  # whatever litellm raises becomes one typed error here
            raise from_exception(error, self._route) from error
        if answer is None:
            raise stream_cut(self._route, "is empty")
        return answer

    def _arguments(self, request: Request) -> dict[str, Any]:
        import httpx

        route = self._route
        arguments = build_body(request, route)
        if "cache_control" in arguments:
            arguments["extra_body"] = {"cache_control": arguments.pop("cache_control")}
        if headers := build_headers(request, route):
            arguments["extra_headers"] = headers
        if route.base_url:
            arguments["api_base"] = route.base_url
        # The client library behind the OpenAI wire insists on some key.
        if route.api_key or route.wire_model.startswith("openai/"):
            arguments["api_key"] = route.api_key or "none"
        limit = self._settings.first_byte_timeout_s
        arguments["timeout"] = httpx.Timeout(limit, connect=self._settings.connect_timeout_s)
        # On the OpenAI wire, dropping parameters would mean repeating refused requests unasked.
        drop = not route.wire_model.startswith("openai/")
        return {**arguments, **route.arguments, "drop_params": drop, "num_retries": 0, "max_retries": 0}

    async def _next(self, answer: Any, limit: float) -> Chunk | None:
        """The next chunk as a plain dict; None at the end."""
        try:
            async with asyncio.timeout(limit):
                chunk = await anext(answer, None)
        except TimeoutError as error:
            raise stream_cut(self._route, f"stopped: no byte came for {limit:g} s") from error
        except Exception as error:  # as above
            raise self._broken(error) from error
        if chunk is None:
            return None
        plain: Chunk = chunk.model_dump(exclude_none=True)
        if _claims_end(plain) and not _saw_end(answer):
            raise stream_cut(self._route, "ended without a finish reason")
        return plain

    def _broken(self, error: Exception) -> LLMError:
        """A fault while the reply was coming in."""
        found = from_exception(error, self._route)
        return stream_cut(self._route, "broke off in the middle") if found.kind in {"connection", "timeout"} else found


def _as_chunk(answer: Any) -> Chunk:
    whole: Chunk = answer.model_dump(exclude_none=True)
    choices = [
        {"index": 0, "delta": choice.get("message", {}), "finish_reason": choice.get("finish_reason")}
        for choice in whole.get("choices", ())[:1]
    ]
    return {**whole, "choices": choices}


def _claims_end(chunk: Chunk) -> bool:
    return any(choice.get("finish_reason") for choice in chunk.get("choices", ()))


def _saw_end(answer: Any) -> bool:
    """Whether the provider sent a finish reason. litellm makes one up for a stream that just stops."""
    received = getattr(answer, "received_finish_reason", _UNKNOWN)
    return received is not None or getattr(answer, "intermittent_finish_reason", None) is not None

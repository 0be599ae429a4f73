"""The OpenAI chat wire over httpx: the Hugging Face router, local servers, OpenAI and what is compatible with it.

One attempt and nothing hidden: no retries, no redirects, errors typed from the status.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from ml_intern.core.llm.encoding import Encoder
from ml_intern.core.llm.errors import (
    LLMError,
    from_exception,
    from_status,
    from_stream_error,
    no_api,
    stream_cut,
    timed_out,
)
from ml_intern.core.llm.http_pool import HttpPool
from ml_intern.core.llm.params import build_headers
from ml_intern.core.llm.routing import Route
from ml_intern.core.llm.sse import SSEParser
from ml_intern.core.llm.types import Chunk, Request
from ml_intern.core.settings import LLMSettings

if TYPE_CHECKING:
    import httpx

MAX_ERROR_BYTES = 64 * 1024
ERROR_BODY_TIMEOUT_S = 10.0
DRAIN_TIMEOUT_S = 0.05


class WireTransport:
    """Speaks to one route.

    Args:
        route: Where to.
        pool: HTTP clients, shared by all routes; whoever made the pool closes it.
        settings: Timeouts.
        encoder: Knows what was sent before, on whatever route.
    """

    def __init__(self, route: Route, pool: HttpPool, settings: LLMSettings, encoder: Encoder) -> None:
        self._encoder = encoder
        self._route = route
        self._pool = pool
        self._settings = settings

    async def send(self, request: Request) -> AsyncIterator[Chunk]:
        """Yields the chunks of one reply.

        Raises:
            LLMError: Typed by exception and HTTP status.
        """
        response = await self._open(request)
        try:
            if response.status_code >= 300:
                raise from_status(response.status_code, await _error_body(response), response.headers, self._route)
            content_type = response.headers.get("content-type", "")
            if "html" in content_type:
                raise no_api(self._route, await _error_body(response))
            if not request.stream or "json" in content_type:
                yield await self._whole(response)
                return
            events = _Events(response, self._route, self._settings)
            while (batch := await events.read()) is not None:
                for data in batch:
                    if data == "[DONE]":
                        await events.drain()
                        return
                    for chunk in self._chunks(data):
                        yield chunk
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Nothing of its own to close: connections belong to the pool."""

    async def _open(self, request: Request) -> httpx.Response:
        """Sends the request and waits for the headers."""
        content = self._encoder.encode(request, self._route)
        headers = {"Content-Type": "application/json", **build_headers(request, self._route)}
        if self._route.api_key:
            headers["Authorization"] = f"Bearer {self._route.api_key}"
        limit = self._settings.first_byte_timeout_s
        try:
            client = await self._pool.client(self._route.base_url)
            outgoing = client.build_request(
                "POST", f"{self._route.base_url}/chat/completions", content=content, headers=headers
            )
            async with asyncio.timeout(limit):
                return await client.send(outgoing, stream=True)
        except TimeoutError as error:
            raise timed_out(self._route, limit) from error
        except Exception as error:  # whatever a client library raises becomes one typed error here
            raise from_exception(error, self._route) from error

    def _chunks(self, data: str) -> list[Chunk]:
        """The chunks in one event's data; more than one where a server leaves out the blank lines."""
        try:
            found = [json.loads(data)]
        except ValueError:
            found = self._line_by_line(data)
        for chunk in found:
            self._check(chunk)
        return found

    def _line_by_line(self, data: str) -> list[Any]:
        lines = [line for line in data.splitlines() if line and line != "[DONE]"]
        try:
            return [json.loads(line) for line in lines] if len(lines) > 1 else [None]
        except ValueError:
            return [None]

    def _check(self, chunk: object) -> None:
        if not isinstance(chunk, dict):
            raise stream_cut(self._route, "could not be read: a piece of it is not JSON")
        if chunk.get("error"):
            raise from_stream_error(chunk["error"], self._route)
        if chunk.get("object") == "error" or (chunk.get("type") == "error" and "choices" not in chunk):
            raise from_stream_error(chunk, self._route)

    async def _whole(self, response: httpx.Response) -> Chunk:
        """A reply that came in one piece, as one chunk."""
        limit = self._settings.first_byte_timeout_s
        try:
            async with asyncio.timeout(limit):
                body = await response.aread()
        except TimeoutError as error:
            raise timed_out(self._route, limit) from error
        except Exception as error:  # as above
            raise _broken(error, self._route) from error
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        self._check(answer)
        return self._as_chunk(answer)

    def _as_chunk(self, answer: dict[str, Any]) -> Chunk:
        try:
            choice = answer["choices"][0]
            message = dict(choice["message"])
        except (LookupError, TypeError, ValueError) as error:
            raise stream_cut(self._route, "could not be read: it holds no message") from error
        # The body is whole by its length, so a missing reason is only an omission.
        reason = choice.get("finish_reason") or ("tool_calls" if message.get("tool_calls") else "stop")
        return {**answer, "choices": [{"index": 0, "delta": message, "finish_reason": reason}]}


class _Events:
    """The events of a streamed body, with a limit on every silence."""

    def __init__(self, response: httpx.Response, route: Route, settings: LLMSettings) -> None:
        self._pieces = response.aiter_bytes()
        self._parser: SSEParser | None = SSEParser()
        self._route = route
        self._limit = settings.first_byte_timeout_s
        self._idle_limit = settings.idle_timeout_s

    async def read(self) -> list[str] | None:
        """The data of the events that the next bytes complete, perhaps none; None at the end."""
        if self._parser is None:
            return None
        piece = await self._next_piece()
        try:
            if piece is not None:
                return self._parser.feed(piece)
            rest, self._parser = self._parser.close(), None
        except ValueError as error:
            raise stream_cut(self._route, f"could not be read ({error})") from error
        return rest

    async def drain(self) -> None:
        """Reads the end of the body, which follows at once, so that the connection can serve the next request."""
        with contextlib.suppress(LLMError, TimeoutError):
            async with asyncio.timeout(DRAIN_TIMEOUT_S):
                while await self._next_piece() is not None:
                    pass

    async def _next_piece(self) -> bytes | None:
        try:
            async with asyncio.timeout(self._limit):
                piece = await anext(self._pieces, None)
        except TimeoutError as error:
            raise stream_cut(self._route, f"stopped: no byte came for {self._limit:g} s") from error
        except Exception as error:  # whatever a client library raises becomes one typed error here
            raise _broken(error, self._route) from error
        self._limit = self._idle_limit
        return piece


async def _error_body(response: httpx.Response) -> str:
    """The start of an error's text. One that breaks off changes nothing about the refusal."""
    import httpx

    read = bytearray()
    with contextlib.suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(ERROR_BODY_TIMEOUT_S):
            async for piece in response.aiter_bytes():
                read += piece
                if len(read) >= MAX_ERROR_BYTES:
                    break
    return bytes(read[:MAX_ERROR_BYTES]).decode("utf-8", "replace")


def _broken(error: Exception, route: Route) -> LLMError:
    """A fault while the body was coming in."""
    found = from_exception(error, route)
    return stream_cut(route, "broke off in the middle") if found.kind in {"connection", "timeout"} else found

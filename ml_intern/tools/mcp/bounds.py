"""Bounds on what a server at an address may send in one message: it is held in memory as a whole.

Without them an answer of a megabyte, packed twice, takes all memory there is and holds the event loop up for a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from ml_intern.services.bodies import PackedError, unpacking
from ml_intern.tools.mcp.process import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    import httpx2

_TURN_BYTES = 1 << 20
"""After so many the event loop gets its turn."""
_EVENT_ENDS = (b"\n\n", b"\r\r", b"\r\n\r\n")


def bound(response: httpx2.Response, blame: Callable[[str], None]) -> None:
    """Bounds the body of a response, which nobody has begun to read.

    Args:
        response: The response.
        blame: Told what is wrong with it, since the client only says that the connection was closed.
    """
    import httpx2

    events = response.headers.get("content-type", "").lower().startswith("text/event-stream")
    packing = response.headers.pop("content-encoding", "")
    stream = response.stream
    assert isinstance(stream, httpx2.AsyncByteStream)
    inner: httpx2.AsyncByteStream = stream

    class Bounded(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            try:
                async for piece in _bounded(inner, packing, events=events):
                    yield piece
            except (PackedError, TooMuchError) as error:
                blame(str(error))
                raise httpx2.ReadError(str(error)) from error

        async def aclose(self) -> None:
            await inner.aclose()

    response.stream = Bounded()


class TooMuchError(Exception):
    """A message is longer than it may be; the text says so."""


async def _bounded(pieces: Any, packing: str, *, events: bool) -> AsyncIterator[bytes]:
    unpack = unpacking(packing)
    size = since_turn = 0
    end = b""
    async for packed in pieces:
        for piece in unpack(packed):
            size += len(piece)
            if events:  # a stream may go on for ever, one event of it may not
                begun = max((end + piece).rfind(mark) for mark in _EVENT_ENDS)
                size = size if begun < 0 else len(end) + len(piece) - begun
                end = (end + piece)[-3:]
            if size > MAX_MESSAGE_BYTES:
                raise TooMuchError(f"it sent a message of more than {MAX_MESSAGE_BYTES // 2**20} MB")
            yield piece
            since_turn += len(piece)
            if since_turn > _TURN_BYTES:
                since_turn = 0
                await asyncio.sleep(0)

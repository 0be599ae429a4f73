from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Iterable

import httpx2
import pytest

from ml_intern.tools.mcp.bounds import bound


class Pieces(httpx2.AsyncByteStream):
    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


async def read(pieces: Iterable[bytes], faults: list[str], **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx2.Response(200, headers=named, stream=Pieces(pieces))
    bound(response, faults.append)
    return sum([len(piece) async for piece in response.aiter_bytes()])


async def test_a_packed_answer_is_unpacked() -> None:
    packed = gzip.compress(b"words " * 10_000)
    pieces = [packed[:7], packed[7:20], packed[20:]]
    assert await read(pieces, [], content_type="application/json", content_encoding="gzip") == 60_000


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
async def test_a_stream_of_events_has_no_end_but_each_event_has(end: bytes) -> None:
    faults: list[str] = []
    data = b"data: " + b"x" * 1_000_000
    events = [data + end] * 20
    cut = [data + end[:1], *[end[1:] + data + end[:1]] * 20]  # ends within a mark
    assert await read(events, faults, content_type="text/event-stream") == 20 * len(events[0])
    assert await read(cut, faults, content_type="text/event-stream; charset=utf-8") > 20_000_000
    assert faults == []
    with pytest.raises(httpx2.ReadError, match="more than 16 MB"):
        await read([*events, *[data + b"\n"] * 20], faults, content_type="text/event-stream")
    with pytest.raises(httpx2.ReadError, match="more than 16 MB"):
        await read(events, faults, content_type="application/json")
    assert faults == ["it sent a message of more than 16 MB"] * 2

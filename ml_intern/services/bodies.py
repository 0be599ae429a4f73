"""Bodies of answers: unpacked within bounds, and decoded into text whatever they say they are."""

from __future__ import annotations

import asyncio
import codecs
import zlib
from collections.abc import AsyncIterable, Callable, Iterator

from ml_intern.services.markup import charset_of

ENCODINGS = "gzip, deflate"
"""The packings that are asked for: those that can be unpacked a piece at a time."""
_PIECE = 1 << 20
"""Bytes that are unpacked at once; the event loop gets its turn after each."""
_NO_TEXT = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "unicode-escape",
                      "raw-unicode-escape", "utf-7"})  # fmt: skip
"""Codecs that Python has and no page is written in: some fail over what they do not like, some take for ever."""

Unpack = Callable[[bytes], Iterator[bytes]]


class TooLongError(Exception):
    """A body is longer than it may be."""


class PackedError(Exception):
    """A body is packed in a way that cannot be undone; the text says which."""


async def body_of(pieces: AsyncIterable[bytes], encoding: str, most: int) -> bytes:
    """A whole body, unpacked. A few bytes can be packed so that gigabytes come out: no more is unpacked than may be.

    Args:
        pieces: It as it came.
        encoding: The `Content-Encoding` it came with, or empty.
        most: Most bytes, packed and unpacked.

    Raises:
        TooLongError: It is longer.
        PackedError: It cannot be unpacked.
    """
    unpack = unpacking(encoding)
    body, came = bytearray(), 0
    async for packed in pieces:
        came += len(packed)
        for piece in unpack(packed):
            body += piece
            if len(body) > most:
                raise TooLongError
            if len(piece) >= _PIECE:
                await asyncio.sleep(0)
        if came > most:
            raise TooLongError
    return bytes(body)


def text_of(body: bytes, content_type: str) -> str:
    """A body as text, in the encoding that its type or the page itself names, else UTF-8; never fails."""
    named = content_type.lower().partition("charset=")[2].split(";")[0].strip(" \"'")
    for charset in filter(None, (named, charset_of(body))):
        try:
            if codecs.lookup(charset).name not in _NO_TEXT:
                return body.decode(charset, errors="replace")
        except (LookupError, ValueError):  # not known, no text, or a name that is none
            continue
    return body.decode("utf-8-sig", errors="replace")


def unpacking(encoding: str) -> Unpack:
    """What undoes a packing, piece by piece, in steps of bounded size.

    Raises:
        PackedError: Nothing here does; the result itself raises it over what is damaged.
    """
    packings = [name for part in encoding.lower().split(",") if (name := part.strip()) not in ("", "identity")]
    if not packings:
        return lambda packed: iter((packed,))
    if len(packings) > 1 or packings[0] not in ("gzip", "x-gzip", "deflate"):
        raise PackedError(f"it sent something packed as {encoding[:60]}, which is not undone here")
    return _Unpacker().pieces


class _Unpacker:
    """Undoes gzip and deflate, the latter with and without the frame that it should have."""

    def __init__(self) -> None:
        self._work = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._begun = False

    def pieces(self, packed: bytes) -> Iterator[bytes]:
        while packed:
            try:
                piece = self._work.decompress(packed, _PIECE)
            except zlib.error as error:
                if self._begun:
                    raise PackedError(f"it sent something damaged ({error})") from error
                self._work, self._begun = zlib.decompressobj(-zlib.MAX_WBITS), True
                continue
            self._begun = True
            packed = self._work.unconsumed_tail
            yield piece

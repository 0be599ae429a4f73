"""Small image files, made here byte by byte."""

from __future__ import annotations

import struct
import zlib


def png(width: int = 8, height: int = 6, grey: int = 128, padding: int = 0) -> bytes:
    """A grey PNG that every reader takes; `padding` bytes of comment make it larger."""
    rows = b"".join(b"\0" + bytes([grey]) * width for _ in range(height))
    parts = [
        _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        *([_chunk(b"tEXt", b"Comment\0" + b"x" * padding)] if padding else []),
        _chunk(b"IDAT", zlib.compress(rows)),
        _chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def jpeg(width: int = 8, height: int = 6) -> bytes:
    """The frame of a JPEG: an application segment, the size, the end."""
    segment = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0" + bytes(9)
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + bytes(3)
    return b"\xff\xd8" + segment + frame + b"\xff\xd9"


def gif(width: int = 8, height: int = 6) -> bytes:
    """A GIF without pictures."""
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b"\x3b"


def webp(width: int = 8, height: int = 6) -> bytes:
    """The head of an extended WebP."""
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4)
    body += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

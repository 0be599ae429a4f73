"""Images of a conversation: what they are, which of them fit, and what is said of them in words.

The bytes lie in a file of their own; events and messages carry a reference. What an image is goes by its first bytes,
never by its name.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from pathlib import PurePath

from pydantic import BaseModel, ConfigDict

MAX_BYTES = 3_932_160
"""Bytes of one image: in base64 that makes 5 MB, the most that all providers take."""
MAX_SIDE = 8_000
"""Pixels of one side."""
MAX_IMAGES = 20
"""Images of one prompt, and of one request."""
MAX_TOTAL = 20_000_000
"""Bytes of all images of one request."""
SNIFFED_BYTES = 32
"""So many bytes tell whether a file is an image."""

_DROPPED_AT_ONCE = 5
_LONGEST_EDGE = 1_568  # providers scale larger images down to about this
_PIXELS_PER_TOKEN = 750
_TOKENS = (85, 1_600)
_NAME_CHARS = 80

ENDINGS = {"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp"}
"""The kinds of images that models take, with the ending of their files."""


class ImageError(Exception):
    """An image that cannot be used; the message says why, and what to do."""


class ImageRef(BaseModel):
    """An image, without its bytes.

    Attributes:
        file: Name of the file that holds them, beside the session's log: a part of its SHA-256 and an ending.
        name: What people call it.
        media: Its media type.
        width: In pixels.
        height: In pixels.
        size: Bytes.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    file: str
    name: str
    media: str
    width: int
    height: int
    size: int

    @property
    def label(self) -> str:
        """The image in words, wherever it cannot be shown."""
        return f"[image {self.name} {self.width}×{self.height}]"

    @property
    def facts(self) -> str:
        """Its pixels and its size, for people."""
        return f"{self.width}×{self.height} · {human_size(self.size)}"

    @property
    def tokens(self) -> int:
        """About how many tokens it takes; each provider has a formula of its own."""
        scale = min(1.0, _LONGEST_EDGE / max(self.width, self.height, 1))
        low, high = _TOKENS
        return min(high, max(low, math.ceil(self.width * self.height * scale * scale / _PIXELS_PER_TOKEN)))


class Shape(BaseModel):
    """What the bytes of an image tell: media type and pixels."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    media: str
    width: int
    height: int


def kind_of(start: bytes) -> str:
    """The media type that the first `SNIFFED_BYTES` of a file tell; empty when it is no image that models take."""
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if start.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if start.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/webp" if start.startswith(b"RIFF") and start[8:12] == b"WEBP" else ""


def shape_of(data: bytes, name: str) -> Shape:
    """What an image is, if it can be sent to a model.

    Args:
        data: The whole file.
        name: What people call it.

    Raises:
        ImageError: It is no image, it is damaged, or it is too large.
    """
    media = kind_of(data[:SNIFFED_BYTES])
    if not media:
        raise ImageError(f"{name} is no image that models take: PNG, JPEG, GIF or WebP.")
    check_size(len(data), name)
    try:
        width, height = _MEASURES[media](data)
    except (struct.error, IndexError):
        width = height = 0
    if width < 1 or height < 1 or not _is_whole(media, data):
        raise ImageError(f"{name} is damaged, or has not been written to its end.")
    if max(width, height) > MAX_SIDE:
        text = f"{name} has {width:,}×{height:,} pixels, and {MAX_SIDE:,} a side is the most. Make it smaller first."
        raise ImageError(text)
    return Shape(media=media, width=width, height=height)


def check_size(size: int, name: str) -> None:
    """Refuses what is too large by its bytes alone.

    Raises:
        ImageError: It is.
    """
    if size > MAX_BYTES:
        text = f"{name} is too large: {size / 1e6:.1f} MB, and {MAX_BYTES / 1e6:.1f} MB is the most."
        raise ImageError(f"{text} Make it smaller, or save it as JPEG.")


def short_name(name: str) -> str:
    """A file's name as it stands in a label: one short line."""
    shown = "".join(char if char.isprintable() else "?" for char in PurePath(name).name) or "image"
    return shown if len(shown) <= _NAME_CHARS else f"{shown[: _NAME_CHARS - 1]}…"


def within_limits(images: Sequence[ImageRef]) -> tuple[ImageRef, ...]:
    """Those images of a conversation that one request can hold: the newest.

    The oldest are left out several at once, so that what is sent stays the same for a while and can be cached.
    """
    kept = list(images)
    while len(kept) > MAX_IMAGES or sum(image.size for image in kept) > MAX_TOTAL:
        del kept[:_DROPPED_AT_ONCE]
    return tuple(kept)


def human_size(size: int) -> str:
    """Bytes as people read them."""
    if size < 1_000:
        return f"{size} bytes"
    return f"{size / 1e3:.0f} kB" if size < 1_000_000 else f"{size / 1e6:.1f} MB"


# ------------------------------------------------------------------------------------------------- the formats


def _png(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def _gif(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack("<HH", data[6:10])
    return width, height


def _webp(data: bytes) -> tuple[int, int]:
    chunk = data[12:16]
    if chunk == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack("<HH", data[26:30])
    return width & 0x3FFF, height & 0x3FFF


def _jpeg(data: bytes) -> tuple[int, int]:
    """Looks for the frame header, from segment to segment."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return 0, 0
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return 0, 0


def _is_whole(media: str, data: bytes) -> bool:
    """Whether the end is there: a provider refuses a conversation with half an image, again and again."""
    if media == "image/png":
        return b"IEND" in data[-64:]
    if media == "image/webp":
        return len(data) >= int.from_bytes(data[4:8], "little") + 8
    if media == "image/jpeg":
        return b"\xff\xd9" in data[-4096:]
    return b"\x3b" in data[-64:]


_MEASURES: dict[str, Callable[[bytes], tuple[int, int]]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/gif": _gif,
    "image/webp": _webp,
}

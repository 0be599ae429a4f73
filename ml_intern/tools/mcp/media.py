"""Pictures, sound and other bytes that a call gave back, as files that a person can open."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from ml_intern.core.image_store import read_image
from ml_intern.core.images import SNIFFED_BYTES, ImageError, ImageRef, kind_of
from ml_intern.core.tools.spec import ToolContext

log = logging.getLogger(__name__)

MAX_FILES = 20
MAX_BYTES = 8 * 2**20

_ENDINGS = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/svg+xml": ".svg",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "application/pdf": ".pdf",
}
"""Of the few types that people open; the system's own list would also name programs."""


class Media:
    """Keeps what one call gave back.

    Args:
        directory: Where long outputs of the session are kept.
        stem: Begins the names of the files.

    Attributes:
        images: The files that are images of a kind that models take, whatever their media type says.
    """

    def __init__(self, directory: Path, stem: str) -> None:
        self.images: list[Path] = []
        self._directory = directory
        self._stem = re.sub(r"[^A-Za-z0-9_-]+", "_", stem)[:80]
        self._count = 0

    def keep(self, encoded: str, kind: str) -> str:
        """Writes bytes to a file and tells in words where they are, or why they are nowhere.

        Args:
            encoded: The bytes in base64.
            kind: Their media type.
        """
        self._count += 1
        if self._count > MAX_FILES:
            return "not kept: there are too many"
        if len(encoded) * 3 // 4 > MAX_BYTES:
            return f"not kept: it is larger than {MAX_BYTES // 2**20} MB"
        try:
            data = base64.b64decode(encoded, validate=True)
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            ending = _ENDINGS.get(kind.split(";")[0].strip().lower(), ".bin")
            path = self._directory / f"{self._stem}-{self._count}{ending}"
            path.write_bytes(data)
            if kind_of(data[:SNIFFED_BYTES]):
                self.images.append(path)
        except (binascii.Error, ValueError):
            return "not kept: it is no valid base64"
        except OSError as error:
            return f"not kept: {(error.strerror or str(error)).lower()}"
        return f"kept in {path}"


async def shown(files: Sequence[Path], context: ToolContext) -> tuple[ImageRef, ...]:
    """The images that a model can be shown; the others are named in the text of the result all the same."""
    found = []
    for path in files:
        try:
            data = await asyncio.to_thread(read_image, path, path.name)
            found.append(await context.keep_image(path.name, data))
        except ImageError as error:
            log.info("an image of a call is named only: %s", error)
    return tuple(found)

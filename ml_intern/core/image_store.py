"""Where the bytes of a conversation's images are: a file for each, named by its content. All of this blocks."""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path

from ml_intern.core.images import ENDINGS, ImageError, ImageRef, check_size, shape_of, short_name

log = logging.getLogger(__name__)

REMEMBERED_CHARS = 32_000_000
"""Of encoded images so many characters are kept in memory, so that a turn of many calls need not read them anew."""

_FILE = re.compile(r"[0-9a-f]{40}\.(?:png|jpg|gif|webp)\Z")


class ImageStore:
    """The images of sessions.

    Args:
        directory: Where those of a session lie, by its id.
    """

    def __init__(self, directory: Callable[[str], Path]) -> None:
        self._directory = directory
        self._encoded: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, session_id: str, name: str, data: bytes) -> ImageRef:
        """Keeps an image.

        Args:
            session_id: Whose it is.
            name: What people call it: a path or a name.
            data: The whole file.

        Raises:
            ImageError: It cannot be used, or not be kept.
        """
        name = short_name(name)
        shape = shape_of(data, name)
        file = f"{hashlib.sha256(data).hexdigest()[:40]}{ENDINGS[shape.media]}"
        try:
            _write(self._directory(session_id) / file, data)
        except OSError as error:
            raise ImageError(f"{name} cannot be kept: {(error.strerror or str(error)).lower()}.") from error
        return ImageRef(file=file, name=name, media=shape.media, width=shape.width, height=shape.height, size=len(data))

    def keep_file(self, session_id: str, path: Path, name: str = "") -> ImageRef:
        """Keeps a copy of an image file. See `keep`."""
        name = name or path.name
        return self.keep(session_id, name, read_image(path, short_name(name)))

    def path(self, session_id: str, image: ImageRef) -> Path:
        """Where the bytes are."""
        return path_of(self._directory(session_id), image.file)

    def encode(self, session_id: str, images: Iterable[ImageRef]) -> dict[str, str]:
        """Images as data URLs, by the names of their files; those whose file is gone are missing."""
        found: dict[str, str] = {}
        for image in images:
            if image.file not in found and (url := self._encode(session_id, image)):
                found[image.file] = url
        return found

    def _encode(self, session_id: str, image: ImageRef) -> str:
        key = (session_id, image.file)
        with self._lock:
            if key in self._encoded:
                self._encoded.move_to_end(key)
                return self._encoded[key]
        try:
            data = self.path(session_id, image).read_bytes()
            media = shape_of(data, image.name).media  # the log may come from anywhere
        except (OSError, ValueError, ImageError) as error:
            log.warning("image %s of session %s cannot be read: %s", image.file, session_id, error)
            return ""
        url = f"data:{media};base64,{base64.b64encode(data).decode()}"
        with self._lock:
            self._encoded[key] = url
            while sum(map(len, self._encoded.values())) > REMEMBERED_CHARS and len(self._encoded) > 1:
                self._encoded.popitem(last=False)
        return url


def path_of(directory: Path, file: str) -> Path:
    """Where the bytes of an image are among the files of its session. A log may come from anywhere.

    Raises:
        ValueError: The reference names no file of ours.
    """
    if not _FILE.match(file):
        raise ValueError(f"not a file of an image: {file!r}")
    return directory / file


def read_image(path: Path, name: str) -> bytes:
    """The bytes of an image file, unless it is too large.

    Raises:
        ImageError: It cannot be read.
    """
    try:
        state = path.stat()
        if not path.is_file():
            raise ImageError(f"{name} is no file.")
        check_size(state.st_size, name)
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{name} cannot be read: {(error.strerror or str(error)).lower()}.") from error


def _write(path: Path, data: bytes) -> None:
    """Writes a file for the person alone, whole or not at all."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    unfinished.replace(path)

"""Image files that a person wants to attach: found in what was pasted, looked at, kept. All of this blocks."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from ml_intern.tui.entries import Picture
from ml_intern.tui.widgets.paste import ENDINGS

KEPT_S = 30 * 24 * 3600.0
"""How long an image from the clipboard is kept; once it is sent, the session has a copy."""


class PictureError(Exception):
    """An image cannot be attached; the message says why, and what to do."""


def picture_of(path: Path, title: str = "") -> Picture:
    """An image file as it is attached.

    Raises:
        PictureError: It cannot be.
    """
    from ml_intern.core.image_store import read_image
    from ml_intern.core.images import ImageError, human_size, shape_of, short_name

    title = title or short_name(path.name)
    try:
        data = read_image(path, title)
        shape = shape_of(data, title)
    except ImageError as error:
        raise PictureError(str(error)) from error
    return Picture(str(path), title, f"{shape.width}×{shape.height} · {human_size(len(data))}")


def pictures_in(pasted: str) -> list[Picture]:
    """The images that a pasted text names, if it names nothing but image files, and by whole paths.

    Raises:
        PictureError: It does so, but one of them cannot be attached.
    """
    paths: list[Path] = []
    for row in filter(None, map(str.strip, pasted.splitlines())):
        found = next((each for each in _readings(row) if all(_is_picture_file(path) for path in each)), [])
        if not found:
            return []
        paths += found
    return [picture_of(path) for path in paths]


def keep_pasted(data: bytes, directory: Path, number: int) -> Picture:
    """Keeps the bytes of an image from the clipboard in a file, for the person alone.

    Raises:
        PictureError: It is no image that models take, or cannot be kept.
    """
    from ml_intern.core.image_store import ImageStore
    from ml_intern.core.images import ImageError

    title = f"clipboard-{number}"
    _forget_old(directory)
    try:
        image = ImageStore(lambda _session: directory).keep("", title, data)
    except ImageError as error:
        raise PictureError(str(error)) from error
    return picture_of(directory / image.file, f"{title}{Path(image.file).suffix}")


def _readings(row: str) -> Iterator[list[Path]]:
    """What a line may mean: addresses of files, one path as it is, or words as a shell reads them."""
    if row.startswith("file://"):
        yield [Path(unquote(word.removeprefix("file://").removeprefix("localhost"))) for word in row.split()]
    yield [_at_home(row)]
    try:
        yield [_at_home(word) for word in shlex.split(row)]
    except ValueError:  # a quote that does not end
        return


def _at_home(text: str) -> Path:
    path = Path(text)
    return path.expanduser() if text.startswith("~/") else path


def _is_picture_file(path: Path) -> bool:
    try:
        return path.is_absolute() and path.suffix.lower() in ENDINGS and path.is_file()
    except (OSError, ValueError):  # not to be looked at, or a name that no system can have
        return False


def _forget_old(directory: Path) -> None:
    try:
        with os.scandir(directory) as entries:
            old = [Path(entry.path) for entry in entries if time.time() - entry.stat().st_mtime > KEPT_S]
        for path in old:
            path.unlink()
    except OSError:  # nothing there yet, or somebody else tidies too
        return

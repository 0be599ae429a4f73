"""The images that events refer to, as files beside a log."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ml_intern.core.image_store import path_of


def images_in(event: Mapping[str, Any]) -> Iterator[str]:
    """Names of the files that an event refers to, messages of the history and nested events included."""
    for image in _list(event.get("images")):
        if isinstance(image, Mapping) and isinstance(image.get("file"), str):
            yield image["file"]
    nested = [*_list(event.get("messages")), event.get("event")]
    for inner in nested:
        if isinstance(inner, Mapping):
            yield from images_in(inner)


def copy_images(events: Iterable[Mapping[str, Any]], source: Path, target: Path) -> None:
    """Copies the images of some events from the files of one session to those of another. What is gone is left out.

    Raises:
        OSError: The target cannot be written.
    """
    for name in sorted({name for event in events for name in images_in(event)}):
        with contextlib.suppress(ValueError, FileNotFoundError):
            data = path_of(source, name).read_bytes()
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            path_of(target, name).write_bytes(data)
            path_of(target, name).chmod(0o600)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

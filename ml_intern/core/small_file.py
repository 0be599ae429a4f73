"""Reads and writes the small files that settings and keys are kept in."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path


def read_small_file(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Raises:
        OSError: It cannot be read, or it is a pipe or a device, which could block for ever or never end.
        UnicodeDecodeError: It is no UTF-8 text.
    """
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):  # noqa: PTH110, PTH112, PTH113 - `Path`'s own raise where a directory may not be entered
        raise OSError(errno.EINVAL, "no regular file", str(path))
    return path.read_text("utf-8-sig")


def write_small_file(path: Path, text: str, mode: int = 0o600) -> None:
    """Puts a text in place of what a file holds. Whatever happens in between, a reader sees the old one or the new one.

    Args:
        path: The file; its directory is made where there is none. A symlink keeps pointing where it did.
        text: What it is to hold.
        mode: Its permissions; it never has others.

    Raises:
        OSError: It cannot be written.
    """
    target = Path(os.path.realpath(path))  # `Path.resolve` raises over links in a circle
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # 0600 from the beginning
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise

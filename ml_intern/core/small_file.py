"""Reads the small files that settings come from."""

from __future__ import annotations

import errno
import os
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

"""Keys that a person has given to ml-intern itself: a file of `NAME=value` lines, readable by that person alone.

Everything else beats it: the shell's variables and every `.env` file.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from ml_intern.core.places import Places
from ml_intern.core.small_file import read_small_file, write_small_file

FILE = "keys.env"
_NAME = re.compile(r"[A-Z][A-Z0-9_]*\Z")


def key_file(places: Places) -> Path:
    """Where they are kept."""
    return places.config / FILE


def save_key(places: Places, name: str, value: str) -> Path:
    """Keeps a key in place of an earlier one of that name; gives the file.

    Raises:
        ValueError: The name is no variable's, or the value does not fit on a line.
        OSError: The file cannot be read or written.
    """
    if not _NAME.match(name) or not value.strip() or not value.isprintable() or "${" in value:
        raise ValueError(f"not a key: {name}")
    return _write(places, {**_read(places), name: value.strip()})


def _read(places: Places) -> dict[str, str]:
    path = key_file(places)
    if not path.exists():
        return {}
    from dotenv.parser import parse_stream

    bindings = parse_stream(io.StringIO(read_small_file(path)))
    return {binding.key: binding.value for binding in bindings if binding.key and binding.value is not None}


def _write(places: Places, keys: dict[str, str]) -> Path:
    path = key_file(places)
    # In single quotes nothing is a reference to another variable, and only these two characters need care.
    quoted = {name: value.replace("\\", "\\\\").replace("'", "\\'") for name, value in keys.items()}
    write_small_file(path, "".join(f"{name}='{value}'\n" for name, value in quoted.items()))
    return path

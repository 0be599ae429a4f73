"""Finds the files that travel with the program: `configs/` and `styles/`.

In a checkout they stand next to the package, where people read and edit them; in a wheel they lie inside it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def config_path(*parts: str) -> Path:
    """A bundled configuration file or directory, for example `config_path("prompts", "system.md")`.

    The path is not checked: a part that does not exist fails where it is opened.
    """
    return _root("configs").joinpath(*parts)


def styles_path(*parts: str) -> Path:
    """A bundled style sheet, or the directory of all of them."""
    return _root("styles").joinpath(*parts)


@cache
def _root(name: str) -> Path:
    installed = _PACKAGE / name
    # A wheel never has a sibling `configs`; asking inside the package first keeps a foreign one in site-packages out.
    return installed if installed.is_dir() else _PACKAGE.parent / name

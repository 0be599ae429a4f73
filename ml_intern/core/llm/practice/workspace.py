"""A fresh directory for each practice session."""

from __future__ import annotations

import secrets
import shutil
import time
from pathlib import Path

from ml_intern.core.places import Places
from ml_intern.resources import config_path

KEPT_DAYS = 7
_FILES = ("data.csv", "README.md")


def prepare_workspace(places: Places) -> Path:
    """A new directory with the data set in it. Old ones that nobody has touched for a week are removed.

    Raises:
        OSError: The cache directory cannot be written.
    """
    root = places.cache / "practice"
    _remove_old(root)
    workspace = root / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    workspace.mkdir(parents=True)
    for name in _FILES:
        # Contents only: an installation may be read-only, the copy must not be.
        shutil.copyfile(config_path("demo", name), workspace / name)
    return workspace


def _remove_old(root: Path) -> None:
    limit = time.time() - KEPT_DAYS * 86_400
    for workspace in root.iterdir() if root.is_dir() else ():
        if workspace.is_dir() and not workspace.is_symlink() and _last_touched(workspace) < limit:
            shutil.rmtree(workspace, ignore_errors=True)


def _last_touched(workspace: Path) -> float:
    times = [workspace.stat().st_mtime]
    times += [path.lstat().st_mtime for path in workspace.iterdir()]
    return max(times)

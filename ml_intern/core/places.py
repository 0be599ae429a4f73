"""Where ml-intern keeps its own files. Never the user's working directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """The directories of this installation; none of them need exist yet.

    Attributes:
        config: User configuration.
        sessions: Session logs (`YYYY/MM/<id>.jsonl`).
        cache: Downloads, catalogues, practice workspaces.
        logs: The program's own log files.
        jobs: Local jobs, one directory each.
    """

    config: Path
    sessions: Path
    cache: Path
    logs: Path
    jobs: Path


def find_places(env: Mapping[str, str] | None = None) -> Places:
    """The places for this user: under `ML_INTERN_HOME` when it is set, else the platform's own directories."""
    env = os.environ if env is None else env
    if home := env.get("ML_INTERN_HOME", "").strip():
        root = Path(home).expanduser().absolute()
        return Places(root / "config", root / "sessions", root / "cache", root / "logs", root / "jobs")
    from platformdirs import PlatformDirs

    dirs = PlatformDirs("ml-intern", appauthor=False)
    state = dirs.user_state_path
    return Places(dirs.user_config_path, state / "sessions", dirs.user_cache_path, state / "logs", state / "jobs")

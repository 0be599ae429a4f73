"""Instructions that a project gives its agents, read only where a person has said that the project may be trusted.

A file in a directory is somebody's text like any other until then: a repository that was just cloned must not be able
to tell the agent what to do.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

FILES = ("AGENTS.md", ".ml-intern/instructions.md")
MAX_CHARS = 32_000
TRUST_FILE = "trusted.json"


@dataclass(frozen=True, slots=True)
class Project:
    """A workspace and what it says to agents.

    Attributes:
        root: The directory of the nearest instructions, at or above the workspace.
        files: Instruction files, by path.
        text: What they say; empty when there are none.
    """

    root: Path
    files: tuple[Path, ...] = ()
    text: str = ""


def find_project(workspace: Path) -> Project:
    """The instructions that hold in a workspace: those of the nearest directory that has any, up to its git root."""
    for directory in (workspace, *workspace.parents):
        files = tuple(path for name in FILES if (path := directory / name).is_file())
        if files:
            return Project(directory, files, _read(files))
        if (directory / ".git").exists():
            break
    return Project(workspace)


def is_trusted(config: Path, root: Path) -> bool:
    """Whether a person has trusted this directory, or one above it."""
    trusted = _trusted(config)
    return any(str(directory) in trusted for directory in (root, *root.parents))


def trust(config: Path, root: Path) -> None:
    """Remembers that a person trusts this directory.

    Raises:
        OSError: It cannot be written down.
    """
    config.mkdir(parents=True, exist_ok=True, mode=0o700)
    trusted = sorted(_trusted(config) | {str(root)})
    path = config / TRUST_FILE
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"directories": trusted}, indent=2) + "\n", encoding="utf-8")
    fresh.replace(path)


def as_context(project: Project) -> str:
    """The instructions as the model gets them."""
    names = " and ".join(str(path) for path in project.files)
    return f"# Instructions of this project\nFrom {names}; the person trusts them.\n\n{project.text}"


def _read(files: tuple[Path, ...]) -> str:
    parts = []
    for path in files:
        try:
            parts.append(path.read_text(encoding="utf-8", errors="replace")[:MAX_CHARS].strip())
        except OSError as error:
            log.warning("%s cannot be read: %s", path, error)
    return "\n\n".join(part for part in parts if part)


def _trusted(config: Path) -> set[str]:
    try:
        listed = json.loads((config / TRUST_FILE).read_text(encoding="utf-8"))["directories"]
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, LookupError, TypeError) as error:
        log.warning("the list of trusted directories is unusable, so none is trusted: %r", error)
        return set()
    return {entry for entry in listed if isinstance(entry, str)} if isinstance(listed, list) else set()

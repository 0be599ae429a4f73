"""Skills: folders with a `SKILL.md` that tells how a kind of work is done, loaded into a conversation when it fits.

The model always sees their names and descriptions; the text of one only when it asks for it. A project's own skills
are instructions of somebody else, so they count only where a person has trusted the project.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from ml_intern.core.plain_text import plain
from ml_intern.core.project import is_trusted

log = logging.getLogger(__name__)

FILE = "SKILL.md"
PROJECT_PLACES = (".ml-intern/skills", ".claude/skills", ".agents/skills")
MAX_BYTES = 200_000
"""A larger file is no skill: what is loaded stays in the conversation."""
MAX_DESCRIPTION = 400
MAX_FILES = 100

Source = Literal["yours", "project", "bundled"]

_NAME = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
_MAX_NAME = 64
_KEY = re.compile(r"[a-z][a-z0-9_-]*")
_NO_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
"""YAML takes these for something else."""
_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(?P<head>.*?)\r?\n---[ \t]*(?:\r?\n|\Z)(?P<body>.*)\Z", re.DOTALL)


class SkillError(Exception):
    """A skill cannot be used. The message is one sentence for a person or a model."""


@dataclass(frozen=True, slots=True)
class Skill:
    """One skill.

    Attributes:
        name: Lower-case words, by which it is asked for.
        description: What it is for, in one line.
        folder: Where its `SKILL.md` and its other files are.
        source: Whose it is.
    """

    name: str
    description: str
    folder: Path
    source: Source

    def body(self) -> str:
        """The instructions, without the front matter.

        Raises:
            SkillError: The file cannot be read any more.
        """
        return _read(self.folder / FILE)[1]

    def files(self) -> tuple[str, ...]:
        """Its other files, by paths relative to its folder; hidden ones and links are left out."""
        return tuple(_walk(self.folder))

    def file(self, name: str) -> str:
        """The text of one of its files.

        Raises:
            SkillError: There is no such file in its folder, or it is no text.
        """
        if name != FILE and name not in self.files():
            known = ", ".join(self.files()) or "none"
            raise SkillError(f"the skill {self.name} has no file {name!r}; its files are: {known}")
        return _text(self.folder / name)


@dataclass(frozen=True, slots=True)
class Found:
    """What there is.

    Attributes:
        skills: By name, in alphabetical order.
        warnings: Sentences about skills that cannot be used.
    """

    skills: tuple[Skill, ...]
    warnings: tuple[str, ...] = ()


class Skills:
    """The skills that a session may use.

    A name that occurs more than once means the person's own skill first, then the project's, then the bundled one.

    Args:
        bundled: Directory of those that come with the program.
        config: The user's configuration directory; the person's own are in `skills` below it.
        workspace: The person's directory; its project's skills are looked for up to the git root.
    """

    def __init__(self, bundled: Path, config: Path, workspace: Path) -> None:
        self._bundled = bundled
        self._config = config
        self._workspace = workspace

    def find(self) -> Found:
        """Looks for them anew."""
        found: dict[str, Skill] = {}
        warnings: list[str] = []
        for place, source in self._places():
            for folder in _folders(place):
                try:
                    skill = read_skill(folder, source)
                except SkillError as error:
                    warnings.append(f"The skill in {folder} is left out: {error}.")
                    continue
                found.setdefault(skill.name, skill)
        return Found(tuple(found[name] for name in sorted(found)), tuple(warnings))

    def get(self, name: str) -> Skill:
        """The skill of a name.

        Raises:
            SkillError: There is none.
        """
        skills = self.find().skills
        for skill in skills:
            if skill.name == name:
                return skill
        known = ", ".join(skill.name for skill in skills) or "none"
        raise SkillError(f"there is no skill named {name!r}; there are: {known}")

    def listing(self, sources: tuple[Source, ...] = ("yours", "project", "bundled")) -> str:
        """One line for each skill, for the model."""
        return "\n".join(
            f"- {skill.name}: {skill.description}" for skill in self.find().skills if skill.source in sources
        )

    @property
    def project_root(self) -> Path | None:
        """The nearest directory at or above the workspace that has skills; None when there is none."""
        directories = self._project_directories()
        return next((place for place in directories if any(_project_folders(place))), None)

    def _places(self) -> Iterator[tuple[Path, Source]]:
        yield self._config / "skills", "yours"
        for directory in self._project_directories():
            if is_trusted(self._config, directory):
                yield from ((directory / place, "project") for place in PROJECT_PLACES)
        yield self._bundled, "bundled"

    def _project_directories(self) -> list[Path]:
        directories: list[Path] = []
        for directory in (self._workspace, *self._workspace.parents):
            directories.append(directory)
            if (directory / ".git").exists():
                return directories
        return [self._workspace]  # without a repository nobody knows how far the project reaches


def read_skill(folder: Path, source: Source) -> Skill:
    """The skill in a folder.

    Raises:
        SkillError: Its file cannot be read, or lacks a name or a description.
    """
    head, _ = _read(folder / FILE)
    name, description = head.get("name", folder.name), head.get("description")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
        raise SkillError(f"its `name` must be lower-case letters, digits and hyphens, {_MAX_NAME} at most")
    if not isinstance(description, str) or not description.strip():
        raise SkillError("it has no `description`, which tells when to use it")
    return Skill(name, " ".join(plain(description).split())[:MAX_DESCRIPTION], folder, source)


def _project_folders(directory: Path) -> Iterator[Path]:
    for place in PROJECT_PLACES:
        yield from _folders(directory / place)


def _folders(place: Path) -> list[Path]:
    try:
        return sorted(folder for folder in place.iterdir() if (folder / FILE).is_file())
    except OSError:
        return []


def _read(path: Path) -> tuple[Mapping[str, Any], str]:
    """The front matter and the body."""
    match = _FRONT_MATTER.match(_text(path))
    if match is None:
        raise SkillError("it does not begin with front matter between two lines of `---`")
    head = _simple(match["head"])
    return (_yaml(match["head"]) if head is None else head), match["body"].strip()


def _simple(head: str) -> dict[str, Any] | None:
    """Front matter of nothing but words, as nearly all is; None where it takes more to know what it says.

    It is read at every start, and importing a YAML library takes longer than all the rest of reading it.
    """
    found = {}
    for line in head.splitlines():
        key, _, value = line.partition(": ")
        words = value.strip(" ")
        sure = _KEY.fullmatch(key) and words[:1].isalpha() and words.isascii() and words.isprintable()
        if not sure or {key, words.lower()} & _NO_WORDS or words.endswith(":") or ": " in words or " #" in words:
            return None
        found[key] = words
    return found


@lru_cache(maxsize=256)
def _yaml(head: str) -> Mapping[str, Any]:
    # Skills are looked for anew again and again, and hardly ever have changed.
    import yaml

    try:
        read = yaml.safe_load(head)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 2}" if mark is not None else ""
        raise SkillError(f"its front matter is no YAML{where}") from error
    return read if isinstance(read, dict) else {}


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SkillError(f"{path.name} is larger than {MAX_BYTES // 1000} kB")
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise SkillError(f"{path.name} cannot be read ({(error.strerror or str(error)).lower()})") from error
    except UnicodeDecodeError as error:
        raise SkillError(f"{path.name} is no UTF-8 text") from error


def _walk(folder: Path) -> Iterator[str]:
    count = 0
    for directory, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith((".", "__pycache__")))
        for name in sorted(files):
            path = Path(directory, name)
            if name.startswith(".") or path == folder / FILE or path.is_symlink() or not path.is_file():
                continue
            yield path.relative_to(folder).as_posix()
            count += 1
            if count >= MAX_FILES:
                return

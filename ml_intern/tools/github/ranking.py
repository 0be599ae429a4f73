"""Which files of a repository are examples worth reading, the canonical ones first."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import PurePosixPath

from ml_intern.services.github import TreeFile, files_of

_EXAMPLE_WORDS = (
    "examples", "example", "scripts", "recipes", "recipe", "cookbook", "cookbooks", "notebooks", "notebook",
    "tutorials", "tutorial", "quickstart", "walkthroughs", "walkthrough", "demos", "demo", "samples", "sample",
    "guides", "guide", "getting", "howto", "usecases", "playground", "showcase", "sandbox",
)  # fmt: skip
_SIDELINES = frozenset(
    {"tests", "test", "testing", "assets", "images", "img", "data", "fixtures", "ci", "utils", "benchmark",
     "benchmarks", "legacy", "deprecated", "archive", "third", "vendor"}
)  # fmt: skip
_WORTH = {
    ".py": 1.0, ".ipynb": 0.9, ".sh": 0.6, ".yaml": 0.5, ".yml": 0.5, ".md": 0.5, ".mdx": 0.5, ".rst": 0.4,
    ".toml": 0.4, ".jsonnet": 0.3, ".rs": 0.8, ".ts": 0.8, ".js": 0.8, ".cpp": 0.7, ".cu": 0.7, ".go": 0.8,
    ".java": 0.8, ".swift": 0.8, ".json": 0.2,
}  # fmt: skip
_GENERATED = re.compile(r"(_pb2(_grpc)?\.py|\.pb\.(cc|h)|\.min\.js|package-lock\.json|__init__\.py)$")


@dataclass(frozen=True, slots=True)
class Example:
    """A file with how well it fits, 0 to 100."""

    file: TreeFile
    score: int


@dataclass(frozen=True, slots=True)
class Examples:
    """The best examples of a repository.

    Attributes:
        best: These, the best first.
        count: How many there are in all.
        cut_short: Whether GitHub left files out of the list.
    """

    best: list[Example]
    count: int
    cut_short: bool


def find_examples(tree: bytes, keyword: str, min_score: int, most: int) -> Examples:
    """The best examples in a repository's list of files as GitHub gives it. Takes seconds for 50,000 files.

    Raises:
        GitHubError: It is no such list.
    """
    files, cut_short = files_of(tree)
    ranked = rank(files, keyword, min_score)
    return Examples(ranked[:most], len(ranked), cut_short)


def rank(files: Iterable[TreeFile], keyword: str = "", min_score: int = 60) -> list[Example]:
    """Examples among the files of a repository, the best first.

    Args:
        files: All files.
        keyword: What they should be about; every word counts.
        min_score: How well a name must fit the keyword, 0 to 100.
    """
    wanted = words_of(keyword)
    found: list[tuple[float, int, str, Example]] = []
    for file in files:
        path = PurePosixPath(file.path)
        worth = _WORTH.get(path.suffix.lower(), 0.0)
        if not worth or _GENERATED.search(path.name):
            continue
        place = _place(path)
        if not place and not wanted:
            continue
        fit = _fit(path, wanted) if wanted else 100.0
        if fit < min_score:
            continue
        aside = 25.0 if _SIDELINES & set(words_of("/".join(path.parts[:-1]))) or path.name.startswith("test_") else 0.0
        total = 0.55 * fit + 30 * place + 15 * worth - aside
        found.append((-total, len(path.parts), file.path, Example(file, max(0, min(100, round(total))))))
    return [example for *_, example in sorted(found, key=lambda item: item[:3])]


def words_of(text: str) -> list[str]:
    """The words of a name in small letters: cut at punctuation, between CamelCase and at underscores."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]


def _place(path: PurePosixPath) -> float:
    """1 for a file in `examples/`, less for less telling directories, 0 outside of all of them."""
    best = 0.0
    for depth, part in enumerate(path.parts[:-1]):
        for word in words_of(part):
            if word in _EXAMPLE_WORDS:
                best = max(best, 1.0 - 0.5 * _EXAMPLE_WORDS.index(word) / len(_EXAMPLE_WORDS) - 0.05 * depth)
    return best


def _fit(path: PurePosixPath, wanted: list[str]) -> float:
    """How well a path fits words, 0 to 100: the file's own name counts most."""
    name = words_of(path.stem)
    around = words_of("/".join(path.parts[:-1]))
    scores = []
    for word in wanted:
        if name == [word]:
            scores.append(100.0)
        elif word in name:
            scores.append(90.0)
        elif any(word in other for other in name):
            scores.append(78.0)
        elif word in around:
            scores.append(70.0)
        else:
            alike = max((_alike(word, other) for other in (*name, *around)), default=0.0)
            scores.append(65.0 * alike if alike >= 0.8 else 0.0)
    return sum(scores) / len(scores)


@lru_cache(maxsize=50_000)
def _alike(word: str, other: str) -> float:
    """How alike two words are, 0 to 1. Few different words make up the paths of a repository."""
    if abs(len(word) - len(other)) > 2 or word[0] != other[0]:
        return 0.0
    return SequenceMatcher(None, word, other).ratio()

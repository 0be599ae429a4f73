"""Finds in the output of programs and jobs what they have put on the Hub, without a hand in those programs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from ml_intern.core.artifacts import Artifacts
from ml_intern.core.protocol import ArtifactEvent, ArtifactKind, EventBase, ToolOutput, ToolStateChange

_READ_FOR_PUSHES = frozenset({"bash", "hf_jobs"})
"""Tools whose output may tell of repositories that a program has written to."""

_NAME = r"[\w.-]{1,96}"
_ID = rf"({_NAME}/{_NAME})"
_TOLD = (
    re.compile(
        rf"(?:pushed|pushing|uploaded|uploading|saved) (?:\S+ ){{0,3}}?to (?:the )?(?:hub (?:at|as|under) )?{_ID}",
        re.IGNORECASE,
    ),
    re.compile(rf"""hub_model_id['"]?\s*[:=]\s*['"]?{_ID}"""),
    re.compile(rf"""push_to_hub\(\s*(?:repo_id\s*=\s*)?['"]{_ID}['"]"""),
)  # fmt: skip
_OF_A_WRITE = re.compile(r"/(?:commit|discussions)/")
_WRITING_WORDS = re.compile(r"push|upload|creat|commit|publish|saved|hub_model_id|view (?:it|your)", re.IGNORECASE)
_NOT_OWNERS = frozenset(
    {
        "api", "docs", "blog", "models", "datasets", "spaces", "papers", "settings", "join", "login", "pricing",
        "tasks", "organizations", "new", "chat", "learn", "posts", "collections", "inference", "privacy",
    }
)  # fmt: skip
_MOST = 50


def found_in(text: str, endpoint: str) -> Iterator[tuple[ArtifactKind, str]]:
    """Repositories that a text says something was written to, as `(kind, id)`.

    A link alone proves nothing: one counts where its line speaks of pushing, uploading or creating, or where it leads
    to a commit.

    Args:
        text: Output of a program.
        endpoint: Base URL of the Hub; links to other hosts are somebody else's.
    """
    link = re.compile(rf"{_address(endpoint)}/(?:(dataset|space)s/)?{_ID}(\S*)")
    seen: set[tuple[ArtifactKind, str]] = set()
    for line in text.splitlines():
        if len(line) > 4000 or "/" not in line:
            continue
        for kind, repo_id in (*_linked(line, link), *_told(line)):
            if (kind, repo_id) not in seen and len(seen) < _MOST:
                seen.add((kind, repo_id))
                yield kind, repo_id


def _linked(line: str, link: re.Pattern[str]) -> Iterator[tuple[ArtifactKind, str]]:
    for match in link.finditer(line):
        kind, repo_id, rest = match.groups()
        repo_id = repo_id.rstrip(".")
        if repo_id.partition("/")[0] not in _NOT_OWNERS and (_OF_A_WRITE.match(rest) or _WRITING_WORDS.search(line)):
            yield ("dataset" if kind == "dataset" else "space" if kind else "model"), repo_id


def _told(line: str) -> Iterator[tuple[ArtifactKind, str]]:
    for pattern in _TOLD:
        for match in pattern.finditer(line):
            repo_id = match[1].rstrip(".")
            # A relative path looks the same (`saved to out/model`); only words of the Hub tell them apart.
            if re.search(r"hub|huggingface", line, re.IGNORECASE) and not repo_id.startswith((".", "-")):
                yield "model", repo_id


def _address(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    return rf"https?://{re.escape(parts.netloc)}{re.escape(parts.path.rstrip('/'))}"


class ArtifactWatch:
    """Keeps the artifacts that events tell of, and itself tells of jobs on the Hub and of repositories that seem new.

    Args:
        endpoint: Base URL of the Hub.
        artifacts: What the running session has so far.
        emit: Takes the events.
    """

    def __init__(
        self, endpoint: str, artifacts: Callable[[], Artifacts], emit: Callable[[ArtifactEvent], object]
    ) -> None:
        self._endpoint = endpoint
        self._artifacts = artifacts
        self._emit = emit

    def __call__(self, event: EventBase) -> None:
        """Takes one event of the stream."""
        match event:
            case ArtifactEvent():
                self._artifacts().take(event)
            case ToolStateChange():
                self._take_job(event)
            case ToolOutput() if event.tool in _READ_FOR_PUSHES:
                for kind, repo_id in found_in(event.output, self._endpoint):
                    prefix = "" if kind == "model" else f"{kind}s/"
                    url = f"{self._endpoint}/{prefix}{repo_id}"
                    self._tell(ArtifactEvent(kind=kind, id=repo_id, url=url, state="found", via=event.tool))

    def _take_job(self, event: ToolStateChange) -> None:
        for block in event.display:
            if block.type == "job" and block.backend == "hub" and block.job_id:
                self._tell(ArtifactEvent(kind="job", id=block.job_id, url=block.url, state="created", via=event.tool))

    def _tell(self, event: ArtifactEvent) -> None:
        if self._artifacts().take(event):
            self._emit(event)

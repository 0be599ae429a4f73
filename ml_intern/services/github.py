"""Reads from GitHub: repositories, trees, files. Without a token too, within GitHub's limits for strangers."""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote, unquote, urlsplit

from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import Answer, Fetch, FetchError, HttpService, Progress, retry_after
from ml_intern.services.shapes import count, record, records

FRESH_S: None = None
"""GitHub says itself how long an answer is fresh, and gives an ETag to ask with after that."""
MAX_TREE_BYTES = 60_000_000
MAX_FILE_BYTES = 20_000_000
KEPT_TREES = 6

_NAME = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")

Problem = Literal["missing", "rate_limit", "refused", "server"]


class GitHubError(Exception):
    """GitHub did not give what was asked for; the text is a sentence with the next step.

    Attributes:
        kind: What sort of failure it is.
    """

    def __init__(self, kind: Problem, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[type[GitHubError], tuple[Problem, str]]:  # it may have to come from a worker
        return type(self), (self.kind, str(self))


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A file of a repository: its path and its size in bytes."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Blob:
    """What stands at a path.

    Attributes:
        text: Text of a file; None for a directory.
        entries: Names in a directory, those of directories with a slash at the end.
        size: Bytes of a file.
    """

    text: str | None
    entries: tuple[str, ...] = ()
    size: int = 0


class GitHub:
    """A client.

    Args:
        http: Fetches.
        endpoints: Where GitHub is.
        clock: Seconds since the epoch.
    """

    def __init__(self, http: HttpService, endpoints: Endpoints, clock: Callable[[], float] = time.time) -> None:
        self._http = http
        self._endpoints = endpoints
        self._clock = clock
        self._trees: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    async def default_branch(self, repo: str, progress: Progress) -> str:
        """Name of the branch that a visitor sees."""
        found = record(await self.json(f"repos/{repo}", progress=progress))
        return str(found.get("default_branch") or "main")

    async def tree(self, repo: str, ref: str, progress: Progress) -> bytes:
        """All files of a repository as GitHub lists them (see `files_of`), kept for the session."""
        key = (repo.lower(), ref)
        if key not in self._trees:
            path = f"repos/{repo}/git/trees/{quote(ref, safe='')}"
            answer = await self._ask(path, {"recursive": "1"}, progress, max_bytes=MAX_TREE_BYTES)
            self._trees[key] = answer.body
        self._trees.move_to_end(key)
        while len(self._trees) > KEPT_TREES:
            self._trees.popitem(last=False)
        return self._trees[key]

    async def read(self, repo: str, path: str, ref: str, progress: Progress) -> Blob:
        """A file or a directory."""
        place = f"repos/{repo}/contents/{quote(path.strip('/'))}"
        params = {"ref": ref} if ref and ref != "HEAD" else {}
        answer = await self._ask(place, params, progress)
        found = answer.json()
        if isinstance(found, list):
            names = (f"{entry.get('name')}{'/' if entry.get('type') == 'dir' else ''}" for entry in records(found))
            return Blob(None, tuple(sorted(names, key=lambda name: (not name.endswith("/"), name.lower()))))
        if not isinstance(found, dict):
            raise GitHubError("server", "GitHub answered with something that is neither a file nor a directory.")
        if found.get("type") not in (None, "file"):
            raise GitHubError("refused", f"{path} in {repo} is a {found.get('type')}, which has no text.")
        size = count(found.get("size"))
        if size > MAX_FILE_BYTES:
            raise GitHubError("refused", f"{path} in {repo} has {size / 1e6:.0f} MB: too long to be read here.")
        if found.get("encoding") == "base64" and found.get("content"):
            body = _decoded(str(found["content"]))
        elif size == 0:
            body = b""
        else:  # between 1 and 100 MB GitHub gives the content only to those who ask for nothing else
            raw = await self._ask(place, params, progress, accept="application/vnd.github.raw+json")
            body = raw.body
        if b"\0" in body[:8000]:
            raise GitHubError("refused", f"{path} in {repo} is a binary file of {len(body):,} bytes.")
        return Blob(body.decode("utf-8", errors="replace"), size=len(body))

    async def similar(self, owner: str, name: str, progress: Progress) -> list[dict[str, Any]]:
        """Repositories of an owner whose names resemble one, the most starred first; none when that fails too."""
        params = {"q": f"org:{owner} {name}", "sort": "stars", "order": "desc", "per_page": "10"}
        try:
            found = await self.json("search/repositories", params, progress=progress)
        except (GitHubError, FetchError):
            return []
        return records(record(found).get("items"))

    async def json(self, path: str, params: Mapping[str, str] | None = None, *, progress: Progress) -> Any:
        """The answer to a question to the API."""
        return (await self._ask(path, params or {}, progress)).json()

    async def _ask(
        self, path: str, params: Mapping[str, str], progress: Progress, *, accept: str = "",
        max_bytes: int = MAX_FILE_BYTES * 2,
    ) -> Answer:  # fmt: skip
        url = self._endpoints.url("github", path)
        headers = self._endpoints.github_headers(url)
        if accept:
            headers["Accept"] = accept
        request = Fetch(url, params=params, headers=headers, ttl_s=FRESH_S, max_bytes=max_bytes, progress=progress)
        try:
            answer = await self._http.fetch(request)
        except FetchError as error:
            if error.kind != "rate_limit":
                raise
            raise GitHubError("rate_limit", self._limit_text(error.retry_after_s)) from error
        if not answer.ok:
            raise self._failure(answer, path)
        return answer

    def _failure(self, answer: Answer, path: str) -> GitHubError:
        reason = answer.reason() or "no reason given"
        wait_s = retry_after(answer.headers, self._clock)
        used_up = answer.headers.get("x-ratelimit-remaining") == "0"
        if answer.status == 403 and (used_up or wait_s or "rate limit" in reason.lower()):
            return GitHubError("rate_limit", self._limit_text(wait_s))
        if answer.status == 404:
            return GitHubError("missing", f"GitHub has no {path.removeprefix('repos/')} (404): {reason}.")
        if answer.status in (401, 403):
            return GitHubError("refused", f"GitHub refuses ({answer.status}): {reason}. Check GITHUB_TOKEN.")
        kind: Problem = "server" if answer.status >= 500 else "refused"
        return GitHubError(kind, f"GitHub answered {answer.status} to {path}: {reason}.")

    def _limit_text(self, wait_s: float) -> str:
        has_token = bool(self._endpoints.env.get("GITHUB_TOKEN", "").strip())
        when = "later"
        if wait_s:
            minutes = max(1, round(wait_s / 60))
            at = datetime.fromtimestamp(self._clock() + wait_s, UTC)
            when = f"in {minutes} min (at {at:%H:%M} UTC)"
        advice = "" if has_token else " With a GITHUB_TOKEN it is 5,000 an hour instead of 60."
        return f"GitHub's limit of requests is used up; it begins anew {when}.{advice}"


def split_repo(text: str) -> tuple[str, str, str]:
    """Repository, revision and path of `owner/name` or of an address of a page on GitHub; empty where not said.

    Raises:
        GitHubError: It is neither.
    """
    given = text.strip()
    if "://" in given:
        try:
            parts = [unquote(part) for part in urlsplit(given).path.split("/") if part]
        except ValueError:
            parts = []
        if len(parts) >= 4 and parts[2] in ("blob", "tree", "raw"):
            return f"{parts[0]}/{parts[1]}", parts[3], "/".join(parts[4:])
        given = "/".join(parts[:2]).removesuffix(".git")
    if not _NAME.fullmatch(given):
        raise GitHubError("refused", f"{text!r} is no repository: write owner/name, for example huggingface/trl.")
    return given, "", ""


def files_of(tree: bytes) -> tuple[list[TreeFile], bool]:
    """The files of a tree in JSON, and whether GitHub left some out since there are too many.

    Raises:
        GitHubError: It is none.
    """
    try:
        found = json.loads(tree)
        entries = found["tree"]
        files = [TreeFile(str(entry["path"]), int(entry.get("size") or 0)) for entry in entries if _is_file(entry)]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise GitHubError("server", "GitHub answered with something that is no list of files.") from None
    return files, bool(found.get("truncated"))


def _is_file(entry: Mapping[str, Any]) -> bool:
    return entry.get("type") == "blob"


def _decoded(content: str) -> bytes:
    try:
        return base64.b64decode(content)
    except (binascii.Error, ValueError) as error:
        raise GitHubError("server", "GitHub sent a file that cannot be decoded.") from error

"""Repositories on disk: content by its hash, one small JSON file for each repository, commit and discussion.

    blobs/ab/abcd...                         content, named by its SHA-256
    repos/models/mia/x/repo.json             settings, branches, tags
    repos/models/mia/x/commits/<id>.json     the whole list of files at one commit

Every file is written beside its place and then moved there, so that a server that ends in the middle leaves nothing
half done.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

KINDS = ("model", "dataset", "space")
CHUNK = 1 << 20


def now() -> str:
    """The time as the Hub writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_json(path: Path, value: object) -> None:
    """Writes a file as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    beside.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    beside.replace(path)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file at a commit. `oid` is what git calls it; of a large file that is the name of the pointer to it."""

    sha256: str
    oid: str
    size: int
    lfs: bool = False

    @property
    def etag(self) -> str:
        """By what a download is recognised."""
        return self.sha256 if self.lfs else self.oid


@dataclass(frozen=True, slots=True)
class Commit:
    """A state of a repository: its files by path, and how it came about."""

    id: str
    parents: tuple[str, ...]
    title: str
    message: str
    author: str
    date: str
    files: Mapping[str, Entry]


@dataclass(slots=True)
class Repo:
    """A repository.

    Attributes:
        gated: "auto", "manual" or False.
        branches: The commit at the head of each.
        tags: The commit and the message of each.
        pulls: The commit at the head of each pull request, by number.
        granted: Who may read it although it is gated.
        extra: Fields of its description that tests set as they like.
        space: Runtime, secrets, variables and volumes of a Space.
    """

    kind: str
    id: str
    directory: Path
    visibility: str = "public"
    gated: str | bool = False
    created: str = field(default_factory=now)
    sdk: str | None = None
    downloads: int = 0
    likes: int = 0
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    pulls: dict[str, str] = field(default_factory=dict)
    granted: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    space: dict[str, Any] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        """The namespace."""
        return self.id.split("/")[0]

    @property
    def name(self) -> str:
        """The part after the namespace."""
        return self.id.split("/")[1]

    @property
    def private(self) -> bool:
        """Whether only its owner sees it."""
        return self.visibility == "private"

    @property
    def head(self) -> Commit:
        """The last commit of `main`."""
        return self.commits[self.branches["main"]]

    @property
    def path(self) -> str:
        """Where the site shows it: `mia/x`, `datasets/mia/x`."""
        return self.id if self.kind == "model" else f"{self.kind}s/{self.id}"

    def find(self, revision: str) -> Commit | None:
        """The commit that a branch, a tag, `refs/pr/N`, or the beginning of a commit's id stands for."""
        short = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
        if revision.startswith("refs/pr/"):
            return self.commits.get(self.pulls.get(revision.removeprefix("refs/pr/"), ""))
        if short in self.branches:
            return self.commits[self.branches[short]]
        if short in self.tags:
            return self.commits[self.tags[short]["commit"]]
        if len(revision) < 7:
            return None
        return next((commit for name, commit in self.commits.items() if name.startswith(revision)), None)

    def history(self, commit: Commit | None) -> Iterator[Commit]:
        """A commit and those before it, along the first parents."""
        while commit is not None:
            yield commit
            commit = self.commits[commit.parents[0]] if commit.parents else None


class Blobs:
    """Content by its SHA-256."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path(self, sha256: str) -> Path:
        """Where content is or would be."""
        return self._directory / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Whether it is here."""
        return self.path(sha256).is_file()

    def size(self, sha256: str) -> int:
        """Its bytes."""
        return self.path(sha256).stat().st_size

    def receiving(self) -> Path:
        """A new place to write content to, before its hash is known; give it to `keep`."""
        directory = self._directory / "receiving"
        directory.mkdir(parents=True, exist_ok=True)
        return directory / secrets.token_hex(8)

    def keep(self, written: Path, sha256: str) -> None:
        """Moves what was written to where its hash says."""
        place = self.path(sha256)
        place.parent.mkdir(parents=True, exist_ok=True)
        written.replace(place)

    def add(self, content: bytes) -> str:
        """Stores content; returns its SHA-256."""
        sha256 = hashlib.sha256(content).hexdigest()
        if not self.has(sha256):
            written = self.receiving()
            written.write_bytes(content)
            self.keep(written, sha256)
        return sha256

    def add_stream(self, source: BinaryIO) -> str:
        """Stores what a file holds, without reading it into memory as a whole; returns its SHA-256."""
        written, digest = self.receiving(), hashlib.sha256()
        with written.open("wb") as target:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                target.write(chunk)
        self.keep(written, digest.hexdigest())
        return digest.hexdigest()

    def regular(self, content: bytes) -> Entry:
        """A file that git itself would hold."""
        return Entry(self.add(content), git_oid(content), len(content))

    def large(self, sha256: str) -> Entry:
        """A file behind a pointer; its content must be here."""
        size = self.size(sha256)
        return Entry(sha256, git_oid(pointer(sha256, size)), size, lfs=True)


class Store:
    """All repositories. Changes are made under `lock`, since tests and the server run in two threads."""

    def __init__(self, root: Path) -> None:
        self.lock = threading.RLock()
        self.blobs = Blobs(root / "blobs")
        self._directory = root / "repos"
        self._directory.mkdir(parents=True, exist_ok=True)
        loaded = [_load(path) for path in sorted(self._directory.glob("*/*/*/repo.json"))]
        self._repos = {(repo.kind, repo.id): repo for repo in loaded}

    def all(self, kind: str = "") -> list[Repo]:
        """Every repository, or every one of a kind."""
        return [repo for repo in list(self._repos.values()) if kind in ("", repo.kind)]

    def get(self, kind: str, repo_id: str) -> Repo | None:
        """One of them; upper and lower case are the same to the Hub."""
        exact = self._repos.get((kind, repo_id))
        return exact or next((repo for repo in self.all(kind) if repo.id.lower() == repo_id.lower()), None)

    def create(self, kind: str, repo_id: str, author: str, files: Mapping[str, Entry], **settings: Any) -> Repo:
        """A new repository with one commit."""
        with self.lock:
            repo = Repo(kind, repo_id, self._place(kind, repo_id), **settings)
            self._repos[kind, repo_id] = repo
            commit = self.commit(repo, None, files, "initial commit", author)
            self.update(repo, lambda: repo.branches.update(main=commit.id))
            return repo

    def commit(
        self, repo: Repo, parent: Commit | None, files: Mapping[str, Entry], title: str, author: str,
        message: str = "", merged: str = "",
    ) -> Commit:  # fmt: skip
        """A new commit, which no branch points to yet. `merged` is its second parent."""
        parents = tuple(name for name in (parent.id if parent else "", merged) if name)
        name = hashlib.sha1(secrets.token_bytes(20), usedforsecurity=False).hexdigest()
        commit = Commit(name, parents, title, message, author, now(), dict(sorted(files.items())))
        with self.lock:
            write_json(repo.directory / "commits" / f"{commit.id}.json", asdict(commit))
            repo.commits[commit.id] = commit
        return commit

    def update(self, repo: Repo, change: Callable[[], object]) -> None:
        """Makes a change to a repository and keeps it."""
        with self.lock:
            change()
            names = [item.name for item in fields(repo) if item.name not in ("directory", "commits")]
            write_json(repo.directory / "repo.json", {name: getattr(repo, name) for name in names})

    def delete(self, repo: Repo) -> None:
        """Removes a repository."""
        with self.lock:
            del self._repos[repo.kind, repo.id]
            (repo.directory / "repo.json").unlink()  # without it the rest is nothing
            shutil.rmtree(repo.directory, ignore_errors=True)

    def move(self, repo: Repo, repo_id: str) -> None:
        """Gives a repository another name."""
        with self.lock:
            del self._repos[repo.kind, repo.id]
            place = self._place(repo.kind, repo_id)
            place.parent.mkdir(parents=True, exist_ok=True)
            repo.directory.replace(place)
            repo.id, repo.directory = repo_id, place
            self._repos[repo.kind, repo_id] = repo
            self.update(repo, lambda: None)

    def _place(self, kind: str, repo_id: str) -> Path:
        return self._directory / f"{kind}s" / repo_id


def git_oid(content: bytes) -> str:
    """The name git gives to content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    """What git holds in place of a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def _load(path: Path) -> Repo:
    # The place says the name: it is what a move changes first.
    named = {"id": "/".join(path.parts[-3:-1]), "directory": path.parent}
    repo = Repo(**{**json.loads(path.read_text(encoding="utf-8")), **named})
    for file in sorted((path.parent / "commits").glob("*.json")):
        values = json.loads(file.read_text(encoding="utf-8"))
        files = {name: Entry(**entry) for name, entry in values.pop("files").items()}
        commit = Commit(**{**values, "parents": tuple(values["parents"])}, files=files)
        repo.commits[commit.id] = commit
    return repo

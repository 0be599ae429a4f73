"""Repositories of the stand-in Hub: everything about them over HTTP, and short ways for tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.support.hub import cuts
from tests.support.hub.buckets import Buckets
from tests.support.hub.discussions import Discussions
from tests.support.hub.hardware import HardwareList
from tests.support.hub.listing import Listing
from tests.support.hub.repos_asked import Asked, Handler, raw_parts
from tests.support.hub.repos_files import Files
from tests.support.hub.repos_info import Describer, chosen
from tests.support.hub.repos_refs import Refs
from tests.support.hub.repos_settings import Settings
from tests.support.hub.repos_store import KINDS, Commit, Entry, Repo, Store
from tests.support.hub.repos_upload import Uploads, is_large
from tests.support.hub.server import HubFailure
from tests.support.hub.spaces import Spaces

if TYPE_CHECKING:
    from tests.support.hub.server import StandInHub

Content = bytes | str | Path
"""A file given as its bytes, as text, or as a file of this machine."""


class Repos:
    """All repositories.

    Attributes:
        store: What is on disk.
        files: Trees and downloads; page sizes and interruptions are set there.
        uploads: Sizes of parts are set there.
        discussions: Discussions and pull requests.
        spaces: What Spaces have beyond a repository.
        listing: Lists over all repositories.
    """

    def __init__(self, hub: StandInHub, hardware: HardwareList, store: Store, buckets: Buckets) -> None:
        cuts.keep_quiet()
        self._hub = hub
        self.store = store
        self.spaces = Spaces(hub, store, hardware)
        self.discussions = Discussions(store)
        self.describer = Describer(store, self.spaces)
        self.listing = Listing(hub, store, self.describer)
        self.files = Files()
        self.refs = Refs()
        self.uploads = Uploads(hub, store, self.discussions)
        self._settings = Settings(hub, store, self.spaces, buckets)
        parts = (self.files, self.refs, self.uploads, self.discussions, self._settings)
        self._actions: dict[tuple[str, str], Handler] = {}
        for part in parts:
            self._actions |= part.actions()

    # ------------------------------------------------------------------------------------------ what tests may ask

    def create(
        self, repo_id: str, files: Mapping[str, Content] | None = None, *, kind: str = "model", sdk: str | None = None,
        private: bool = False, gated: str | bool = False, downloads: int = 0, likes: int = 0, created: str = "",
        changed: str = "", extra: Mapping[str, Any] | None = None,
    ) -> Repo:  # fmt: skip
        """A new repository of anybody, with files.

        Args:
            repo_id: `mia/x`.
            sdk: Of a Space; gradio unless it says otherwise.
            gated: "auto", "manual" or False.
            created: Time of its creation, ISO 8601, instead of now.
            changed: Time of its last commit, instead of now.
            extra: Fields of its description that are to be as given, `{"pipeline_tag": "text-generation"}`.
        """
        author = repo_id.split("/")[0]
        settings = {"sdk": sdk or "gradio"} if kind == "space" else {}
        repo = self._settings.make(kind, repo_id, author, {**settings, "private": private})

        def change() -> None:
            repo.gated, repo.downloads, repo.likes = gated, downloads, likes
            repo.created, repo.extra = created or repo.created, dict(extra or {})
            if changed:
                repo.extra["lastModified"] = changed

        self.store.update(repo, change)
        if files:
            self.push(repo_id, files, kind=kind, message="Add files")
        return repo

    def push(
        self, repo_id: str, files: Mapping[str, Content | None], *, kind: str = "model", message: str = "Update",
        revision: str = "main", author: str = "",
    ) -> str:  # fmt: skip
        """A commit of somebody else, with files changed or (None) removed; returns its id."""
        repo = self.get(repo_id, kind)
        with self.store.lock:
            parent = self._commit(repo, revision)
            result = {path: entry for path, entry in parent.files.items() if files.get(path, "") is not None}
            result |= {path: self._entry(path, content) for path, content in files.items() if content is not None}
            commit = self.store.commit(repo, parent, result, message, author or repo.owner)
            self.store.update(repo, lambda: repo.branches.update({revision: commit.id}))
            if kind == "space" and revision == "main":
                self.spaces.changed(repo)
        return commit.id

    def get(self, repo_id: str, kind: str = "model") -> Repo:
        """One repository.

        Raises:
            KeyError: There is none of this name.
        """
        repo = self.store.get(kind, repo_id)
        if repo is None:
            raise KeyError(f"{kind} {repo_id}")
        return repo

    def exists(self, repo_id: str, kind: str = "model") -> bool:
        """Whether there is such a repository."""
        return self.store.get(kind, repo_id) is not None

    def paths(self, repo_id: str, revision: str = "main", *, kind: str = "model") -> list[str]:
        """All files at a revision."""
        return list(self._commit(self.get(repo_id, kind), revision).files)

    def read(self, repo_id: str, path: str, revision: str = "main", *, kind: str = "model") -> bytes:
        """What a file holds.

        Raises:
            KeyError: There is no such repository, revision or file.
        """
        return self.place(repo_id, path, revision, kind=kind).read_bytes()

    def place(self, repo_id: str, path: str, revision: str = "main", *, kind: str = "model") -> Path:
        """Where on this machine the content of a file is; not to be changed."""
        entry = self._commit(self.get(repo_id, kind), revision).files[path]
        return self.store.blobs.path(entry.sha256)

    def commits(self, repo_id: str, revision: str = "main", *, kind: str = "model") -> list[Commit]:
        """The history, the newest first."""
        repo = self.get(repo_id, kind)
        return list(repo.history(self._commit(repo, revision)))

    def grant(self, repo_id: str, names: Iterable[str], *, kind: str = "model") -> None:
        """Lets people into a gated repository."""
        repo = self.get(repo_id, kind)
        self.store.update(repo, lambda: repo.granted.extend(names))

    def checkout(self, repo_id: str, directory: Path, revision: str = "main", *, kind: str = "model") -> None:
        """Puts all files at a revision into a directory."""
        for path, entry in self._commit(self.get(repo_id, kind), revision).files.items():
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.store.blobs.path(entry.sha256).read_bytes())

    def stop(self) -> None:
        """Ends the streams."""
        self.spaces.stop()

    # ----------------------------------------------------------------------------------------------------- answers

    def routes(self) -> list[BaseRoute]:
        """What it answers."""
        found = [*self._settings.routes(), *self.uploads.routes(), *self.spaces.routes(), *self.listing.routes()]
        found += self.describer.routes()
        methods = ["GET", "POST", "PUT", "DELETE"]
        found += [Route(f"/api/{kind}s/{{rest:path}}", self._api, methods=methods) for kind in KINDS]
        for prefix in ("/datasets", "/spaces", ""):
            start = f"{prefix}/{{owner}}/{{name}}"
            found += [Route(f"{start}/{verb}/{{rest:path}}", self._site) for verb in ("resolve", "raw")]
            found.append(Route(f"{start}/info/lfs/objects/batch", self._site, methods=["POST"]))
        return found

    async def _api(self, request: Request) -> Response:
        _, kinds, *parts = raw_parts(request)
        if len(parts) < 2:
            raise HubFailure(404, "Repository not found", "RepoNotFound")
        kind, rest = kinds.removesuffix("s"), parts[2:]
        asked = Asked(self._hub, self.store, request, kind, "/".join(parts[:2]), rest)
        method = "GET" if request.method == "HEAD" else request.method
        if method == "GET" and (not rest or rest[0] == "revision"):
            return self._info(asked)
        actions = {**self._actions, **self.spaces.actions()} if kind == "space" else self._actions
        handler = actions.get((method, rest[0] if rest else ""))
        if handler is None:
            raise HubFailure(404, "Sorry, we can't find the page you are looking for.")
        return await handler(asked)

    async def _site(self, request: Request) -> Response:
        parts = raw_parts(request)
        kind = "model"
        if parts[0] in ("datasets", "spaces"):
            kind = parts.pop(0).removesuffix("s")
        repo_id = "/".join(parts[:2]).removesuffix(".git")
        asked = Asked(self._hub, self.store, request, kind, repo_id, parts[2:])
        if parts[2] == "info":
            return await self.uploads.batch(asked)
        method = "HEAD" if request.method == "HEAD" and parts[2] == "resolve" else "GET"
        return await self._actions[method, parts[2]](asked)

    def _info(self, asked: Asked) -> Response:
        repo = asked.repo()
        commit = asked.commit(repo, asked.rest[1] if len(asked.rest) > 1 else "main")
        info = self.describer.info(repo, commit, blobs=asked.flag("blobs"))
        query = asked.request.query_params
        expand = [*query.getlist("expand"), *query.getlist("expand[]")]
        return JSONResponse(chosen(info, expand) if expand else info)

    # ------------------------------------------------------------------------------------------------------ inside

    def _commit(self, repo: Repo, revision: str) -> Commit:
        commit = repo.find(revision)
        if commit is None:
            raise KeyError(f"{repo.id} has no revision {revision}")
        return commit

    def _entry(self, path: str, content: Content) -> Entry:
        blobs = self.store.blobs
        if isinstance(content, Path):
            with content.open("rb") as source:
                sha256 = blobs.add_stream(source)
            return blobs.large(sha256) if is_large(path, blobs.size(sha256)) else blobs.regular(content.read_bytes())
        raw = content.encode() if isinstance(content, str) else content
        return blobs.large(blobs.add(raw)) if is_large(path, len(raw)) else blobs.regular(raw)

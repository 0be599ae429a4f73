"""Repositories come, change and go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.support.hub.repos_asked import Asked, Handler, json_object
from tests.support.hub.repos_store import KINDS, Entry, Repo, Store
from tests.support.hub.repos_upload import LARGE_ENDINGS
from tests.support.hub.server import HubFailure, Person
from tests.support.hub.spaces import SDKS, Spaces

if TYPE_CHECKING:
    from tests.support.hub.buckets import Buckets
    from tests.support.hub.server import StandInHub

_NAME = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9_][A-Za-z0-9._-]{0,94}(?<![.-])(?<!\.git)")
_ATTRIBUTES = "".join(f"*.{ending} filter=lfs diff=lfs merge=lfs -text\n" for ending in sorted(LARGE_ENDINGS))


class Settings:
    """Creates, changes, moves and deletes repositories."""

    def __init__(self, hub: StandInHub, store: Store, spaces: Spaces, buckets: Buckets) -> None:
        self._hub = hub
        self._store = store
        self._spaces = spaces
        self._buckets = buckets

    def routes(self) -> list[BaseRoute]:
        """What names the repository in its body."""
        return [
            Route("/api/repos/create", self._create, methods=["POST"]),
            Route("/api/repos/delete", self._delete, methods=["DELETE"]),
            Route("/api/repos/move", self._move, methods=["POST"]),
        ]

    def actions(self) -> Mapping[tuple[str, str], Handler]:
        """By method and first part of the address after the repository."""
        return {
            ("PUT", "settings"): self._change,
            ("POST", "duplicate"): self._duplicate,
            ("GET", "auth-check"): self._check,
            ("POST", "user-access-request"): self._access,
        }

    def make(self, kind: str, repo_id: str, author: str, body: Mapping[str, Any]) -> Repo:
        """A new repository with the files that the Hub puts into each."""
        files = {".gitattributes": self._store.blobs.regular(_ATTRIBUTES.encode())}
        values: dict[str, Any] = {"visibility": _visibility(body)}
        if kind == "space":
            sdk = body.get("sdk")
            if sdk not in SDKS:
                raise HubFailure(400, f"Invalid sdk {sdk!r}: use one of {', '.join(SDKS)}")
            values |= {"sdk": sdk, "space": self._spaces.settings(body)}
            files["README.md"] = self._readme(repo_id, str(sdk))
        return self._store.create(kind, repo_id, author, files, **values)

    def _readme(self, repo_id: str, sdk: str) -> Entry:
        title = repo_id.split("/")[1].replace("-", " ").title()
        text = f"---\ntitle: {title}\nemoji: 🚀\ncolorFrom: blue\ncolorTo: gray\nsdk: {sdk}\npinned: false\n---\n"
        return self._store.blobs.regular(text.encode())

    async def _create(self, request: Request) -> Response:
        body = json_object(await request.body())
        person, kind, repo_id = self._named(request, body)
        if not _NAME.fullmatch(repo_id.split("/")[1]):
            raise HubFailure(400, f"Invalid repository name {repo_id!r}")
        with self._store.lock:
            present = self._store.get(kind, repo_id)
            if present is not None:
                url = f"{self._hub.url}/{present.path}"
                error = f"You already created this {kind} repo: {present.id}"
                return JSONResponse({"error": error, "url": url}, 409, headers={"X-Error-Message": error})
            repo = self.make(kind, repo_id, person.name, body)
        return JSONResponse({"url": f"{self._hub.url}/{repo.path}", "name": repo.id, "id": repo.id})

    async def _delete(self, request: Request) -> Response:
        body = json_object(await request.body())
        _, kind, repo_id = self._named(request, body)
        repo = self._store.get(kind, repo_id)
        if repo is None:
            raise HubFailure(404, "Repository not found", "RepoNotFound")
        self._store.delete(repo)
        return Response("OK", media_type="text/plain")

    async def _move(self, request: Request) -> Response:
        body = json_object(await request.body())
        source, target = str(body.get("fromRepo")), str(body.get("toRepo"))
        for name in (source, target):
            self._hub.owner_of(request, name.split("/")[0])
        if body.get("type") == "bucket":
            self._buckets.move(source, target)
            return Response("OK", media_type="text/plain")
        kind = _kind(body)
        with self._store.lock:
            repo = self._store.get(kind, source)
            if repo is None:
                raise HubFailure(404, "Repository not found", "RepoNotFound")
            if self._store.get(kind, target) is not None:
                raise HubFailure(409, f"There is a {kind} {target} already")
            self._store.move(repo, target)
        return Response("OK", media_type="text/plain")

    async def _change(self, asked: Asked) -> Response:
        repo, _ = asked.own()
        body = await asked.body()
        gated, visibility = body.get("gated", repo.gated), repo.visibility
        if gated not in ("auto", "manual") and gated is not False:
            raise HubFailure(400, f'Invalid value for gated: {gated!r}. Expected "auto", "manual" or false')
        if "private" in body or "visibility" in body:
            visibility = _visibility(body)

        def change() -> None:
            repo.gated, repo.visibility = gated, visibility

        self._store.update(repo, change)
        return JSONResponse({"private": repo.private, "visibility": repo.visibility, "gated": repo.gated})

    async def _duplicate(self, asked: Asked) -> Response:
        source, person = asked.readable(), asked.someone()
        body = await asked.body()
        repo_id = str(body.get("repository", ""))
        self._hub.owner_of(asked.request, repo_id.split("/")[0])
        present = self._store.get(source.kind, repo_id)
        if present is not None:
            url = f"{self._hub.url}/{present.path}"
            return JSONResponse({"error": f"{present.id} exists already", "url": url}, 409)
        repo = self.make(source.kind, repo_id, person.name, {"sdk": source.sdk, **body})
        commit = self._store.commit(repo, repo.head, source.head.files, f"Duplicate from {source.id}", person.name)
        self._store.update(repo, lambda: repo.branches.update(main=commit.id))
        return JSONResponse({"url": f"{self._hub.url}/{repo.path}"})

    async def _check(self, asked: Asked) -> Response:
        if asked.rest[1:] == ["write"]:
            asked.own()
        else:
            asked.readable()
        return JSONResponse({"success": True})

    async def _access(self, asked: Asked) -> Response:
        """Lets somebody into a gated repository, or no longer."""
        repo, _ = asked.own()
        body = await asked.body()
        names = [*repo.granted, str(body.get("user", ""))]
        if asked.part(1) == "handle" and body.get("status") != "accepted":
            names = [name for name in repo.granted if name != body.get("user")]

        def change() -> None:
            repo.granted = list(dict.fromkeys(names))

        self._store.update(repo, change)
        return JSONResponse({"success": True})

    def _named(self, request: Request, body: Mapping[str, Any]) -> tuple[Person, str, str]:
        person = self._hub.person(request)
        if person is None:
            raise HubFailure(401, "Invalid username or password.")
        namespace = str(body.get("organization") or person.name)
        if namespace not in (person.name, *person.orgs):
            text = f"You don't have the rights to act under the namespace {namespace}"
            raise HubFailure(403, text)
        return person, _kind(body), f"{namespace}/{body.get('name', '')}"


def _kind(body: Mapping[str, Any]) -> str:
    kind = str(body.get("type") or "model")
    if kind not in KINDS:
        raise HubFailure(400, f"Invalid repository type {kind!r}")
    return kind


def _visibility(body: Mapping[str, Any]) -> str:
    visibility = body.get("visibility") or ("private" if body.get("private") else "public")
    if visibility not in ("public", "private", "protected"):
        raise HubFailure(400, f"Invalid visibility {visibility!r}")
    return str(visibility)

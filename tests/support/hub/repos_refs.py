"""Branches, tags and the history of repositories."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from tests.support.hub.repos_asked import Asked, Handler
from tests.support.hub.repos_store import Commit
from tests.support.hub.server import HubFailure


class Refs:
    """Answers about branches, tags and commits.

    Attributes:
        page_size: Commits on one page.
    """

    def __init__(self) -> None:
        self.page_size = 50

    def actions(self) -> Mapping[tuple[str, str], Handler]:
        """By method and first part of the address after the repository."""
        return {
            ("GET", "refs"): self._refs,
            ("POST", "branch"): self._create_branch,
            ("DELETE", "branch"): self._delete_branch,
            ("POST", "tag"): self._create_tag,
            ("DELETE", "tag"): self._delete_tag,
            ("GET", "commits"): self._commits,
            ("POST", "super-squash"): self._squash,
        }

    async def _refs(self, asked: Asked) -> Response:
        repo = asked.repo()
        answer = {
            "branches": [_ref(name, f"refs/heads/{name}", commit) for name, commit in repo.branches.items()],
            "converts": [],
            "tags": [_ref(name, f"refs/tags/{name}", tag["commit"]) for name, tag in repo.tags.items()],
        }
        if asked.flag("include_prs"):
            answer["pullRequests"] = [_ref(f"refs/pr/{n}", f"refs/pr/{n}", commit) for n, commit in repo.pulls.items()]
        return JSONResponse(answer)

    async def _create_branch(self, asked: Asked) -> Response:
        repo, _ = asked.own()
        name = asked.part(1)
        if name in repo.branches:
            raise HubFailure(409, f"Reference already exists: refs/heads/{name}")
        if name.startswith("refs/") or " " in name or not name:
            raise HubFailure(400, f"Invalid reference name {name!r}")
        body = await asked.body() if await asked.request.body() else {}
        start = asked.commit(repo, str(body.get("startingPoint") or "main"))
        asked.store.update(repo, lambda: repo.branches.update({name: start.id}))
        return JSONResponse({"success": True}, 201)

    async def _delete_branch(self, asked: Asked) -> Response:
        repo, _ = asked.own()
        name = asked.part(1)
        if name == "main":
            raise HubFailure(403, "Cannot delete the default branch")
        if name not in repo.branches:
            raise HubFailure(404, f"Reference does not exist: {name}", "RevisionNotFound")
        asked.store.update(repo, lambda: repo.branches.pop(name))
        return JSONResponse({"success": True})

    async def _create_tag(self, asked: Asked) -> Response:
        repo, _ = asked.own()
        body = await asked.body()
        name = str(body.get("tag", ""))
        if not name or " " in name:
            raise HubFailure(400, f"Invalid tag name {name!r}")
        if name in repo.tags:
            raise HubFailure(409, f"Tag reference exists already: {name}")
        commit = asked.commit(repo, asked.part(1))
        tag = {"commit": commit.id, "message": str(body.get("message") or "")}
        asked.store.update(repo, lambda: repo.tags.update({name: tag}))
        return JSONResponse({"success": True}, 201)

    async def _delete_tag(self, asked: Asked) -> Response:
        repo, _ = asked.own()
        name = asked.part(1)
        if name not in repo.tags:
            raise HubFailure(404, f"Tag does not exist: {name}", "RevisionNotFound")
        asked.store.update(repo, lambda: repo.tags.pop(name))
        return JSONResponse({"success": True})

    async def _commits(self, asked: Asked) -> Response:
        repo = asked.repo()
        formatted = "formatted" in asked.request.query_params.getlist("expand[]")
        history = repo.history(asked.commit(repo, asked.part(1)))
        return asked.page([_commit(commit, formatted) for commit in history], self.page_size)

    async def _squash(self, asked: Asked) -> Response:
        repo, person = asked.own()
        branch = asked.part(1)
        if branch not in repo.branches:
            raise HubFailure(404, f"Invalid rev id: {branch}", "RevisionNotFound")
        title = str((await asked.body()).get("message") or f"Super-squash branch {branch}")
        with asked.store.lock:
            files = repo.commits[repo.branches[branch]].files
            commit = asked.store.commit(repo, None, files, title, person.name)
            asked.store.update(repo, lambda: repo.branches.update({branch: commit.id}))
        return JSONResponse({"success": True, "commitOid": commit.id})


def _ref(name: str, ref: str, commit: str) -> dict[str, str]:
    return {"name": name, "ref": ref, "targetCommit": commit}


def _commit(commit: Commit, formatted: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "id": commit.id,
        "title": commit.title,
        "message": commit.message,
        "date": commit.date,
        "authors": [{"user": commit.author}],
    }
    if formatted:
        answer["formatted"] = {"title": html.escape(commit.title), "message": html.escape(commit.message)}
    return answer

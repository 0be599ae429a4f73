"""Discussions and pull requests of the stand-in Hub."""

from __future__ import annotations

import html
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse, Response

from tests.support.hub import repos_diff
from tests.support.hub.repos_asked import Asked, Handler, owns
from tests.support.hub.repos_store import Commit, Repo, Store, now, write_json
from tests.support.hub.server import HubFailure, Person

_OPEN = ("open", "draft")


class Discussions:
    """Keeps one file for each discussion, beside its repository.

    Attributes:
        page_size: Discussions on one page of a list.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.page_size = 50

    def actions(self) -> Mapping[tuple[str, str], Handler]:
        """By method and first part of the address after the repository."""
        return {("GET", "discussions"): self._get, ("POST", "discussions"): self._post}

    # ------------------------------------------------------------------------------------ what other parts ask for

    def all(self, repo: Repo) -> list[dict[str, Any]]:
        """Every discussion of a repository, the oldest first."""
        places = sorted(self._directory(repo).glob("*.json"), key=lambda place: int(place.stem))
        return [json.loads(place.read_text(encoding="utf-8")) for place in places]

    def author(self, repo: Repo, number: int) -> str:
        """Who opened one."""
        return str(self._load(repo, number)["author"]["name"])

    def open_with(self, repo: Repo, person: Person, commit: Commit, parent: Commit, target: str) -> int:
        """Opens a pull request that has a commit already; returns its number."""
        number = self._open(repo, person, commit.title, commit.message, "open", parent, target)
        self._store.update(repo, lambda: repo.pulls.update({str(number): commit.id}))
        self.committed(repo, number, commit, person)
        return number

    def committed(self, repo: Repo, number: int, commit: Commit, person: Person) -> None:
        """Notes that a pull request has a new commit."""
        found = self._load(repo, number)
        if found["status"] not in _OPEN:
            raise HubFailure(403, f"The pull request #{number} is {found['status']}")
        found["events"].append(_event("commit", person, {"subject": commit.title, "oid": commit.id}))
        self._save(repo, found)

    # ----------------------------------------------------------------------------------------------------- answers

    async def _get(self, asked: Asked) -> Response:
        repo = asked.repo()
        return self._list(asked, repo) if len(asked.rest) == 1 else self._details(asked, repo)

    def _list(self, asked: Asked, repo: Repo) -> Response:
        query = asked.request.query_params
        kind, status, author = query.get("type", "all"), query.get("status", "all"), query.get("author")
        found = [
            item
            for item in reversed(self.all(repo))
            if kind == "all" or item["isPullRequest"] == (kind == "pull_request")
            if status == "all" or (item["status"] in _OPEN) == (status == "open")
            if author is None or item["author"]["name"] == author
        ]
        start = int(query.get("p", "0")) * self.page_size
        page = [{**item, "repo": _named(repo)} for item in found[start : start + self.page_size]]
        for item in page:
            item["numComments"] = sum(event["type"] == "comment" for event in item.pop("events"))
        return JSONResponse({"discussions": page, "count": len(found), "start": start})

    def _details(self, asked: Asked, repo: Repo) -> Response:
        found = self._load(repo, _number(asked))
        answer = {**found, "repo": _named(repo)}
        if found["isPullRequest"]:
            base, pull = repo.commits[found["baseCommit"]], repo.commits[repo.pulls[str(found["num"])]]
            target = repo.find(found["changes"]["base"])
            still = found["status"] in _OPEN and target is not None
            answer["filesWithConflicts"] = (
                repos_diff.conflicts(base.files, target.files, pull.files) if still and target is not None else []
            )
            if asked.flag("diff"):
                answer["diff"] = repos_diff.unified(self._store.blobs, base.files, pull.files)
        return JSONResponse(answer)

    async def _post(self, asked: Asked) -> Response:
        repo, person = asked.repo(), asked.someone()
        body = await asked.body() if await asked.request.body() else {}
        with self._store.lock:
            if len(asked.rest) == 1:
                return self._new(repo, person, body)
            found = self._load(repo, _number(asked))
            action = asked.part(2)
            if action == "comment":
                return self._comment(asked, repo, person, found, body)
            if not owns(person, repo) and (action == "merge" or found["author"]["name"] != person.name):
                raise HubFailure(403, f"You don't have the rights to change discussion #{found['num']}")
            if action == "status":
                return self._status(repo, person, found, body)
            if action == "title":
                return self._title(repo, person, found, body)
            if action == "merge":
                return self._merge(repo, person, found, body)
        raise HubFailure(404, "Sorry, we can't find the page you are looking for.")

    def _new(self, repo: Repo, person: Person, body: Mapping[str, Any]) -> Response:
        title = str(body.get("title", "")).strip()
        if not 3 <= len(title) <= 200:
            raise HubFailure(400, "The title must have 3 to 200 characters")
        is_pull = bool(body.get("pullRequest"))
        head = repo.head if is_pull else None
        status = "draft" if is_pull else "open"
        number = self._open(repo, person, title, str(body.get("description", "")), status, head, "main")
        if head is not None:
            self._store.update(repo, lambda: repo.pulls.update({str(number): head.id}))
        return JSONResponse({"num": number, "pullRequest": is_pull}, 201)

    def _open(
        self, repo: Repo, person: Person, title: str, text: str, status: str, base: Commit | None, target: str
    ) -> int:
        number = 1 + max((int(place.stem) for place in self._directory(repo).glob("*.json")), default=0)
        found: dict[str, Any] = {
            "num": number,
            "title": title,
            "author": {"name": person.name, "type": "user"},
            "status": status,
            "createdAt": now(),
            "isPullRequest": base is not None,
            "events": [_comment_event(person, text)] if text else [],
        }
        if base is not None:
            found["baseCommit"] = base.id
            found["changes"] = {"base": target if target.startswith("refs/") else f"refs/heads/{target}"}
        self._save(repo, found)
        return number

    def _comment(
        self, asked: Asked, repo: Repo, person: Person, found: dict[str, Any], body: Mapping[str, Any]
    ) -> Response:
        if len(asked.rest) > 3:
            return self._change_comment(asked, repo, person, found, body)
        text = str(body.get("comment", ""))
        if not text.strip():
            raise HubFailure(400, "A comment needs a text")
        event = _comment_event(person, text)
        found["events"].append(event)
        self._save(repo, found)
        return JSONResponse({"newMessage": event}, 201)

    def _change_comment(
        self, asked: Asked, repo: Repo, person: Person, found: dict[str, Any], body: Mapping[str, Any]
    ) -> Response:
        event = next((item for item in found["events"] if item["id"] == asked.part(3)), None)
        if event is None or event["type"] != "comment":
            raise HubFailure(404, f"There is no comment {asked.part(3)}")
        if event["author"]["name"] != person.name and not owns(person, repo):
            raise HubFailure(403, "You don't have the rights to change this comment")
        data = event["data"]
        data["history"].append(data["latest"])
        if asked.part(4) == "hide":
            data.update(hidden=True, latest=_content(person, "This comment has been hidden"))
        else:
            data.update(edited=True, latest=_content(person, str(body.get("content", ""))))
        self._save(repo, found)
        return JSONResponse({"updatedComment": event})

    def _status(self, repo: Repo, person: Person, found: dict[str, Any], body: Mapping[str, Any]) -> Response:
        status = body.get("status")
        if status not in ("open", "closed"):
            raise HubFailure(400, f"Invalid status {status!r}")
        if found["status"] == "merged":
            raise HubFailure(400, "A merged pull request can't be opened or closed")
        return self._changed(repo, person, found, str(status), body)

    def _changed(
        self, repo: Repo, person: Person, found: dict[str, Any], status: str, body: Mapping[str, Any]
    ) -> Response:
        if body.get("comment"):
            found["events"].append(_comment_event(person, str(body["comment"])))
        found["status"] = status
        event = _event("status-change", person, {"status": status})
        found["events"].append(event)
        self._save(repo, found)
        return JSONResponse({"newStatus": event}, 201)

    def _title(self, repo: Repo, person: Person, found: dict[str, Any], body: Mapping[str, Any]) -> Response:
        event = _event("title-change", person, {"from": found["title"], "to": str(body.get("title", ""))})
        found["title"] = event["data"]["to"]
        found["events"].append(event)
        self._save(repo, found)
        return JSONResponse({"newTitle": event})

    def _merge(self, repo: Repo, person: Person, found: dict[str, Any], body: Mapping[str, Any]) -> Response:
        number = found["num"]
        if not found["isPullRequest"]:
            raise HubFailure(400, f"Discussion #{number} is no pull request")
        if found["status"] == "draft":
            raise HubFailure(400, f"The pull request #{number} is a draft: set its status to open before it is merged")
        if found["status"] != "open":
            raise HubFailure(400, f"The pull request #{number} is {found['status']}")
        branch = found["changes"]["base"].removeprefix("refs/heads/")
        if branch not in repo.branches:
            raise HubFailure(400, f"The branch {branch} is gone")
        base, pull = repo.commits[found["baseCommit"]], repo.commits[repo.pulls[str(number)]]
        target = repo.commits[repo.branches[branch]]
        if conflicting := repos_diff.conflicts(base.files, target.files, pull.files):
            raise HubFailure(409, f"There are conflicts in {', '.join(conflicting)}")
        files = repos_diff.merge(base.files, target.files, pull.files)
        title = f"{found['title']} (#{number})"
        commit = self._store.commit(repo, target, files, title, person.name, merged=pull.id)
        self._store.update(repo, lambda: repo.branches.update({branch: commit.id}))
        found["changes"]["mergeCommitId"] = commit.id
        return self._changed(repo, person, found, "merged", body)

    # ----------------------------------------------------------------------------------------------------- on disk

    def _directory(self, repo: Repo) -> Path:
        return repo.directory / "discussions"

    def _load(self, repo: Repo, number: int) -> dict[str, Any]:
        place = self._directory(repo) / f"{number}.json"
        if not place.is_file():
            raise HubFailure(404, f"There is no discussion #{number} in {repo.id}")
        found: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        return found

    def _save(self, repo: Repo, found: Mapping[str, Any]) -> None:
        write_json(self._directory(repo) / f"{found['num']}.json", found)


def _number(asked: Asked) -> int:
    part = asked.part(1)
    if not part.isdigit():
        raise HubFailure(404, f"There is no discussion {part!r}")
    return int(part)


def _named(repo: Repo) -> dict[str, str]:
    return {"name": repo.id, "type": repo.kind}


def _event(kind: str, person: Person, data: dict[str, Any]) -> dict[str, Any]:
    author = {"name": person.name, "type": "user"}
    return {"id": secrets.token_hex(12), "type": kind, "createdAt": now(), "author": author, "data": data}


def _comment_event(person: Person, text: str) -> dict[str, Any]:
    return _event(
        "comment", person, {"edited": False, "hidden": False, "history": [], "latest": _content(person, text)}
    )


def _content(person: Person, text: str) -> dict[str, Any]:
    return {
        "raw": text,
        "html": f"<p>{html.escape(text)}</p>",
        "updatedAt": now(),
        "author": {"name": person.name, "type": "user"},
    }

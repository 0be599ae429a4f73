"""Requests about repositories: which one is meant, who asks, and what they may do."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.support.hub.repos_store import Commit, Repo, Store
from tests.support.hub.server import HubFailure, Person

if TYPE_CHECKING:
    from tests.support.hub.server import StandInHub

Handler = Callable[["Asked"], Awaitable[Response]]


@dataclass(slots=True)
class Asked:
    """One request about one repository.

    Attributes:
        rest: What the address says after the repository, decoded part by part: `["tree", "refs/pr/1", "data"]`.
    """

    hub: StandInHub
    store: Store
    request: Request
    kind: str
    repo_id: str
    rest: list[str]

    @property
    def person(self) -> Person | None:
        """Who asks."""
        return self.hub.person(self.request)

    def flag(self, name: str) -> bool:
        """Whether a switch is set in the address."""
        return self.request.query_params.get(name, "").lower() in ("1", "true")

    def part(self, position: int) -> str:
        """A part of the address after the repository.

        Raises:
            HubFailure: It is not there.
        """
        if len(self.rest) <= position:
            raise HubFailure(404, "Sorry, we can't find the page you are looking for.")
        return self.rest[position]

    def repo(self) -> Repo:
        """The repository, which whoever asks may know of.

        Raises:
            HubFailure: There is none, or it is private and not theirs; the Hub does not tell which.
        """
        person = self.person
        repo = self.store.get(self.kind, self.repo_id)
        if repo is None or (repo.private and not owns(person, repo)):
            if person is None:
                raise HubFailure(401, "Invalid username or password.", "RepoNotFound")
            raise HubFailure(404, "Repository not found", "RepoNotFound")
        return repo

    def readable(self) -> Repo:
        """The repository, whose files whoever asks may read.

        Raises:
            HubFailure: It is gated and they were not let in.
        """
        repo, person = self.repo(), self.person
        if not repo.gated or owns(person, repo) or (person is not None and person.name in repo.granted):
            return repo
        if person is None:
            text = "You must have access to it and be authenticated to access it. Please log in."
            raise HubFailure(401, f"Access to {repo.kind} {repo.id} is restricted. {text}", "GatedRepo")
        text = f"you are not in the authorized list. Visit {self.hub.url}/{repo.path} to ask for access."
        raise HubFailure(403, f"Access to {repo.kind} {repo.id} is restricted and {text}", "GatedRepo")

    def someone(self) -> Person:
        """Who asks, being somebody.

        Raises:
            HubFailure: They have no token.
        """
        person = self.person
        if person is None:
            raise HubFailure(401, "Invalid username or password.")
        return person

    def own(self) -> tuple[Repo, Person]:
        """The repository of whoever asks, and them.

        Raises:
            HubFailure: It is not theirs to change.
        """
        repo, person = self.repo(), self.someone()
        if not owns(person, repo):
            raise HubFailure(403, f"You don't have the rights to change {repo.kind} {repo.id}.")
        return repo, person

    def commit(self, repo: Repo, revision: str) -> Commit:
        """What a revision stands for.

        Raises:
            HubFailure: There is no such revision.
        """
        commit = repo.find(revision)
        if commit is None:
            raise HubFailure(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    async def body(self) -> dict[str, Any]:
        """The JSON object that was sent.

        Raises:
            HubFailure: It is something else.
        """
        return json_object(await self.request.body())

    async def form(self) -> dict[str, list[str]]:
        """The fields of the form that was sent, or of a JSON object."""
        raw = await self.request.body()
        if "json" in self.request.headers.get("content-type", ""):
            return {
                name: [str(item) for item in value] if isinstance(value, list) else [str(value)]
                for name, value in json_object(raw).items()
            }
        return parse_qs(raw.decode(), keep_blank_values=True)

    def page(self, items: Sequence[object], size: int) -> Response:
        """One page of a list, with the address of the next one."""
        return page(self.hub, self.request, items, size)


def owns(person: Person | None, repo: Repo) -> bool:
    """Whether a repository is someone's, or their organisation's."""
    return person is not None and repo.owner in (person.name, *person.orgs)


def json_object(raw: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        HubFailure: It is something else.
    """
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise HubFailure(400, "The body must be a JSON object")
    return value


def raw_parts(request: Request) -> list[str]:
    """The parts of the address, decoded one by one: a revision may have slashes in it."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    return [unquote(part) for part in raw.decode().split("?")[0].strip("/").split("/")]


def page(hub: StandInHub, request: Request, items: Sequence[object], size: int) -> Response:
    """One page of a list, with a `Link` to the next one."""
    start = int(request.query_params.get("cursor", "0"))
    headers: Mapping[str, str] = {}
    if start + size < len(items):
        query = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
        address = f"{hub.url}{request.url.path}?{urlencode([*query, ('cursor', start + size)])}"
        raw: bytes = request.scope.get("raw_path") or b""
        if raw:
            address = address.replace(request.url.path, raw.decode().split("?")[0], 1)
        headers = {"Link": f'<{address}>; rel="next"'}
    return JSONResponse(list(items[start : start + size]), headers=dict(headers))

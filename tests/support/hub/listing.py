"""Lists of models, datasets and Spaces: searched, filtered, sorted, in pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.support.hub.repos_asked import owns, page
from tests.support.hub.repos_info import Describer, chosen
from tests.support.hub.repos_store import KINDS, Repo, Store
from tests.support.hub.server import HubFailure

if TYPE_CHECKING:
    from tests.support.hub.server import StandInHub

_SORTS = ("downloads", "likes", "lastModified", "createdAt", "trendingScore")
_UNITS = {"": 1, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_ALWAYS = ("_id", "id", "modelId", "author", "private", "downloads", "likes", "tags", "createdAt", "trendingScore",
           "pipeline_tag", "library_name", "sdk")  # fmt: skip
_FULL = ("sha", "lastModified", "gated", "disabled", "siblings", "description", "cardData", "runtime")


class Listing:
    """Answers lists.

    Attributes:
        page_size: Repositories on one page, unless the request says fewer.
    """

    def __init__(self, hub: StandInHub, store: Store, describer: Describer) -> None:
        self._hub = hub
        self._store = store
        self._describer = describer
        self.page_size = 1000

    def routes(self) -> list[BaseRoute]:
        """The three lists, the search for Spaces by meaning, and what takes how much room."""
        lists = [Route(f"/api/{kind}s", self._list) for kind in KINDS]
        return [
            *lists,
            Route("/api/spaces/semantic-search", self._by_meaning),
            Route("/api/settings/repositories", self._storage),
            Route("/api/organizations/{owner}/settings/repositories", self._storage),
        ]

    async def _storage(self, request: Request) -> Response:
        """Everything of one owner and the room it takes, the largest first."""
        person = self._hub.person(request)
        owner = request.path_params.get("owner") or (person.name if person else "")
        self._hub.owner_of(request, owner)
        found = [(repo, self._info(repo)) for repo in self._store.all() if repo.owner == owner]
        whole = sum(info["usedStorage"] for _, info in found) or 1
        answers = [
            {
                "id": repo.id, "type": repo.kind, "updatedAt": info["lastModified"], "visibility": repo.visibility,
                "storage": info["usedStorage"], "storagePercent": 100 * info["usedStorage"] / whole,
            }
            for repo, info in found
        ]  # fmt: skip
        answers.sort(key=lambda item: -int(item["storage"]))
        return page(self._hub, request, answers, self.page_size)

    async def _list(self, request: Request) -> Response:
        kind, query = request.url.path.rsplit("/", 1)[1].removesuffix("s"), request.query_params
        found = [info for info in self._visible(request, kind) if _matches(info, query)]
        sort = query.get("sort", "trendingScore")
        if sort not in _SORTS:
            raise HubFailure(400, f"Invalid sort {sort!r}: use one of {', '.join(_SORTS)}")
        found.sort(key=lambda info: (info.get(sort) or 0, info["id"]), reverse=query.get("direction", "-1") == "-1")
        size = min(int(query.get("limit") or self.page_size), self.page_size)
        return page(self._hub, request, [_shown(info, query) for info in found], max(1, size))

    async def _by_meaning(self, request: Request) -> Response:
        query = request.query_params
        words = set(re.findall(r"\w+", query.get("q", "").lower()))
        answers = []
        for info in self._visible(request, "space"):
            running = info["runtime"]["stage"] == "RUNNING" or query.get("includeNonRunning", "").lower() == "true"
            sdks = query.getlist("sdk")
            if not running or not _has_tags(info, query) or (sdks and info.get("sdk") not in sdks):
                continue
            card: Mapping[str, Any] = info.get("cardData") or {}
            title, about = str(card.get("title") or info["id"].split("/")[1]), str(card.get("short_description") or "")
            known = set(
                re.findall(r"\w+", " ".join([info["id"], title, about, *info["tags"]]).lower().replace("_", " "))
            )
            if score := len(words & known) / max(1, len(words)):
                answers.append({
                    **chosen(info, ("author", "sdk", "likes", "private", "tags", "runtime", "trendingScore")),
                    "title": title, "emoji": card.get("emoji"), "ai_short_description": about or None,
                    "ai_category": info.get("ai_category"), "semanticRelevancyScore": round(score, 3),
                })  # fmt: skip
        return JSONResponse(sorted(answers, key=lambda item: -item["semanticRelevancyScore"]))

    def _visible(self, request: Request, kind: str) -> list[dict[str, Any]]:
        person = self._hub.person(request)
        seen = [repo for repo in self._store.all(kind) if not repo.private or owns(person, repo)]
        return [self._info(repo) for repo in seen]

    def _info(self, repo: Repo) -> dict[str, Any]:
        return self._describer.info(repo, repo.head)


def _matches(info: Mapping[str, Any], query: QueryParams) -> bool:
    name = info["id"].lower()
    if not all(word in name for text in query.getlist("search") for word in text.lower().split()):
        return False
    if (author := query.get("author")) and author.lower() != info["author"].lower():
        return False
    if (gated := query.get("gated")) and (gated.lower() == "true") != bool(info["gated"]):
        return False
    if (task := query.get("pipeline_tag")) and task != info.get("pipeline_tag"):
        return False
    if (state := query.get("inference")) and state != info.get("inference"):
        return False
    if any(used not in info.get(key, []) for key in ("models", "datasets") for used in query.getlist(key)):
        return False
    return _has_tags(info, query) and _has_size(info, query.get("num_parameters", ""))


def _has_tags(info: Mapping[str, Any], query: QueryParams) -> bool:
    wanted = [tag for text in query.getlist("filter") for tag in text.split(",") if tag]
    return all(tag in info["tags"] for tag in wanted)


def _has_size(info: Mapping[str, Any], wanted: str) -> bool:
    """Whether a model has as many parameters as `min:6B,max:128B` says."""
    if not wanted:
        return True
    total = (info.get("safetensors") or {}).get("total")
    if total is None:
        return False
    for bound, number, unit in re.findall(r"(min|max):([\d.]+)([KMBT]?)", wanted):
        limit = float(number) * _UNITS[unit]
        if (total < limit) if bound == "min" else (total > limit):
            return False
    return True


def _shown(info: Mapping[str, Any], query: QueryParams) -> dict[str, Any]:
    if expand := [*query.getlist("expand"), *query.getlist("expand[]")]:
        return chosen(info, expand)
    wanted = list(_ALWAYS)
    if query.get("full", "").lower() in ("true", "1"):
        wanted += _FULL
    wanted += [key for key in ("config", "cardData") if query.get(key, "").lower() in ("true", "1")]
    return {key: info[key] for key in wanted if key in info}

"""Collections of the stand-in Hub, one file for each."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.support.hub.repos_asked import json_object, page
from tests.support.hub.repos_store import KINDS, Store, now, write_json
from tests.support.hub.server import HubFailure

if TYPE_CHECKING:
    from tests.support.hub.server import StandInHub

_TITLE_LIMIT = 59
_CHANGEABLE = ("title", "description", "private", "theme", "position")
_ITEM_TYPES = (*KINDS, "paper", "collection", "bucket")


class Collections:
    """Answers about collections.

    Attributes:
        page_size: Collections on one page of a list.
    """

    def __init__(self, hub: StandInHub, store: Store) -> None:
        self._hub = hub
        self._store = store
        self._directory = hub.root / "collections"
        self._directory.mkdir(parents=True, exist_ok=True)
        self.page_size = 100

    def all(self) -> list[dict[str, Any]]:
        """Every collection, the oldest first."""
        found = [json.loads(place.read_text(encoding="utf-8")) for place in self._directory.glob("*.json")]
        return sorted(found, key=lambda item: (str(item["createdAt"]), str(item["id"])))

    def stop(self) -> None:
        """Nothing runs here."""

    def routes(self) -> list[BaseRoute]:
        """What it answers."""
        one = "/api/collections/{owner}/{slug}"
        return [
            Route("/api/collections", self._list),
            Route("/api/collections", self._create, methods=["POST"]),
            Route(one, self._get),
            Route(one, self._change, methods=["PATCH"]),
            Route(one, self._delete, methods=["DELETE"]),
            Route(f"{one}/items", self._add, methods=["POST"]),
            Route(f"{one}/items/{{item}}", self._change_item, methods=["PATCH"]),
            Route(f"{one}/items/{{item}}", self._remove_item, methods=["DELETE"]),
        ]

    async def _list(self, request: Request) -> Response:
        query = request.query_params
        wanted = [text.split("/", 1) for text in query.getlist("item")]
        wanted += [["papers", text] for text in query.getlist("paper")]
        found = [
            item
            for item in self.all()
            if self._sees(request, item)
            if not query.get("owner") or item["owner"] == query["owner"]
            if all(any(_is(entry, *pair) for entry in item["items"]) for pair in wanted)
            if query.get("q", "").lower() in item["title"].lower()
        ]
        key = "upvotes" if query.get("sort") in ("upvotes", "trending") else "lastUpdated"
        found.sort(key=lambda item: item[key], reverse=True)
        for item in found:
            item.pop("position")
        shown = [self._answer(item, request, item["items"][:4]) for item in found]
        return page(self._hub, request, shown, min(int(query.get("limit") or self.page_size), self.page_size))

    async def _create(self, request: Request) -> Response:
        body = json_object(await request.body())
        title, namespace = str(body.get("title", "")).strip(), str(body.get("namespace", ""))
        self._hub.owner_of(request, namespace)
        if not title or len(title) > _TITLE_LIMIT:
            raise HubFailure(400, f"The title must have 1 to {_TITLE_LIMIT} characters")
        for item in self.all():
            if item["owner"] == namespace and item["title"] == title:
                error = "You already have a collection with this title"
                return JSONResponse({"error": error, "slug": item["slug"]}, 409, headers={"X-Error-Message": error})
        name = secrets.token_hex(12)
        item = {
            "id": name, "slug": _slug(namespace, title, name), "title": title, "owner": namespace, "items": [],
            "description": body.get("description"), "private": bool(body.get("private")), "theme": "blue",
            "position": 0, "upvotes": 0, "createdAt": now(),
        }  # fmt: skip
        self._save(item)
        return JSONResponse(self._answer(item, request))

    async def _get(self, request: Request) -> Response:
        return JSONResponse(self._answer(self._visible(request), request))

    async def _change(self, request: Request) -> Response:
        item, body = self._own(request), json_object(await request.body())
        item |= {key: body[key] for key in _CHANGEABLE if key in body}
        item["slug"] = _slug(item["owner"], item["title"], item["id"])
        self._save(item)
        return JSONResponse({"success": True, "data": self._answer(item, request)})

    async def _delete(self, request: Request) -> Response:
        item = self._own(request)
        (self._directory / f"{item['id']}.json").unlink()
        return JSONResponse({"success": True})

    async def _add(self, request: Request) -> Response:
        item, body = self._own(request), json_object(await request.body())
        asked = body.get("item") or {}
        kind, name = str(asked.get("type")), str(asked.get("id"))
        if kind not in _ITEM_TYPES:
            raise HubFailure(400, f"Invalid item type {kind!r}")
        if kind in KINDS and self._store.get(kind, name) is None:
            raise HubFailure(404, f"There is no {kind} {name}")
        if any(_is(entry, kind, name) for entry in item["items"]):
            raise HubFailure(409, f"{name} is in this collection already")
        entry = {"_id": secrets.token_hex(12), "id": name, "type": kind, "position": len(item["items"])}
        if body.get("note"):
            entry["note"] = _note(body["note"])
        item["items"].append(entry)
        self._save(item)
        return JSONResponse(self._answer(item, request))

    async def _change_item(self, request: Request) -> Response:
        item, body = self._own(request), json_object(await request.body())
        entry = _entry(item, request)
        if "note" in body:
            entry["note"] = _note(body["note"])
        if "position" in body:
            item["items"].remove(entry)
            item["items"].insert(int(body["position"]), entry)
            _number(item)
        self._save(item)
        return JSONResponse({"success": True})

    async def _remove_item(self, request: Request) -> Response:
        item = self._own(request)
        item["items"].remove(_entry(item, request))
        _number(item)
        self._save(item)
        return JSONResponse({"success": True})

    # ------------------------------------------------------------------------------------------------------ inside

    def _visible(self, request: Request) -> dict[str, Any]:
        name = request.path_params["slug"].rsplit("-", 1)[-1]
        place = self._directory / f"{name}.json"
        item: dict[str, Any] = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
        if not item or not self._sees(request, item):
            raise HubFailure(404, "Collection not found")
        return item

    def _own(self, request: Request) -> dict[str, Any]:
        item = self._visible(request)
        self._hub.owner_of(request, item["owner"])
        return item

    def _sees(self, request: Request, item: Mapping[str, Any]) -> bool:
        person = self._hub.person(request)
        return not item["private"] or (person is not None and item["owner"] in (person.name, *person.orgs))

    def _answer(
        self, item: Mapping[str, Any], request: Request, items: list[dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        person = self._hub.person(request)
        owner = {"name": item["owner"], "type": "user"} if person and person.name == item["owner"] else item["owner"]
        return {**item, "owner": owner if request.query_params.get("full") else item["owner"],
                "items": item["items"] if items is None else items}  # fmt: skip

    def _save(self, item: dict[str, Any]) -> None:
        item["lastUpdated"] = now()
        write_json(self._directory / f"{item['id']}.json", item)


def _is(entry: Mapping[str, Any], kind: str, name: str) -> bool:
    return bool(entry["type"] == kind.removesuffix("s") and entry["id"] == name)


def _entry(item: Mapping[str, Any], request: Request) -> dict[str, Any]:
    found: list[dict[str, Any]] = [entry for entry in item["items"] if entry["_id"] == request.path_params["item"]]
    if not found:
        raise HubFailure(404, "The collection has no such item")
    return found[0]


def _number(item: Mapping[str, Any]) -> None:
    for position, entry in enumerate(item["items"]):
        entry["position"] = position


def _note(text: object) -> dict[str, str]:
    return {"text": str(text), "html": str(text)}


def _slug(owner: str, title: str, name: str) -> str:
    return f"{owner}/{re.sub(r'[^a-z0-9]+', '-', title.lower()).strip('-') or 'collection'}-{name}"

"""Buckets: plain directories, the same ones that jobs mount as volumes of the type `bucket`.

Without Xet the official client creates, lists and deletes buckets, but neither uploads nor downloads their files: it
has no other way to move bytes. Jobs, sandboxes and tests put files into the directory.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
import shutil
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.support.hub.repos_asked import json_object, page, raw_parts
from tests.support.hub.repos_files import send_file
from tests.support.hub.repos_store import CHUNK, Store, now, write_json
from tests.support.hub.repos_upload import check_path
from tests.support.hub.server import HubFailure

if TYPE_CHECKING:
    from tests.support.hub.server import StandInHub


class Buckets:
    """All buckets.

    Attributes:
        page_size: Entries on one page of a tree.
    """

    def __init__(self, hub: StandInHub, store: Store) -> None:
        self._hub = hub
        self._blobs = store.blobs
        self._about = hub.root / "buckets"
        self.page_size = 1000

    # ------------------------------------------------------------------------------------------ what tests may ask

    def create(self, bucket_id: str, files: Mapping[str, bytes] | None = None, *, private: bool = False) -> Path:
        """A new bucket; returns the directory of its files."""
        write_json(self._note(bucket_id), {"private": private, "createdAt": now()})
        directory = self.files(bucket_id)
        directory.mkdir(parents=True, exist_ok=True)
        for path, content in (files or {}).items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_bytes(content)
        return directory

    def exists(self, bucket_id: str) -> bool:
        """Whether there is such a bucket."""
        return self._note(bucket_id).is_file()

    def files(self, bucket_id: str) -> Path:
        """The directory that holds what is in a bucket."""
        return self._hub.root / "volumes" / "bucket" / bucket_id

    def move(self, source: str, target: str) -> None:
        """Gives a bucket another name.

        Raises:
            HubFailure: There is none, or the name is taken.
        """
        if not self.exists(source):
            raise HubFailure(404, "Repository not found", "RepoNotFound")
        if self.exists(target):
            raise HubFailure(409, f"There is a bucket {target} already")
        for old, new in ((self._note(source), self._note(target)), (self.files(source), self.files(target))):
            new.parent.mkdir(parents=True, exist_ok=True)
            old.replace(new)

    def stop(self) -> None:
        """Nothing runs here."""

    # ----------------------------------------------------------------------------------------------------- answers

    def routes(self) -> list[BaseRoute]:
        """What it answers."""
        one = "/api/buckets/{owner}/{name}"
        return [
            Route("/api/buckets/{owner}", self._list),
            Route(one, self._create, methods=["POST"]),
            Route(one, self._info),
            Route(one, self._delete, methods=["DELETE"]),
            Route(f"{one}/settings", self._change, methods=["PUT"]),
            Route(f"{one}/paths-info", self._paths_info, methods=["POST"]),
            Route(f"{one}/batch", self._batch, methods=["POST"]),
            Route(f"{one}/tree", self._tree),
            Route(f"{one}/tree/{{rest:path}}", self._tree),
            Route("/buckets/{owner}/{name}/resolve/{rest:path}", self._resolve),
        ]

    async def _list(self, request: Request) -> Response:
        owner, wanted = self._owner(request), request.query_params.get("search", "")
        names = sorted(place.stem for place in (self._about / owner).glob("*.json"))
        found = [self._describe(f"{owner}/{name}") for name in names if wanted.lower() in name.lower()]
        return page(self._hub, request, [item for item in found if self._sees(request, item)], self.page_size)

    async def _create(self, request: Request) -> Response:
        owner = self._owner(request)
        self._hub.owner_of(request, owner)
        bucket_id = f"{owner}/{request.path_params['name']}"
        answer = {"url": f"{self._hub.url}/buckets/{bucket_id}", "id": bucket_id, "name": bucket_id}
        if self.exists(bucket_id):
            return JSONResponse({**answer, "error": f"You already created this bucket: {bucket_id}"}, 409)
        body = await request.body()
        self.create(bucket_id, private=bool(json_object(body).get("private")) if body else False)
        return JSONResponse(answer, 201)

    async def _info(self, request: Request) -> Response:
        return JSONResponse(self._describe(self._visible(request)))

    async def _delete(self, request: Request) -> Response:
        bucket_id = self._mine(request)
        self._note(bucket_id).unlink()
        shutil.rmtree(self.files(bucket_id), ignore_errors=True)
        return Response("OK", media_type="text/plain")

    async def _change(self, request: Request) -> Response:
        bucket_id = self._mine(request)
        note = {**self._read(bucket_id), "private": bool(json_object(await request.body()).get("private"))}
        write_json(self._note(bucket_id), note)
        return JSONResponse(note)

    async def _tree(self, request: Request) -> Response:
        bucket_id = self._visible(request)
        prefix = "/".join(raw_parts(request)[5:]).strip("/")
        recursive = request.query_params.get("recursive", "").lower() in ("true", "1")
        answers: dict[str, dict[str, Any]] = {}
        for path, place in self._walk(bucket_id):
            if prefix and path != prefix and not path.startswith(f"{prefix}/"):
                continue
            steps = path.removeprefix(f"{prefix}/" if prefix else "").split("/")
            if recursive or len(steps) == 1:
                answers[path] = self._file(path, place)
            else:
                folder = f"{prefix}/{steps[0]}".strip("/")
                changed = _time(self.files(bucket_id) / folder)
                answers[folder] = {"type": "directory", "path": folder, "uploadedAt": changed}
        return page(self._hub, request, [answers[path] for path in sorted(answers)], self.page_size)

    async def _paths_info(self, request: Request) -> Response:
        directory = self.files(self._visible(request))
        paths = [str(path) for path in json_object(await request.body()).get("paths", [])]
        return JSONResponse([self._file(path, directory / path) for path in paths if (directory / path).is_file()])

    async def _batch(self, request: Request) -> Response:
        bucket_id = self._mine(request)
        failed = []
        lines = (await request.body()).splitlines()
        for line in lines:
            item = json.loads(line)
            path = str(item["path"])
            check_path(path)
            if error := self._apply(bucket_id, item, self.files(bucket_id) / path):
                failed.append({"path": path, "error": error})
        return JSONResponse({"failed": failed}, 422 if failed and len(failed) == len(lines) else 200)

    def _apply(self, bucket_id: str, item: Mapping[str, Any], place: Path) -> str:
        if item["type"] == "deleteFile":
            if not place.is_file():
                return "There is no such file"
            place.unlink()
            return ""
        source = self._by_hash(bucket_id, item)
        if source is None:
            return f"No content has the hash {item.get('xetHash')}"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
        return ""

    def _by_hash(self, bucket_id: str, item: Mapping[str, Any]) -> Path | None:
        wanted = str(item.get("xetHash"))
        source = item["sourceRepoId"] if item.get("sourceRepoType") == "bucket" else bucket_id
        known = next((place for _, place in self._walk(source) if _hash(place) == wanted), None)
        return known or (self._blobs.path(wanted) if self._blobs.has(wanted) else None)

    async def _resolve(self, request: Request) -> Response:
        path = "/".join(raw_parts(request)[4:])
        place = self.files(self._visible(request)) / path
        if ".." in path.split("/") or not place.is_file():
            raise HubFailure(404, "Entry not found", "EntryNotFound")
        name = _hash(place)
        headers = {
            "ETag": f'"{name}"', "X-Linked-Size": str(place.stat().st_size), "X-Xet-Hash": name,
            "X-Xet-Refresh-Route": f"{self._hub.url}/api/buckets/xet-read-token",
            "Content-Type": mimetypes.guess_type(path)[0] or "application/octet-stream",
        }  # fmt: skip
        return send_file(place, request.headers.get("range"), headers, request.method)

    # ------------------------------------------------------------------------------------------------------ inside

    def _owner(self, request: Request) -> str:
        owner = str(request.path_params["owner"])
        if owner != "me":
            return owner
        person = self._hub.person(request)
        if person is None:
            raise HubFailure(401, "Invalid username or password.")
        return person.name

    def _visible(self, request: Request) -> str:
        bucket_id = f"{self._owner(request)}/{request.path_params['name']}"
        if not self.exists(bucket_id) or not self._sees(request, self._describe(bucket_id)):
            raise HubFailure(401 if self._hub.person(request) is None else 404, "Repository not found", "RepoNotFound")
        return bucket_id

    def _mine(self, request: Request) -> str:
        bucket_id = self._visible(request)
        self._hub.owner_of(request, bucket_id.split("/")[0])
        return bucket_id

    def _sees(self, request: Request, about: Mapping[str, Any]) -> bool:
        person = self._hub.person(request)
        return not about["private"] or (person is not None and about["id"].split("/")[0] in (person.name, *person.orgs))

    def _describe(self, bucket_id: str) -> dict[str, Any]:
        sizes = [place.stat().st_size for _, place in self._walk(bucket_id)]
        return {"id": bucket_id, **self._read(bucket_id), "size": sum(sizes), "totalFiles": len(sizes)}

    def _walk(self, bucket_id: str) -> Iterable[tuple[str, Path]]:
        directory = self.files(bucket_id)
        places = sorted(place for place in directory.rglob("*") if place.is_file())
        return [(place.relative_to(directory).as_posix(), place) for place in places]

    def _file(self, path: str, place: Path) -> dict[str, Any]:
        changed = _time(place)
        return {"type": "file", "path": path, "size": place.stat().st_size, "xetHash": _hash(place),
                "mtime": changed, "uploadedAt": changed}  # fmt: skip

    def _note(self, bucket_id: str) -> Path:
        return self._about / f"{bucket_id}.json"

    def _read(self, bucket_id: str) -> dict[str, Any]:
        note: dict[str, Any] = json.loads(self._note(bucket_id).read_text(encoding="utf-8"))
        return note


def _hash(place: Path) -> str:
    digest = hashlib.sha256()
    with place.open("rb") as source:
        while piece := source.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _time(place: Path) -> str:
    changed = datetime.fromtimestamp(place.stat().st_mtime, UTC)
    return changed.isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""What is put into repositories: the plan of an upload, large files, commits."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.support.hub.repos_asked import Asked, Handler, json_object, owns
from tests.support.hub.repos_store import Commit, Entry, Repo, Store
from tests.support.hub.server import HubFailure, Person

if TYPE_CHECKING:
    from tests.support.hub.discussions import Discussions
    from tests.support.hub.server import StandInHub

LARGE = 10 * 1024 * 1024
LARGE_ENDINGS = frozenset({
    "7z", "arrow", "bin", "bz2", "ckpt", "ftz", "gguf", "gz", "h5", "joblib", "mlmodel", "model", "msgpack", "npy",
    "npz", "onnx", "ot", "parquet", "pb", "pickle", "pkl", "pt", "pth", "rar", "safetensors", "tar", "tflite", "tgz",
    "wasm", "xz", "zip", "zst", "mp3", "mp4", "wav", "flac", "ogg", "jpg", "jpeg", "png", "gif", "webp", "pdf",
})  # fmt: skip


def is_large(path: str, size: int) -> bool:
    """Whether a file goes behind a pointer: by its ending, or because it is big."""
    return size > 0 and (size >= LARGE or PurePosixPath(path).suffix[1:].lower() in LARGE_ENDINGS)


class Uploads:
    """Receives files.

    Attributes:
        part_size: Large files of more bytes than this are sent in parts of this size.
    """

    def __init__(self, hub: StandInHub, store: Store, discussions: Discussions) -> None:
        self._hub = hub
        self._store = store
        self._discussions = discussions
        self._parts: dict[str, Path] = {}
        self.part_size = 20 * 1024 * 1024

    def actions(self) -> Mapping[tuple[str, str], Handler]:
        """By method and first part of the address after the repository."""
        return {("POST", "preupload"): self._plan, ("POST", "commit"): self._commit}

    def routes(self) -> list[BaseRoute]:
        """Where the bytes of large files go; these addresses are known only to whoever asked for them."""
        return [
            Route("/lfs/{upload}/{sha256}", self._put, methods=["PUT"]),
            Route("/lfs/{upload}/{sha256}/parts/{number:int}", self._put_part, methods=["PUT"]),
            Route("/lfs/{upload}/{sha256}/complete", self._complete, methods=["POST"]),
        ]

    async def _plan(self, asked: Asked) -> Response:
        repo, person, revision = asked.repo(), asked.someone(), asked.part(1)
        if not asked.flag("create_pr"):
            self._may_write(repo, person, revision)
        commit = asked.commit(repo, revision)
        body = await asked.body()
        kept = commit.files.get(".gitignore")
        ignore = body.get("gitIgnore")
        if ignore is None and kept is not None:
            ignore = self._store.blobs.path(kept.sha256).read_text(encoding="utf-8")
        answers = []
        for file in body.get("files", []):
            path, size = str(file["path"]), int(file["size"])
            check_path(path)
            answer = {
                "path": path,
                "uploadMode": "lfs" if is_large(path, size) else "regular",
                "shouldIgnore": _ignored(path, ignore or ""),
            }
            present = commit.files.get(path)
            answers.append(answer if present is None else {**answer, "oid": present.etag})
        return JSONResponse({"files": answers, "commitOid": commit.id})

    async def batch(self, asked: Asked) -> Response:
        """Tells for each large file where its bytes go, if they are not here yet."""
        repo, person, body = asked.repo(), asked.someone(), await asked.body()
        revision = (body.get("ref") or {}).get("name")
        if revision is not None:
            self._may_write(repo, person, str(revision))
        upload = secrets.token_hex(8)
        objects = [self._instruction(upload, item["oid"], int(item["size"])) for item in body.get("objects", [])]
        return JSONResponse({"transfer": "basic", "objects": objects}, media_type="application/vnd.git-lfs+json")

    def _instruction(self, upload: str, sha256: str, size: int) -> dict[str, Any]:
        answer: dict[str, Any] = {"oid": sha256, "size": size, "authenticated": True}
        if self._store.blobs.has(sha256):
            return answer
        address = f"{self._hub.url}/lfs/{upload}/{sha256}"
        if size <= self.part_size:
            return {**answer, "actions": {"upload": {"href": address, "header": {}}}}
        count = -(-size // self.part_size)
        header = {str(n): f"{address}/parts/{n}" for n in range(1, count + 1)}
        header["chunk_size"] = str(self.part_size)
        return {**answer, "actions": {"upload": {"href": f"{address}/complete", "header": header}}}

    async def _put(self, request: Request) -> Response:
        sha256 = request.path_params["sha256"]
        digest = hashlib.sha256()
        written = await self._receive(request, digest)
        self._accept(written, sha256, digest.hexdigest())
        return Response(headers={"ETag": f'"{sha256}"'})

    async def _put_part(self, request: Request) -> Response:
        name = _part_name(request, request.path_params["number"])
        digest = hashlib.md5(usedforsecurity=False)
        self._parts[name] = await self._receive(request, digest)
        return Response(headers={"ETag": f'"{digest.hexdigest()}"'})

    async def _complete(self, request: Request) -> Response:
        sha256 = request.path_params["sha256"]
        body = json_object(await request.body())
        numbers = [int(part["partNumber"]) for part in body.get("parts", [])]
        places = [self._parts.pop(_part_name(request, number), None) for number in numbers]
        if not places or None in places or numbers != list(range(1, len(numbers) + 1)):
            raise HubFailure(400, "Parts of the upload are missing")
        written, digest = self._store.blobs.receiving(), hashlib.sha256()
        with written.open("wb") as target:
            for place in places:
                assert place is not None
                with place.open("rb") as source:
                    for piece in _read(source):
                        digest.update(piece)
                        target.write(piece)
                place.unlink()
        self._accept(written, sha256, digest.hexdigest())
        return JSONResponse({"success": True})

    async def _receive(self, request: Request, digest: hashlib._Hash) -> Path:
        """Writes a body to disk as it comes."""
        written = self._store.blobs.receiving()
        try:
            with written.open("wb") as target:
                async for piece in request.stream():
                    digest.update(piece)
                    target.write(piece)
        except ClientDisconnect:
            written.unlink()
            raise
        return written

    def _accept(self, written: Path, promised: str, found: str) -> None:
        if promised != found:
            written.unlink()
            raise HubFailure(400, f"The content has the hash {found}, but {promised} was announced")
        self._store.blobs.keep(written, promised)

    async def _commit(self, asked: Asked) -> Response:
        repo, person, revision = asked.repo(), asked.someone(), asked.part(1)
        create_pr = asked.flag("create_pr")
        if not create_pr:
            self._may_write(repo, person, revision)
        header, operations = _lines(await asked.request.body())
        title, text = str(header.get("summary", "")).strip(), str(header.get("description", ""))
        if not title:
            raise HubFailure(400, "A commit needs a summary")
        with self._store.lock:
            parent = asked.commit(repo, revision)
            if create_pr and revision.removeprefix("refs/heads/") not in repo.branches:
                raise HubFailure(400, f"A pull request needs a branch to go into, which {revision} is not")
            known = header.get("parentCommit")
            if known and not parent.id.startswith(str(known)):
                raise HubFailure(412, "A commit has happened since. Please refresh and try again.")
            files = apply(self._store, parent.files, operations)
            commit = self._store.commit(repo, parent, files, title, person.name, text)
            answer: dict[str, Any] = {"success": True, "commitOid": commit.id, "hookOutput": ""}
            if create_pr:
                number = self._discussions.open_with(repo, person, commit, parent, revision)
                answer["pullRequestUrl"] = f"{self._hub.url}/{repo.path}/discussions/{number}"
            else:
                self.advance(repo, revision, commit, person)
        return JSONResponse({**answer, "commitUrl": f"{self._hub.url}/{repo.path}/commit/{commit.id}"})

    def advance(self, repo: Repo, revision: str, commit: Commit, person: Person) -> None:
        """Lets a branch or a pull request point to a new commit."""
        if revision.startswith("refs/pr/"):
            number = revision.removeprefix("refs/pr/")
            self._discussions.committed(repo, int(number), commit, person)
            self._store.update(repo, lambda: repo.pulls.update({number: commit.id}))
            return
        branch = revision.removeprefix("refs/heads/")
        self._store.update(repo, lambda: repo.branches.update({branch: commit.id}))
        if branch == "main" and repo.kind == "space":
            self._hub.spaces.changed(repo)

    def _may_write(self, repo: Repo, person: Person, revision: str) -> None:
        if revision.startswith("refs/pr/"):
            author = self._discussions.author(repo, int(revision.removeprefix("refs/pr/")))
            if author == person.name or owns(person, repo):
                return
        elif owns(person, repo):
            if revision.removeprefix("refs/heads/") in repo.branches:
                return
            raise HubFailure(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        text = f"pass `create_pr=1` as a query parameter to create a Pull Request to {repo.id}."
        raise HubFailure(403, f"Forbidden: you do not have the rights to push to this repository; {text}")


def apply(
    store: Store, files: Mapping[str, Entry], operations: Iterable[tuple[str, dict[str, Any]]]
) -> dict[str, Entry]:
    """The files after the operations of a commit.

    Raises:
        HubFailure: One of them is impossible.
    """
    result = dict(files)
    for key, value in operations:
        path = str(value.get("path", "")).strip("/")
        check_path(path)
        if key == "file":
            content = str(value.get("content", ""))
            raw = base64.b64decode(content) if value.get("encoding") == "base64" else content.encode()
            result[path] = store.blobs.regular(raw)
        elif key == "lfsFile":
            if not store.blobs.has(value["oid"]):
                raise HubFailure(400, f"The content of {path} was not uploaded ({value['oid']})")
            result[path] = store.blobs.large(value["oid"])
        elif key == "copyFile":
            result[path] = _existing(result, str(value.get("srcPath", value.get("src_path", ""))))
        elif key == "deletedFile":
            _existing(result, path)
            del result[path]
        elif key == "deletedFolder":
            inside = [name for name in result if name.startswith(f"{path}/")]
            if not inside:
                raise HubFailure(404, f"A folder with this name doesn't exist: {path}", "EntryNotFound")
            for name in inside:
                del result[name]
        else:
            raise HubFailure(400, f"Unknown operation {key!r}")
        _check_folders(result, path)
    return result


def check_path(path: str) -> None:
    """Refuses paths that are none.

    Raises:
        HubFailure: With status 400.
    """
    parts = path.split("/")
    if not path or any(part in ("", ".", "..", ".git") for part in parts):
        raise HubFailure(400, f"Invalid path {path!r}")


def _check_folders(files: Mapping[str, Entry], path: str) -> None:
    if path in files and any(str(parent) in files for parent in PurePosixPath(path).parents):
        raise HubFailure(400, f"{path} is inside of something that is a file")


def _existing(files: Mapping[str, Entry], path: str) -> Entry:
    if path not in files:
        raise HubFailure(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
    return files[path]


def _lines(raw: bytes) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    header: dict[str, Any] = {}
    operations = []
    for line in raw.splitlines():
        if not line.strip():
            continue
        try:
            item = json.loads(line)
            key, value = item["key"], dict(item["value"])
        except (ValueError, KeyError, TypeError):
            raise HubFailure(400, "A line of the commit is no operation") from None
        if key == "header":
            header = value
        else:
            operations.append((str(key), value))
    return header, operations


def _ignored(path: str, patterns: str) -> bool:
    """Whether lines of a .gitignore match a path or a folder it is in."""
    names = [path, *(str(parent) for parent in PurePosixPath(path).parents if str(parent) != ".")]
    ignored = False
    for line in patterns.splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        wanted, pattern = not pattern.startswith("!"), pattern.removeprefix("!").strip("/")
        if any(
            fnmatch.fnmatch(name, pattern)
            or ("/" not in pattern and fnmatch.fnmatch(PurePosixPath(name).name, pattern))
            for name in names
        ):
            ignored = wanted
    return ignored


def _part_name(request: Request, number: int) -> str:
    return f"{request.path_params['upload']}/{request.path_params['sha256']}/{number}"


def _read(source: BinaryIO) -> Iterator[bytes]:
    while piece := source.read(1 << 20):
        yield piece

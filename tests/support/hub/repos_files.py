"""What repositories hold: trees, infos about paths, downloads."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from starlette.responses import JSONResponse, Response, StreamingResponse

from tests.support.hub.cuts import ConnectionCut
from tests.support.hub.repos_asked import Asked, Handler
from tests.support.hub.repos_store import CHUNK, Commit, Entry, Repo, pointer
from tests.support.hub.server import HubFailure

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Files:
    """Answers about files.

    Attributes:
        page_size: Entries on one page of a tree; with `expand` it is a tenth of that.
        cut_after: Bytes of a large file after which downloads break off, once; None for never.
    """

    def __init__(self) -> None:
        self.page_size = 1000
        self.cut_after: int | None = None

    def actions(self) -> Mapping[tuple[str, str], Handler]:
        """By method and first part of the address after the repository."""
        return {
            ("GET", "tree"): self._tree,
            ("POST", "paths-info"): self._paths_info,
            ("GET", "resolve"): self.resolve,
            ("HEAD", "resolve"): self.resolve,
            ("GET", "raw"): self._raw,
        }

    async def _tree(self, asked: Asked) -> Response:
        repo = asked.repo()
        commit = asked.commit(repo, asked.part(1))
        folder = "/".join(asked.rest[2:]).strip("/")
        expand = asked.flag("expand")
        entries = tree(commit.files, folder, recursive=asked.flag("recursive"))
        if folder and not entries:
            raise HubFailure(404, f"{folder} does not exist on {asked.part(1)}", "EntryNotFound")
        answers = [describe(path, entry, commit) for path, entry in entries]
        if expand:
            answers = [{**answer, **_last_change(repo, commit, answer)} for answer in answers]
        return asked.page(answers, max(1, self.page_size // 10 if expand else self.page_size))

    async def _paths_info(self, asked: Asked) -> Response:
        repo = asked.repo()
        commit = asked.commit(repo, asked.part(1))
        form = await asked.form()
        expand = form.get("expand", ["false"])[0].lower() == "true"
        answers = []
        for path in form.get("paths", []):
            path = path.strip("/")
            if path in commit.files or tree(commit.files, path, recursive=False):
                answer = describe(path, commit.files.get(path), commit)
                answers.append({**answer, **_last_change(repo, commit, answer)} if expand else answer)
        return JSONResponse(answers)

    async def resolve(self, asked: Asked) -> Response:
        """A download, or only its headers."""
        commit, path, entry = _wanted(asked)
        headers = {
            "ETag": f'"{entry.etag}"',
            "X-Repo-Commit": commit.id,
            "Accept-Ranges": "bytes",
            "Content-Type": mimetypes.guess_type(path)[0] or "application/octet-stream",
            "Content-Disposition": f"inline; filename*=UTF-8''{quote(PurePosixPath(path).name)}",
        }
        if entry.lfs:
            headers |= {"X-Linked-Size": str(entry.size), "X-Linked-Etag": f'"{entry.sha256}"'}
        cut = self.cut_after if entry.lfs and asked.request.method == "GET" else None
        if cut is not None:
            self.cut_after = None
        blob = asked.store.blobs.path(entry.sha256)
        return send_file(blob, asked.request.headers.get("range"), headers, asked.request.method, cut)

    async def _raw(self, asked: Asked) -> Response:
        commit, _, entry = _wanted(asked)
        headers = {"ETag": f'"{entry.oid}"', "X-Repo-Commit": commit.id, "Content-Type": "text/plain; charset=utf-8"}
        if entry.lfs:
            return Response(pointer(entry.sha256, entry.size), headers=headers)
        return send_file(asked.store.blobs.path(entry.sha256), None, headers, "GET")


def _wanted(asked: Asked) -> tuple[Commit, str, Entry]:
    repo = asked.readable()
    commit = asked.commit(repo, asked.part(1))
    path = "/".join(asked.rest[2:])
    entry = commit.files.get(path)
    if entry is None:
        raise HubFailure(404, "Entry not found", "EntryNotFound")
    return commit, path, entry


def tree(files: Mapping[str, Entry], folder: str, *, recursive: bool) -> list[tuple[str, Entry | None]]:
    """What is in a folder, sorted by path; a folder has no entry."""
    start = f"{folder}/" if folder else ""
    found: dict[str, Entry | None] = {}
    for path, entry in files.items():
        if not path.startswith(start):
            continue
        steps = path[len(start) :].split("/")
        deep = len(steps) if recursive else 2
        for count in range(1, min(len(steps), deep)):
            found.setdefault(start + "/".join(steps[:count]), None)
        if recursive or len(steps) == 1:
            found[path] = entry
    return sorted(found.items())


def describe(path: str, entry: Entry | None, commit: Commit) -> dict[str, Any]:
    """A file or a folder as trees show it."""
    if entry is None:
        inside = [f"{name} {item.oid}" for name, item in commit.files.items() if name.startswith(f"{path}/")]
        oid = hashlib.sha1("\n".join(inside).encode(), usedforsecurity=False).hexdigest()
        return {"type": "directory", "oid": oid, "size": 0, "path": path}
    answer: dict[str, Any] = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path}
    if entry.lfs:
        pointed = len(pointer(entry.sha256, entry.size))
        answer["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": pointed}
    return answer


def _last_change(repo: Repo, commit: Commit, answer: Mapping[str, Any]) -> dict[str, Any]:
    path = answer["path"]
    last = commit
    for older in repo.history(commit):
        entry = older.files.get(path)
        if describe(path, entry, older)["oid"] != answer["oid"]:
            break
        last = older
    change = {"id": last.id, "title": last.title, "date": last.date}
    if answer["type"] == "directory":
        return {"lastCommit": change}
    scan = {"status": "unscanned", "avScan": None, "pickleImportScan": None}
    return {"lastCommit": change, "securityFileStatus": scan}


def send_file(
    path: Path, wanted: str | None, headers: Mapping[str, str], method: str, cut_after: int | None = None
) -> Response:
    """A file, or the range of it that is wanted, piece by piece."""
    size = path.stat().st_size
    start, end, status, extra = 0, size - 1, 200, {}
    if wanted and (match := _RANGE.fullmatch(wanted.strip())) and any(match.groups()):
        first, last = match.groups()
        start = int(first) if first else max(0, size - int(last))
        end = min(size - 1, int(last)) if first and last else size - 1
        if start >= size or start > end:
            return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
        status, extra = 206, {"Content-Range": f"bytes {start}-{end}/{size}"}
    length = end - start + 1
    every = {**headers, **extra, "Content-Length": str(length)}
    if method == "HEAD":
        return Response(status_code=status, headers=every)
    return StreamingResponse(_pieces(path, start, length, cut_after), status, every)


def _pieces(path: Path, start: int, length: int, cut_after: int | None) -> Iterator[bytes]:
    sent = 0
    with path.open("rb") as source:
        source.seek(start)
        while sent < length:
            limit = length if cut_after is None else min(length, cut_after)
            if sent >= limit:
                raise ConnectionCut
            piece = source.read(min(CHUNK, limit - sent))
            if not piece:
                raise ConnectionCut
            sent += len(piece)
            yield piece

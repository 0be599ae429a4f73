"""Files of a sandbox, by absolute paths of its own."""

from __future__ import annotations

import errno
import os
import posixpath
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from tests.support.hub.jobs_container import Container
from tests.support.hub.server import HubFailure

_PAGE = 1000
_LINKS = 40
_CHUNK = 1 << 18


async def answer(request: Request, container: Container, action: str) -> Response:
    """What a request below `/v1/files/` gets.

    Raises:
        HubFailure: It cannot be done; 404 where something is missing.
    """
    shown = _clean(request.query_params.get("path", ""))
    try:
        match (request.method, action):
            case ("GET", "stat"):
                return JSONResponse(_describe(container.on_disk(_resolved(container, shown)), shown))
            case ("GET", "list"):
                return _list(container, shown, request.query_params.get("after"))
            case ("GET", "read"):
                return _read(request, container.on_disk(_resolved(container, shown)))
            case ("PUT", "write"):
                return await _write(request, _writable(container, _resolved(container, shown)))
            case ("POST", "mkdir"):
                _writable(container, _resolved(container, shown)).mkdir(parents=True, exist_ok=True)
                return JSONResponse({})
            case ("DELETE", "delete"):
                _delete(_writable(container, _resolved(container, shown, last=False)), request.query_params)
                return JSONResponse({})
    except FileNotFoundError as error:
        raise HubFailure(404, f"no such file or directory: {shown}") from error
    except OSError as error:
        raise HubFailure(400, f"{(error.strerror or str(error)).lower()}: {shown}") from error
    raise HubFailure(404, f"no such operation on files: {request.method} {action}")


def _list(container: Container, shown: str, after: str | None) -> Response:
    directory = container.on_disk(_resolved(container, shown))
    names = sorted(entry.name for entry in directory.iterdir())
    names = [name for name in names if after is None or name > after]
    prefix = shown.rstrip("/")
    entries = [_describe(directory / name, f"{prefix}/{name}") for name in names[:_PAGE]]
    answer: dict[str, Any] = {"entries": entries}
    if len(names) > _PAGE:
        answer["next"] = names[_PAGE - 1]
    return JSONResponse(answer)


def _read(request: Request, path: Path) -> Response:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a directory")
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "Not a regular file")  # opening a pipe would hold up everybody
    offset = int(request.query_params.get("offset", 0))
    length = int(request.query_params.get("length", path.stat().st_size))

    async def content() -> AsyncIterator[bytes]:
        left = length
        with path.open("rb") as file:
            file.seek(offset)
            while left > 0 and (chunk := file.read(min(left, _CHUNK))):
                left -= len(chunk)
                yield chunk

    path.open("rb").close()  # a file that cannot be read is told before the answer begins
    return StreamingResponse(content(), media_type="application/octet-stream")


async def _write(request: Request, path: Path) -> Response:
    offset = request.query_params.get("offset")
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | (0 if offset else os.O_TRUNC)
    position = int(offset or 0)
    descriptor = os.open(path, flags, 0o644)
    try:
        async for chunk in request.stream():
            position += os.pwrite(descriptor, chunk, position) if chunk else 0
        if size := request.query_params.get("truncate_to"):
            os.ftruncate(descriptor, int(size))
        if mode := request.query_params.get("mode"):
            os.fchmod(descriptor, int(mode, 8))
    finally:
        os.close(descriptor)
    return JSONResponse({})


def _delete(path: Path, query: Any) -> None:
    if path.is_dir() and not path.is_symlink():
        if query.get("recursive") in ("1", "true"):
            shutil.rmtree(path)
        else:
            path.rmdir()
    else:
        path.unlink()


def _describe(path: Path, shown: str) -> dict[str, Any]:
    status = path.lstat()
    return {
        "name": shown.rsplit("/", 1)[-1],
        "path": shown,
        "type": "symlink" if path.is_symlink() else "dir" if path.is_dir() else "file",
        "size": status.st_size,
        "mtime_ms": status.st_mtime_ns // 1_000_000,
        "mode": f"{status.st_mode & 0o7777:04o}",
    }


def _writable(container: Container, path: str) -> Path:
    if not container.may_write(path):
        raise HubFailure(400, f"read-only file system: {path}")
    return container.on_disk(path)


def _resolved(container: Container, shown: str, *, last: bool = True) -> str:
    """A path without links, which mean paths of the sandbox and not of this machine."""
    done, todo, links = "/", _parts(shown), 0
    while todo:
        part = todo.pop(0)
        if part == "..":
            done = posixpath.dirname(done)
            continue
        path = container.on_disk(posixpath.join(done, part))
        if path.is_symlink() and (todo or last):
            links += 1
            if links > _LINKS:
                raise OSError(errno.ELOOP, "Too many levels of symbolic links")
            target = str(path.readlink())
            done = "/" if target.startswith("/") else done
            todo = [*_parts(target), *todo]
        else:
            done = posixpath.join(done, part)
    return done


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _clean(path: str) -> str:
    if not path:
        raise HubFailure(400, "a path is required")
    return posixpath.normpath("/" + path.lstrip("/"))

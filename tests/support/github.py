"""A stand-in for GitHub's API: repositories with files, ETags, a limit of requests, answers that take their time."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.support.web import WebServer


@dataclass
class StandInGitHub:
    """Answers like GitHub from what is put into it.

    Attributes:
        files: Text or bytes by repository and path.
        repos: Repositories of an owner, as the API describes them.
        left: Requests until the limit, None without one.
        delay_s: Time each answer takes.
        truncated: Whether trees say that something is missing.
    """

    web: WebServer
    files: dict[str, dict[str, str | bytes]] = field(default_factory=dict)
    repos: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)
    left: int | None = None
    delay_s: float = 0.0
    truncated: bool = False
    unchanged: int = 0

    def __post_init__(self) -> None:
        self.web.handlers["/*"] = self._answer

    def env(self, **more: str) -> dict[str, str]:
        """What an environment needs to talk to it."""
        return {"GITHUB_API_URL": self.web.url, **more}

    async def _answer(self, request: Request) -> Response:
        await asyncio.sleep(self.delay_s)
        if self.left is not None:
            if self.left == 0:
                headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1000600"}
                return JSONResponse({"message": "API rate limit exceeded"}, 403, headers=headers)
            self.left -= 1
        answer = self._found(request)
        if answer is None:
            return JSONResponse({"message": "Not Found"}, 404)
        if isinstance(answer, Response):
            return answer
        body = json.dumps(answer).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        headers = {"ETag": etag, "Cache-Control": "private, max-age=0"}
        if request.headers.get("if-none-match") == etag:
            self.unchanged += 1
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    def _found(self, request: Request) -> Any:
        parts = request.scope["path"].strip("/").split("/")
        match parts:
            case ["search", "repositories"]:
                word = request.query_params["q"].split()[-1]
                every = [item for items in self.repos.values() for item in items]
                return {"items": [item for item in every if word[:3] in item["full_name"]]}
            case ["orgs" | "users" as kind, owner, "repos"]:
                if owner not in self.repos or (kind == "orgs" and owner in self.users):
                    return None
                page, size = int(request.query_params["page"]), int(request.query_params["per_page"])
                return self.repos[owner][(page - 1) * size : page * size]
            case ["repos", owner, name] if f"{owner}/{name}" in self.files:
                return {"default_branch": "main", "full_name": f"{owner}/{name}"}
            case ["repos", owner, name, "git", "trees", _] if f"{owner}/{name}" in self.files:
                blobs = [
                    {"path": path, "type": "blob", "size": len(body)}
                    for path, body in self.files[f"{owner}/{name}"].items()
                ]
                return {"tree": blobs, "truncated": self.truncated}
            case ["repos", owner, name, "contents", *rest] if f"{owner}/{name}" in self.files:
                return self._contents(self.files[f"{owner}/{name}"], "/".join(rest), request)
        return None

    @staticmethod
    def _contents(files: dict[str, str | bytes], path: str, request: Request) -> Any:
        if path in files:
            text = files[path]
            body = text.encode() if isinstance(text, str) else text
            if "raw" in request.headers.get("accept", ""):
                return Response(body)
            small = len(body) <= 1_000_000
            content = base64.encodebytes(body).decode() if small else ""
            return {"type": "file", "size": len(body), "encoding": "base64" if small else "none", "content": content}
        inside = sorted({name[len(path) :].strip("/").split("/")[0] for name in files if name.startswith(path)})
        names = [name for name in inside if name]
        prefix = f"{path}/" if path else ""
        return [{"name": name, "type": "file" if f"{prefix}{name}" in files else "dir"} for name in names] or None

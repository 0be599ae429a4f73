"""What Spaces have beyond a repository: hardware, secrets, variables, volumes, logs, stages."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from tests.support.hub.repos_asked import Asked, Handler
from tests.support.hub.repos_store import Repo, Store, now
from tests.support.hub.server import HubFailure

if TYPE_CHECKING:
    from tests.support.hub.hardware import HardwareList
    from tests.support.hub.server import StandInHub

SDKS = ("gradio", "streamlit", "docker", "static")
_FREE = "cpu-basic"
_APP = {"gradio": "app.py", "streamlit": "app.py", "docker": "Dockerfile", "static": "index.html"}


class Spaces:
    """Answers about Spaces, and what tests may do to them.

    A Space whose app file is there builds for `build_s` seconds after each commit and runs then.

    Attributes:
        build_s: Seconds for which a Space builds.
        logs_open_s: Seconds for which a stream of logs stays open after its last line. The Hub's stay open.
    """

    def __init__(self, hub: StandInHub, store: Store, hardware: HardwareList) -> None:
        self._hub = hub
        self._store = store
        self._hardware = hardware
        self._stopping = False
        self.build_s = 0.0
        self.logs_open_s = 0.0

    # ------------------------------------------------------------------------------------------ what tests may ask

    def secrets(self, repo_id: str) -> dict[str, str]:
        """Names and values of the secrets of a Space, which the Hub never tells."""
        return {key: item["value"] for key, item in self._get(repo_id).space.get("secrets", {}).items()}

    def set_stage(self, repo_id: str, stage: str) -> None:
        """Puts a Space into a stage until its next commit or restart, `BUILD_ERROR` for example."""
        repo = self._get(repo_id)
        self._store.update(repo, lambda: repo.space.update(stage=stage))

    def log(self, repo_id: str, lines: Iterable[str], *, build: bool = False) -> None:
        """Adds lines to the logs of a Space."""
        with self._log_path(self._get(repo_id), "build" if build else "run").open("a", encoding="utf-8") as target:
            target.writelines(json.dumps({"data": f"{line}\n", "timestamp": now()}) + "\n" for line in lines)

    def stop(self) -> None:
        """Ends the streams."""
        self._stopping = True

    # ------------------------------------------------------------------------------------ what other parts ask for

    def settings(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """What the request for a new Space says of its surroundings.

        Raises:
            HubFailure: It asks for what there is not.
        """
        flavor = str(body.get("hardware") or _FREE)
        self._check_flavor(flavor)
        return {
            "hardware": flavor,
            "sleep": body.get("sleepTimeSeconds"),
            "secrets": _keyed(body.get("secrets") or []),
            "variables": _keyed(body.get("variables") or []),
            "volumes": list(body.get("volumes") or []),
            "stage": "",
            "ready_at": 0.0,
        }

    def changed(self, repo: Repo) -> None:
        """A Space has a new commit: it is built again, unless it is paused."""
        if repo.space.get("stage") != "PAUSED":
            self._build(repo)

    def about(self, repo: Repo, card: Mapping[str, Any]) -> dict[str, Any]:
        """What the description of a Space has beyond that of a repository."""
        subdomain = re.sub(r"[^a-z0-9]+", "-", repo.id.lower()).strip("-")
        return {
            "sdk": card.get("sdk") or repo.sdk,
            "subdomain": subdomain,
            "host": f"{self._hub.url}/apps/{subdomain}",
            "runtime": self.runtime(repo),
            "models": list(card.get("models") or []),
            "datasets": list(card.get("datasets") or []),
        }

    def runtime(self, repo: Repo) -> dict[str, Any]:
        """Stage and hardware."""
        stage, space = self._stage(repo), repo.space
        running = stage in ("RUNNING", "RUNNING_BUILDING")
        return {
            "stage": stage,
            "hardware": {"current": space.get("hardware") if running else None, "requested": space.get("hardware")},
            "gcTimeout": space.get("sleep") or (172_800 if space.get("hardware") == _FREE else None),
            "storage": None,
            "devMode": False,
            "replicas": {"current": 1 if running else 0, "requested": 1},
            "volumes": space.get("volumes") or None,
        }

    # ----------------------------------------------------------------------------------------------------- answers

    def routes(self) -> list[BaseRoute]:
        """What is about no Space in particular."""
        return [Route("/api/spaces/hardware", self._list_hardware), Route("/api/spaces/templates", self._templates)]

    def actions(self) -> Mapping[tuple[str, str], Handler]:
        """By method and first part of the address after the Space."""
        return {
            ("GET", "runtime"): self._runtime,
            ("POST", "hardware"): self._request_hardware,
            ("POST", "sleeptime"): self._sleep_time,
            ("POST", "pause"): self._pause,
            ("POST", "restart"): self._restart,
            ("GET", "logs"): self._logs,
            ("PUT", "volumes"): self._set_volumes,
            ("DELETE", "volumes"): self._remove_volumes,
            **{(method, "secrets"): self._values for method in ("GET", "POST", "DELETE")},
            **{(method, "variables"): self._values for method in ("GET", "POST", "DELETE")},
        }

    async def _list_hardware(self, request: Request) -> Response:
        flavors = [item.answer() for item in self._hardware.flavors.values()]
        free = {"unitCostMicroUSD": 0, "unitCostUSD": 0}
        return JSONResponse([{**item, **(free if item["name"] == _FREE else {})} for item in flavors])

    async def _templates(self, request: Request) -> Response:
        return JSONResponse([])

    async def _runtime(self, asked: Asked) -> Response:
        return JSONResponse(self.runtime(asked.repo()))

    async def _request_hardware(self, asked: Asked) -> Response:
        repo, _ = asked.own()
        body = await asked.body()
        flavor = str(body.get("flavor"))
        self._check_flavor(flavor)
        sleep = body.get("sleepTimeSeconds", repo.space.get("sleep"))
        self._store.update(repo, lambda: repo.space.update(hardware=flavor, sleep=sleep))
        return JSONResponse(self.runtime(repo))

    async def _sleep_time(self, asked: Asked) -> Response:
        repo, _ = asked.own()
        seconds = (await asked.body()).get("seconds")
        self._store.update(repo, lambda: repo.space.update(sleep=seconds))
        return JSONResponse(self.runtime(repo))

    async def _pause(self, asked: Asked) -> Response:
        repo, _ = asked.own()
        if repo.sdk == "static":
            raise HubFailure(400, "Static Spaces cannot be paused")
        self._store.update(repo, lambda: repo.space.update(stage="PAUSED"))
        return JSONResponse(self.runtime(repo))

    async def _restart(self, asked: Asked) -> Response:
        repo, _ = asked.own()
        self._build(repo)
        return JSONResponse(self.runtime(repo))

    async def _values(self, asked: Asked) -> Response:
        """Secrets and variables: listed, set, removed."""
        name, (repo, _) = asked.part(0), asked.own()
        kept: dict[str, Any] = dict(repo.space.get(name, {}))
        if asked.request.method != "GET":
            body = await asked.body()
            key = str(body.get("key", ""))
            if not key:
                raise HubFailure(400, "A key is needed")
            if asked.request.method == "POST":
                kept |= _keyed([body])
            elif key not in kept:
                raise HubFailure(404, f"There is no {name.removesuffix('s')} {key}")
            else:
                del kept[key]
            self._store.update(repo, lambda: repo.space.update({name: kept}))
            self.changed(repo)
        hidden = ("value",) if name == "secrets" else ()
        return JSONResponse({key: {k: v for k, v in item.items() if k not in hidden} for key, item in kept.items()})

    async def _set_volumes(self, asked: Asked) -> Response:
        repo, _ = asked.own()
        volumes = list((await asked.body()).get("volumes") or [])
        paths = [str(volume.get("mountPath", "")) for volume in volumes]
        if len(set(paths)) != len(paths) or not all(path.startswith("/") for path in paths):
            raise HubFailure(400, "Each volume needs an absolute mountPath of its own")
        self._store.update(repo, lambda: repo.space.update(volumes=volumes))
        return JSONResponse({"volumes": volumes})

    async def _remove_volumes(self, asked: Asked) -> Response:
        repo, _ = asked.own()
        if not repo.space.get("volumes"):
            raise HubFailure(400, "This Space has no volumes")
        self._store.update(repo, lambda: repo.space.update(volumes=[]))
        return JSONResponse({"success": True})

    async def _logs(self, asked: Asked) -> Response:
        repo, _ = asked.own()
        if asked.part(1) not in ("run", "build"):
            raise HubFailure(404, "There are logs of `build` and of `run`")
        return StreamingResponse(self._lines(self._log_path(repo, asked.part(1))), media_type="text/event-stream")

    async def _lines(self, path: Path) -> AsyncIterator[str]:
        sent, quiet_since = 0, time.monotonic()
        while not self._stopping:
            lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
            for line in lines[sent:]:
                yield f"data: {line}\n\n"
                quiet_since = time.monotonic()
            sent = len(lines)
            if time.monotonic() - quiet_since >= self.logs_open_s:
                return
            await asyncio.sleep(0.02)

    # ------------------------------------------------------------------------------------------------------ inside

    def _get(self, repo_id: str) -> Repo:
        repo = self._store.get("space", repo_id)
        if repo is None:
            raise KeyError(repo_id)
        return repo

    def _build(self, repo: Repo) -> None:
        self._store.update(repo, lambda: repo.space.update(stage="", ready_at=time.time() + self.build_s))

    def _stage(self, repo: Repo) -> str:
        if repo.space.get("stage"):
            return str(repo.space["stage"])
        if _APP.get(repo.sdk or "", "app.py") not in repo.head.files:
            return "NO_APP_FILE"
        return "BUILDING" if time.time() < repo.space.get("ready_at", 0.0) else "RUNNING"

    def _check_flavor(self, flavor: str) -> None:
        if flavor not in self._hardware.flavors:
            raise HubFailure(400, f"Invalid hardware flavor {flavor!r}")

    def _log_path(self, repo: Repo, name: str) -> Path:
        return repo.directory / f"log-{name}.ndjson"


def _keyed(items: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        str(item["key"]): {
            "key": item["key"], "value": item.get("value", ""), "description": item.get("description"),
            "updatedAt": now(),
        }
        for item in items
    }  # fmt: skip

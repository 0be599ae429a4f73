"""The directories behind the volumes that jobs mount."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.hub.server import HubFailure

if TYPE_CHECKING:
    from tests.support.hub.server import StandInHub


def volume_directory(hub: StandInHub, volume: Mapping[str, Any]) -> Path:
    """The directory on this machine behind a volume.

    A bucket is mounted itself; one that nobody made is empty (every sandbox mounts such a one). A repository is
    mounted as it is at a commit, laid out once for all jobs.

    Raises:
        HubFailure: There is no such repository, or not at this revision.
    """
    kind, source = str(volume["type"]), str(volume["source"])
    place = hub.buckets.files(source) if kind == "bucket" else _checkout(hub, kind, source, volume.get("revision"))
    place = place.resolve() / str(volume.get("path") or "").strip("/")
    place.mkdir(parents=True, exist_ok=True)
    return place


def _checkout(hub: StandInHub, kind: str, source: str, revision: str | None) -> Path:
    repo = hub.repos.store.get(kind, source)
    commit = repo.find(revision or "main") if repo else None
    if commit is None:
        raise HubFailure(404, f"Repository not found: {kind} {source}", "RepoNotFound")
    place = hub.root / "checkouts" / kind / source / commit.id
    if not place.exists():
        draft = place.with_name(f"{commit.id}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        hub.repos.checkout(source, draft, commit.id, kind=kind)
        draft.rename(place)
    return place

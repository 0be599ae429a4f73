"""What a session has made on the Hub: gathering it, looking it up, deleting it again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ml_intern.core.artifacts import Artifacts, record
from ml_intern.core.protocol import ArtifactEvent
from ml_intern.core.tools.spec import ToolContext
from ml_intern.services.hub import HubClient, HubError
from ml_intern.tools.repos.common import Repo

if TYPE_CHECKING:
    from huggingface_hub import HfApi

log = logging.getLogger(__name__)

REPOSITORIES = frozenset({"model", "dataset", "space"})
_TITLE_CHARS = 59


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """One artifact as it is on the Hub now.

    Attributes:
        item: What the session knows of it.
        exists: Whether it is there; None when that cannot be told.
        visibility: `private`, `public` or `gated`; empty when unknown.
        size: Bytes of all files; None when unknown.
        modified: When it was last changed; None when unknown.
        problem: Why nothing more can be said, or empty.
    """

    item: ArtifactEvent
    exists: bool | None = None
    visibility: str = ""
    size: int | None = None
    modified: datetime | None = None
    problem: str = ""


async def publish(hub: HubClient, context: ToolContext, event: ArtifactEvent) -> None:
    """Records what a tool has made, and adds it to the session's collection if that is wanted. Never fails."""
    record(context, event)
    if context.settings.hub.collect_artifacts and event.kind in REPOSITORIES and event.state != "deleted":
        await collect(hub, context, event)


# ---------------------------------------------------------------------------------------------------- the collection


@dataclass(slots=True)
class _Collection:
    """The session's collection, once there is one."""

    slug: str = ""
    members: set[tuple[str, str]] = field(default_factory=set)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


async def collect(hub: HubClient, context: ToolContext, item: ArtifactEvent) -> None:
    """Adds a repository to the session's private collection, once. The repository itself is left as it is."""
    kept = context.state.get(_Collection)
    async with kept.lock:
        if (item.kind, item.id) in kept.members:
            return
        try:
            if not kept.slug:
                kept.slug = await _open_collection(hub, context)
            slug = kept.slug
            await hub.call(
                lambda api: api.add_collection_item(slug, item_id=item.id, item_type=item.kind, exists_ok=True)  # type: ignore[arg-type]  # of the kinds a collection holds
            )
            kept.members.add((item.kind, item.id))
        except HubError as error:  # tried again with the next change
            log.warning("%s %s was not added to the session's collection: %s", item.kind, item.id, error)


async def _open_collection(hub: HubClient, context: ToolContext) -> str:
    known = [item for item in context.state.get(Artifacts).items if item.kind == "collection"]
    if known and known[-1].state != "deleted":
        return known[-1].id
    account = await hub.account()
    title = collection_title(context.session_id, datetime.now(UTC))
    made = await hub.call(
        lambda api: api.create_collection(
            title,
            namespace=account.name,
            private=True,
            description="What an ml-intern session has put on the Hub.",
            exists_ok=True,
        )
    )
    url = f"{hub.endpoint}/collections/{made.slug}"
    event = ArtifactEvent(kind="collection", id=made.slug, url=url, private=True, state="created", via="ml-intern")
    record(context, event)
    return str(made.slug)


def collection_title(session_id: str, day: datetime) -> str:
    """The title of a session's collection: `ml-intern-artifacts-2026-05-04-1a2b3c4d`."""
    return f"ml-intern-artifacts-{day:%Y-%m-%d}-{session_id[:8]}"[:_TITLE_CHARS]


# ---------------------------------------------------------------------------------------------- looking and deleting


async def list_artifacts(hub: HubClient, items: Iterable[ArtifactEvent]) -> list[ArtifactRow]:
    """How the artifacts are on the Hub now, in the order given. One that cannot be looked up does not hide the rest."""
    limit = asyncio.Semaphore(8)

    async def one(item: ArtifactEvent) -> ArtifactRow:
        async with limit:
            return await _look(hub, item)

    return list(await asyncio.gather(*(one(item) for item in items)))


async def _look(hub: HubClient, item: ArtifactEvent) -> ArtifactRow:
    if item.state == "deleted":
        return ArtifactRow(item, exists=False)
    try:
        if item.kind in REPOSITORIES:
            repo = Repo(item.id, item.kind)  # type: ignore[arg-type]  # one of the repository types
            return await hub.call(lambda api: _repository_row(api, item, repo))
        if item.kind == "collection":
            return await hub.call(lambda api: _collection_row(api, item))
        if item.kind == "bucket":
            return await hub.call(lambda api: _bucket_row(api, item))
    except HubError as error:
        gone = error.kind in {"no_repo", "missing"}
        return ArtifactRow(item, exists=False if gone else None, problem="not there" if gone else str(error))
    return ArtifactRow(item)  # jobs have a screen of their own


def _repository_row(api: HfApi, item: ArtifactEvent, repo: Repo) -> ArtifactRow:
    info: Any = api.repo_info(repo.id, repo_type=repo.type, files_metadata=True)
    size = sum(int(entry.size or 0) for entry in info.siblings or ())
    visibility = "private" if info.private else "gated" if getattr(info, "gated", None) else "public"
    return ArtifactRow(item, True, visibility, size, info.last_modified)


def _collection_row(api: HfApi, item: ArtifactEvent) -> ArtifactRow:
    collection = api.get_collection(item.id)
    return ArtifactRow(item, True, "private" if collection.private else "public", None, collection.last_updated)


def _bucket_row(api: HfApi, item: ArtifactEvent) -> ArtifactRow:
    info = api.bucket_info(item.id)
    return ArtifactRow(item, True, "private" if info.private else "public", info.size)


async def delete_artifact(hub: HubClient, item: ArtifactEvent) -> ArtifactEvent:
    """Deletes a repository, bucket or collection for good. The person has confirmed it.

    Returns:
        The event that says so, to be emitted.

    Raises:
        HubError: It was not deleted, or it is nothing that can be.
    """

    def delete(api: HfApi) -> None:
        match item.kind:
            case "model" | "dataset" | "space":
                api.delete_repo(item.id, repo_type=item.kind)
            case "collection":
                api.delete_collection(item.id)
            case "bucket":
                api.delete_bucket(item.id)
            case _:
                raise HubError("refused", f"A {item.kind} is not deleted but stopped.")

    await hub.call(delete)
    return item.model_copy(update={"state": "deleted"})

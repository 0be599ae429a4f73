"""Finds what is on the Hub, page by page."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from ml_intern.core.display import TableBlock
from ml_intern.core.tools.spec import ToolContext, ToolResult
from ml_intern.services.hub import HubClient, HubError
from ml_intern.tools.repos.common import failed, quantity
from ml_intern.tools.repos.search import MOST_FOUND, SearchParams

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_SORTS = {
    "trending": "trending_score",
    "downloads": "downloads",
    "likes": "likes",
    "created": "created_at",
    "modified": "last_modified",
}
_COLUMNS: dict[str, tuple[str, ...]] = {
    "model": ("id", "task", "parameters", "downloads", "likes", "modified", "access"),
    "dataset": ("id", "size", "downloads", "likes", "modified", "access"),
    "space": ("id", "SDK", "stage", "likes", "modified"),
    "collection": ("slug", "title", "items", "upvotes", "modified"),
}


class Finder:
    """The tool over a client."""

    def __init__(self, hub: HubClient) -> None:
        self._hub = hub

    async def handle(self, params: SearchParams, context: ToolContext) -> ToolResult:  # noqa: ARG002 - the shape of handlers
        """Does what a call asks for."""
        if params.kind == "collection" and not params.author:
            return failed("Collections are found by their owner: pass `author`; `query` then narrows by title.")
        try:
            rows, more = await self._hub.call(lambda api: _search(api, params))
        except HubError as error:
            return failed(error)
        return _result(params, rows, more)


def _result(params: SearchParams, rows: list[tuple[str, ...]], more: bool) -> ToolResult:
    noun = {"dataset": "data set", "space": "Space"}.get(params.kind, params.kind)
    wanted = [f"`{params.query}`" if params.query else "", f"by {params.author}" if params.author else ""]
    wanted += [f"tagged {', '.join(params.tags)}" if params.tags else ""]
    what = " ".join(filter(None, (f"{noun}s", *wanted)))
    if not rows:
        beyond = " past that offset" if params.offset else ""
        hint = "" if params.offset else " Try fewer or shorter words, or leave out tags."
        return ToolResult(f"No {what} found{beyond}.{hint}")
    columns = _COLUMNS[params.kind]
    lines = [f"{what}, by {params.sort}:", " | ".join(columns), *(" | ".join(row) for row in rows)]
    if more:
        lines.append(f"[… more; go on with offset={params.offset + len(rows)}]")
    return ToolResult("\n".join(lines), display=(TableBlock(columns=columns, rows=tuple(rows), title=what),))


def _search(api: HfApi, params: SearchParams) -> tuple[list[tuple[str, ...]], bool]:
    """Rows of the page that is wanted, and whether more would follow."""
    end = params.offset + params.limit
    found = list(itertools.islice(_found(api, params, end + 1), end + 1))
    rows = [_ROWS[params.kind](item) for item in found[params.offset : end]]
    return rows, len(found) > end


def _found(api: HfApi, params: SearchParams, limit: int) -> Iterable[Any]:
    search, author, tags = params.query or None, params.author or None, params.tags or None
    sort: Any = _SORTS[params.sort]
    if params.kind == "model":
        models: Iterable[Any] = api.list_models(
            search=search,
            author=author,
            filter=tags,
            sort=sort,
            limit=limit,
            expand=["downloads", "likes", "lastModified", "pipeline_tag", "gated", "private", "safetensors"],
        )
        return models
    if params.kind == "dataset":
        return api.list_datasets(
            search=search,
            author=author,
            filter=tags,
            sort=sort,
            limit=limit,
            expand=["downloads", "likes", "lastModified", "gated", "private", "tags"],
        )
    if params.kind == "collection":
        return _collections(api, params, limit)
    if search and " " in search and not author:
        # Several words are looked for by meaning; such a search has an order of its own.
        found: Iterable[Any] = api.search_spaces(search, filter=tags, include_non_running=True)
        return found
    return api.list_spaces(
        search=search,
        author=author,
        filter=tags,
        sort="likes" if params.sort == "downloads" else sort,
        limit=limit,
        expand=["likes", "lastModified", "sdk", "runtime", "private"],
    )


def _collections(api: HfApi, params: SearchParams, limit: int) -> Iterable[Any]:
    sort: Literal["lastModified", "trending", "upvotes"] = "trending"
    if params.sort in {"created", "modified"}:
        sort = "lastModified"
    elif params.sort == "likes":
        sort = "upvotes"
    words = params.query.lower().split()
    found = api.list_collections(owner=params.author, sort=sort, limit=MOST_FOUND)
    return itertools.islice((item for item in found if all(word in item.title.lower() for word in words)), limit)


def _day(value: Any) -> str:
    return f"{value:%Y-%m-%d}" if value else "?"


def _access(item: Any) -> str:
    return "private" if item.private else f"gated ({item.gated})" if item.gated else "public"


def _model_row(item: Any) -> tuple[str, ...]:
    size = quantity(item.safetensors.total) if item.safetensors else "?"
    used = (quantity(item.downloads), quantity(item.likes), _day(item.last_modified))
    return (item.id, item.pipeline_tag or "?", size, *used, _access(item))


def _dataset_row(item: Any) -> tuple[str, ...]:
    sizes = [tag.removeprefix("size_categories:") for tag in item.tags or () if tag.startswith("size_categories:")]
    used = (quantity(item.downloads), quantity(item.likes), _day(item.last_modified))
    return (item.id, sizes[0] if sizes else "?", *used, _access(item))


def _space_row(item: Any) -> tuple[str, ...]:
    runtime = getattr(item, "runtime", None)
    stage = str(runtime.stage) if runtime else "?"
    return (item.id, item.sdk or "?", stage, quantity(item.likes), _day(getattr(item, "last_modified", None)))


def _collection_row(item: Any) -> tuple[str, ...]:
    return (item.slug, item.title, str(len(item.items)), str(item.upvotes), _day(item.last_updated))


_ROWS = {"model": _model_row, "dataset": _dataset_row, "space": _space_row, "collection": _collection_row}

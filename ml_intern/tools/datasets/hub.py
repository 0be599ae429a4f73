"""Looks into a data set of the Hub through its viewer, without downloading it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from ml_intern.services.datasets_server import DatasetError, DatasetsServer
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import Progress
from ml_intern.services.shapes import count, items, record, records
from ml_intern.tools.datasets import sample
from ml_intern.tools.datasets.features import columns
from ml_intern.tools.datasets.found import Found, Split, size_words

Answer = Mapping[str, Any]


async def look_into_hub(
    server: DatasetsServer, name: str, config: str, split: str, progress: Progress
) -> Found:  # fmt: skip
    """Asks all services; only a data set that is not there, may not be seen or has no splits is a failure.

    Args:
        server: The services.
        name: The data set's id.
        config: Config to look into; empty for the default one.
        split: Split to look into; empty for train, or the config's first one.
        progress: Told of waits.

    Raises:
        DatasetError: It cannot be looked into.
    """
    whole = {"dataset": name}
    progress(f"asking for {name}")
    card, valid, splits, sizes = await asyncio.gather(
        _tried(server.card(name, progress)),
        *(_tried(server.ask(path, whole, progress)) for path in ("is-valid", "splits", "size")),
    )
    if isinstance(splits, DatasetError):
        raise splits
    if isinstance(valid, dict) and not any(value is True for value in valid.values()):
        raise DatasetError(str(valid.get("error") or "the viewer cannot read it: it is empty or broken"))
    parts = records(splits.get("splits"))
    if not parts:
        failed = [_said(item.get("error")) for item in records(splits.get("failed"))]
        waiting = "the viewer has not worked it out yet; ask again in a minute" if splits.get("pending") else ""
        raise DatasetError("; ".join(dict.fromkeys(filter(None, failed))) or waiting or "it has no splits")
    config, split = _choose(parts, config, split)
    found = Found(name, f"{server.endpoints.url('hub')}/datasets/{name}", f"{config}/{split}")
    found.facts = _facts(_part(found, "its card", card), _part(found, "the viewer's state", valid))
    _take_sizes(found, parts, _part(found, "its sizes", sizes))
    await _take_split(server, found, {"dataset": name, "config": config, "split": split}, progress)
    return found


async def _take_split(server: DatasetsServer, found: Found, one: Mapping[str, str], progress: Progress) -> None:
    """Columns, rows and statistics of the chosen split."""
    progress(f"looking into {found.part}")
    first, statistics, info, parquet = await asyncio.gather(
        _tried(server.ask("first-rows", one, progress)),
        _tried(server.ask("statistics", one, progress)),
        _tried(server.ask("info", {"dataset": one["dataset"], "config": one["config"]}, progress)),
        _tried(server.ask("parquet", {"dataset": one["dataset"]}, progress)),
    )
    rows = _part(found, "its rows", first)
    shown = [item for item in records(rows.get("rows")) if isinstance(item.get("row"), dict)]
    found.rows = [item["row"] for item in shown]
    found.repeated = sample.repeated(found.rows), len(found.rows)
    if cut := sum(1 for item in shown if item.get("truncated_cells")):
        found.remarks.append(f"{cut} of these rows have cells that the viewer cut short.")
    features = rows.get("features") or record(_part(found, "its features", info).get("dataset_info")).get("features")
    found.columns = columns(features)
    numbers = _part(found, "its statistics", statistics)
    found.statistics = {str(item.get("column_name")): item for item in records(numbers.get("statistics"))}
    files = records(_part(found, "its Parquet files", parquet).get("parquet_files"))
    if files:
        found.files = f"Parquet: {len(files)} files, {size_words(sum(count(item.get('size')) for item in files))}"
    for name, answer in (("statistics", numbers), ("rows", rows)):
        if answer.get("partial") or answer.get("truncated"):
            found.problems.append(f"The {name} cover only a part of the split.")


def _said(error: Any) -> str:
    """Why the viewer has no splits of a config: in words, or in an answer of its own that holds them."""
    return str(record(error).get("error") or "") if isinstance(error, dict) else str(error or "")


async def _tried(asking: Awaitable[dict[str, Any]]) -> dict[str, Any] | DatasetError:
    """An answer or why there is none, so that one that fails does not take the others with it."""
    try:
        return await asking
    except DatasetError as error:
        return error


def _part(found: Found, name: str, answer: dict[str, Any] | DatasetError) -> dict[str, Any]:
    """An answer, or nothing with a note on why."""
    if isinstance(answer, DatasetError):
        working = (
            "are still being worked out by the service; ask again in a minute" if answer.not_ready else str(answer)
        )
        found.problems.append(f"Missing here, {name}: {working}")
    return answer if isinstance(answer, dict) else {}


def _take_sizes(found: Found, parts: Sequence[Answer], answer: Answer) -> None:
    listed = records(record(answer.get("size")).get("splits"))
    sizes = {(str(item.get("config")), str(item.get("split"))): item for item in listed}
    found.partial = bool(answer.get("partial"))
    for item in parts:
        key = str(item.get("config")), str(item.get("split"))
        size = sizes.get(key) or {}
        rows, weight = size.get("num_rows"), size.get("num_bytes_parquet_files") or size.get("num_bytes_memory")
        made = Split(
            "/".join(key), rows if isinstance(rows, int) else None, weight if isinstance(weight, int) else None
        )
        found.splits.append(made)
        if made.name == found.part:
            found.row_count = made.rows
    if found.partial:
        found.problems.append("The data set is too large for the viewer: it has counted and looked at a part of it.")


def _choose(parts: Sequence[Answer], config: str, split: str) -> tuple[str, str]:
    """The config and split to look into.

    Raises:
        DatasetError: The data set has no such config or split.
    """
    configs = list(dict.fromkeys(str(item.get("config")) for item in parts))
    if config and config not in configs:
        raise DatasetError(f"it has no config {config!r}; its configs: {', '.join(configs[:40])}")
    config = config or ("default" if "default" in configs else configs[0])
    names = [str(item.get("split")) for item in parts if str(item.get("config")) == config]
    if split and split not in names:
        raise DatasetError(f"its config {config} has no split {split!r}; its splits: {', '.join(names)}")
    return config, split or ("train" if "train" in names else names[0])


def _facts(card: Answer, valid: Answer) -> list[str]:
    if not card:
        return ["licence and gating could not be found out"]
    tags = [str(tag) for tag in items(card.get("tags"))]
    licence = record(card.get("cardData")).get("license") or next(
        (tag.partition(":")[2] for tag in tags if tag.startswith("license:")), "not stated"
    )
    facts = [f"licence {', '.join(map(str, licence)) if isinstance(licence, list) else licence}"]
    facts.append(f"gated ({card['gated']})" if card.get("gated") else "not gated")
    facts += ["private"] if card.get("private") else []
    facts += [f"{card['downloads']:,} downloads"] if isinstance(card.get("downloads"), int) else []
    facts += [f"changed {str(card['lastModified'])[:10]}"] if card.get("lastModified") else []
    able = [name for name, value in valid.items() if value is True]
    return [*facts, f"viewer: {', '.join(able)}"] if able else facts


def explain(name: str, error: DatasetError, endpoints: Endpoints) -> str:
    """Why a data set cannot be looked into, in a sentence, and what to do next."""
    page = f"{endpoints.url('hub')}/datasets/{name}"
    reason = str(error).rstrip(".")
    if error.status in (401, 403) or "gated" in reason.lower():
        return f"{name} cannot be looked into: {reason}. It may be gated or private: ask for access at {page}."
    if error.status == 404:
        return f"{name} cannot be looked into: {reason}. Check the name with hub_search."
    if error.not_ready:
        return f"{name} is still being worked on by the viewer ({reason}). Ask again in a minute."
    return f"{name} cannot be looked into: {reason}. See {page}."

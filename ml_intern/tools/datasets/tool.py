"""`hf_inspect_dataset`: what a data set really holds, and whether it fits the training it is meant for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from ml_intern.core.display import DisplayBlock, TableBlock
from ml_intern.core.tools.spec import Params, ToolContext, ToolResult, ToolSpec
from ml_intern.services.datasets_server import DatasetError, DatasetsServer
from ml_intern.services.endpoints import Endpoints
from ml_intern.services.http import HttpService, Progress
from ml_intern.tools.datasets import sample
from ml_intern.tools.datasets.features import Column, cell, columns
from ml_intern.tools.datasets.verdicts import verdicts
from ml_intern.tools.known_datasets import KnownDatasets

MOST_ROWS = 10
PREVIEW_ROWS = 25
MOST_SPLITS = 10
MOST_COLUMNS = 60

_DESCRIPTION = """\
Looks into a data set of the Hub without downloading it: configs, splits, numbers of rows, sizes, columns and their \
types, statistics, missing values, repeated rows, sample rows, how its chats are built, licence and gating, and \
whether it fits SFT, DPO, GRPO or classification. Use it before writing code for a data set."""


def _rows(value: Any) -> Any:
    if value is None:
        return 3
    number = int(value) if isinstance(value, str) and value.strip().lstrip("-").isdigit() else value
    return max(0, min(number, MOST_ROWS)) if isinstance(number, int) and not isinstance(number, bool) else number


class InspectParams(Params):
    """What a call of `hf_inspect_dataset` may say."""

    dataset: Annotated[
        str, Field(min_length=1, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)?$")
    ]
    config: Annotated[str | None, Field(description="Config (subset); the first or default one otherwise.")] = None
    split: Annotated[str | None, Field(description="Split; train, or the config's first one otherwise.")] = None
    sample_rows: Annotated[int, BeforeValidator(_rows), Field(description="Rows to show, at most 10.")] = 3


@dataclass(slots=True)
class _Found:
    """Everything that was found out, and what could not be.

    Attributes:
        problems: Sentences on what is missing in this account.
    """

    dataset: str
    config: str = ""
    split: str = ""
    splits: list[Mapping[str, Any]] = field(default_factory=list)
    card: Mapping[str, Any] = field(default_factory=dict)
    valid: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    columns: list[Column] = field(default_factory=list)
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    statistics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    parquet: list[Mapping[str, Any]] = field(default_factory=list)
    cut_cells: int = 0
    problems: list[str] = field(default_factory=list)


def create_inspect_dataset(http: HttpService, endpoints: Endpoints) -> ToolSpec:
    """The tool over a client."""
    server = DatasetsServer(http, endpoints)

    async def handle(params: InspectParams, context: ToolContext) -> ToolResult:
        try:
            found = await _inspect(server, params, context.log)
        except DatasetError as error:
            return ToolResult(f"ERROR: {_failure(params.dataset, error, endpoints)}", ok=False)
        if found.columns:
            names = frozenset(column.name for column in found.columns)
            context.state.get(KnownDatasets).add(found.dataset, names, _row_count(found))
        return ToolResult("\n".join(_report(found, params, endpoints)), display=_display(found))

    return ToolSpec("hf_inspect_dataset", _DESCRIPTION, InspectParams, handle, fetches=True)


# ---------------------------------------------------------------------------------------------------- finding out


async def _inspect(server: DatasetsServer, params: InspectParams, progress: Progress) -> _Found:
    """Asks all services; only a data set that is not there, may not be seen or has no splits is a failure."""
    found = _Found(params.dataset)
    whole = {"dataset": params.dataset}
    card, valid, splits, sizes = await asyncio.gather(
        _tried(server.card(params.dataset, progress)),
        *(_tried(server.ask(path, whole, progress)) for path in ("is-valid", "splits", "size")),
    )
    if isinstance(splits, DatasetError):
        raise splits
    if isinstance(valid, dict) and not any(value is True for value in valid.values()):
        raise DatasetError(str(valid.get("error") or "the viewer cannot read it: it is empty or broken"))
    found.splits = list(splits.get("splits") or ())
    if not found.splits:
        failed = [str(item.get("error") or "") for item in splits.get("failed") or ()]
        raise DatasetError("; ".join(filter(None, failed)) or "it has no splits")
    found.card = _part(found, "its card", card)
    found.valid = _part(found, "the viewer's state", valid)
    found.sizes = _sizes(_part(found, "its sizes", sizes))
    found.config, found.split = _choose(found.splits, params)
    await _look_into(server, found, progress)
    return found


async def _look_into(server: DatasetsServer, found: _Found, progress: Progress) -> None:
    """Columns, rows and statistics of the chosen split."""
    one = {"dataset": found.dataset, "config": found.config, "split": found.split}
    first, statistics, info, parquet = await asyncio.gather(
        _tried(server.ask("first-rows", one, progress)),
        _tried(server.ask("statistics", one, progress)),
        _tried(server.ask("info", {"dataset": found.dataset, "config": found.config}, progress)),
        _tried(server.ask("parquet", {"dataset": found.dataset}, progress)),
    )
    rows = _part(found, "its rows", first)
    found.rows = [item["row"] for item in rows.get("rows") or () if isinstance(item.get("row"), dict)]
    found.cut_cells = sum(1 for item in rows.get("rows") or () if item.get("truncated_cells"))
    features = rows.get("features") or (_part(found, "its features", info).get("dataset_info") or {}).get("features")
    found.columns = columns(features)
    numbers = _part(found, "its statistics", statistics)
    found.statistics = {str(item.get("column_name")): item for item in numbers.get("statistics") or ()}
    found.parquet = list(_part(found, "its Parquet files", parquet).get("parquet_files") or ())
    for name, answer in (("statistics", numbers), ("rows", rows)):
        if answer.get("partial") or answer.get("truncated"):
            found.problems.append(f"The {name} cover only a part of the split.")


async def _tried(asking: Awaitable[dict[str, Any]]) -> dict[str, Any] | DatasetError:
    """An answer or why there is none, so that one that fails does not take the others with it."""
    try:
        return await asking
    except DatasetError as error:
        return error


def _part(found: _Found, name: str, answer: dict[str, Any] | DatasetError) -> dict[str, Any]:
    """An answer, or nothing with a note on why."""
    if isinstance(answer, DatasetError):
        working = (
            "are still being worked out by the service; ask again in a minute" if answer.not_ready else str(answer)
        )
        found.problems.append(f"Missing here, {name}: {working}")
    return answer if isinstance(answer, dict) else {}


def _sizes(answer: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    splits = (answer.get("size") or {}).get("splits") or ()
    return {(str(item.get("config")), str(item.get("split"))): item for item in splits}


def _choose(splits: Sequence[Mapping[str, Any]], params: InspectParams) -> tuple[str, str]:
    """The config and split to look into.

    Raises:
        DatasetError: The data set has no such config or split.
    """
    configs = list(dict.fromkeys(str(item.get("config")) for item in splits))
    if params.config and params.config not in configs:
        raise DatasetError(f"it has no config {params.config!r}; its configs: {', '.join(configs[:40])}")
    config = params.config or ("default" if "default" in configs else configs[0])
    names = [str(item.get("split")) for item in splits if str(item.get("config")) == config]
    if params.split and params.split not in names:
        raise DatasetError(f"its config {config} has no split {params.split!r}; its splits: {', '.join(names)}")
    return config, params.split or ("train" if "train" in names else names[0])


def _failure(dataset: str, error: DatasetError, endpoints: Endpoints) -> str:
    page = f"{endpoints.url('hub')}/datasets/{dataset}"
    reason = str(error).rstrip(".")
    if error.status in (401, 403) or "gated" in reason.lower():
        return f"{dataset} cannot be looked into: {reason}. It may be gated or private: ask for access at {page}."
    if error.status == 404:
        return f"{dataset} cannot be looked into: {reason}. Check the name with hub_search."
    if error.not_ready:
        return f"{dataset} is still being worked on by the viewer ({reason}). Ask again in a minute."
    return f"{dataset} cannot be looked into: {reason}. See {page}."


# ----------------------------------------------------------------------------------------------------------- telling


def _row_count(found: _Found) -> int | None:
    size = found.sizes.get((found.config, found.split)) or {}
    count = size.get("num_rows")
    return int(count) if isinstance(count, int) else None


def _report(found: _Found, params: InspectParams, endpoints: Endpoints) -> list[str]:
    lines = [f"{found.dataset}  {endpoints.url('hub')}/datasets/{found.dataset}", *_facts(found)]
    lines += ["", "Fits:", *(f"- {verdict.line()}" for verdict in verdicts(found.columns, found.rows))]
    lines += ["", *_split_lines(found)]
    lines += ["", f"Columns of {found.config}/{found.split}:", *_column_lines(found)]
    lines += _sample_lines(found, params.sample_rows)
    if found.parquet:
        total = sum(int(item.get("size") or 0) for item in found.parquet)
        lines += ["", f"Parquet: {len(found.parquet)} files, {_bytes(total)}"]
    if found.problems:
        lines += ["", "Mind:", *(f"- {problem}" for problem in dict.fromkeys(found.problems))]
    return lines


def _facts(found: _Found) -> list[str]:
    card = found.card
    data = card.get("cardData") or {}
    licence = data.get("license") or next(
        (tag.partition(":")[2] for tag in card.get("tags") or () if str(tag).startswith("license:")), "not stated"
    )
    facts = [f"licence {', '.join(licence) if isinstance(licence, list) else licence}"]
    facts.append(f"gated ({card['gated']})" if card.get("gated") else "not gated")
    facts += ["private"] if card.get("private") else []
    facts += [f"{card['downloads']:,} downloads"] if isinstance(card.get("downloads"), int) else []
    facts += [f"changed {str(card['lastModified'])[:10]}"] if card.get("lastModified") else []
    working = [name for name, value in found.valid.items() if value is True]
    lines = [" · ".join(facts) if card else "Licence and gating could not be found out."]
    return [*lines, f"Viewer: {', '.join(working)}"] if working else lines


def _split_lines(found: _Found) -> list[str]:
    lines = ["Splits:"]
    for item in found.splits[:MOST_SPLITS]:
        key = (str(item.get("config")), str(item.get("split")))
        size = found.sizes.get(key) or {}
        rows = f"{size['num_rows']:,} rows" if isinstance(size.get("num_rows"), int) else "rows not counted"
        weight = size.get("num_bytes_parquet_files") or size.get("num_bytes_memory")
        place = f"- {key[0]}/{key[1]}: {rows}" + (f", {_bytes(weight)}" if isinstance(weight, int) else "")
        lines.append(place + (" (looked into)" if key == (found.config, found.split) else ""))
    left = len(found.splits) - MOST_SPLITS
    return [*lines, f"- and {left} more of {len(found.splits)}"] if left > 0 else lines


def _column_lines(found: _Found) -> list[str]:
    if not found.columns:
        return ["- not known"]
    lines = []
    for column in found.columns[:MOST_COLUMNS]:
        said, histogram = sample.statistics_line(found.statistics.get(column.name) or {})
        if not said and found.rows and (count := sample.missing(column, found.rows)):
            said = f"{count} of {len(found.rows)} looked at are empty"
        tail = "; ".join(filter(None, (said, f"|{histogram}|" if histogram else "")))
        lines.append(f"- {column.name}: {column.kind}" + (f"  [{tail}]" if tail else ""))
    left = len(found.columns) - MOST_COLUMNS
    return [*lines, f"- and {left} more columns"] if left > 0 else lines


def _sample_lines(found: _Found, count: int) -> list[str]:
    if not found.rows:
        return []
    twice = sample.repeated(found.rows)
    lines = ["", f"In the first {len(found.rows)} rows: " + (f"{twice} repeat others" if twice else "no row repeats")]
    lines += [line for column in found.columns for line in sample.chat_lines(column, found.rows)]
    if found.cut_cells:
        lines.append(f"{found.cut_cells} of these rows have cells that the viewer cut short.")
    for index, row in enumerate(found.rows[:count], 1):
        lines += ["", f"Row {index}:", *(f"- {column.name}: {cell(row.get(column.name))}" for column in found.columns)]
    return lines


def _display(found: _Found) -> tuple[DisplayBlock, ...]:
    """What a person looks at: the columns with their statistics, and rows."""
    schema = []
    for column in found.columns:
        said, histogram = sample.statistics_line(found.statistics.get(column.name) or {})
        schema.append((column.name, column.kind, said, histogram))
    count = _row_count(found)
    about = f"{count:,} rows" if count is not None else "rows not counted"
    blocks: list[DisplayBlock] = [
        TableBlock(columns=("fits", "", "why"), rows=tuple(
            (verdict.method, {True: "✓ yes", None: "~ after a change", False: "✗ no"}[verdict.fits], verdict.reason)
            for verdict in verdicts(found.columns, found.rows)
        ), title=f"{found.dataset} · {found.config}/{found.split} · {about}"),
        TableBlock(columns=("column", "type", "values", "histogram"), rows=tuple(schema), title="columns"),
    ]  # fmt: skip
    if found.rows and found.columns:
        names = tuple(column.name for column in found.columns)
        rows = tuple(tuple(cell(row.get(name), 300) for name in names) for row in found.rows[:PREVIEW_ROWS])
        blocks.append(TableBlock(columns=names, rows=rows, title=f"the first {len(rows)} rows"))
    return tuple(blocks)


def _bytes(size: int) -> str:
    value = float(size)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"

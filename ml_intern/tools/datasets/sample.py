"""What some rows of a data set show: missing values, repetitions, who speaks in its chats, how long texts are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ml_intern.services.shapes import count, items, record
from ml_intern.tools.datasets.features import Column, cell

Row = Mapping[str, Any]
_BARS = "▁▂▃▄▅▆▇█"
_UNITS = {"string_text": "characters", "list": "items"}


def missing(column: Column, rows: Sequence[Row]) -> int:
    """In how many rows a column holds nothing."""
    return sum(1 for row in rows if row.get(column.name) in (None, "", [], {}))


def repeated(rows: Sequence[Row]) -> int:
    """How many rows are equal to one before them."""
    seen = Counter(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return sum(count - 1 for count in seen.values())


def chat_lines(column: Column, rows: Sequence[Row]) -> list[str]:
    """Who speaks in a column of chats, how many messages they have, and one of them."""
    keys = column.chat_keys
    if keys is None:
        return []
    speaker, words = keys
    chats = [chat for row in rows if isinstance(chat := row.get(column.name), list)]
    messages = [message for chat in chats for message in chat if isinstance(message, Mapping)]
    if not messages:
        return [f"{column.name}: no messages in the rows that were looked at"]
    roles = Counter(str(message.get(speaker)) for message in messages)
    said = ", ".join(f"{role} {count}" for role, count in roles.most_common(8))
    lengths = sorted(len(chat) for chat in chats)
    lines = [f"{column.name}: {len(chats)} chats of {lengths[0]} to {lengths[-1]} messages; {said}"]
    empty = sum(1 for message in messages if not message.get(words) and not message.get("tool_calls"))
    lines += [f"{column.name}: {empty} messages say nothing"] if empty else []
    others = sorted({key for message in messages for key in message if key not in keys and message[key]})
    lines += [f"{column.name}: messages also have {', '.join(others)}"] if others else []
    example = next((item for item in messages if item.get("tool_calls")), None) or next(
        (item for item in messages if str(item.get(speaker)) in ("assistant", "gpt")), messages[0]
    )
    return [*lines, f"{column.name}: for example {cell(example, 300)}"]


def statistics_line(found: Mapping[str, Any]) -> str:
    """What the statistics say of a column; empty where there are none."""
    numbers = record(found.get("column_statistics"))
    kind = str(found.get("column_type") or "")
    parts = []
    if isinstance(nulls := numbers.get("nan_count"), int):
        given = numbers.get("nan_proportion")
        share = 100 * float(given if isinstance(given, int | float) else 0)
        parts.append(f"{nulls:,} missing ({share:.1f} %)" if nulls else "none missing")
    if empty := count(numbers.get("empty_count")):
        parts.append(f"{empty:,} empty")
    if counts := frequencies(found):
        total = sum(count for _, count in counts) or 1
        parts.append(", ".join(f"{cell(name, 30)} {100 * count / total:.0f} %" for name, count in counts[:6]))
        parts += [f"{len(counts)} classes"] if len(counts) > 6 else []
        return "; ".join(parts)
    if numbers.get("mean") is not None:
        span = f"{_short(numbers.get('min'))} to {_short(numbers.get('max'))} {_UNITS.get(kind, '')}".strip()
        parts.append(f"{span}, mean {_short(numbers['mean'])}, median {_short(numbers.get('median'))}")
    return "; ".join(parts)


def frequencies(found: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The values of a column that holds classes with how often they occur, the most frequent first."""
    counts = record(record(found.get("column_statistics")).get("frequencies"))
    if str(found.get("column_type") or "") not in ("class_label", "string_label", "bool"):
        return []
    return sorted(((str(name), count(often)) for name, often in counts.items()), key=lambda item: -item[1])


def histogram(found: Mapping[str, Any]) -> tuple[list[int], list[float], str]:
    """How many values lie in each bin, where the bins begin and end, and what is counted; empty where not known."""
    shape = record(record(found.get("column_statistics")).get("histogram"))
    counts = [count(number) for number in items(shape.get("hist"))]
    edges = [float(edge) for edge in items(shape.get("bin_edges")) if isinstance(edge, int | float)]
    return counts, edges, _UNITS.get(str(found.get("column_type") or ""), "")


def bars(counts: Sequence[float]) -> str:
    """Counts as bars in one line."""
    most = max(counts, default=0)
    if not most:
        return ""
    return "".join(_BARS[min(7, int(8 * count / most))] if count else " " for count in counts)


def _short(value: Any) -> str:
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.4g}"
    return f"{int(value):,}" if isinstance(value, int | float) else "?"

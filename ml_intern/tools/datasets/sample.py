"""What some rows of a data set show: missing values, repetitions, who speaks in its chats, how long texts are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ml_intern.tools.datasets.features import Column, cell

Row = Mapping[str, Any]
_BARS = "▁▂▃▄▅▆▇█"


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


def statistics_line(found: Mapping[str, Any]) -> tuple[str, str]:
    """What the viewer's statistics say of a column, and its histogram in one line; empty where there are none."""
    numbers = found.get("column_statistics") or {}
    kind = str(found.get("column_type") or "")
    parts = []
    if (nulls := numbers.get("nan_count")) is not None:
        share = 100 * float(numbers.get("nan_proportion") or 0)
        parts.append(f"{nulls:,} missing ({share:.1f} %)" if nulls else "none missing")
    if kind in ("class_label", "string_label", "bool"):
        counts = numbers.get("frequencies") or {}
        total = sum(counts.values()) or 1
        top = sorted(counts.items(), key=lambda item: -item[1])[:6]
        parts.append(", ".join(f"{cell(name, 30)} {100 * count / total:.0f} %" for name, count in top))
        parts += [f"{len(counts)} classes"] if len(counts) > len(top) else []
        return "; ".join(parts), ""
    named = "characters" if kind == "string_text" else "items" if kind == "list" else ""
    if numbers.get("mean") is not None:
        span = f"{_short(numbers.get('min'))} to {_short(numbers.get('max'))} {named}".strip()
        parts.append(f"{span}, mean {_short(numbers['mean'])}, median {_short(numbers.get('median'))}")
    histogram = (numbers.get("histogram") or {}).get("hist") or []
    return "; ".join(parts), bars(histogram)


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

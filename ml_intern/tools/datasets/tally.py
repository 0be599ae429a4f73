"""What the values of one column are like, taken in one by one: types, missing ones, range, histogram, frequencies."""

from __future__ import annotations

import math
import statistics
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

BINS = 10
MOST_CLASSES = 30
CLASS_CHARS = 100
ELEMENTS = 20
"""Elements of a list that its type is told by,"""
MOST_LOOKED_INTO = 5_000
"""and lists and objects of a column that its type is told by."""
LARGEST = 1e300

Feature = Any


class Tally:
    """One column.

    Args:
        missed: Rows before its first value.
    """

    def __init__(self, missed: int = 0) -> None:
        self.feature: Feature = value_type("null")
        self._nulls = missed
        self._count = missed
        self._empty = 0
        self._kinds: Counter[str] = Counter()
        self._numbers = array("d")
        self._lengths = array("d")
        self._classes: Counter[str] | None = Counter()

    def take(self, value: Any) -> None:
        """Takes a value in."""
        self._count += 1
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            self._nulls += 1
            return
        kind = type(value).__name__
        if not (seen := self._kinds[kind]) or (kind in ("list", "dict") and seen < MOST_LOOKED_INTO):
            self.feature = merged(self.feature, feature_of(value))
        self._kinds[kind] = seen + 1
        if isinstance(value, bool):
            self._classify(str(value))
        elif isinstance(value, int | float):
            self._numbers.append(float(max(-LARGEST, min(LARGEST, value))))
            self._classify(str(value))
        elif isinstance(value, str | list):
            self._lengths.append(len(value))
            self._empty += not value
            self._classify(value if isinstance(value, str) else None)

    def _classify(self, name: str | None) -> None:
        if self._classes is None:
            return
        if name is None or len(name) > CLASS_CHARS:
            self._classes = None
            return
        self._classes[name] += 1
        if len(self._classes) > MOST_CLASSES:
            self._classes = None

    def statistics(self, name: str) -> dict[str, Any]:
        """What is known of the column, as the data set viewer describes it."""
        numbers: dict[str, Any] = {"nan_count": self._nulls, "nan_proportion": self._nulls / max(1, self._count)}
        if self._empty:
            numbers["empty_count"] = self._empty
        kind, values = self._kind_and_values()
        if kind in ("bool", "string_label") and self._classes is not None:
            numbers["frequencies"] = dict(self._classes)
        elif values:
            numbers |= _shape(values)
        return {"column_name": name, "column_type": kind, "column_statistics": numbers}

    def _kind_and_values(self) -> tuple[str, Sequence[float]]:
        kinds = set(self._kinds)
        if kinds == {"bool"}:
            return "bool", ()
        if kinds and kinds <= {"int", "float"}:
            return "float" if "float" in kinds else "int", self._numbers
        if kinds == {"list"}:
            return "list", self._lengths
        if kinds == {"str"}:
            known = sum(self._kinds.values())
            repeats = self._classes is not None and len(self._classes) * 2 <= known
            return ("string_label", ()) if repeats else ("string_text", self._lengths)
        return "other", ()


def feature_of(value: Any) -> Feature:
    """The type of a value, as the data set viewer describes types."""
    if isinstance(value, Mapping):
        return {str(key): feature_of(inner) for key, inner in value.items()}
    if isinstance(value, list):
        inner: Feature = value_type("null")
        for element in value[:ELEMENTS]:
            inner = merged(inner, feature_of(element))
        return {"_type": "List", "feature": inner}
    names = {bool: "bool", int: "int64", float: "float64", str: "string", type(None): "null"}
    return value_type(names.get(type(value), "string"))


def value_type(name: str) -> Feature:
    """The description of a plain type."""
    return {"_type": "Value", "dtype": name}


def merged(one: Feature, other: Feature) -> Feature:
    """A type that holds values of both."""
    if one == other or _is_null(other):
        return one
    if _is_null(one):
        return other
    kinds = _kind(one), _kind(other)
    if kinds == ("struct", "struct"):
        keys = dict.fromkeys([*one, *other])
        return {key: merged(one.get(key, value_type("null")), other.get(key, value_type("null"))) for key in keys}
    if kinds == ("List", "List"):
        return {"_type": "List", "feature": merged(one["feature"], other["feature"])}
    names = sorted({part for feature in (one, other) for part in _plain(feature).split(" or ")})
    return value_type("float64" if names == ["float64", "int64"] else " or ".join(names))


def _kind(feature: Feature) -> str:
    return str(feature.get("_type") or "struct") if "dtype" in feature or "feature" in feature else "struct"


def _plain(feature: Feature) -> str:
    kind = _kind(feature)
    return str(feature["dtype"]) if kind == "Value" else "list" if kind == "List" else "object"


def _is_null(feature: Feature) -> bool:
    return bool(feature == value_type("null"))


def _shape(values: Sequence[float]) -> dict[str, Any]:
    low, high = min(values), max(values)
    few = high - low < BINS and all(value.is_integer() for value in values)  # each of them gets a bin
    bins = int(high - low) + 1 if few else BINS
    width = 1.0 if few else (high - low) / bins
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int((value - low) / width))] += 1
    edges = [low + number * width for number in range(bins)] + [low + bins if few else high]
    middle = statistics.median(values)
    shape = {"hist": counts, "bin_edges": edges}
    return {"min": low, "max": high, "mean": statistics.fmean(values), "median": middle, "histogram": shape}

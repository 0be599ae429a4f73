"""What services answer, held to the shape it should have: an odd part of an answer is left out, and breaks nothing."""

from __future__ import annotations

from typing import Any


def record(value: Any) -> dict[str, Any]:
    """An object, or an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def records(value: Any) -> list[dict[str, Any]]:
    """The objects of a list, or none in place of anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def items(value: Any) -> list[Any]:
    """What a list holds, or nothing in place of anything else."""
    return value if isinstance(value, list) else []


def count(value: Any) -> int:
    """A number, or 0 in place of anything else."""
    return int(value) if isinstance(value, int | float) and abs(value) < 1e18 else 0

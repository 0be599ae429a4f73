"""The best citations out of an answer of Semantic Scholar, which may hold megabytes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ml_intern.services.shapes import count, record, records

Direction = Literal["references", "citations"]
OTHER_END: Mapping[Direction, str] = {"references": "citedPaper", "citations": "citingPaper"}


@dataclass(frozen=True, slots=True)
class Edges:
    """Citations in one direction.

    Attributes:
        shown: Those that were asked for.
        total: How many were given.
        more: Whether there are more than were given.
    """

    shown: list[dict[str, Any]]
    total: int
    more: bool


def best_edges(body: bytes, direction: Direction, offset: int, limit: int) -> Edges:
    """Some citations of an answer in JSON, the influential and the much cited first.

    Raises:
        ValueError: It is no such answer.
    """
    answer = json.loads(body)
    if not isinstance(answer, dict):
        raise ValueError("it is no object")
    other = OTHER_END[direction]
    edges = sorted(
        (edge for edge in records(answer.get("data")) if record(edge.get(other))),
        key=lambda edge: (bool(edge.get("isInfluential")), count(edge[other].get("citationCount"))),
        reverse=True,
    )
    return Edges(edges[offset:][:limit], len(edges), bool(answer.get("next")))

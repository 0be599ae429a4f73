"""Data sets the session has looked into, so that a job's script can be held against what is really in them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class KnownDataset:
    """What is known of a data set.

    Attributes:
        columns: Names of its columns, over all configurations looked into.
        rows: Rows of its training split; None when unknown.
    """

    columns: frozenset[str]
    rows: int | None = None


@dataclass(slots=True)
class KnownDatasets:
    """The data sets one session has looked into, by id."""

    _items: dict[str, KnownDataset] = field(default_factory=dict)

    def add(self, dataset_id: str, columns: frozenset[str], rows: int | None = None) -> None:
        """Takes what was found out about a data set, in addition to what is known of it."""
        known = self._items.get(dataset_id, KnownDataset(frozenset()))
        self._items[dataset_id] = KnownDataset(known.columns | columns, known.rows if rows is None else rows)

    def find(self, dataset_id: str) -> KnownDataset | None:
        """What is known of a data set, if it was looked into."""
        return self._items.get(dataset_id)

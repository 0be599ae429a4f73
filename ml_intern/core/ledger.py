"""What a session has cost: one entry for each model call, job and sandbox.

Entries come out of events alone, so a ledger that is read back from a session's log equals the one kept live.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import NamedTuple

from ml_intern.core.protocol import CostState, EventBase, Expense, LLMCall, SpendingKind

_MOST_USD = 1e9
_NANO = 1_000_000_000


class Charge(NamedTuple):
    """A price with how sure it is.

    Attributes:
        usd: Dollars; None when nobody knows.
        state: `measured`, `estimated` or `unknown`.
    """

    usd: float | None
    state: CostState


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger.

    Attributes:
        kind: What was paid for.
        what: The model's id, or the tool and what it started.
        usd: Dollars; None when nobody knows.
        state: How sure the sum is.
    """

    kind: SpendingKind
    what: str
    usd: float | None
    state: CostState

    def kept(self) -> Entry:
        """The entry of a promise that has to be kept unmeasured: at its worst case."""
        return replace(self, state="unknown" if self.usd is None else "estimated")


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums by how sure they are, in dollars.

    Attributes:
        measured_usd: Told by the provider, or the time that a job really ran.
        estimated_usd: Reckoned: tokens times price, or the worst case of what nobody measured.
        promised_usd: Worst case of what still runs. Not spent yet.
        unknown: Number of entries whose price nobody knows; they are in none of the sums.
    """

    measured_usd: float = 0.0
    estimated_usd: float = 0.0
    promised_usd: float = 0.0
    unknown: int = 0

    @property
    def spent_usd(self) -> float:
        """Measured and estimated together."""
        return round(self.measured_usd + self.estimated_usd, 9)

    @property
    def committed_usd(self) -> float:
        """Spent and promised together."""
        return round(self.measured_usd + self.estimated_usd + self.promised_usd, 9)


class Ledger:
    """The entries of one session and their running totals."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._numbers = itertools.count(1)
        # Whole billionths of a dollar: sums of them do not drift, however often an entry is put and taken out.
        self._sums: dict[CostState, int] = {"promised": 0, "measured": 0, "estimated": 0}
        self._unknown = 0

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, oldest first."""
        return tuple(self._entries.values())

    @property
    def totals(self) -> Totals:
        """The sums as they stand."""
        sums = {state: nano / _NANO for state, nano in self._sums.items()}
        return Totals(sums["measured"], sums["estimated"], sums["promised"], self._unknown)

    def find(self, ref: str) -> Entry | None:
        """The entry of a job, a sandbox or a tool call."""
        return self._entries.get(ref)

    def take(self, event: EventBase) -> None:
        """Books what an event says was paid; other events change nothing."""
        match event:
            case LLMCall():
                usd = _plausible(event.cost_usd)
                state: CostState = "unknown" if usd is None else event.cost_state
                self._put(f"model call {next(self._numbers)}", Entry(event.kind, event.model, usd, state))
            case Expense():
                if event.state == "released":
                    self._drop(event.ref)
                else:
                    self._put(event.ref, Entry(event.kind, event.what, _plausible(event.cost_usd), event.state))

    def keep_promises(self) -> None:
        """Counts what is still promised as spent: the program ended before anybody could measure it."""
        for ref, entry in tuple(self._entries.items()):
            if entry.state == "promised":
                self._put(ref, entry.kept())

    def _put(self, ref: str, entry: Entry) -> None:
        self._count(self._entries.get(ref), -1)
        self._entries[ref] = entry
        self._count(entry, 1)

    def _drop(self, ref: str) -> None:
        self._count(self._entries.pop(ref, None), -1)

    def _count(self, entry: Entry | None, sign: int) -> None:
        if entry is None:
            return
        if entry.usd is None:
            self._unknown += sign
        else:
            self._sums[entry.state] += sign * round(entry.usd * _NANO)


def _plausible(usd: float | None) -> float | None:
    """The price, unless it is none that anybody can pay: a damaged log may hold any number."""
    return usd if usd is not None and 0 <= usd < _MOST_USD else None

"""What the running session has cost, as its events tell: the books that the spend screen shows.

A fold over the agent's events, without the core, so that it can begin before the core is loaded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml_intern.tui.widgets.text import timestamp

if TYPE_CHECKING:
    from ml_intern.core import protocol

PACE_S = 600.0
"""How far back the pace of spending is looked at."""
RESERVED = " (reserved)"
"""Ends the name of what is reserved for a sandbox and not used up yet."""
ENDED = frozenset({"COMPLETED", "ERROR", "CANCELED", "DELETED"})


@dataclass(slots=True)
class Account:
    """What one model, job or sandbox has cost.

    Attributes:
        name: The model's id, or the id of the job or sandbox.
        kind: `model`, `job` or `sandbox`.
        measured: Dollars told by the provider, or the time that it really ran.
        estimated: Dollars that were reckoned.
        promised: Worst case of what still runs, in dollars.
        unknown: How many calls have a price that nobody knows.
        calls: Model calls.
        purposes: What its calls were for.
        title: What a job is called.
    """

    name: str
    kind: str
    measured: float = 0.0
    estimated: float = 0.0
    promised: float = 0.0
    unknown: int = 0
    calls: int = 0
    purposes: set[str] = field(default_factory=set)
    title: str = ""

    @property
    def spent(self) -> float:
        """Measured and estimated together."""
        return self.measured + self.estimated

    def put(self, state: str, usd: float | None) -> None:
        """Adds a sum."""
        if usd is None:
            self.unknown += 1
        elif state in {"measured", "estimated", "promised"}:
            setattr(self, state, getattr(self, state) + usd)


@dataclass(frozen=True, slots=True)
class Running:
    """A job or sandbox that runs.

    Attributes:
        title: What it is called.
        usd_per_hour: Its price; None when unknown.
    """

    title: str
    usd_per_hour: float | None


class Books:
    """The books of one session."""

    def __init__(self) -> None:
        self._models: dict[str, Account] = {}
        self._entries: dict[str, tuple[str, str, float | None]] = {}  # kind, state and sum of each ref
        self._recent: deque[tuple[float, float]] = deque()
        self._running: dict[str, Running] = {}
        self._titles: dict[str, str] = {}

    def take(self, event: protocol.EventBase) -> None:
        """Learns from the next event."""
        match getattr(event, "type", ""):
            case "llm_call":
                self._take_call(event)  # type: ignore[arg-type]  # its type says so
            case "expense":
                self._take_expense(event)  # type: ignore[arg-type]
            case "tool_state_change" | "tool_output":
                self._take_cards(event)  # type: ignore[arg-type]
            case "ready":
                self._begin_again()
            case "new_complete":
                self.clear()

    def clear(self) -> None:
        """Begins a new session."""
        for store in (self._models, self._entries, self._recent, self._running, self._titles):
            store.clear()

    # ------------------------------------------------------------------------------------------------- reading

    @property
    def models(self) -> list[Account]:
        """By model, the dearest first."""
        return sorted(self._models.values(), key=lambda account: (-account.spent, account.name))

    @property
    def rented(self) -> list[Account]:
        """By job and sandbox, the newest first."""
        found: dict[str, Account] = {}
        for ref, (kind, state, usd) in self._entries.items():
            name = ref.removesuffix(RESERVED)
            found.setdefault(name, Account(name, kind, title=self._titles.get(name, ""))).put(state, usd)
        return list(reversed(found.values()))

    @property
    def total(self) -> Account:
        """All of it."""
        whole = Account("", "")
        for account in (*self._models.values(), *self.rented):
            for state in ("measured", "estimated", "promised"):
                whole.put(state, getattr(account, state))
            whole.unknown += account.unknown
            whole.calls += account.calls
        return whole

    @property
    def running(self) -> list[Running]:
        """Paid jobs and sandboxes that run now."""
        return list(self._running.values())

    def pace(self, now: float) -> float:
        """Dollars spent in the last ten minutes.

        Args:
            now: Seconds since the epoch.
        """
        return sum(usd for at, usd in self._recent if at > now - PACE_S)

    # ------------------------------------------------------------------------------------------------- folding

    def _begin_again(self) -> None:
        """What an earlier run of a resumed session has promised counts as spent: nobody measured it."""
        self._running.clear()
        for ref, (kind, state, usd) in self._entries.items():
            if state == "promised":
                self._entries[ref] = kind, "estimated", usd

    def _take_call(self, event: protocol.LLMCall) -> None:
        account = self._models.setdefault(event.model, Account(event.model, "model"))
        account.calls += 1
        account.purposes.add(event.kind)
        account.put("measured" if event.cost_state == "measured" else "estimated", event.cost_usd)
        self._spend(event.time, event.cost_usd or 0.0)

    def _take_expense(self, event: protocol.Expense) -> None:
        before = _spent(self._entries.get(event.ref))
        if event.state == "released":
            self._entries.pop(event.ref, None)
        else:
            self._entries[event.ref] = event.kind, event.state, event.cost_usd
        self._spend(event.time, max(0.0, _spent(self._entries.get(event.ref)) - before))
        if event.ref.endswith(RESERVED):
            self._take_reservation(event)

    def _take_reservation(self, event: protocol.Expense) -> None:
        """A sandbox exists as long as something is reserved for it; the first thing is an hour."""
        name = event.ref.removesuffix(RESERVED)
        if event.state == "promised":
            self._running.setdefault(name, Running(f"sandbox {name}", event.cost_usd))
        else:
            self._running.pop(name, None)

    def _take_cards(self, event: protocol.ToolStateChange | protocol.ToolOutput) -> None:
        for card in event.display:
            if card.type != "job":
                continue
            self._titles[card.job_id] = card.title
            if card.stage in ENDED or card.max_cost_usd == 0 or card.backend == "local":
                self._running.pop(card.job_id, None)
            else:
                self._running[card.job_id] = Running(
                    card.title or card.job_id, _rate(card.max_cost_usd, card.timeout_s)
                )

    def _spend(self, time: str, usd: float) -> None:
        if usd > 0.0:
            at = timestamp(time)
            while self._recent and self._recent[0][0] <= at - PACE_S:
                self._recent.popleft()
            self._recent.append((at, usd))


def summed(accounts: Iterable[Account]) -> float:
    """What several accounts have cost together."""
    return sum(account.spent for account in accounts)


def _spent(entry: tuple[str, str, float | None] | None) -> float:
    return (entry[2] or 0.0) if entry is not None and entry[1] in {"measured", "estimated"} else 0.0


def _rate(worst_usd: float | None, seconds: float | None) -> float | None:
    return worst_usd / seconds * 3600 if worst_usd is not None and seconds else None

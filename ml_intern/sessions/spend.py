"""What all sessions have cost: by day, session, model, and job or sandbox. Kept in the index, derived from the logs.

A session's log tells of model calls one by one and of jobs by a name that later events correct. The index keeps sums of
the former per quarter of an hour and the last word on the latter, so that no log is opened to show a table.
"""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ml_intern.core.ledger import Totals
from ml_intern.sessions.summary import milliseconds, number, string
from ml_intern.sessions.text import one_line

if TYPE_CHECKING:
    from ml_intern.sessions.index import SessionIndex

SLOT_MS = 900_000
"""Model calls are summed up over a quarter of an hour (900 s): every time zone's days consist of these."""

SCHEMA = """
CREATE TABLE calls (
    number INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    what TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    usd REAL NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (number, slot, what, kind, state)
) WITHOUT ROWID;
CREATE TABLE rented (
    number INTEGER NOT NULL,
    ref TEXT NOT NULL,
    slot INTEGER NOT NULL,
    what TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    usd REAL NOT NULL,
    PRIMARY KEY (number, ref)
) WITHOUT ROWID;
CREATE VIEW spent AS
    SELECT number, slot, what, kind, ref, count,
        CASE state WHEN 'measured' THEN usd ELSE 0.0 END AS measured,
        CASE state WHEN 'estimated' THEN usd ELSE 0.0 END AS estimated,
        CASE state WHEN 'promised' THEN usd ELSE 0.0 END AS promised,
        CASE state WHEN 'unknown' THEN count ELSE 0 END AS unknown
    FROM (
        SELECT number, slot, what, kind, '' AS ref, state, usd, count FROM calls
        UNION ALL SELECT number, slot, what, kind, replace(ref, ' (reserved)', ''), state, usd, 1 FROM rented
    );
"""
"""What is reserved for a sandbox and not used up yet goes under the sandbox's own name."""

_STATES = frozenset({"measured", "estimated", "promised", "unknown"})

_TOTAL = "SELECT total(measured), total(estimated), total(promised), CAST(total(unknown) AS INTEGER) FROM spent"
_DAYS = """
SELECT date(slot * 900, 'unixepoch', 'localtime') AS day,
    total(measured), total(estimated), total(promised), CAST(total(unknown) AS INTEGER)
FROM (
    SELECT slot, total(measured) AS measured, total(estimated) AS estimated, total(promised) AS promised,
        sum(unknown) AS unknown
    FROM spent GROUP BY slot
) GROUP BY day ORDER BY day DESC
"""
_SESSIONS = """
SELECT sessions.id, name, prompt, started, model, measured, estimated, promised, unknown
FROM (
    SELECT number, total(measured) AS measured, total(estimated) AS estimated, total(promised) AS promised,
        CAST(total(unknown) AS INTEGER) AS unknown
    FROM spent GROUP BY number
) JOIN sessions USING (number) ORDER BY ended DESC, number DESC LIMIT ?
"""
_MODELS = """
SELECT what, group_concat(DISTINCT kind), sum(count),
    total(measured), total(estimated), total(promised), CAST(total(unknown) AS INTEGER)
FROM spent WHERE ref = '' GROUP BY what ORDER BY total(measured) + total(estimated) DESC, what
"""
_RENTED = """
SELECT ref, spent.kind, date(min(slot) * 900, 'unixepoch', 'localtime'), name, prompt,
    total(measured), total(estimated), total(promised), CAST(total(unknown) AS INTEGER)
FROM spent JOIN sessions USING (number) WHERE ref != '' GROUP BY number, ref ORDER BY min(slot) DESC LIMIT ?
"""
_EVERYTHING = """
SELECT date(slot * 900, 'unixepoch', 'localtime') AS day, sessions.id, name, prompt, kind, what, ref,
    total(measured), total(estimated), total(promised), CAST(total(unknown) AS INTEGER)
FROM spent JOIN sessions USING (number)
GROUP BY day, number, kind, what, ref ORDER BY day, number, kind, what, ref
"""


@dataclass(frozen=True, slots=True)
class SpendRow:
    """One line of a table.

    Attributes:
        key: Day, session id, model or id of the job.
        label: The same for people.
        sums: What it cost.
        note: What else there is to say: the kind of call, the session of a job.
        day: Day it began, `YYYY-MM-DD`; empty where it has none.
    """

    key: str
    label: str
    sums: Totals
    note: str = ""
    day: str = ""


# --------------------------------------------------------------------------------------------------- from a log


@dataclass(slots=True)
class Spent:
    """What a portion of a log says was paid.

    Attributes:
        calls: Dollars and number of model calls by `(slot, model, kind, state)`.
        rented: `(slot, what, kind, state, dollars)` of each job and sandbox by its name; None when it was taken back.
        afresh: Whatever was known before does not count: it was paid in another session.
    """

    calls: dict[tuple[int, str, str, str], tuple[float, int]] = field(default_factory=dict)
    rented: dict[str, tuple[int, str, str, str, float] | None] = field(default_factory=dict)
    afresh: bool = False

    def take(self, event: Mapping[str, Any]) -> None:
        """Learns from the next event."""
        match event.get("type"):
            case "llm_call":
                self._take_call(event)
            case "expense":
                self._take_expense(event)
            case "session_meta" if event.get("origin"):  # a copy: the original has paid for what it holds
                self.calls.clear()
                self.rented.clear()
                self.afresh = True

    def _take_call(self, event: Mapping[str, Any]) -> None:
        unknown = event.get("cost_usd") is None
        state = "unknown" if unknown else "measured" if event.get("cost_state") == "measured" else "estimated"
        usd = number(event.get("cost_usd"))
        if not unknown and usd == 0.0:
            return
        key = (_slot(event), string(event.get("model")), string(event.get("kind")), state)
        before, count = self.calls.get(key, (0.0, 0))
        self.calls[key] = (before + usd, count + 1)

    def _take_expense(self, event: Mapping[str, Any]) -> None:
        ref, state = string(event.get("ref")), string(event.get("state"))
        if not ref:
            return
        if event.get("cost_usd") is None and state != "released":
            state = "unknown"
        if state not in _STATES:
            self.rented[ref] = None
            return
        known = self.rented.get(ref)
        slot = known[0] if known else _slot(event)
        self.rented[ref] = (
            *(slot, string(event.get("what")), string(event.get("kind")), state),
            number(event.get("cost_usd")),
        )


def _slot(event: Mapping[str, Any]) -> int:
    return milliseconds(event.get("time")) // SLOT_MS


def save(db: sqlite3.Connection, session: int, spent: Spent, *, from_start: bool) -> None:
    """Adds what a portion says to what is known of a session, by its number in the index."""
    if from_start or spent.afresh:
        forget(db, session)
    db.executemany(
        "INSERT INTO calls (number, slot, what, kind, state, usd, count) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET usd = usd + excluded.usd, count = count + excluded.count",
        [(session, *key, *sums) for key, sums in spent.calls.items()],
    )
    for ref, row in spent.rented.items():
        if row is None:
            db.execute("DELETE FROM rented WHERE number = ? AND ref = ?", (session, ref))
        else:
            db.execute(
                "INSERT INTO rented (number, ref, slot, what, kind, state, usd) VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET what = excluded.what, kind = excluded.kind, state = excluded.state, "
                "usd = excluded.usd",
                (session, ref, *row),
            )


def forget(db: sqlite3.Connection, session: int) -> None:
    """Takes a session out."""
    db.execute("DELETE FROM calls WHERE number = ?", (session,))
    db.execute("DELETE FROM rented WHERE number = ?", (session,))


# --------------------------------------------------------------------------------------------------- for people


class SpendBooks:
    """The tables of spending over all sessions, as of the index's last refresh. Reads a file: not on an event loop.

    Args:
        index: The index of the sessions.
    """

    def __init__(self, index: SessionIndex) -> None:
        self._index = index

    def total(self) -> Totals:
        """All of it."""
        (row,) = self._rows(_TOTAL)
        return Totals(*row)

    def days(self) -> list[SpendRow]:
        """By day of this machine's time zone, the newest first; days on which nothing was spent are left out."""
        return [SpendRow(day, day, Totals(*sums), day=day) for day, *sums in self._rows(_DAYS)]

    def sessions(self, limit: int = -1) -> list[SpendRow]:
        """By session, the one used last first (-1: all); sessions that cost nothing are left out."""
        return [
            SpendRow(key, _title(name, prompt), Totals(*sums), note=model, day=_local_day(started))
            for key, name, prompt, started, model, *sums in self._rows(_SESSIONS, limit)
        ]

    def models(self) -> list[SpendRow]:
        """By model, the dearest first, with what it was used for."""
        return [
            SpendRow(
                model, model, Totals(*sums), note=f"{count:,} {'call' if count == 1 else 'calls'}: {_listed(kinds)}"
            )
            for model, kinds, count, *sums in self._rows(_MODELS)
        ]

    def rented(self, limit: int = -1) -> list[SpendRow]:
        """By job and sandbox, the newest first (-1: all), each with the session that has paid for it."""
        return [
            SpendRow(ref, f"{kind} {ref}", Totals(*sums), note=_title(name, prompt), day=day)
            for ref, kind, day, name, prompt, *sums in self._rows(_RENTED, limit)
        ]

    def csv(self) -> str:
        """All entries as a table for spreadsheets, the oldest first: one line for each day, session, model or job."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(CSV_COLUMNS)
        for day, key, name, prompt, kind, what, ref, *sums in self._rows(_EVERYTHING):
            words = (_harmless(word) for word in (key, _title(name, prompt), kind, what, ref))
            table.writerow([day, *words, *(f"{usd:.6f}" for usd in sums[:3]), sums[3]])
        return text.getvalue()

    def _rows(self, query: str, *values: int) -> list[Sequence[Any]]:
        return self._index.ask(lambda db: db.execute(query, values).fetchall())


CSV_COLUMNS = (
    *("day", "session", "title", "kind", "what", "job", "measured_usd", "estimated_usd", "promised_usd"),
    "unpriced",
)


def _title(name: str, prompt: str) -> str:
    return name or one_line(prompt, 80) or "(no prompt)"


def _local_day(started: str) -> str:
    from datetime import datetime

    try:
        return datetime.fromisoformat(started).astimezone().date().isoformat()
    except ValueError:
        return ""


def _listed(kinds: str | None) -> str:
    return ", ".join(sorted((kinds or "").split(",")))


def _harmless(word: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{word}" if word[:1] in {"=", "+", "-", "@", "\t", "\r"} else word

"""The words and rows of the spend screen, as pure functions of the books."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from ml_intern.tui.books import Account, Books
from ml_intern.tui.state import SessionState
from ml_intern.tui.widgets.display import LinesPiece
from ml_intern.tui.widgets.lines import BLANK, Line, Run, line, wrap
from ml_intern.tui.widgets.text import cells, count, duration, fit, money, one_line, pad

MONEY_CELLS = 10
GAP = 2
CHUNK = 100
NOTE_FROM = 100
"""From this width on there is room for a column of notes."""
BARS = "▁▂▃▄▅▆▇█"
METER_CELLS = 40

NOTHING_YET = (
    "Nothing has been spent yet.",
    "Model calls, jobs and sandboxes appear here with what they cost. A model on this machine costs nothing.",
)
LEGEND = (
    "measured: told by the provider, or the time that a job really ran. estimated: tokens times price, or the worst "
    "case of what nobody measured. promised: worst case of what still runs; not spent yet. +?: and calls whose price "
    "nobody knows."
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a table; sums in dollars, the label on one clean line."""

    label: str
    measured: float
    estimated: float
    promised: float
    unknown: int = 0
    note: str = ""

    @property
    def spent(self) -> float:
        """Measured and estimated together."""
        return self.measured + self.estimated


def entry_of(account: Account) -> Entry:
    """A model, job or sandbox of this session."""
    label = one_line(account.name if account.kind == "model" else f"{account.kind} {account.name}")
    note = f"{count(account.calls, 'call')}: {', '.join(sorted(account.purposes))}" if account.calls else account.title
    return Entry(label, account.measured, account.estimated, account.promised, account.unknown, note)


# ------------------------------------------------------------------------------------------------ this session


def session_lines(books: Books, state: SessionState, now: float, width: int) -> list[Line]:
    """Sums, cap, what runs and where the pace leads.

    Args:
        books: The books of the session.
        state: Its cap, and sums where they are known better: of a session that began before the books.
        now: Seconds since the epoch.
        width: Cells of a line.
    """
    total = books.total
    spent, promised = max(total.spent, state.cost_usd), max(total.promised, state.promised_usd)
    parts = [
        Run("spent "),
        Run(money(spent) + ("+?" if total.unknown else ""), "strong"),
        Run(f"  measured {money(total.measured)} · estimated {money(spent - total.measured)}", "muted"),
    ]
    if promised:
        parts.append(Run(f"   promised {money(promised)}", "warning"))
    lines = [*wrap(parts, width), *_cap(spent, promised, state.cap_usd, width), *_running(books, width)]
    return [*lines, *_pace(books, spent + promised, state.cap_usd, now, width)]


def _cap(spent: float, promised: float, cap: float | None, width: int) -> list[Line]:
    if cap is None:
        return wrap([Run("no cap: /settings max_cost_usd sets one, for this session too", "muted")], width)
    left = max(0.0, cap - spent - promised)
    ink = "error" if left == 0 else "warning" if spent + promised >= 0.8 * cap else "muted"
    words = Run(f" {money(left)} of {money(cap)} left", ink)
    return wrap([*meter(spent, promised, cap, min(METER_CELLS, width - cells(words.text) - 1)), words], width)


def meter(spent: float, promised: float, cap: float, across: int) -> list[Run]:
    """A bar of the cap: spent, promised, left."""
    if across < 4:
        return []
    full = across if cap <= 0 else min(across, round(spent / cap * across))
    open_ = 0 if cap <= 0 else min(across - full, round(promised / cap * across))
    return [Run("█" * full, "accent"), Run("▒" * open_, "warning"), Run("·" * (across - full - open_), "faint")]


def _running(books: Books, width: int) -> list[Line]:
    if not books.running:
        return []
    rates = [one.usd_per_hour for one in books.running]
    rate = money(sum(rate for rate in rates if rate is not None)) + ("+?" if None in rates else "")
    names = ", ".join(one_line(one.title, 40) for one in books.running)
    return wrap([Run("running now "), Run(f"{rate}/h", "strong"), Run(f"  {names}", "muted")], width)


def _pace(books: Books, committed: float, cap: float | None, now: float, width: int) -> list[Line]:
    recent = books.pace(now)
    if not recent:
        return []
    per_hour = recent * 6
    runs = [Run(f"last 10 min {money(recent)}, {money(per_hour)}/h")]
    if cap is not None:
        runs.append(Run(f"  going on like this, {_reach((cap - committed) / per_hour * 3600)}", "muted"))
    return wrap(runs, width)


def _reach(seconds: float) -> str:
    """When the cap is reached: no more precise than a guess over days can be."""
    if seconds <= 0:
        return "the cap is reached"
    days = round(seconds / 86_400)
    if days > 30:
        return "the cap lasts for more than a month"
    return f"the cap is reached in about {count(days, 'day') if days else duration(seconds)}"


# -------------------------------------------------------------------------------------------------- all sessions


def days_lines(by_day: Mapping[str, float], today: date, width: int) -> list[Line]:
    """Sums of the last days and a bar for each of them.

    Args:
        by_day: Dollars spent on each day, by `YYYY-MM-DD`.
        today: The present day.
        width: Cells of a line.
    """

    def last(days: int) -> float:
        return sum(by_day.get((today - timedelta(back)).isoformat(), 0.0) for back in range(days))

    sums = (("today", last(1)), ("7 days", last(7)), ("30 days", last(30)), ("all", sum(by_day.values())))
    runs = [run for name, usd in sums for run in (Run(f"{name} ", "muted"), Run(f"{money(usd)}   ", "strong"))]
    across = max(7, min(60, width - MONEY_CELLS))
    values = [by_day.get((today - timedelta(back)).isoformat(), 0.0) for back in reversed(range(across))]
    first = (today - timedelta(across - 1)).isoformat()
    axis = first + " " * max(1, across - cells(first) - 5) + "today"
    peak = Run(f" {money(max(values))}", "muted")
    return [*wrap(runs, width), BLANK, Line((Run(sparkline(values), "accent"), peak)), line(axis[:across], "axis")]


def sparkline(values: Sequence[float]) -> str:
    """One bar for each value; nothing at all is a dot, so that it differs from little."""
    peak = max(values, default=0.0)
    return "".join("·" if not value else BARS[min(7, int(value / peak * 7.999))] for value in values)


def total_lines(entries: Sequence[Entry], what: str, width: int) -> list[Line]:
    """How many rows there are and what they come to."""
    spent, promised = sum(entry.spent for entry in entries), sum(entry.promised for entry in entries)
    runs = [Run(f"{count(len(entries), what)}   ", "muted"), Run("spent ", "muted"), Run(money(spent), "strong")]
    if promised:
        runs.append(Run(f"   promised {money(promised)}", "warning"))
    return wrap(runs, width)


# ------------------------------------------------------------------------------------------------------ tables


def table_pieces(title: str, entries: Sequence[Entry], note: str = "") -> list[LinesPiece]:
    """A table of any length, in pieces of which only the visible ones are rendered."""
    head = LinesPiece(lambda width: [_row((title, note, "spent", "measured", "estimated", "promised"), width, "muted")])
    chunks = [entries[start : start + CHUNK] for start in range(0, len(entries), CHUNK)]
    return [head, *(_chunk(chunk) for chunk in chunks)]


def _chunk(entries: Sequence[Entry]) -> LinesPiece:
    plain = "\n".join(f"{entry.label} {entry.note}" for entry in entries)
    return LinesPiece(lambda width: [_entry_row(entry, width) for entry in entries], plain, len(entries))


def _entry_row(entry: Entry, width: int) -> Line:
    spent = money(entry.spent) + ("+?" if entry.unknown else "")
    others = [money(usd) if usd else "–" for usd in (entry.measured, entry.estimated, entry.promised)]
    return _row((entry.label, one_line(entry.note), spent, *others), width, "")


def _row(texts: Sequence[str], width: int, ink: str) -> Line:
    label, note, *sums = texts
    shown = sums if width >= 4 * (MONEY_CELLS + GAP) + 16 else [sums[0], sums[2], sums[3]]
    room = width - len(shown) * (MONEY_CELLS + GAP)
    noted = min(40, room // 2) if width >= NOTE_FROM else 0
    named = max(4, room - (noted + GAP if noted else 0))
    runs = [Run(pad(fit(label, named), named), ink)]
    if noted:
        runs.append(Run(" " * GAP + pad(fit(note, noted), noted), "muted"))
    for number, text in enumerate(shown):
        runs.append(
            Run(" " * GAP + " " * (MONEY_CELLS - cells(text)) + text, ink or ("strong" if not number else "muted"))
        )
    return Line(tuple(runs))


def words_piece(texts: Sequence[str], ink: str = "muted") -> LinesPiece:
    """Sentences, one below the other."""
    return LinesPiece(
        lambda width: [row for text in texts for row in wrap([Run(text, ink)], width)], "\n".join(texts), len(texts)
    )

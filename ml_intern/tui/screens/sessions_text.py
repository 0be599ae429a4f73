"""What the sessions screen says: rows of the list, the preview, and the words where there is nothing to list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from itertools import chain

from textual.content import Content

from ml_intern.sessions.index import Details, Found
from ml_intern.sessions.summary import Summary, milliseconds
from ml_intern.sessions.text import directory_name
from ml_intern.tui.screens.artifacts import size_text
from ml_intern.tui.screens.sessions_shelf import STATUS_WORDS
from ml_intern.tui.widgets.display import BLANK_PIECE, LinesPiece
from ml_intern.tui.widgets.lines import BLANK, Line, Run, indent, line, wrap
from ml_intern.tui.widgets.markdown import render
from ml_intern.tui.widgets.pieces import Piece
from ml_intern.tui.widgets.text import cells, clean, count, fit, fit_path, money, one_line, pad

STATUS_MARKS = {
    "completed": ("✓", "success"),
    "limit": ("$", "warning"),
    "error": ("✗", "error"),
    "interrupted": ("⊘", "muted"),
    "running": ("▸", "accent"),
}
GAP = "  "
WHEN_CELLS, TURNS_CELLS, COST_CELLS, STATUS_CELLS, DIRECTORY_CELLS = 11, 9, 8, 13, 14
LEAST_TITLE = 28
PROMPT_LINES, ANSWER_LINES, NAMES_SHOWN = 8, 14, 6

_LEVELS: tuple[tuple[str, ...], ...] = (
    ("when", "title", "directory", "turns", "cost", "status"),
    ("when", "title", "directory", "cost", "status"),
    ("when", "title", "directory", "status"),
    ("when", "title", "directory", "mark"),
    ("when", "title", "mark"),
    ("title", "mark"),
)
_CELLS = {
    "when": WHEN_CELLS,
    "directory": DIRECTORY_CELLS,
    "turns": TURNS_CELLS,
    "cost": COST_CELLS,
    "status": STATUS_CELLS,
    "mark": 1,
}


def when(moment: str, today: date) -> str:
    """A time as people name it: `today 14:02`, `yesterday`, `2026-01-31`."""
    ms = milliseconds(moment)
    if not ms:
        return ""
    then = datetime.fromtimestamp(ms / 1000).astimezone()
    days = (today - then.date()).days
    if days == 0:
        return f"today {then:%H:%M}"
    return "yesterday" if days == 1 else then.date().isoformat()


def session_line(session: Summary, width: int, today: date, *, everywhere: bool, current: bool) -> Line:
    """A session in one row; the narrower it is, the fewer columns it has.

    Args:
        session: The session.
        width: Cells.
        today: The present day.
        everywhere: Whether sessions of several directories are listed.
        current: It is the one that runs in this app.
    """
    for columns in _LEVELS:
        shown = [name for name in columns if name != "directory" or everywhere]
        room = width - 2 - sum(_CELLS[name] + len(GAP) for name in shown if name != "title")
        if room >= LEAST_TITLE:
            break
    mark, ink = STATUS_MARKS[session.status]
    place = one_line(directory_name(session.directory))
    texts = {
        "when": (pad(when(session.ended, today), WHEN_CELLS), "muted"),
        "directory": (pad(fit_path(place, DIRECTORY_CELLS), DIRECTORY_CELLS), "faint"),
        "turns": (fit(count(session.turns, "turn"), TURNS_CELLS).rjust(TURNS_CELLS), ""),
        "cost": (fit(money(session.cost_usd), COST_CELLS).rjust(COST_CELLS), ""),
        "status": (pad(f"{mark} {STATUS_WORDS[session.status]}", STATUS_CELLS), ink),
        "mark": (mark, ink),
    }
    runs = [Run("● " if current else "  ", "accent")]
    for name in shown:
        if name == "title":
            runs += _title_runs(session, max(1, room))
        else:
            runs.append(Run(*texts[name]))
        runs.append(Run(GAP))
    return Line(tuple(runs[:-1]))


def _title_runs(session: Summary, room: int) -> list[Run]:
    title = fit(one_line(session.title), room)
    tags = fit("".join(f" #{one_line(tag)}" for tag in session.tags), max(0, room - cells(title)))
    return [Run(title, "strong"), Run(tags, "faint"), Run(" " * max(0, room - cells(title) - cells(tags)))]


# ------------------------------------------------------------------------------------------------------ the preview


def preview_pieces(
    session: Summary, details: Details | None, found: Found | None, today: date, *, current: bool
) -> list[Piece]:
    """A session at a glance: what was asked, what came of it, and where the words stand that were searched."""
    mark, ink = STATUS_MARKS[session.status]
    state = Run(f"{mark} {STATUS_WORDS[session.status]}", ink)
    facts = f"{when(session.ended, today)}{GAP}{count(session.turns, 'turn')}{GAP}{money(session.cost_usd)}{GAP}"
    pieces: list[Piece] = [
        _wrapped([Run(one_line(session.title), "strong")]),
        _wrapped([Run(facts, "muted"), state, Run(f"{GAP}● this session" if current else "", "accent")]),
        _wrapped([Run(one_line(session.model), "muted")]),
        LinesPiece(lambda width: [line(fit_path(one_line(session.directory), width), "muted")]),
    ]
    if session.tags:
        pieces.append(_wrapped([Run("  ".join(f"#{one_line(tag)}" for tag in session.tags), "accent")]))
    if found is not None:
        pieces += [BLANK_PIECE, _snippet(found)]
    whole = details.session if details is not None else session
    pieces += _said("you", "you", whole.prompt, _as_typed, PROMPT_LINES)
    pieces += _said("ml-intern", "agent", whole.answer, render, ANSWER_LINES)
    if details is not None:
        pieces += [BLANK_PIECE, *_numbers(details)]
    return pieces


def _wrapped(runs: Sequence[Run]) -> LinesPiece:
    kept = [run for run in runs if run.text]
    return LinesPiece(lambda width: wrap(kept, width))


def _snippet(found: Found) -> LinesPiece:
    runs, at = [Run(f"{found.kind}: ", "muted")], 0
    for start, end in found.marks:
        runs += [Run(clean(found.snippet[at:start])), Run(clean(found.snippet[start:end]), "match")]
        at = end
    return _wrapped([*runs, Run(clean(found.snippet[at:]))])


def _said(who: str, ink: str, text: str, laid_out: Callable[[str, int], list[Line]], most: int) -> list[Piece]:
    """What somebody said, at most so many lines of it."""
    if not text.strip():
        return []

    def lines(width: int) -> list[Line]:
        made = laid_out(clean(text).strip(), max(1, width - 2))
        if len(made) > most:
            made = [*made[: most - 1], line("…", "muted")]
        return [line(who, ink), *indent(made, Run("  "))]

    return [BLANK_PIECE, LinesPiece(lines, height=4)]


def _as_typed(text: str, width: int) -> list[Line]:
    parts = [wrap([Run(part)], width) if part.strip() else [BLANK] for part in text.split("\n")]
    return list(chain.from_iterable(parts))


def _numbers(details: Details) -> list[Piece]:
    whole = details.session
    pieces: list[Piece] = []
    often = sorted(whole.tools.items(), key=lambda item: -item[1])
    tools = [f"{one_line(name)}\N{NO-BREAK SPACE}{times:,}" for name, times in often[:NAMES_SHOWN]]
    if tools:
        more = [f"{len(often) - NAMES_SHOWN} more"] if len(often) > NAMES_SHOWN else []
        pieces.append(_wrapped([Run("tools  ", "muted"), Run(" · ".join([*tools, *more]))]))
    sums = f"jobs {len(whole.jobs)} · artifacts {len(whole.artifacts)} · errors {whole.errors}"
    pieces.append(_wrapped([Run(f"{sums} · {size_text(details.size)}", "muted")]))
    pieces += [_wrapped([Run(one_line(label), "info")]) for label in whole.artifacts[:NAMES_SHOWN]]
    if whole.origin:
        pieces.append(_wrapped([Run(one_line(whole.origin), "muted")]))
    return [*pieces, _wrapped([Run(whole.id, "faint")])]


# -------------------------------------------------------------------------------------------------- nothing to list


def nothing(words: str, *, everywhere: bool, here: int, total: int, left: int, reading: bool) -> tuple[str, ...]:
    """What is said instead of rows.

    Args:
        words: The filter.
        everywhere: Whether all directories are listed.
        here: How many sessions this directory has.
        total: How many there are.
        left: How many logs are still to be read, if that is known.
        reading: Whether logs are still being read.
    """
    if reading and not total:
        return (progress(left),)
    if not total:
        return (
            "No sessions yet.",
            "What you say to the agent is kept here from the first prompt on. {back} goes back to it.",
        )
    meanwhile = (progress(left),) if left else ()
    if not here and not everywhere:
        return (
            "No sessions in this directory yet.",
            f"Press {{sessions.scope}} for all {count(total, 'session')} of this machine.",
            *meanwhile,
        )
    if everywhere:
        return (f"Nothing fits {words!r}.", "{back} takes the filter back.", *meanwhile)
    text = "Press {sessions.scope_typing} to look everywhere, {back} to take the filter back."
    return (f"Nothing in this directory fits {words!r}.", text, *meanwhile)


def progress(left: int) -> str:
    """How far the reading of logs is."""
    return f"Reading the logs … {left:,} to go" if left else "Reading the logs …"


def scope(here: int, total: int, fit: int | None, *, everywhere: bool, short: bool) -> Content:
    """Where is looked: this directory, or everywhere.

    Args:
        here: How many sessions this directory has.
        total: How many there are.
        fit: How many of those that are looked at fit the filter; None without one.
        everywhere: Whether all are looked at.
        short: Whether there is little room.
    """
    on, off = "$accent bold underline", "$foreground-muted"

    def part(name: str, number: int, chosen: bool) -> tuple[str, str]:
        some = f"{fit:,} of " if chosen and fit is not None else ""
        return f"{name} ({some}{number:,})", on if chosen else off

    name = "here" if short else "this directory"
    return Content.assemble(part(name, here, not everywhere), (" · ", off), part("all", total, everywhere))

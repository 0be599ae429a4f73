"""What is asked and said when somebody leaves: which jobs go on without the app, and where to find them."""

from __future__ import annotations

from collections.abc import Sequence

from ml_intern.core.plain_text import plain
from ml_intern.tui.job_book import KnownJob
from ml_intern.tui.widgets.text import count

_TURN = "A turn is running. Quitting interrupts it and stops what it started."


def question(turn_runs: bool, jobs: Sequence[KnownJob]) -> str:
    """What to ask before leaving, with `{action}` for keys; empty when nothing is lost and nothing goes on.

    Args:
        turn_runs: Whether the agent is at work.
        jobs: Jobs that no call of the turn waits for; they outlive the app.
    """
    parts = [_TURN] if turn_runs else []
    if jobs:
        goes = "goes on" if len(jobs) == 1 else "go on"
        most = sum(job.card.max_cost_usd or 0.0 for job in jobs)
        paid = f" and {'costs' if len(jobs) == 1 else 'cost'} up to ${most:.2f}" if most else ""
        parts.append(f"{count(len(jobs), 'job')} {goes} without the app{paid}; {{jobs}} shows and cancels jobs.")
    return " ".join(parts)


def farewell(session: str, jobs: Sequence[KnownJob]) -> str:
    """What the terminal shows after the app: the session, and each job that goes on with where to look at it.

    Args:
        session: The line about the session; may be empty.
        jobs: As in `question`.
    """
    rows = [f"goes on: {' '.join(plain(job.title).split())} · {job.card.url or job.card.job_id}" for job in jobs]
    if rows:
        rows.append("`ml-intern leftovers` lists what still runs and can end it.")
    return "\n".join(filter(None, (session, *rows)))

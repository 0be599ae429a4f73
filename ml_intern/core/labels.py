"""Labels on everything that is rented, by which it is found again after a crash, from any machine."""

from __future__ import annotations

OURS = "ml-intern"
"""`1` on each job and sandbox of this program."""
SESSION = "ml-intern-session"
"""Id of the session that pays for it."""
SANDBOX = "ml-intern-sandbox"
"""Name of a sandbox in its session's ledger; chosen before it is asked for, so that even a lost answer can be found."""

CALL = "ml-intern-call"
"""Unique for each submission of a job, so that one whose answer was lost is found instead of submitted twice."""

TIMEOUT = "ml-intern-timeout"
"""Seconds a job may run, since the Hub does not tell what was asked for."""


def of_session(session_id: str) -> dict[str, str]:
    """Labels of whatever a session rents."""
    return {OURS: "1", SESSION: session_id}

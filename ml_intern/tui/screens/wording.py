"""Longer words about a session: the terminal's title and the answer to /status."""

from __future__ import annotations

from ml_intern.tui.state import SessionState
from ml_intern.tui.widgets.text import count, money


def window_title(state: SessionState) -> str:
    """What the terminal's title says: whether a person is needed, then what this is about."""
    sign = "needs you: " if state.waiting else "working: " if state.running else ""
    return f"{sign}{state.title} – ml-intern" if state.title else f"{sign}ml-intern"


def status_text(state: SessionState) -> str:
    """Everything the status line has no room for."""
    window = f" of {state.window:,} ({state.context_share:.0%})" if state.context_share is not None else ""
    cap = f" of {money(state.cap_usd)}" if state.cap_usd is not None else ", no cap"
    promised = f"; running jobs at most {money(state.promised_usd)} more" if state.promised_usd else ""
    unpriced = f"; {count(state.unpriced, 'call')} without a known price" if state.unpriced else ""
    rows = (
        ("model", state.model or "none yet: /model"),
        ("effort", state.effort or "off"),
        ("mode", state.mode),
        ("context", f"{state.tokens:,} tokens{window}"),
        ("cost", f"{money(state.cost_usd)}{cap}{promised}{unpriced}"),
        ("tools", str(state.tools)),
        ("directory", state.workdir),
        ("session", state.session_id),
    )
    return "\n".join(f"{name:<10} {value}" for name, value in rows)

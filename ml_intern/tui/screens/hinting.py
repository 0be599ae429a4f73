"""Which keys the bottom line offers: only those that do something right now, the most useful first."""

from __future__ import annotations

from ml_intern.tui.state import SessionState
from ml_intern.tui.widgets.hints import Key

PANE_KEYS: dict[str, tuple[Key, ...]] = {
    "chat": (("↑↓", "scroll"), ("end", "follow")),
    "tools": (("↑↓", "choose"), ("↵", "detail")),
    "plan": (("↑↓", "scroll"),),
    "jobs": (("↑↓", "choose"), ("↵", "curves and log")),
    "prompt": (("↵", "send"),),
}


def keys_now(state: SessionState, where: str, *, has_text: bool, has_calls: bool, narrow: bool) -> list[Key]:
    """The keys to offer.

    Args:
        state: The session.
        where: What has the focus: `chat`, `tools`, `plan`, `jobs` or `prompt`.
        has_text: The prompt holds text.
        has_calls: There are tool calls to look at.
        narrow: Only one pane fits.
    """
    keys: list[Key] = []
    if state.running:
        keys.append(("esc", "interrupt"))
    elif where != "prompt":
        keys.append(("esc", "prompt"))
    if where == "prompt":
        if has_text:
            keys.append(("↵", "queue" if state.running or not state.ready else "send"))
    else:
        keys.extend(PANE_KEYS[where])
    keys.append(("ctrl+p", "commands"))
    if has_calls and where != "tools":
        keys.append(("ctrl+o", "detail"))
    keys.append(("alt+1 2 3 4", "panes") if narrow else ("tab", "panes"))
    if state.jobs and where != "jobs":
        keys.append(("f3", "jobs"))
    keys.append(("f1", "help"))
    return keys

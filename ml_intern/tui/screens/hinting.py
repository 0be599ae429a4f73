"""Which keys the bottom line offers: only those that do something right now, the most useful first."""

from __future__ import annotations

from ml_intern.tui.state import SessionState
from ml_intern.tui.widgets.key_bar import Hint

PANE_KEYS: dict[str, tuple[Hint, ...]] = {
    "chat": (("{move}", "scroll"), ("{chat.find}", "search"), ("{last}", "follow")),
    "search": (),
    "tools": (("{calls.up}{calls.down}", "choose"), ("{calls.open}", "detail")),
    "plan": (("{move}", "scroll"),),
    "jobs": (("{list.up}{list.down}", "choose"), ("{list.open}", "curves and log")),
    "trail": (("{move}", "choose"), ("{item.open}", "open"), ("{item.copy}", "copy link")),
}


MESSAGE_KEYS: tuple[Hint, ...] = (
    ("{chat.copy}", "copy"),
    ("{chat.edit}", "edit prompt"),
    ("{chat.links}", "links"),
    ("{chat.good} {chat.poor}", "rate"),
)
"""What can be done with a message, while letters are not meant for the prompt."""


def keys_now(
    state: SessionState,
    where: str,
    *,
    has_text: bool,
    has_calls: bool,
    narrow: bool,
    letters: bool = False,
    can_stop: bool = False,
) -> list[Hint]:
    """The keys to offer.

    Args:
        state: The session.
        where: What has the focus: `chat`, `search`, `tools`, `plan`, `jobs`, `trail` or `prompt`.
        has_text: The prompt holds text.
        has_calls: There are tool calls to look at.
        narrow: Only one pane fits.
        letters: Letters do something in the chat.
        can_stop: The chosen tool call runs.
    """
    keys: list[Hint] = []
    if where == "search":
        return [("{help}", "help")]
    if state.running:
        keys.append(("{interrupt}", "interrupt"))
    elif where != "prompt":
        keys.append(("{interrupt}", "prompt"))
    if where == "prompt":
        if has_text:
            keys.append(("{prompt.send}", "queue" if state.running or not state.ready else "send"))
            keys += [("{prompt.steer}", "tell it now")] if state.running and state.ready else []
    else:
        keys.extend(PANE_KEYS[where])
        keys += [("{calls.stop}", "end this call")] if where == "tools" and can_stop else []
        keys.extend(MESSAGE_KEYS if where == "chat" and letters else ())
    keys.append(("{commands}", "commands"))
    if has_calls and where != "tools":
        keys.append(("{call}", "detail"))
    panes = "{pane.chat} {pane.tools} {pane.plan} {pane.jobs} {pane.trail}"
    keys.append((panes, "panes") if narrow else ("{fields}", "panes"))
    if state.jobs and where != "jobs":
        keys.append(("{jobs}", "jobs"))
    keys += [("{help}", "help"), ("{jump}", "jump")]
    return keys

"""F1: what has the focus, the keys, the commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets._static import Static

from ml_intern.tui.commands import COMMANDS
from ml_intern.tui.keys.actions import ACTIONS
from ml_intern.tui.keys.keymap import Keymap, bind, keymap_of
from ml_intern.tui.keys.names import shown
from ml_intern.tui.modals.base import Dialog
from ml_intern.tui.widgets.key_bar import KeyBar

SHOWN = (
    *("prompt.send", "prompt.newline", "prompt.older", "prompt.newer", "prompt.steer", "prompt.paste", "interrupt"),
    *("fields", "pane.chat", "pane.tools", "pane.plan", "pane.jobs", "pane.trail", "call", "search", "jump"),
    *("sessions", "jobs", "spend", "settings"),
    *("commands", "history", "editor", "error.copy", "copy", "prompt.quit", "help"),
)
"""The keys that the help lists over the main screen; /keys has all of them."""


def about(focused: Widget | None, screen: Screen[object]) -> str:
    """What has the focus says about itself, then what lies around it, up to the screen; with the keys that count."""
    nodes: list[object] = list(focused.ancestors_with_self) if focused is not None else []
    texts = (getattr(node, "HELP", None) for node in [*nodes, screen])
    return "\n\n".join(keymap_of(screen).tell(str(text)) for text in dict.fromkeys(texts) if text)


def keys_here(screen: Screen[object]) -> tuple[str, ...]:
    """Ids of what keys do on a screen right now, as the table has them in order."""
    bound = {active.binding.id for active in screen.active_bindings.values() if active.enabled}
    return tuple(name for name in ACTIONS if name in bound)


class HelpScreen(Dialog[None]):
    """Help about what has the focus, then the keys, then the commands.

    Args:
        topic: Text about what has the focus.
        keys: Ids of the actions whose keys are listed; those of the main screen where none are given.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "cancel", above=True),
        bind("leave", "cancel", above=True),
        bind("choose", "cancel", above=True),
    ]

    HELP = "The help: what has the focus, the most important keys, all commands. {move} scroll, {back} closes it."

    def __init__(self, topic: str, keys: Sequence[str] = ()) -> None:
        super().__init__()
        self._topic = topic
        self._keys = keys

    def compose(self) -> ComposeResult:
        """One scrolling text."""
        with Vertical(id="help", classes="dialog") as frame:
            frame.border_title = "help"
            with VerticalScroll(id="help-body"):
                yield Static(id="help-text", markup=False)
            yield KeyBar([("{move}", "scroll"), ("{back}", "close")])

    def on_mount(self) -> None:
        """The text scrolls at once."""
        self.query_one("#help-body").focus()

    def on_resize(self) -> None:
        """The columns are laid out for the present width."""
        width = self.query_one("#help-body").content_size.width
        self.query_one("#help-text", Static).update(self._text(width))

    def _text(self, width: int) -> Content:
        here = [Content.styled("here", "$accent bold"), Content(self._topic), Content("")] if self._topic else []
        keymap = keymap_of(self)
        keys = [(_keys(keymap, name), ACTIONS[name].does) for name in self._keys or SHOWN]
        return Content("\n").join(
            [
                *here,
                Content.styled("keys", "$accent bold"),
                *_table(keys, width),
                *([] if self._keys else _commands(width)),
            ]
        )


def _keys(keymap: Keymap, name: str) -> str:
    action = ACTIONS[name]
    if action.shown and name not in keymap.changes:
        return action.shown
    return " ".join(map(shown, keymap.keys(name)[:2])) or "–"


def _commands(width: int) -> list[Content]:
    rows = [(command.usage, command.help + _also(command.aliases)) for command in COMMANDS]
    note = "A text that begins with a path is sent as it is; so is one that begins with //."
    return [
        Content(""),
        Content.styled("commands", "$accent bold"),
        *_table(rows, width),
        Content(""),
        Content.styled(note, "$foreground-muted"),
    ]


def _also(aliases: Sequence[str]) -> str:
    return f"  (also {', '.join('/' + name for name in aliases)})" if aliases else ""


def _table(rows: Sequence[tuple[str, str]], width: int) -> list[Content]:
    """Two columns; what is too long for the second goes on below in it."""
    indent = max(len(left) for left, _ in rows) + 2
    lines: list[Content] = []
    for left, right in rows:
        first, *rest = Content(right).wrap(max(16, width - indent))
        lines.append(Content.assemble((f"{left:<{indent}}", "bold"), first))
        lines.extend(Content.assemble(" " * indent, row) for row in rest)
    return lines

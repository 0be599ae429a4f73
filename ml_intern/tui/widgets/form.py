"""Fields of one row each: a label with a text to type, or with a value to choose by arrow keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets._input import Input
from textual.widgets._static import Static

from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.widgets.text import one_line


class TextField(Horizontal):
    """A label and a text. The text's changes and submission come as those of its `Input`, which has the field's id.

    Args:
        label: What it is for.
        value: The text to begin with.
        placeholder: Shown while there is none.
        id: Id of the input.
    """

    def __init__(self, label: str, value: str = "", placeholder: str = "", *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(classes="field")
        self._label = label
        self._input = Input(one_line(value, 2_000), placeholder, id=id, compact=True)

    def compose(self) -> ComposeResult:
        """Label, then text."""
        yield Static(f"{self._label} ", classes="field-label", markup=False)
        yield self._input


class Switch(Widget, can_focus=True):
    """A value out of a few; the arrow keys, the space bar and a click go from one to the next.

    Args:
        label: What it is for.
        choices: Values and how they are shown.
        value: The one to begin with.
    """

    HELP = "A field with a few values: {form.before} and {form.after} go from one to the next."
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("form.before", "step(-1)"),
        bind("form.after", "step(1)"),
    ]
    value: reactive[str] = reactive("", init=False)

    class Changed(Message):
        """Another value was chosen."""

    def __init__(
        self,
        label: str,
        choices: Sequence[tuple[str, str]],
        value: str,
        *,
        id: str,  # noqa: A002 - Textual's name
    ) -> None:
        super().__init__(id=id, classes="field")
        self._label = label
        self._choices = dict(choices)
        self.set_reactive(Switch.value, value)

    def render(self) -> Content:
        """The value between marks that say it can be changed."""
        left, right = ("‹ ", " ›") if self.has_focus else ("", "")
        style = "$accent bold" if self.has_focus else ""
        return Content.assemble(
            (f"{self._label} ", "$foreground-muted"), (f"{left}{self._choices[self.value]}{right}", style)
        )

    def action_step(self, step: int) -> None:
        """Goes on in the list."""
        values = list(self._choices)
        self.value = values[(values.index(self.value) + step) % len(values)]

    def watch_value(self) -> None:
        """Tells of the new value."""
        self.post_message(self.Changed())

    def on_click(self, event: events.Click) -> None:
        """A click goes on too."""
        event.stop()
        self.action_step(1)

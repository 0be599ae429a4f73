"""Choosing one of many, by typing a part of it: models, modes, themes, commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets._input import Input
from textual.widgets._option_list import Option, OptionList
from textual.widgets._static import Static

from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.modals.base import Dialog
from ml_intern.tui.widgets.key_bar import KeyBar

LABEL_CELLS = 36


@dataclass(frozen=True, slots=True)
class Choice:
    """One entry.

    Attributes:
        value: What the picker answers with.
        label: What is shown; the value when empty.
        help: A short explanation, or why it cannot be chosen.
        key: A key that does the same without the picker.
        current: It is in use now.
        disabled: It cannot be chosen now.
    """

    value: str
    label: str = ""
    help: str = ""
    key: str = ""
    current: bool = False
    disabled: bool = False

    @property
    def title(self) -> str:
        """What is shown."""
        return self.label or self.value

    def fits(self, words: Sequence[str]) -> bool:
        """Whether each word occurs in it."""
        text = f"{self.title} {self.value} {self.help}".lower()
        return all(word in text for word in words)


class _Entry(Option):
    """A row of the list that knows its choice."""

    def __init__(self, choice: Choice, width: int) -> None:
        super().__init__(_row(choice, width), disabled=choice.disabled)
        self.choice = choice


class Pick(Dialog[str]):
    """A list with a filter. Answers with the chosen value, or None.

    Args:
        title: What is chosen.
        choices: What there is.
        free: How a typed text that is no entry is offered, for example `use the model`; empty when it may not be.
        on_highlight: Called with the value under the cursor, for a preview.
        note: A line under the list.
    """

    HELP = (
        "Type a part of what you want, {picker.up} and {picker.down} move, {choose} chooses, {back} leaves everything "
        "as it was."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "cancel"),
        bind("picker.down", "move('down')"),
        bind("picker.up", "move('up')"),
        bind("picker.page_down", "move('page_down')"),
        bind("picker.page_up", "move('page_up')"),
    ]

    def __init__(
        self,
        title: str,
        choices: Sequence[Choice],
        *,
        free: str = "",
        on_highlight: Callable[[str], None] | None = None,
        note: str = "",
    ) -> None:
        super().__init__()
        self._title = title
        self._choices = list(choices)
        self._free = free
        self._on_highlight = on_highlight
        self._note = note
        self._shown: list[Choice] = []

    def compose(self) -> ComposeResult:
        """Filter, list, note."""
        with Vertical(id="pick", classes="dialog") as frame:
            frame.border_title = self._title
            yield Input(placeholder="type to filter", id="pick-filter", compact=True)
            yield OptionList(id="pick-list", compact=True, markup=False)
            yield Static(self._note, id="pick-note", markup=False)
            yield KeyBar([("{choose}", "choose"), ("{picker.up}{picker.down}", "move"), ("{back}", "leave")])

    def on_mount(self) -> None:
        """Begins at what is in use."""
        self.query_one("#pick-note").display = bool(self._note)
        self._fill("")
        self.query_one(Input).focus()

    def add(self, above: Sequence[Choice], below: Sequence[Choice] = (), note: str = "") -> None:
        """Puts further entries above and below, for example what was found meanwhile. Keeps what is highlighted."""
        known = {choice.value for choice in (*above, *below)}
        self._choices = [*above, *(choice for choice in self._choices if choice.value not in known), *below]
        self._note = note
        if self.is_mounted:
            self.query_one("#pick-note", Static).update(note)
            self.query_one("#pick-note").display = bool(note)
            self._fill(self.query_one(Input).value, keep=self._highlighted())

    def action_move(self, where: str) -> None:
        """Moves the highlight while the filter keeps the focus."""
        options = self.query_one(OptionList)
        getattr(options, f"action_{'cursor_' if where in {'up', 'down'} else ''}{where}")()

    @on(Input.Changed)
    def _filter(self, event: Input.Changed) -> None:
        event.stop()
        self._fill(event.value)

    @on(Input.Submitted)
    def _choose(self, event: Input.Submitted) -> None:
        event.stop()
        if (value := self._highlighted()) is not None:
            self.dismiss(value)

    @on(OptionList.OptionSelected)
    def _choose_clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if isinstance(event.option, _Entry):
            self.dismiss(event.option.choice.value)

    @on(OptionList.OptionHighlighted)
    def _preview(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        # The list may have changed since; the entry itself knows what it stands for.
        if self._on_highlight is not None and isinstance(event.option, _Entry):
            self._on_highlight(event.option.choice.value)

    def _highlighted(self) -> str | None:
        index = self.query_one(OptionList).highlighted
        return self._shown[index].value if index is not None and index < len(self._shown) else None

    def _fill(self, filter_text: str, keep: str | None = None) -> None:
        words = filter_text.lower().split()
        self._shown = [choice for choice in self._choices if choice.fits(words)]
        if self._free and words and not any(choice.value == filter_text.strip() for choice in self._shown):
            self._shown.append(Choice(filter_text.strip(), help=self._free))
        options = self.query_one(OptionList)
        options.clear_options()
        width = min(LABEL_CELLS, max((len(choice.title) for choice in self._shown), default=0))
        options.add_options([_Entry(choice, width) for choice in self._shown])
        options.highlighted = self._start(keep)

    def _start(self, keep: str | None) -> int | None:
        enabled = [index for index, choice in enumerate(self._shown) if not choice.disabled]
        for index in enabled:
            if self._shown[index].value == keep:
                return index
        for index in enabled:
            if self._shown[index].current and keep is None:
                return index
        return enabled[0] if enabled else None


def _row(choice: Choice, width: int) -> Content:
    return Content.assemble(
        ("● " if choice.current else "  ", "$accent"),
        f"{choice.title:<{width}}",
        (f"  {choice.help}" if choice.help else "", "$foreground-muted"),
        (f"  {choice.key}" if choice.key else "", "$foreground-muted"),
    )

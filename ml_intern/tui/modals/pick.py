"""Choosing one of many, by typing a part of it or by its number: models, modes, themes, commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.fuzzy import FuzzySearch
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget
from textual.widgets._input import Input
from textual.widgets._option_list import Option, OptionList
from textual.widgets._static import Static

from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.modals.base import Dialog
from ml_intern.tui.widgets.key_bar import Hint, KeyBar
from ml_intern.tui.widgets.text import cells, one_line, pad

LABEL_CELLS = 36
LABEL_SHARE = 0.4
"""Of a narrow list at most so much goes to the names, so that the explanations say something too."""
NUMBERS = 9
LIST_ROWS = 16
LEAST_ROWS = 3
FRAME_ROWS = 2
NOTHING_FITS = "  Nothing fits."


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
        detail: More about it, shown below the list while it is marked.
    """

    value: str
    label: str = ""
    help: str = ""
    key: str = ""
    current: bool = False
    disabled: bool = False
    detail: str = ""

    @property
    def title(self) -> str:
        """What is shown."""
        return self.label or self.value

    def fits(self, words: Sequence[str]) -> bool:
        """Whether each word occurs in it."""
        text = f"{self.title} {self.value} {self.help} {self.detail}".lower()
        return all(word in text for word in words)


class _Entry(Option):
    """A row of the list that knows its choice."""

    def __init__(self, choice: Choice, width: int, key_width: int, number: int) -> None:
        super().__init__(_row(choice, width, key_width, number), disabled=choice.disabled)
        self.choice = choice


class _Entries(OptionList):
    """The list. It keeps its height while it is narrowed down, and leaves room for what stands around it."""

    _rows = 0

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many rows as there have been entries, as far as they fit."""
        self._rows = max(self._rows, super().get_content_height(container, viewport, width))
        around = sum(_height(each, container, viewport, width) for each in self.siblings if each.display)
        edges = self.styles.margin.height + FRAME_ROWS
        return min(self._rows, LIST_ROWS, max(LEAST_ROWS, viewport.height - around - edges))


def _height(widget: Widget, container: Size, viewport: Size, width: int) -> int:
    height = widget.styles.height
    given = height is not None and not height.is_auto
    rows = int(height.value) if given and height else widget.get_content_height(container, viewport, width)
    return rows + widget.styles.margin.height


class Filter(Input):
    """The field of a picker. Where nothing is typed yet, a number takes the row of that number.

    Args:
        numbers: Whether numbers do so.
    """

    HELP = Dialog.HELP

    class Numbered(Message):
        """A number was pressed."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self, *, numbers: bool) -> None:
        super().__init__(placeholder="type to filter", id="pick-filter", compact=True)
        self._numbers = numbers

    async def _on_key(self, event: events.Key) -> None:
        if self._numbers and not self.value and (event.character or "") in set("123456789"):
            event.stop()
            event.prevent_default()
            self.post_message(self.Numbered(int(event.character or "")))


class Pick(Dialog[str]):
    """A list with a filter. Answers with the chosen value, or None.

    Args:
        title: What is chosen.
        choices: What there is.
        free: How a typed text that is no entry is offered, for example `use the model`; empty when it may not be.
        on_highlight: Called with the value under the cursor, for a preview.
        note: A line under the list.
        names: The choices have names: the first ones can be chosen by number, and all be found by scattered letters.
        keys: Further keys that a subclass has, and what they do.
    """

    HELP = (
        "Type a part of what you want, {picker.up} and {picker.down} move, {choose} chooses, {back} leaves everything "
        "as it was. As long as nothing is typed, a number takes the row of that number."
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
        names: bool = True,
        keys: Sequence[Hint] = (),
    ) -> None:
        super().__init__()
        self._keys = tuple(keys)
        self._title = title
        self._choices = list(choices)
        self._free = free
        self._on_highlight = on_highlight
        self._note = note
        self._names = names
        self._shown: list[Choice] = []

    def compose(self) -> ComposeResult:
        """Filter, list, what the marked one is, note."""
        number = [("{number}", "by number")] if self._names else []
        with Vertical(id="pick", classes="dialog") as frame:
            frame.border_title = self._title
            yield Filter(numbers=self._names)
            yield _Entries(id="pick-list", compact=True, markup=False)
            yield Static(id="pick-detail", markup=False)
            yield Static(self._note, id="pick-note", markup=False)
            move = ("{picker.up}{picker.down}", "move")
            yield KeyBar([("{choose}", "choose"), *number, move, *self._keys, ("{back}", "leave")])

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
            self._fill(self.query_one(Input).value, keep=self.highlighted)

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
        if (value := self.highlighted) is not None:
            self.dismiss(value)

    @on(Filter.Numbered)
    def _choose_by_number(self, event: Filter.Numbered) -> None:
        event.stop()
        numbered = [choice for choice in self._shown if not choice.disabled]
        if event.number <= len(numbered):
            self.dismiss(numbered[event.number - 1].value)

    @on(OptionList.OptionSelected)
    def _choose_clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if isinstance(event.option, _Entry):
            self.dismiss(event.option.choice.value)

    @on(OptionList.OptionHighlighted)
    def _preview(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        # The list may have changed since; the entry itself knows what it stands for.
        if isinstance(event.option, _Entry):
            self.query_one("#pick-detail", Static).update(one_line(event.option.choice.detail))
            if self._on_highlight is not None:
                self._on_highlight(event.option.choice.value)

    @property
    def highlighted(self) -> str | None:
        """The value under the cursor."""
        index = self.query_one(OptionList).highlighted
        return self._shown[index].value if index is not None and index < len(self._shown) else None

    def _fill(self, filter_text: str, keep: str | None = None) -> None:
        self._shown = fitting(self._choices, filter_text, letters=self._names)
        typed = filter_text.strip()
        if self._free and typed and not any(choice.value == typed for choice in self._shown):
            self._shown.append(Choice(typed, help=self._free))
        options = self.query_one(OptionList)
        options.clear_options()
        rows = zip(self._shown, self._row_numbers(bool(typed)), strict=True)
        keys = max((len(choice.key) for choice in self._choices), default=0)
        options.add_options([_Entry(choice, self._label_cells(), keys, number) for choice, number in rows])
        if not self._shown:
            options.add_option(Option(Content.styled(NOTHING_FITS, "$foreground-muted"), disabled=True))
        options.highlighted = self._start(keep)
        self.query_one("#pick-detail").display = any(choice.detail for choice in self._choices)

    def _label_cells(self) -> int:
        """How wide the names are, so that the explanations begin below each other."""
        longest = max((cells(one_line(choice.title)) for choice in self._shown), default=0)
        explained = any(choice.help for choice in self._shown)
        return min(LABEL_CELLS, longest, int(self.app.size.width * LABEL_SHARE) if explained else longest)

    def _row_numbers(self, typing: bool) -> list[int]:
        """The number of each row that can be chosen by one; 0 for the others, and -1 where there are none at all."""
        if not self._names or typing:
            return [-1] * len(self._shown)
        numbers, last = [], 0
        for choice in self._shown:
            last += not choice.disabled
            numbers.append(last if last <= NUMBERS and not choice.disabled else 0)
        return numbers

    def _start(self, keep: str | None) -> int | None:
        enabled = [index for index, choice in enumerate(self._shown) if not choice.disabled]
        for index in enabled:
            if self._shown[index].value == keep:
                return index
        for index in enabled:
            if self._shown[index].current and keep is None:
                return index
        return enabled[0] if enabled else None


def fitting(choices: Sequence[Choice], typed: str, *, letters: bool = True) -> list[Choice]:
    """The choices in which each word occurs; with `letters`, behind them those whose name has these in this order."""
    words = typed.lower().split()
    near = [choice for choice in choices if choice.fits(words)]
    if not (words and letters):
        return near
    search, wanted = FuzzySearch(), "".join(words)
    scores = {choice.value: search.match(wanted, choice.title)[0] for choice in choices if choice not in near}
    far = sorted((choice for choice in choices if scores.get(choice.value)), key=lambda choice: -scores[choice.value])
    return [*near, *far]


def _row(choice: Choice, width: int, key_width: int, number: int) -> Content:
    return Content.assemble(
        ("● " if choice.current else "  ", "$accent"),
        (f"{number or ' '} " if number >= 0 else "", "$foreground-muted"),
        pad(one_line(choice.title), width),
        (f"  {choice.key:<{key_width}}" if key_width else "", "$accent"),
        (f"  {one_line(choice.help)}" if choice.help else "", "$foreground-muted"),
    )

"""The line in which a search is typed: what is looked for, how much was found, and the keys that work."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

from textual import events, on
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets._input import Input
from textual.widgets._static import Static

from ml_intern.tui.keys.keymap import Keymap, bind, keymap_of
from ml_intern.tui.widgets.key_bar import Hint, effective
from ml_intern.tui.widgets.line import Part
from ml_intern.tui.widgets.painted import PartsLine
from ml_intern.tui.widgets.pieces import Names
from ml_intern.tui.widgets.searchable import NOTHING, Searchable

FIELD_CELLS = 18
"""At least so much is left for the field,"""
TAIL_CELLS = 50
"""and no more than this is needed for the rest."""


class _Field(Input):
    """The field. Keys that go from one find to another are not its text."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("search.next", "step(1)"),
        bind("search.before", "step(-1)"),
        bind("search.leave", "leave"),
    ]

    class Stepped(Message):
        """A key asks for another find."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    class Left(Message):
        """The person has left the field."""

    def action_step(self, step: int) -> None:
        """Goes on in a direction."""
        self.post_message(self.Stepped(step))

    def action_leave(self) -> None:
        """Leaves."""
        self.post_message(self.Left())


class SearchBar(Horizontal):
    """One line: the field, the count, the keys. Hidden until it is opened.

    Args:
        as_typed: What is typed is looked for at once; otherwise when Enter is pressed, which leaves the field too.
        placeholder: What an empty field says.

    Attributes:
        stepped: The person has gone to a find since the field was opened.
    """

    HELP = (
        "The search. What you type is looked for at once; capitals count if you type some. {search.next:2} go to the "
        "next find, {search.before:2} to the one before. {search.leave} goes back to where you were; once you have "
        "gone to a find it stays there, and {find.next} and {find.before} go on until {find.end} ends the search."
    )

    class Changed(Message):
        """Another text is to be looked for."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Stepped(Message):
        """The next (1) or previous (-1) find is wanted."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    class Left(Message):
        """The field was left. `stay`: the person wants to stay where the search has led."""

        def __init__(self, stay: bool) -> None:
            super().__init__()
            self.stay = stay

    def __init__(self, *, as_typed: bool = True, placeholder: str = "search", **names: Unpack[Names]) -> None:
        self._field = _Field(placeholder=placeholder, compact=True, classes="search-field")
        self._field.cursor_blink = False
        self._tail = PartsLine(classes="search-tail")
        super().__init__(Static("/", classes="search-mark"), self._field, self._tail, **names)
        self.display = False
        self.stepped = False
        self._as_typed = as_typed
        self._count = ""

    @property
    def text(self) -> str:
        """What is looked for."""
        return self._field.value

    @property
    def typing(self) -> bool:
        """Whether the field takes the keys."""
        return self.display and self._field.has_focus

    def open(self, text: str | None = None) -> None:
        """Shows the field and gives it the keys; a text, if there is one, replaces what is in it."""
        self.display = True
        self.stepped = False
        if text is not None:
            self._field.value = text
        # At once, and not when the present messages are handled: what is typed next belongs into the field.
        self.screen.set_focus(self._field, scroll_visible=False)
        self._show()

    def close(self) -> None:
        """Hides the line and forgets the text."""
        self.display = False
        self._count = ""
        with self.prevent(Input.Changed):
            self._field.value = ""

    def tell(self, count: str) -> None:
        """Says how much was found."""
        self._count = count
        self._show()

    def on_resize(self, event: events.Resize) -> None:
        """The keys get what the field can spare."""
        self._tail.styles.width = max(12, min(TAIL_CELLS, event.size.width - FIELD_CELLS))

    def _show(self) -> None:
        keys = effective(self._hints(), keymap_of(self))
        parts = [Part(key, tail=does, rank=2 + len(keys) - at) for at, (key, does) in enumerate(keys)]
        self._tail.parts = ((), (Part(self._count, "$accent"), *parts))

    def _hints(self) -> list[Hint]:
        """What the keys do, the most dispensable first."""
        if not self.typing:
            steps = [("{find.next} {find.before}", "next, previous")] if self._count != NOTHING else []
            return [*steps, ("{find.end}", "end")]
        leave = ("{search.leave}", "stay here" if self.stepped else "back")
        if not self._as_typed:
            return [("{search.next}", "search"), leave]
        some = self._count not in {"", NOTHING}
        steps = [("{search.next}", "next"), ("{search.before}", "previous")] if some else []
        return [*steps, leave]

    def take_keymap(self, _keymap: Keymap) -> None:
        """Other keys count from now on."""
        self._show()

    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def _other_keys(self) -> None:
        self._show()

    @on(Input.Changed)
    def _change(self, event: Input.Changed) -> None:
        event.stop()
        self.stepped = False
        if self._as_typed:
            self.post_message(self.Changed(event.value))

    @on(_Field.Stepped)
    def _step(self, event: _Field.Stepped) -> None:
        event.stop()
        if self._as_typed:
            self.stepped = self._count != NOTHING
            self.post_message(self.Stepped(event.step))
        elif event.step > 0:
            self.post_message(self.Changed(self.text))
        self._show()

    @on(_Field.Left)
    def _leave(self, event: _Field.Left) -> None:
        event.stop()
        self.post_message(self.Left(self.stepped))


class SearchFrame(Vertical):
    """Holds a list and, below it, the line in which it is searched."""

    _bar: SearchBar | None = None
    _target: Searchable[Any]
    _came_from: Widget | None = None

    def search_in(self, target: Searchable[Any]) -> None:
        """Names the list."""
        self._target = target

    async def open_search(self, text: str | None = None) -> None:
        """Opens the line; a text, if there is one, is looked for at once."""
        if self._bar is None:
            self._bar = SearchBar(classes="search-bar")
            await self.mount(self._bar, after=self._target)
        if not self._bar.typing:
            self._came_from = self.screen.focused
        self._bar.open(text)

    @property
    def search_open(self) -> bool:
        """Whether the line is there, or what it has found is marked."""
        return self._bar is not None and self._bar.display

    @property
    def search_typing(self) -> bool:
        """Whether keys are text to be looked for."""
        return self._bar is not None and self._bar.typing

    def end_search(self, *, back: bool = False) -> None:
        """Closes the line and marks nothing any more; `back` shows again what was seen before."""
        if self._bar is None or not self._bar.display:
            return
        typing = self._bar.typing
        self._target.end_search(back=back)
        self._bar.close()
        if typing:
            came_from = self._came_from
            self.screen.set_focus(came_from if came_from is not None and came_from.focusable else self._target)

    @on(SearchBar.Changed)
    def _look_for(self, event: SearchBar.Changed) -> None:
        event.stop()
        if self._bar is None or event.text != self._bar.text:
            return  # more was typed since
        self._target.search(event.text)
        if not event.text.strip():
            self._bar.tell("")

    @on(SearchBar.Stepped)
    def _step(self, event: SearchBar.Stepped) -> None:
        event.stop()
        self._target.search_next(event.step)

    @on(SearchBar.Left)
    def _leave(self, event: SearchBar.Left) -> None:
        event.stop()
        if event.stay:
            self.screen.set_focus(self._target)
        else:
            self.end_search(back=True)

    @on(Searchable.Searched)
    def _tell(self, event: Searchable.Searched) -> None:
        event.stop()
        if self._bar is not None:
            self._bar.tell(event.found.text if self._target.needle else "")

    @on(Searchable.SearchLeft)
    def _close(self, event: Searchable.SearchLeft) -> None:
        event.stop()
        self.end_search()

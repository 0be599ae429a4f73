"""What a session has looked into, as a list: to be opened and copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.content import Content
from textual.widgets._option_list import OptionList

from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.widgets.text import one_line, pad

if TYPE_CHECKING:
    from ml_intern.core.trail import Source

KIND_CELLS = 14
NOTHING_YET = (
    "This session has looked into nothing yet. Papers, pages, repositories, data sets and models that the agent and "
    "its sub-agents open appear here."
)


class SourceList(OptionList):
    """Lists sources, the newest first."""

    DEFAULT_CSS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("item.open", "open"),
        bind("item.copy", "copy"),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, compact=True, markup=False)
        self._shown: tuple[Source, ...] = ()

    def show_sources(self, sources: Sequence[Source]) -> None:
        """Shows these, given oldest first; the one under the cursor stays under it."""
        chosen = self.chosen
        self._shown = tuple(reversed(sources))
        self.clear_options()
        self.add_options([row(source) for source in self._shown])
        names = [(source.kind, source.id) for source in self._shown]
        known = chosen is not None and (chosen.kind, chosen.id) in names
        self.highlighted = (
            names.index((chosen.kind, chosen.id)) if chosen is not None and known else 0 if names else None
        )

    @property
    def chosen(self) -> Source | None:
        """The source under the cursor."""
        index = self.highlighted
        return self._shown[index] if index is not None and index < len(self._shown) else None

    def action_open(self) -> None:
        """The source in a browser."""
        if (source := self.chosen) is not None and source.url.startswith(("https://", "http://")):
            self.app.open_url(source.url)

    def action_copy(self) -> None:
        """The address to the clipboard; of a file, its path."""
        if (source := self.chosen) is not None:
            self.app.copy_to_clipboard(source.url or source.id)
            self.notify("Copied.", timeout=1.5, markup=False)


def row(source: Source) -> Content:
    """A source: kind and name, and below it what of it was read, in which step, by whom."""
    name = f"{source.title}  {source.id}" if source.title else source.id
    first = Content.assemble((pad(source.kind, KIND_CELLS), "$foreground-muted"), one_line(name, 300))
    said = "; ".join(source.parts), "; ".join(source.steps), "; ".join(source.agents)
    more = one_line(" · ".join(text for text in said if text), 400)
    if not more:
        return first
    return Content("\n").join([first, Content.styled(f"{' ' * KIND_CELLS}{more}", "$foreground-muted")])

"""The trail: what this session has looked into, to be opened and copied."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets._option_list import OptionList
from textual.widgets._static import Static

from ml_intern.core.trail import Source, Trail
from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.modals.base import Dialog
from ml_intern.tui.widgets.key_bar import KeyBar
from ml_intern.tui.widgets.text import count, one_line, pad

KIND_CELLS = 14
KEYS = (("{move}", "choose"), ("{item.open}", "open"), ("{item.copy}", "copy link"), ("{back}", "back"))
NOTHING_YET = (
    "This session has looked into nothing yet. Papers, pages, repositories, data sets and models that the agent and "
    "its sub-agents open appear here."
)


class TrailScreen(Dialog[None]):
    """Lists the sources, newest first, and grows while it is open.

    Args:
        trail: The trail, kept up to date by whoever holds it.
    """

    HELP = (
        "What the agent and its sub-agents have looked into: what it is, which parts were read, in which step of the "
        "plan, by whom. {item.open:2} opens it in a browser, {item.copy} copies its address."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "cancel"),
        bind("leave", "cancel"),
        bind("item.open", "open"),
        bind("item.copy", "copy"),
    ]

    def __init__(self, trail: Trail) -> None:
        super().__init__()
        self._trail = trail
        self._shown: tuple[Source, ...] = ()

    def compose(self) -> ComposeResult:
        """The list, or why there is none; the keys."""
        with Vertical(id="trail", classes="dialog"):
            yield Static(NOTHING_YET, id="trail-none", markup=False)
            yield OptionList(id="trail-list", compact=True, markup=False)
            yield KeyBar(KEYS, id="trail-keys")

    def on_mount(self) -> None:
        """Begins at the newest."""
        self.show_sources()
        self.query_one(OptionList).focus()

    def show_sources(self) -> None:
        """Shows the trail as it is now; the source under the cursor stays under it."""
        chosen = self._chosen
        self._shown = tuple(reversed(self._trail.sources))
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([row(source) for source in self._shown])
        names = [(source.kind, source.id) for source in self._shown]
        options.highlighted = names.index((chosen.kind, chosen.id)) if chosen is not None else 0 if names else None
        options.display = bool(self._shown)
        self.query_one("#trail-none").display = not self._shown
        frame = self.query_one("#trail", Vertical)
        frame.border_title = f"trail · {count(len(self._shown), 'source')}" if self._shown else "trail"

    @property
    def _chosen(self) -> Source | None:
        index = self.query_one(OptionList).highlighted
        return self._shown[index] if index is not None and index < len(self._shown) else None

    def action_open(self) -> None:
        """The source in a browser."""
        if (source := self._chosen) is not None and source.url.startswith(("https://", "http://")):
            self.app.open_url(source.url)

    def action_copy(self) -> None:
        """The address to the clipboard."""
        if (source := self._chosen) is not None:
            self.app.copy_to_clipboard(source.url)
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

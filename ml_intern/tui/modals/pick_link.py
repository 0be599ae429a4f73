"""A picker of links, which shows where each leads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.binding import BindingType

from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.modals.pick import Choice, Pick
from ml_intern.tui.widgets.links import Link
from ml_intern.tui.widgets.text import clean, fit

TEXT_CELLS = 40
LABEL_CHARS = 200


class PickLink(Pick):
    """Lists links, to be opened or copied.

    Args:
        links: The links.
        copy: Takes what is copied.
    """

    BINDINGS: ClassVar[list[BindingType]] = [bind("link.copy", "copy")]

    def __init__(self, links: Sequence[Link], copy: Callable[[str, str], None]) -> None:
        choices = [
            Choice(
                str(number),
                clean(link.text)[:LABEL_CHARS] if link.says_where else fit(clean(link.text), TEXT_CELLS),
                "" if link.says_where else f"leads to {clean(link.shown_target)[:LABEL_CHARS]}",
            )
            for number, link in enumerate(links)
        ]
        super().__init__("links in view", choices, names=False, keys=[("{link.copy}", "copy")])
        self._links = links
        self._copy = copy

    def action_copy(self) -> None:
        """The target under the cursor to the clipboard."""
        if (number := self.highlighted) is not None:
            self._copy(self._links[int(number)].shown_target, "the link")
            self.dismiss(None)

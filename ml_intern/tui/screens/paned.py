"""What screens of several panes share: a narrow terminal shows one of them, and each can fill the screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual import on

from ml_intern.tui import messages
from ml_intern.tui.widgets.backdrop import Backdrop
from ml_intern.tui.widgets.tabs import PaneTabs


class PanedScreen(Backdrop[None]):
    """A screen of several panes, with tabs where there is room for only one."""

    PANES: ClassVar[Mapping[str, str]]
    """The panes by name, in the order of their numbers, and what of each takes the focus."""

    def action_show_tab(self, name: str) -> None:
        """Shows one pane where there is room for one only."""
        raise NotImplementedError

    @property
    def pane_in_focus(self) -> str:
        """The pane that has the focus, by its name; empty when none has it."""
        nodes = self.focused.ancestors_with_self if self.focused is not None else ()
        return next((node.id for node in nodes if node.id and node.id in self.PANES), "")

    @on(PaneTabs.Chosen)
    def _show_clicked_tab(self, event: PaneTabs.Chosen) -> None:
        self.action_show_tab(event.name)

    @on(messages.Maximise)
    def _maximise(self, message: messages.Maximise) -> None:
        message.stop()
        self.toggle_class("-zoomed")
        self.action_show_tab(message.pane)

"""A tiny app around one widget, and what a person sees of it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.pilot import Pilot
from textual.widget import Widget

from ml_intern.resources import styles_path
from ml_intern.tui.themes import OWN_THEMES

WidgetT = TypeVar("WidgetT", bound=Widget)


class Host(App[None], Generic[WidgetT]):
    """Shows one widget in the app's own theme, and notes what it posts."""

    CSS_PATH: ClassVar = [styles_path("transcript.tcss"), styles_path("tools.tcss")]

    def __init__(self, widget: WidgetT, theme: str = OWN_THEMES[0].name) -> None:
        super().__init__()
        for own in OWN_THEMES:
            self.register_theme(own)
        self.theme = theme
        self.widget = widget

    def compose(self) -> ComposeResult:
        yield self.widget


def seen(widget: Widget) -> list[str]:
    """The rows of a widget as a person sees them, without trailing spaces and the bar of the message at hand."""
    region = Region(0, 0, widget.region.width, widget.region.height)
    return [re.sub(r"^┃ ", "  ", strip.text).rstrip() for strip in widget.render_lines(region)]


async def until(pilot: Pilot[None], condition: Callable[[], bool], within: float = 5.0) -> None:
    """Waits until something is so."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        await pilot.pause(0.02)


def text_of(widget: Widget) -> str:
    """All that is seen, as one text."""
    return "\n".join(seen(widget))

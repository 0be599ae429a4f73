"""Everything on a screen that can be jumped to: panes, fields, tabs, and the rows that are in view."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

from textual.geometry import Offset
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets._option_list import OptionList

from ml_intern.tui.widgets.pieces import JumpRow


@runtime_checkable
class HasRows(Protocol):
    """A list whose rows can be jumped to."""

    def jump_rows(self) -> list[JumpRow]:
        """The rows in view."""


@runtime_checkable
class HasCells(Protocol):
    """A line with parts that can be jumped to."""

    def jump_cells(self) -> list[tuple[int, Callable[[], None]]]:
        """The parts by the column each begins at."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something to jump to.

    Attributes:
        offset: Where its letter goes, on the screen.
        go: Jumps.
    """

    offset: Offset
    go: Callable[[], None]


def find_targets(screen: Screen[Any]) -> list[Target]:
    """What can be jumped to on a screen, from the top to the bottom. Where two would meet, the row wins."""
    found: dict[Offset, Target] = {}
    widgets = [widget for widget in screen.walk_children(Widget) if _is_seen(widget)]
    for widget in widgets:
        for target in _inside(widget):
            found.setdefault(target.offset, target)
    for widget in widgets:
        if widget.focusable:
            offset = _corner(widget)
            found.setdefault(offset, Target(offset, partial(_focus, widget)))
    return sorted(found.values(), key=lambda target: (target.offset.y, target.offset.x))


def _is_seen(widget: Widget) -> bool:
    return bool(widget.region) and all(node.display for node in widget.ancestors_with_self)


def _focus(widget: Widget) -> None:
    widget.focus()


def _inside(widget: Widget) -> Iterator[Target]:
    place = widget.content_region.offset
    if isinstance(widget, HasRows):
        for y, go in widget.jump_rows():
            yield Target(place + Offset(0, y), go)
    elif isinstance(widget, HasCells):
        for x, go in widget.jump_cells():
            yield Target(place + Offset(x, 0), go)
    elif isinstance(widget, OptionList):
        for y, go in _options_in_view(widget):
            yield Target(place + Offset(0, y), go)


def _options_in_view(options: OptionList) -> Iterator[JumpRow]:
    """The first line of each option that can be chosen, as it is painted."""
    seen: set[int] = set()
    for y in range(options.scrollable_content_region.height):
        styles = (segment.style for segment in options.render_line(y) if segment.style is not None)
        index = next((style.meta["option"] for style in styles if "option" in style.meta), None)
        if index is not None and index not in seen:
            seen.add(index)
            if not options.get_option_at_index(index).disabled:
                yield y, partial(_select, options, index)


def _select(options: OptionList, index: int) -> None:
    if index >= options.option_count:  # the list has changed meanwhile
        return
    options.focus()
    options.highlighted = index
    options.action_select()


def _corner(widget: Widget) -> Offset:
    """Where the letter of a pane goes: onto its frame, where it has one."""
    for node in widget.ancestors_with_self:
        if isinstance(node, Widget) and not isinstance(node, Screen) and node.styles.border_top[0] not in {"", "none"}:
            return node.region.offset + Offset(1, 0)
    return widget.region.offset

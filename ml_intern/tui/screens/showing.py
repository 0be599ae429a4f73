"""What a tool call shows at full size: a preview where there is one, else all of the call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.app import App

    from ml_intern.tui import messages
    from ml_intern.tui.setup import Setup
    from ml_intern.tui.widgets.tool_model import ToolEntry


@dataclass(frozen=True, slots=True)
class Calls:
    """The list that a call is in.

    Attributes:
        find: Gives a call by its id, as it is now.
        neighbour: Gives the call before (-1) or after (1) one.
        choose: Moves the list's cursor to a call.
        now: The list's clock.
        whole: Reads a call in full, where the list holds less of it.
    """

    find: Callable[[str], ToolEntry | None]
    neighbour: Callable[[str, int], ToolEntry | None]
    choose: Callable[[str], None]
    now: Callable[[], float]
    whole: Callable[[str], Awaitable[ToolEntry | None]] | None = None


def open_entry(app: App[Any], entry: ToolEntry, calls: Calls | None = None) -> None:
    """Opens a tool call; `calls` is the list that it is in."""
    block = next((block for block in entry.display if block.type == "dataset"), None)
    if block is None:
        from ml_intern.tui.screens.tool_detail import ToolDetailScreen

        app.push_screen(ToolDetailScreen(entry, calls))
        return
    from ml_intern.tui.screens.dataset import DatasetScreen

    app.push_screen(DatasetScreen(block.name, block, entry=entry))


def open_dataset(app: App[Any], message: messages.ShowDataset, setup: Setup) -> None:
    """Opens the preview of a data set that a person has asked for."""
    if setup.preview_dataset is None:
        return
    from ml_intern.tui.screens.dataset import DatasetScreen

    load = partial(setup.preview_dataset, message.name, message.config, message.split)
    app.push_screen(DatasetScreen(message.name, load=load))

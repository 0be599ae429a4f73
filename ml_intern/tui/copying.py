"""Copying: to the terminal's clipboard, or into a file where that does not take the text; and saying which."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.app import App

from ml_intern.tui.clipboard import clipboard_sequence, keep_in_file


class Copying:
    """Copies for an app.

    Args:
        app: Its terminal takes the texts.
        directory: Where texts go that the terminal does not take; None while there is no such place.
    """

    def __init__(self, app: App[Any], directory: Callable[[], Path | None]) -> None:
        self._app = app
        self._directory = directory

    def take(self, text: str, what: str) -> None:
        """Copies a text; `what` says in a few words what it is."""
        self._app.copy_to_clipboard(text)  # what the terminal does not take can still be pasted within the app
        if clipboard_sequence(text, os.environ):
            self._app.notify(f"Copied {what}.", timeout=1.5, markup=False)
        else:
            self._app.run_worker(self._keep(text, what), name="copying", exit_on_error=False)

    async def _keep(self, text: str, what: str) -> None:
        directory = self._directory()
        try:
            if directory is None:
                raise OSError("there is no agent yet, so no directory for it")
            path = await asyncio.to_thread(keep_in_file, text, directory)
        except OSError as error:
            self._app.notify(f"The terminal does not take {what}: {error}.", severity="warning", markup=False)
            return
        self._app.notify(f"The terminal does not take {what}; it is in {path}.", timeout=8, markup=False)

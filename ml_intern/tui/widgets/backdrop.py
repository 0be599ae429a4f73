"""A screen below another one goes on changing, and only what changed is painted."""

from __future__ import annotations

from typing import TypeVar

from textual.screen import ModalScreen, Screen

Result = TypeVar("Result")


class Backdrop(Screen[Result]):
    """A screen that may lie below a dialog.

    Textual hands the changed regions of such a screen to the one on top, but keeps them as its own as well. They come
    back with every later change, so that after one full repaint each tick of a clock would repaint the whole terminal.
    A screen that comes to the top again is painted anew in any case.
    """

    def _compositor_refresh(self) -> None:
        super()._compositor_refresh()
        if self is not self.app.screen:
            self._repaint_regions.clear()
            self._repaint_required = False


class ModalBackdrop(ModalScreen[Result], Backdrop[Result]):
    """A dialog that may lie below another one."""

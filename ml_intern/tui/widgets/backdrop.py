"""Screens paint what a key has changed without delay, and below another one only what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from textual import events
from textual.screen import ModalScreen, Screen

if TYPE_CHECKING:
    from textual.app import App
    from textual.widget import Widget

Result = TypeVar("Result")


class Backdrop(Screen[Result]):
    """A screen that may lie below a dialog.

    Textual hands the changed regions of such a screen to the one on top, but keeps them as its own as well. They come
    back with every later change, so that after one full repaint each tick of a clock would repaint the whole terminal.
    A screen that comes to the top again is painted anew in any case.

    Textual also paints by the clock: after a frame the next one comes 17 to 33 ms later. That is soon enough for what
    comes by itself, but one sees one's own typing lag behind wherever something else has just been painted.
    """

    _key_pressed = False
    _awaited: Widget | None = None

    def _post_register(self, app: App[object]) -> None:
        """Knows from the beginning how wide it is: a class that comes later means new styles and a second frame."""
        super()._post_register(app)
        for name in self._get_breakpoint_classes(app.size.width, app.HORIZONTAL_BREAKPOINTS or []):
            self.set_class(True, name, update=False)

    def expect_change(self, of: Widget | None = None) -> None:
        """A key was pressed: what it changes is painted as soon as it has changed.

        Args:
            of: Where that will be seen, if the answer took longer than the press; else where the focus is.
        """
        self._key_pressed, self._awaited = True, of

    async def _on_idle(self, event: events.Idle) -> None:
        del event  # Textual's own follows by itself
        if self._key_pressed and (self._layout_required or (self._awaited or self.focused) in self._dirty_widgets):
            self._key_pressed = False
            self._on_timer_update()

    def _compositor_refresh(self) -> None:
        super()._compositor_refresh()
        if self is not self.app.screen:
            self._repaint_regions.clear()
            self._repaint_required = False


class ModalBackdrop(ModalScreen[Result], Backdrop[Result]):
    """A dialog that may lie below another one."""

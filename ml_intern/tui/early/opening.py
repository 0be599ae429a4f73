"""An app that opens behind the first frame: what was typed is in its prompt before anything of it is painted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from textual import events
from textual.driver import Driver
from textual.message_pump import MessagePump
from textual.screen import Screen

from ml_intern.tui.chosen import ChosenApp
from ml_intern.tui.early.frame import FirstFrame
from ml_intern.tui.early.takeover import taking_over
from ml_intern.tui.terminal import outliving

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ml_intern.options import Options

SETTLE_S = 0.03
SETTLE_TRIES = 10
LATE_S = 0.01
"""A timer that is later than this shows that the app is still busy opening."""
INTERRUPTED = 130


class OpeningApp(ChosenApp):
    """Takes the place of the first frame once it has settled.

    Args:
        options: Flags of this run.
        first_frame: What is on the screen until then.
        light: The terminal's background is light.

    Attributes:
        leaves_when_up: Whether the app is to end as soon as it can: a signal came before it could handle it.
    """

    def __init__(self, options: Options, first_frame: FirstFrame | None, *, light: bool = False) -> None:
        self._first_frame = first_frame  # Textual asks for the driver's class at once
        self._is_opening = True
        self._theme_at_first = ""
        self._early_keys: list[events.Event] | None = []
        super().__init__(options, light=light)
        self.leaves_when_up = False
        self._begin_with_theme()

    # ---------------------------------------------------------------------------------------- for the app itself

    @property
    def is_opening(self) -> bool:
        """Whether nothing has been painted yet."""
        return self._is_opening

    @property
    def way_of_keys(self) -> Sequence[MessagePump]:
        """What a key goes through from where it is typed to the screen, in this order."""
        raise NotImplementedError

    def on_opened(self) -> None:
        """The app paints from now on."""

    def key_read(self, key: str) -> None:
        """Called with each key, in the thread that reads them, whatever the app is doing."""

    def settle(self, tries: int = SETTLE_TRIES) -> None:
        """Begins as soon as styles, sizes and focus have settled, and the app is not busy any more."""
        due = time.monotonic() + SETTLE_S
        self.set_timer(SETTLE_S, lambda: self._begin(due, tries))

    # ------------------------------------------------------------------------------------------------- in order

    def _begin_with_theme(self) -> None:
        """Reads the style sheets in the colours of the theme that was set, instead of once more for them."""
        self._theme_at_first = self.theme
        self.stylesheet.set_variables(self.get_css_variables())

    def _begin(self, due: float, tries: int) -> None:
        if self._leaves() or not self.screen_stack:  # something else has ended it meanwhile
            return
        busy = time.monotonic() - due > LATE_S
        if tries and (busy or self.focused is None):
            self.settle(tries - 1)
            return
        if self._first_frame is not None:
            self._first_frame.finish()
        if self._driver is not None:  # the way of the keys: those that the first frame has shown are here before it
            self._driver.send_message(events.Callback(callback=self._replay))

    def _leaves(self) -> bool:
        if self.leaves_when_up:
            by_key = self._first_frame is not None and self._first_frame.left
            self.exit(return_code=0 if by_key else INTERRUPTED)
        return self.leaves_when_up

    async def _replay(self) -> None:
        """Does what was typed."""
        while self._early_keys:
            event = self._early_keys.pop(0)
            await super().on_event(event)
            if not (isinstance(event, events.Key) and event.is_printable):  # the next one may depend on what it does
                self._when_done(self._replay)
                return
        self._early_keys = None
        self._when_done(partial(self.screen.call_after_refresh, self._reveal))

    def _when_done(self, callback: Callable[[], object]) -> None:
        """Calls back when the prompt has done what it was sent, and all above it what came of that."""
        for pump in (self, *reversed(self.way_of_keys)):
            callback = partial(pump.call_later, callback)
        callback()

    def _reveal(self) -> None:
        self._is_opening = False
        if self._leaves():
            return
        self.on_opened()
        self.screen.refresh()

    # ----------------------------------------------------------------------------------------- in place of Textual

    def get_driver_class(self) -> type[Driver]:
        """The platform's driver. It outlives its terminal, and reads on where the first frame has stopped."""
        driver = outliving(super().get_driver_class(), self.key_read)
        return driver if self._first_frame is None else taking_over(driver, self._first_frame)

    async def on_event(self, event: events.Event) -> None:
        """Keeps what is typed before the prompt has the focus, instead of losing it."""
        if self._early_keys is not None and isinstance(event, events.Key | events.Paste):
            self._early_keys.append(event)
            return
        if self._is_opening and self._first_frame is not None and isinstance(event, events.Resize):
            self._first_frame.repaint()
        if isinstance(event, events.Paste):  # onto a window in the background: it is meant for the prompt all the same
            self.app_focus = True
        await super().on_event(event)

    def refresh_css(self, animate: bool = True) -> None:
        """Applies the style sheets anew, and reads them anew unless they have been read in these colours."""
        if self._is_opening and self.theme == self._theme_at_first:
            self.stylesheet.update(self, animate=animate)
        else:
            super().refresh_css(animate)

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        # The screen at the bottom does not even render while the app opens; keys may have opened others over it.
        if not self._is_opening:
            super()._display(screen, renderable)

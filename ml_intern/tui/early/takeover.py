"""The way from the first frame to Textual: its driver goes on reading where the first frame has stopped."""

from __future__ import annotations

import codecs
import os
import select
import time
from typing import Any, TypeVar

from textual import events
from textual._xterm_parser import XTermParser
from textual.message import Message

from ml_intern.tui.early.frame import FirstFrame
from ml_intern.tui.early.keys import ESCAPE_S, EarlyKeys

DriverT = TypeVar("DriverT", bound=type)


def taking_over(driver: DriverT, frame: FirstFrame) -> DriverT:
    """A Textual driver class that first gives the app what the first frame has read.

    Args:
        driver: The class it is made of. One without a thread that reads the terminal stays as it is.
        frame: Shows what is typed until the app paints.
    """
    if not hasattr(driver, "run_input_thread"):
        return driver

    class TakingOver(driver):  # type: ignore[valid-type, misc]  # the base is known at run time only
        _shows_keys = False

        def run_input_thread(self) -> None:
            """Runs in a thread of its own, for as long as the app uses the terminal."""
            keys = frame.hand_over(self.write)
            if not self._shows_keys and frame.attributes is not None:
                self.attrs_before = frame.attributes  # what an editor finds when the app steps aside for it
            frame.repaint()  # entering its mode, Textual may have cleared the screen
            _Handover(self, frame, keys).carry_out()
            self._shows_keys = True
            super().run_input_thread()

        def process_message(self, message: Message) -> None:
            """Sends a message to the app, and shows what it will do to the prompt."""
            super().process_message(message)
            if not self._shows_keys:
                return
            if isinstance(message, events.Key):
                frame.press(message.key, message.character)
            elif isinstance(message, events.Paste):
                frame.paste(message.text)

    return TakingOver  # type: ignore[return-value]  # a subclass of what came in


class _Handover:
    """Lets Textual's parser read the early bytes, and what follows them up to where the parser can be changed.

    A parser of its own, since the driver's is made when the driver begins to read; so the first one goes on to the end
    of what has begun: a paste, for example.
    """

    def __init__(self, driver: Any, frame: FirstFrame, keys: EarlyKeys) -> None:
        self._driver, self._frame, self._keys = driver, frame, keys
        self._parser = XTermParser()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def carry_out(self) -> None:
        """Sends the app all events."""
        self._read_to_the_end()
        pieces, self._keys.pieces = self._keys.pieces, [b""]
        for number, piece in enumerate(pieces):
            if number:
                self._let_escape_be_a_key()
            self._feed(self._frame.typed(piece))
        if self._keys.within == "sequence":
            self._let_escape_be_a_key()

    def _read_to_the_end(self) -> None:
        while self._keys.within and not self._driver.exit_event.is_set():
            ready, _, _ = select.select([self._driver.fileno], [], [], ESCAPE_S)
            data = os.read(self._driver.fileno, 4096) if ready else b""
            if data:
                self._frame.take(data)
            elif ready or self._keys.within == "sequence":  # the terminal is gone, or an escape was a key
                return

    def _feed(self, data: bytes) -> None:
        if text := self._decoder.decode(data):  # an empty text is the end for the parser
            for event in self._parser.feed(text):
                self._driver.process_message(event)

    def _let_escape_be_a_key(self) -> None:
        time.sleep(ESCAPE_S)  # the parser goes by the time that has passed since it was fed
        for event in self._parser.tick():
            self._driver.process_message(event)

"""The search of a session that is reviewed: what was typed is looked for in the whole log, then gone through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from textual.screen import Screen

from ml_intern.sessions.replay import Recording
from ml_intern.tui.screens.review_reel import Reel
from ml_intern.tui.screens.review_text import Chosen, place_among
from ml_intern.tui.widgets.search_bar import SearchBar


class ReviewSearch:
    """Acts for the Review screen.

    Args:
        screen: Whose workers are used.
        recording: The session.
        reel: The panes.
        focus_pane: Gives the keys back to the pane that is shown.
        go_around: Shows the next or previous of some steps.
        show: Shows what has changed around the panes.
        lose: Called when the log cannot be read any more.

    Attributes:
        bar: Where the text is typed.
    """

    def __init__(
        self,
        screen: Screen[None],
        recording: Recording,
        reel: Reel,
        focus_pane: Callable[[], object],
        go_around: Callable[[Sequence[int], int], None],
        show: Callable[[], None],
        lose: Callable[[OSError], None],
    ) -> None:
        self.bar = SearchBar(
            as_typed=False,
            placeholder="search prompts, answers, commands, outputs",
            id="review-search",
            classes="search-bar",
        )
        self._screen = screen
        self._recording = recording
        self._reel = reel
        self._focus_pane = focus_pane
        self._go_around = go_around
        self._show = show
        self._lose = lose
        self._finds: Chosen | None = None
        self._searching = 0

    @property
    def typing(self) -> bool:
        """Whether keys are text."""
        return self.bar.typing

    @property
    def is_open(self) -> bool:
        """Whether the search line is there."""
        return bool(self.bar.display)

    @property
    def found(self) -> str:
        """The text that was found; empty when there is none."""
        return self._finds.name if self._finds is not None else ""

    def open(self) -> None:
        """Opens the search line."""
        self.bar.open()

    def look_for(self, text: str) -> None:
        """Looks for a text; an empty one ends the search."""
        if not text:
            self.end()
            return
        self.bar.tell("searching …")
        self._focus_pane()
        self._screen.run_worker(self._look_for(text), name="searching the session", exit_on_error=False)

    async def _look_for(self, text: str) -> None:
        self._searching += 1
        mine = self._searching
        try:
            steps = await asyncio.to_thread(self._recording.search, text, lambda: mine != self._searching)
        except OSError as error:
            self._lose(error)
            return
        if mine != self._searching:
            return
        self._finds = Chosen(text, steps) if steps else None
        if not steps:
            self.bar.tell("nowhere in this session")
            self._show()
        elif self._reel.step in steps:
            self._show()
            self._reel.chat.show_newest(text)
        else:
            self.step(1)

    def step(self, direction: int) -> None:
        """The next or previous find, around the ends."""
        if self._finds is not None:
            self._go_around(self._finds.steps, direction)
            self._reel.chat.show_newest(self._finds.name)

    def show_place(self) -> None:
        """Shows what was found where a pane has it, and which of the finds the present step is."""
        if self._finds is not None:
            self.bar.tell(place_among(self._reel.step, self._finds))
        self._reel.chat.find(self.found)
        self._reel.tools.find(self.found)

    def end(self) -> None:
        """Closes the search line."""
        if self.bar.typing:
            self._focus_pane()
        self.bar.close()
        self._finds = None
        self.stop()
        self._show()

    def stop(self) -> None:
        """A search that runs ends."""
        self._searching += 1

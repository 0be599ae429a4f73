"""Keeps what was not sent while it is being written, and brings back what an earlier app has left."""

from __future__ import annotations

from typing import Any

from textual.screen import Screen

from ml_intern.services.threads import in_thread
from ml_intern.tui.drafts import Draft, DraftKeeper
from ml_intern.tui.widgets.composer import Composer

PAUSE_S = 0.5
"""Changes within this time are written down together."""
BACK = "What was not sent when ml-intern last ended is back."


class Drafting:
    """Acts for the main screen.

    Args:
        screen: Carries timer and worker.
        composer: Where it is written.
    """

    def __init__(self, screen: Screen[Any], composer: Composer) -> None:
        self._screen = screen
        self._composer = composer
        self._keeper = DraftKeeper()
        self._kept = Draft()
        self._scheduled = False

    def begin(self, keeper: DraftKeeper, left: Draft) -> None:
        """Keeps drafts from now on, and brings back what was left."""
        self._keeper.close(forget=True)
        self._keeper, self._kept = keeper, Draft()
        if left:
            self._composer.restore(left)
            self._screen.notify(BACK, markup=False)
        self.changed()

    def changed(self) -> None:
        """What was not sent is another now; it is written down soon."""
        if not self._scheduled:
            self._scheduled = True
            self._screen.set_timer(PAUSE_S, self._save_soon)

    def end(self) -> None:
        """The app is being left: what is not written down yet is, at once."""
        draft = self._composer.draft
        if draft != self._kept:
            self._keeper.save(draft)
        self._keeper.close(forget=not draft)

    def forget(self) -> None:
        """Another session begins, with nothing in the prompt."""
        self._keeper.close(forget=True)
        self._keeper, self._kept = DraftKeeper(), Draft()

    def _save_soon(self) -> None:
        self._screen.run_worker(self._save(), name="keeping the draft", group="draft", exit_on_error=False)

    async def _save(self) -> None:
        """Writes until what was written is what there is: changes that come meanwhile start no other writing."""
        try:
            while (draft := self._composer.draft) != self._kept:
                keeper, self._kept = self._keeper, draft
                await in_thread(lambda: keeper.save(draft), name="keeping the draft")  # noqa: B023 - awaited here
        finally:
            self._scheduled = False

"""Which model: the greeting tells when there is none, Enter leads to one, and what was chosen is kept once it works."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from ml_intern.tui import messages
from ml_intern.tui.panes.chat import ChatPane
from ml_intern.tui.screens.choosing import Chooser
from ml_intern.tui.setup import Setup
from ml_intern.tui.state import SessionState

if TYPE_CHECKING:
    from ml_intern.core import protocol


class ModelChoice:
    """Acts for the main screen.

    Args:
        screen: Where messages are posted.
        chat: Greets, and says what came of a choice.
        chooser: Switches to a model.
        state: The session.
        setup: What is known of the agent.

    Attributes:
        wanted: The model that the person has asked for; it is kept when it turns out that it can be used.
    """

    def __init__(
        self,
        screen: Screen[Any],
        chat: ChatPane,
        chooser: Chooser,
        state: Callable[[], SessionState],
        setup: Callable[[], Setup],
    ) -> None:
        self._screen = screen
        self._chat = chat
        self._chooser = chooser
        self._state = state
        self._setup = setup
        self._found: tuple[str, ...] = ()
        self._asks_when_ready = False
        self.wanted = ""

    def greet(self) -> None:
        """Says in an empty conversation what can be done."""
        self._chat.greet(self._state(), suggestion=self._setup().suggestion, found=self._found)

    def ask_when_ready(self) -> None:
        """Once the next agent is there, a model is chosen, if none can be used as things stand."""
        self._asks_when_ready = True

    def begin(self) -> None:
        """The agent is there: without a model that can be used, looks for servers on this machine."""
        problem = self._state().model_problem
        if problem:
            looking = self._look_for_servers()
            self._screen.run_worker(looking, name="looking for model servers", exit_on_error=False)
        if problem and self._asks_when_ready:
            self._screen.post_message(messages.OpenPicker("model"))
        self._asks_when_ready = False

    async def _look_for_servers(self) -> None:
        offers = await self._setup().find_models()
        self._found = tuple(offer.id for offer in offers if offer.local)
        self.greet()

    def changed(self, event: protocol.ModelChanged) -> None:
        """Another model is in use: it works, so it is kept if it was wanted."""
        if event.note:
            self._chat.say(event.note)
        if event.model == self.wanted:
            self.wanted = ""
            self._screen.post_message(messages.KeepModel(event.model))

    def nearest(self) -> None:
        """Leads to a model where there is none: one that was found here, a key to give, or all there are."""
        keys = self._setup().keys
        if not (self._state().ready and self._state().model_problem):
            return
        if self._found:
            self._chooser.use_model(self._found[0])
        elif keys is not None and not keys.present:
            self._screen.post_message(messages.SignIn())
        else:
            self._screen.post_message(messages.OpenPicker("model"))

"""Puts the agent's questions to the person in front of a screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ml_intern.tui import messages
from ml_intern.tui.screens.typing_pause import TypingPause
from ml_intern.tui.setup import Setup

if TYPE_CHECKING:
    from textual.screen import Screen

    from ml_intern.core.protocol import QuestionAsked, QuestionResolved
    from ml_intern.tui.modals.ask import Chosen, QuestionDialog
    from ml_intern.tui.widgets.hints import Hints


class Asking:
    """Opens and closes the dialog of the open question.

    Args:
        screen: Where the question comes up, and where the answer goes.
        hints: Says what is waited for.
        setup: Gives the facts about this run.
        since_key: Gives the seconds since a key was last typed into the prompt.
    """

    def __init__(
        self, screen: Screen[Any], hints: Hints, setup: Callable[[], Setup], since_key: Callable[[], float]
    ) -> None:
        self._screen = screen
        self._hints = hints
        self._setup = setup
        self._pause = TypingPause(screen, since_key)
        self._dialog: QuestionDialog | None = None

    def take(self, message: messages.AgentMessage) -> None:
        """Follows what the agent asks."""
        match message:
            case messages.QuestionPut(event=event):
                self._put(event)
            case messages.QuestionSettled(event=event):
                self._settle(event)

    def _put(self, question: QuestionAsked) -> None:
        """Asks, once the person has paused typing."""
        from ml_intern.tui.modals.ask import QuestionDialog

        grace_s = self._setup().grace_s
        self._hints.begin("waiting for your answer")
        self._dialog = dialog = QuestionDialog(question, grace_s)
        self._pause.then(lambda: self._open(dialog), patient=grace_s > 0)

    def _open(self, dialog: QuestionDialog) -> None:
        self._screen.app.push_screen(dialog, self._answer)

    def _settle(self, event: QuestionResolved) -> None:
        """The question waits no longer: a dialog that is still open closes."""
        self._hints.begin("working")
        if self._pause.drop():
            self._dialog = None
        elif self._dialog is not None and self._dialog.withdraw() and event.how == "withdrawn":
            self._screen.notify("The question was withdrawn.", markup=False)

    def _answer(self, chosen: Chosen | None) -> None:
        """The dialog was closed. None: from outside, and there is nothing to say."""
        self._dialog = None
        if chosen is not None:
            self._hints.begin("working")
            self._screen.post_message(messages.Operate("answer_question", **chosen.fields()))

"""Puts the agent's questions to the person in front of a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml_intern.tui import messages

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
    """

    def __init__(self, screen: Screen[Any], hints: Hints) -> None:
        self._screen = screen
        self._hints = hints
        self._dialog: QuestionDialog | None = None

    def put(self, question: QuestionAsked, grace_s: float, *, bell: bool) -> None:
        """Asks."""
        from ml_intern.tui.modals.ask import QuestionDialog

        self._hints.begin("waiting for your answer")
        self._dialog = QuestionDialog(question, grace_s)
        self._screen.app.push_screen(self._dialog, self._answer)
        if bell:
            self._screen.app.bell()

    def settle(self, event: QuestionResolved) -> None:
        """The question waits no longer: a dialog that is still open closes."""
        self._hints.begin("working")
        if self._dialog is not None and self._dialog.withdraw() and event.how == "withdrawn":
            self._screen.notify("The question was withdrawn.", markup=False)

    def _answer(self, chosen: Chosen | None) -> None:
        """The dialog was closed. None: from outside, and there is nothing to say."""
        self._dialog = None
        if chosen is not None:
            self._hints.begin("working")
            self._screen.post_message(messages.Operate("answer_question", **chosen.fields()))

"""Puts the agent's requests for approval to the person in front of a screen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_intern.tui import messages
from ml_intern.tui.screens.typing_pause import TypingPause
from ml_intern.tui.setup import Setup

if TYPE_CHECKING:
    from textual.screen import Screen

    from ml_intern.core.protocol import ApprovalRequired, ApprovalResolved
    from ml_intern.tui.modals.approvals import ApprovalDialog
    from ml_intern.tui.modals.batch import Answer
    from ml_intern.tui.widgets.hints import Hints


class Approving:
    """Opens and closes the dialog of the open request.

    Args:
        screen: Where the request comes up, and where the answer goes.
        hints: Says what is waited for.
        setup: Gives the facts about this run.
        workdir: Gives the directory that the agent works in.
        since_key: Gives the seconds since a key was last typed into the prompt.
    """

    def __init__(
        self,
        screen: Screen[Any],
        hints: Hints,
        setup: Callable[[], Setup],
        workdir: Callable[[], str],
        since_key: Callable[[], float],
    ) -> None:
        self._screen = screen
        self._hints = hints
        self._setup = setup
        self._workdir = workdir
        self._pause = TypingPause(screen, since_key)
        self._dialog: ApprovalDialog | None = None

    def take(self, message: messages.AgentMessage) -> None:
        """Follows what the agent asks."""
        match message:
            case messages.ApprovalAsked(event=event):
                self._put(event)
            case messages.ApprovalSettled(event=event):
                self._settle(event)

    def _put(self, request: ApprovalRequired) -> None:
        """Asks, once the person has paused typing. An earlier request that is still open is withdrawn."""
        from ml_intern.tui.modals.approval_text import Place
        from ml_intern.tui.modals.approvals import ApprovalDialog

        setup = self._setup()
        self._hints.begin("waiting for your approval")
        if self._dialog is not None:
            self._dialog.withdraw()
        workdir = self._workdir()
        rule_file = setup.rules.file if setup.rules is not None else ""
        place = Place(Path(workdir) if workdir else None, setup.sandbox_dir, rule_file)
        self._dialog = dialog = ApprovalDialog(request, setup.grace_s, setup.jobs, place=place)
        self._pause.then(lambda: self._open(dialog), patient=setup.grace_s > 0)

    def _open(self, dialog: ApprovalDialog) -> None:
        self._screen.app.push_screen(dialog, self._answer)

    def _settle(self, event: ApprovalResolved) -> None:
        """The request waits no longer: a dialog that is still open closes."""
        self._hints.begin("working")
        unopened = self._pause.drop()
        if self._dialog is None or event.how == "decided":
            return
        if unopened:
            self._dialog = None
        elif self._dialog.withdraw():
            self._screen.notify("The request was withdrawn: nothing was run.", markup=False)

    def _answer(self, answer: Answer | None) -> None:
        """The dialog was closed. None: from outside, and there is nothing to say."""
        self._dialog = None
        if answer is None:
            return
        self._hints.begin("interrupting" if answer.interrupt else "working")
        if answer.interrupt:
            self._screen.post_message(messages.Operate("interrupt"))
        else:
            self._screen.post_message(messages.Operate("exec_approval", approvals=answer.decisions))

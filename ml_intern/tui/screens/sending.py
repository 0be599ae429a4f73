"""What is entered on the main screen: prompts on their way to the agent, at once or when it can hear them, commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.screen import Screen

from ml_intern.tui import messages
from ml_intern.tui.commands import Command, UsageError, parse
from ml_intern.tui.entries import Entry
from ml_intern.tui.keys.keymap import keymap_of
from ml_intern.tui.screens.person_shell import PersonShell
from ml_intern.tui.screens.reading import BUSY, Reading
from ml_intern.tui.setup import Setup
from ml_intern.tui.state import SessionState
from ml_intern.tui.widgets.composer import Composer
from ml_intern.tui.widgets.hints import Hints


class Sending:
    """Acts for the main screen.

    Args:
        screen: Where messages are posted.
        composer: Where prompts are typed, and wait.
        hints: Says what goes on.
        reading: Sends earlier prompts anew.
        shell: Runs commands of the person's own.
        state: The session.
        setup: What is known of the agent.
        refresh: Shows what has changed at the edges of the screen.
    """

    def __init__(
        self,
        screen: Screen[Any],
        composer: Composer,
        hints: Hints,
        reading: Reading,
        shell: PersonShell,
        state: Callable[[], SessionState],
        setup: Callable[[], Setup],
        refresh: Callable[[], None],
    ) -> None:
        self._screen = screen
        self._composer = composer
        self._hints = hints
        self._reading = reading
        self._shell = shell
        self._state = state
        self._setup = setup
        self._refresh = refresh

    def take(self, event: Composer.Entered) -> None:
        """Does what was entered: a prompt, a command, or a command of the person's own shell."""
        text = event.entry.text
        if not event.typed:
            self.say(event.entry, typed=False, at_once=event.at_once)
            return
        if text.startswith("!") and (command := text[1:].strip()):
            self._run_own(command, text)
            return
        try:
            entered = parse(text)
        except UsageError as error:
            self._refuse(str(error), Entry(text))
            return
        if entered.command is not None:
            self.run_command(entered.command, entered.text, text)
        else:
            self._send(entered.text, at_once=event.at_once)

    def _send(self, text: str, *, at_once: bool) -> None:
        """Sends what was typed with what is attached; in the place of an earlier prompt if that was edited."""
        state, entry = self._state(), self._composer.with_attached(text)
        if not self._reading.editing or state.model_problem or not state.ready:
            self.say(entry, at_once=at_once)
        elif state.running:
            self._refuse(BUSY, entry)
        else:
            self._reading.send_anew(entry)

    def _run_own(self, command: str, typed: str) -> None:
        """Runs a command of the person's own, whatever the agent does meanwhile."""
        workdir = self._state().workdir
        if self._shell.running:
            self._refuse("A command of yours is running. {interrupt} stops it.", Entry(typed))
        elif not workdir:
            self._refuse("The agent is still starting; its workspace is not known yet.", Entry(typed))
        else:
            self._shell.start(command, Path(workdir))

    def run_command(self, command: Command, argument: str = "", typed: str = "") -> None:
        """Carries out a command, or says why not and gives the typed text back."""
        if objection := command.objection(self._state()):
            self._refuse(objection, Entry(typed))
            return
        try:
            message = command.make(argument)
        except UsageError as error:
            self._refuse(str(error), Entry(typed))
            return
        if isinstance(message, messages.Operate) and message.kind == "steer":
            self._state().told.append(Entry(message.fields["text"]))
            self._refresh()
        self._screen.post_message(message)

    def _refuse(self, why: str, entry: Entry) -> None:
        self._screen.notify(keymap_of(self._screen).tell(why), severity="warning", markup=False)
        self._composer.give_back(entry)

    def say(self, entry: Entry, *, typed: bool = True, at_once: bool = False) -> None:
        """Sends a prompt, or lets it wait until it can be sent.

        Args:
            entry: The prompt.
            typed: It was typed now; else it has waited.
            at_once: A turn that runs is told it.
        """
        state = self._state()
        if state.ready and state.model_problem:
            self._refuse("Choose a model first; the prompt waits.", entry)
            self._screen.post_message(messages.OpenPicker("model"))
        elif state.ready and (at_once or not state.running):
            kind = "steer" if state.running else "user_input"
            if state.running:
                state.told.append(entry)
            state.running = True
            self._hints.begin("working")
            if typed:
                self._composer.sent()
            self._screen.post_message(messages.Operate(kind, **entry.fields(self._setup().redact)))
        else:
            self._composer.queue(entry, typed=typed)
            if state.lost:
                state.lost = False
                self._hints.say("starting …")
                self._screen.post_message(messages.RestartAgent())
        self._refresh()

    def send_next(self) -> None:
        """Sends what has waited longest, if it can be sent."""
        state = self._state()
        if not (state.ready and not state.running and self._composer.has_due):
            return
        if entry := self._composer.take_next():
            self.say(entry, typed=False)

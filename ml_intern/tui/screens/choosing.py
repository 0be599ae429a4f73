"""Choosing from a list: opens the picker for a subject and turns the choice into an intent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.screen import Screen

from ml_intern.options import DEMO_MODEL
from ml_intern.tui import messages
from ml_intern.tui.commands import COMMANDS, Command
from ml_intern.tui.keys.keymap import keymap_of
from ml_intern.tui.panes.chat import rewind_index
from ml_intern.tui.screens import pickers
from ml_intern.tui.setup import EffortMeaning, FindModels, no_models
from ml_intern.tui.state import SessionState

if TYPE_CHECKING:
    from ml_intern.core.jobs_backend import JobsBackend
    from ml_intern.tui.modals.wish import Wish


class Chooser:
    """Opens pickers over a screen.

    Args:
        screen: Where intents are posted.
        run_command: Carries out a command that was picked.
        prompts: What was said to the agent so far, oldest first.
    """

    def __init__(
        self, screen: Screen[None], run_command: Callable[[Command], None], prompts: Callable[[], list[str]]
    ) -> None:
        self.find_models: FindModels = no_models
        self.effort_meaning: EffortMeaning = lambda _model, _level: ""
        self._screen = screen
        self._run_command = run_command
        self._prompts = prompts

    def open(self, subject: str, state: SessionState) -> None:
        """Lets the person choose a `command`, `model`, `mode`, `effort`, `theme`, or a prompt to go back to."""
        app = self._screen.app
        match subject:
            case "command":
                app.push_screen(pickers.command_picker(state, keymap_of(self._screen)), self._run_picked)
            case "model":
                self._pick_model(state)
            case "mode":
                app.push_screen(pickers.mode_picker(state), self._operate_with("set_mode", "mode"))
            case "effort":
                app.push_screen(
                    pickers.effort_picker(state, self.effort_meaning), self._operate_with("set_effort", "effort")
                )
            case "theme":
                self._pick_theme()
            case "prompt" | "prompt and files":
                self._pick_prompt(restore_files=subject == "prompt and files")

    def use_model(self, model: str | None) -> None:
        """Changes to a model. The practice model has a session and a directory of its own."""
        if model == DEMO_MODEL:
            self._screen.post_message(messages.StartPractice())
        elif model is not None:
            self._screen.post_message(messages.Operate("set_model", model=model))

    def show_hardware(self, jobs: JobsBackend | None, model: str, insert: Callable[[str], object]) -> None:
        """Shows hardware and prices; what is chosen is handed on as text.

        Args:
            jobs: Where they come from; None while there is no agent.
            model: Name or size of a model that is to fit, or empty.
            insert: Takes the name of the flavor.
        """
        if jobs is None:
            self._screen.notify("There is no agent that could tell. Wait until it is ready.", severity="warning")
            return
        from ml_intern.tui.modals.hardware import HardwarePicker

        def take(wish: Wish | None) -> None:
            if wish is not None:
                insert(wish.flavor)

        self._screen.app.push_screen(HardwarePicker(jobs, model=model, verb="put into the prompt"), take)

    def _run_picked(self, name: str | None) -> None:
        for command in COMMANDS:
            if command.name == name:
                self._to_the_front()
                self._run_command(command)

    def _to_the_front(self) -> None:
        """Leaves the screens from which the commands were asked for: what a command does is to be seen."""
        while self._screen.app.screen is not self._screen:
            self._screen.app.pop_screen()

    def _operate_with(self, kind: str, field: str) -> Callable[[str | None], None]:
        def operate(value: str | None) -> None:
            if value is not None:
                self._screen.post_message(messages.Operate(kind, **{field: value}))

        return operate

    def _pick_model(self, state: SessionState) -> None:
        picker = pickers.model_picker(state)

        def decide(model: str | None) -> None:
            if model != state.model:
                self.use_model(model)

        self._screen.app.push_screen(picker, decide)
        finding = pickers.fill_models(picker, self.find_models, state.model)
        self._screen.run_worker(finding, name="looking for models", exit_on_error=False)

    def _pick_prompt(self, *, restore_files: bool) -> None:
        prompts = self._prompts()
        if not prompts:
            self._screen.notify("There is no prompt yet to go back to.", markup=False)
            return

        def go_back(number: str | None) -> None:
            if number is not None:
                index = rewind_index(int(number), len(prompts))
                self._screen.post_message(messages.Operate("rewind", prompt=index, restore_files=restore_files))

        self._screen.app.push_screen(pickers.prompt_picker(prompts, files=restore_files), go_back)

    def _pick_theme(self) -> None:
        app = self._screen.app
        before = app.theme

        def preview(name: str) -> None:
            self._screen.post_message(messages.SetTheme(name, keep=False))

        def decide(name: str | None) -> None:
            self._screen.post_message(messages.SetTheme(name or before, keep=name is not None))

        app.push_screen(pickers.theme_picker(app.available_themes, before, preview), decide)

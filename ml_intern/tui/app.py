"""The app: screens, themes, the agent's worker and the ways out. What is done on a screen belongs to the screen."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.binding import BindingType
from textual.filter import LineFilter
from textual.message_pump import MessagePump
from textual.reactive import Reactive
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from ml_intern.options import Options
from ml_intern.resources import styles_path
from ml_intern.tui import messages
from ml_intern.tui.agent_life import AgentLife
from ml_intern.tui.bridge import Connect, connect
from ml_intern.tui.clipboard import clipboard_sequence
from ml_intern.tui.copying import Copying
from ml_intern.tui.early.frame import FirstFrame
from ml_intern.tui.early.look import DEFAULT_THEME
from ml_intern.tui.early.opening import OpeningApp
from ml_intern.tui.early.output import title_sequence
from ml_intern.tui.fault import record_fault
from ml_intern.tui.following import Following
from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.modals.confirm import Confirm
from ml_intern.tui.past import Past
from ml_intern.tui.printable import PrintableOnly
from ml_intern.tui.screens.main import MainScreen
from ml_intern.tui.sharing import ASKED as SHARING_ASKED
from ml_intern.tui.stall import StallWatch
from ml_intern.tui.summons import Summons
from ml_intern.tui.way_out import WayOut
from ml_intern.tui.widgets.text import typed

log = logging.getLogger(__name__)


class MLInternApp(OpeningApp):
    """The full-screen app.

    Args:
        options: Flags of this run.
        connect: Builds the agent.
        clock: Seconds since the epoch, for times and durations on the screen.
        first_frame: What is on the screen until the app paints.
        light: The terminal's background is light.
    """

    TITLE = "ml-intern"
    CSS_PATH: ClassVar = sorted(styles_path().glob("*.tcss"))
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - as Textual declares it
        (0, "-narrow"),
        (100, "-medium"),
        (140, "-wide"),
    ]
    # Textual would take the focus away, style every widget anew and paint the whole terminal, each time a person looks
    # at another window. Nothing here looks different then, so nothing is done.
    app_focus = Reactive(True, compute=False, repaint=False)
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("commands", "pick('command')"),
        bind("settings", "settings"),
        bind("jump", "jump"),
        bind("help", "help"),
        bind("sessions", "sessions"),
        bind("jobs", "jobs"),
        bind("copy", "copy_or_quit"),
        bind("quit", "leave"),
    ]

    def __init__(
        self,
        options: Options,
        connect: Connect = connect,
        clock: Callable[[], float] = time.time,
        first_frame: FirstFrame | None = None,
        light: bool = False,
    ) -> None:
        super().__init__(options, first_frame, light=light)
        self._clock = clock
        self._stall: StallWatch | None = None
        self._agent = AgentLife(
            self,
            options,
            connect,
            lambda: self.main_screen,
            self._back_to_main,
            lambda words: self._way_out.fail(words),
        )
        self._way_out = WayOut(
            self,
            lambda: self.main_screen,
            self._agent.stop,
            lambda: self._stall is not None and self._stall.stalled,
        )
        self._summons = Summons(self)
        self._copying = Copying(self, lambda: self.main_screen.setup.kept_copies)
        self._printable = PrintableOnly()
        self._following = Following(self, self._workspace, self._copying.take)
        self._past = Past(self, lambda: self.main_screen, self._back_to_main, self._agent.go_on, clock)

    # ------------------------------------------------------------------------------------------------- the agent

    def get_default_screen(self) -> Screen[None]:
        """The main screen."""
        screen = MainScreen(practice=self._agent.options.demo, clock=self._clock)
        screen.paints = False
        return screen

    @property
    def main_screen(self) -> MainScreen:
        """The screen at the bottom of the stack."""
        screen = self.screen_stack[0]
        assert isinstance(screen, MainScreen)
        return screen

    @property
    def farewell(self) -> str:
        """What is said in the terminal after the app is gone."""
        return self._way_out.farewell

    @property
    def way_of_keys(self) -> Sequence[MessagePump]:
        """From the prompt upwards."""
        return self.main_screen.prompt_and_above

    def on_mount(self) -> None:
        """The agent is built once the first frame is on its way."""
        self._way_out.watch()
        self.tell_of_wrong_choices()

    @on(messages.ScreenMounted)
    def _settle(self, message: messages.ScreenMounted) -> None:
        message.stop()
        self.settle()

    def on_opened(self) -> None:
        """Behind the first real frame the agent is built."""
        self.main_screen.paints = True
        self.call_after_refresh(self._start_agent)
        self._agent.options = self._past.begin(self._agent.options)

    async def on_event(self, event: events.Event) -> None:
        """Notes that somebody is there, and lets nothing in that a terminal could act on."""
        if isinstance(event, events.InputEvent):
            self._summons.heard()
        if isinstance(event, events.Paste):
            event.text = typed(event.text)
        await super().on_event(event)

    def _start_agent(self) -> None:
        self._watch_loop()
        self._agent.start()

    def _watch_loop(self) -> None:
        """From now on, the log tells where the app stands still; not while it is suspended for an editor or a shell."""
        if self.is_headless or self._stall is not None:
            return
        from ml_intern.core.places import find_places

        self._stall = watch = StallWatch(find_places().logs)
        self.app_suspend_signal.subscribe(self, lambda _app: watch.stop())
        self.app_resume_signal.subscribe(self, lambda _app: watch.start())
        watch.start()

    @on(messages.Operate)
    def _operate(self, message: messages.Operate) -> None:
        message.stop()
        self._agent.operate(message)

    @on(messages.RestartAgent)
    def _restart(self, message: messages.RestartAgent) -> None:
        message.stop()
        self._agent.start()

    @on(messages.KeyKept)
    def _use_key(self, message: messages.KeyKept) -> None:
        message.stop()
        if self.screen_stack:  # else the app ends, and the next one uses it
            self.run_worker(self._agent.begin_with_key(), name="using a key", exit_on_error=False)

    @on(messages.KeepModel)
    def _keep_model(self, message: messages.KeepModel) -> None:
        message.stop()
        self.run_worker(self.keep_choice("model_name", message.model), name="saving the model", exit_on_error=False)

    @on(messages.StartPractice)
    def _offer_practice(self, message: messages.StartPractice) -> None:
        message.stop()
        self._agent.offer_practice()

    @on(messages.ShareTraces)
    def _share(self, message: messages.ShareTraces) -> None:
        message.stop()
        operation = messages.Operate("share_traces", action=message.action)
        if message.action not in SHARING_ASKED:
            self.main_screen.post_message(operation)
            return

        def decide(yes: bool | None) -> None:
            if yes:
                self.main_screen.post_message(operation)

        title, text, answer = SHARING_ASKED[message.action]
        self.push_screen(Confirm(title, text, answer), decide)

    @on(messages.ReviewSession)
    def _review(self, message: messages.ReviewSession) -> None:
        message.stop()
        self._past.review(message)

    @on(messages.OpenSessions)
    def _open_sessions(self, message: messages.OpenSessions) -> None:
        message.stop()
        self._past.toggle_sessions()

    @on(messages.DescribeSession)
    def _describe_session(self, message: messages.DescribeSession) -> None:
        message.stop()
        self._agent.describe(message)

    @on(messages.OpenSession)
    def _offer_session(self, message: messages.OpenSession) -> None:
        message.stop()
        self._past.offer(message.session_id)

    def _back_to_main(self) -> None:
        while len(self.screen_stack) > 1:
            self.pop_screen()

    @on(Worker.StateChanged)
    def _tell_of_worker_error(self, event: Worker.StateChanged) -> None:
        if event.state is not WorkerState.ERROR:
            return
        error = event.worker.error
        log.error("worker %s failed", event.worker.name, exc_info=error)
        what = event.worker.name or "Something"
        text = f"{what} failed ({type(error).__name__}: {error}). The log file has the details."
        lost = event.worker.group == "agent"
        self.main_screen.post_message(messages.AgentLost(text) if lost else messages.Noticed(text, "error"))

    # -------------------------------------------------------------------------------------------------- leaving

    @on(messages.Quit)
    def _quit(self, message: messages.Quit) -> None:
        message.stop()
        if message.at_once:
            self._way_out.begin()
        else:
            self._way_out.ask()

    async def action_leave(self) -> None:
        """Stops the agent and ends the app. A second call does not wait."""
        await self._way_out.leave()

    async def action_quit(self) -> None:
        """Textual's own way out leads the same way."""
        await self.action_leave()

    def key_read(self, key: str) -> None:
        """The key that quits, pressed twice, always leaves, even when the loop hangs."""
        self._way_out.key_read(key)

    def action_copy_or_quit(self) -> None:
        """Copies the selection; without one, interrupts the turn, and leaves at the second press."""
        if not self._copy_selection():
            self._way_out.press()

    def _copy_selection(self) -> bool:
        focused = self.focused
        text = self.screen.get_selected_text() or getattr(focused, "selected_text", "")
        if not text:
            return False
        self._copying.take(text, "the selection")
        return True

    @on(messages.CopyText)
    def _copy(self, message: messages.CopyText) -> None:
        message.stop()
        self._copying.take(message.text, message.what)

    @on(messages.FollowLink)
    def _follow_link(self, message: messages.FollowLink) -> None:
        message.stop()
        self._following.follow(message.text, message.target)

    @on(messages.ShowLinks)
    def _choose_link(self, message: messages.ShowLinks) -> None:
        message.stop()
        self._following.choose(message.links)

    def _workspace(self) -> Path:
        return getattr(self.screen, "workspace", self.main_screen.workspace)

    def open_url(self, url: str, *, new_tab: bool = True) -> None:
        """Opens an address in a browser, or copies it where there is none that the person would see."""
        self._following.open_address(url, lambda address: super(MLInternApp, self).open_url(address, new_tab=new_tab))

    def _watch_app_focus(self, _focus: bool) -> None:
        pass  # see `app_focus`

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's own, and after them the one that lets nothing through that a terminal could act on."""
        return [*super().get_line_filters(), self._printable]

    def copy_to_clipboard(self, text: str) -> None:
        """Hands a text to the terminal, through a multiplexer if there is one."""
        self._clipboard = text
        self.write_sequence(clipboard_sequence(text, os.environ))

    def _fatal_error(self) -> None:
        # Textual would print the traceback with all local variables, which is no help and may show secrets.
        self._way_out.farewell = record_fault(self._exception)
        self._close_messages_no_wait()

    # ------------------------------------------------------------------------------------------------- the terminal

    @on(messages.TitleChanged)
    def _set_terminal_title(self, message: messages.TitleChanged) -> None:
        message.stop()
        self.write_sequence(title_sequence(message.title))

    @on(messages.CallPerson)
    def _call_person(self, message: messages.CallPerson) -> None:
        message.stop()
        setup = self.main_screen.setup
        self._summons.call(message.news, bell=setup.bell, notices=setup.notices, redact=setup.redact)

    def write_sequence(self, sequence: str) -> None:
        """Writes a control sequence to the terminal, if there is one."""
        if self._driver is not None and not self.is_headless:
            self._driver.write(sequence)

    # ---------------------------------------------------------------------------------------------------- intents

    def action_pick(self, subject: str) -> None:
        """Opens a picker, except over a dialog: that is answered first."""
        if not self.screen.is_modal:
            self.main_screen.post_message(messages.OpenPicker(subject))

    def action_sessions(self) -> None:
        """Opens the sessions screen from anywhere, or closes it."""
        self.main_screen.post_message(messages.OpenSessions())

    def action_jump(self) -> None:
        """Puts a letter on everything that can be jumped to, and jumps."""
        from ml_intern.tui.jumping import find_targets
        from ml_intern.tui.modals.jump import JumpScreen

        targets = find_targets(self.screen)

        def jump(number: int | None) -> None:
            if number is not None:
                targets[number].go()

        if targets:
            self.push_screen(JumpScreen([target.offset for target in targets]), jump)

    def action_settings(self) -> None:
        """Opens the settings."""
        self.main_screen.post_message(messages.ShowSettings())

    @on(messages.Visit)
    def _visit_from_elsewhere(self, message: messages.Visit) -> None:
        """Another screen than the main one wants something shown."""
        message.stop()
        self.main_screen.post_message(message)

    @on(messages.SettingChanged)
    def _take_setting(self, message: messages.SettingChanged) -> None:
        message.stop()
        match message.key:
            case "ui.theme":
                self.use_theme(message.value or DEFAULT_THEME)
            case "ui.motion":
                self.use_motion(message.value)
            case "keys":
                self.use_keys(message.value)
            case _:
                self.main_screen.post_message(message)

    def action_jobs(self) -> None:
        """Opens the Jobs screen from anywhere, or closes it."""
        self.main_screen.post_message(messages.OpenJobs())

    @on(messages.ShowHelp)
    def action_help(self) -> None:
        """Explains what has the focus, or closes the explanation."""
        from ml_intern.tui.screens.help import HelpScreen, about, keys_here

        if isinstance(self.screen, HelpScreen):
            self.screen.dismiss(None)
        else:
            keys = () if self.screen is self.main_screen else keys_here(self.screen)
            self.push_screen(HelpScreen(about(self.focused, self.screen), keys))

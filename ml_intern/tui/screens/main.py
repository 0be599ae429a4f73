"""The main screen: status, panes, prompt. Hands the agent's messages to the panes and a person's intents upwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message_pump import MessagePump

from ml_intern.tui import leaving, messages
from ml_intern.tui.attention import Attention
from ml_intern.tui.commands import COMMANDS, Command
from ml_intern.tui.entries import Entry
from ml_intern.tui.keys.keymap import Keymap, bind, keymap_of
from ml_intern.tui.panes.chat import ChatPane
from ml_intern.tui.panes.jobs import JobsPane
from ml_intern.tui.panes.plan import PlanPane
from ml_intern.tui.panes.tool_calls import ToolCallsPane
from ml_intern.tui.panes.trail import TrailPane
from ml_intern.tui.screens.approving import Approving
from ml_intern.tui.screens.asking import Asking
from ml_intern.tui.screens.attaching import Attaching
from ml_intern.tui.screens.choosing import Chooser
from ml_intern.tui.screens.configuring import operation_for, setup_with
from ml_intern.tui.screens.drafting import Drafting
from ml_intern.tui.screens.edges import Edges
from ml_intern.tui.screens.jobs_watch import JobsWatch
from ml_intern.tui.screens.model_choice import ModelChoice
from ml_intern.tui.screens.paned import PanedScreen
from ml_intern.tui.screens.person_shell import PersonShell
from ml_intern.tui.screens.prompting import edit_prompt, search_history
from ml_intern.tui.screens.reading import Reading
from ml_intern.tui.screens.sending import Sending
from ml_intern.tui.screens.tidying import Tidying
from ml_intern.tui.screens.visits import Visits
from ml_intern.tui.screens.wording import status_text
from ml_intern.tui.setup import Setup
from ml_intern.tui.state import SessionState
from ml_intern.tui.widgets.composer import Composer
from ml_intern.tui.widgets.hints import Hints
from ml_intern.tui.widgets.status_bar import StatusBar
from ml_intern.tui.widgets.tabs import PaneTabs
from ml_intern.tui.widgets.text import one_line
from ml_intern.tui.widgets.transcript import Transcript
from ml_intern.tui.widgets.turn_piece import DraftPiece

TABS = {"chat": "#transcript", "tools": "#tool-list", "plan": "#plan", "jobs": "#job-list", "trail": "#source-list"}
"""The panes by name, and what of each takes the focus."""
SIDES = ("jobs", "trail")
"""The panes that take the place of the tool calls."""


class MainScreen(PanedScreen):
    """Three panes at 140 columns and more, two from 100, one with tabs below.

    Args:
        practice: The practice session was asked for.
        clock: Seconds since the epoch.

    Attributes:
        paints: Whether changes are painted.
    """

    PANES = TABS
    AUTO_FOCUS = "#prompt"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("interrupt", "escape"),
        bind("call", "open_call"),
        bind("spend", "show_spending"),
        bind("history", "search_history"),
        # Heard before all else and carried out before the next key, which belongs into the field already.
        bind("search", "search"),
        bind("chat.find", "search_from_chat"),
        bind("error.copy", "copy_error"),
        bind("editor", "edit_prompt"),
        *(bind(f"pane.{name}", f"show_tab('{name}')") for name in TABS),
        *(bind(f"/{command.name}", f"command('{command.name}')") for command in COMMANDS if not command.action),
    ]
    HELP = "The chat, the tool calls and the plan of one conversation. {fields} moves between them and the prompt."

    def __init__(self, *, practice: bool = False, clock: Callable[[], float] = time.time) -> None:
        super().__init__(classes="show-chat")
        self.paints = True
        self.state = SessionState()
        self._practice = practice
        self._clock = clock
        self._width = 0

    def compose(self) -> ComposeResult:
        """In the order in which Tab visits them."""
        yield StatusBar(id="status")
        yield PaneTabs(tuple(TABS), id="tabs")
        with Horizontal(id="panes"):
            yield ChatPane(practice=self._practice, clock=self._clock, id="chat")
            with Vertical(id="side"):
                yield PlanPane(self._clock, id="plan")
                yield ToolCallsPane(self._clock, id="tools")
                yield JobsPane(self._clock, id="jobs")
                yield TrailPane(id="trail")
        yield Composer(id="composer")
        yield Hints(self._clock, id="hints")

    def _compositor_refresh(self) -> None:
        # While the app opens, Textual would paint several times until styles, sizes and focus have settled: once is
        # enough, and `batch_update` would put the layout off as well.
        if self.paints:
            super()._compositor_refresh()
        else:
            self._dirty_widgets.clear()

    def on_mount(self) -> None:
        """Shows the chat; the rest follows the agent."""
        self._composer = self.query_one(Composer)
        self._chat = self.query_one(ChatPane)
        self._tools = self.query_one(ToolCallsPane)
        self._plan = self.query_one(PlanPane)
        self._hints = self.query_one(Hints)
        self._tabs = self.query_one(PaneTabs)
        self._edges = Edges(self, lambda: self.state, self._where)
        self._attention = Attention()
        since_key = self._composer.prompt.since_key
        self._approving = Approving(self, self._hints, lambda: self._setup, lambda: self.state.workdir, since_key)
        self._asking = Asking(self, self._hints, lambda: self._setup, since_key)
        self._setup = Setup()
        self._chooser = Chooser(self, self._run_command, lambda: self._chat.prompts)
        self.model_choice = ModelChoice(self, self._chat, self._chooser, lambda: self.state, lambda: self._setup)
        self._shell = PersonShell(self, self._chat, self._composer.attach)
        self._attaching = Attaching(self, self._composer, lambda: self._setup, lambda: self.state)
        self._drafting = Drafting(self, self._composer)
        self._tidying = Tidying(self, self._clock)
        self._reading = Reading(
            self, self._chat, self._composer, lambda entry: self._sending.say(entry), lambda: self.show_tab("chat")
        )
        self._sending = Sending(
            self,
            self._composer,
            self._hints,
            self._reading,
            self._shell,
            lambda: self.state,
            lambda: self._setup,
            self._edges.refresh,
        )
        self._jobs = self.query_one(JobsPane)
        self._trail = self.query_one(TrailPane)
        self._jobs_watch = JobsWatch(self, self._jobs, self._count_jobs, self._add_to_prompt, self._clock)
        self._visits = Visits(
            self,
            self._jobs_watch,
            self._chooser,
            self._tidying,
            self._tools,
            self._trail,
            self._composer.prompt.insert,
            self._clock,
        )
        self.model_choice.greet()
        self.action_show_tab("chat")
        self._hints.say("starting …")
        self._edges.refresh()
        self._composer.prompt.focus()
        self.post_message(messages.ScreenMounted())

    # ------------------------------------------------------------------------------------------ from the agent

    @on(messages.AgentMessage)
    def _take(self, message: messages.AgentMessage) -> None:
        if message.event is not None:
            self.state.apply(message.event)
            self._visits.take(message)
        for pane in (self._chat, self._tools, self._plan):
            pane.take(message)
        self._jobs_watch.take(message)
        news = self._attention.take(message)
        if news is not None and self.state.ready:  # what a resumed session tells of its past calls nobody
            self.post_message(messages.CallPerson(news))
        for dialogs in (self._approving, self._asking):
            dialogs.take(message)
        if reaction := _REACTIONS.get(type(message)):
            reaction(self, message)
        if message.event is not None:
            self._edges.refresh_soon()

    def _on_built(self, message: messages.AgentBuilt) -> None:
        self._setup = message.setup
        self._jobs_watch.begin(message.setup)
        self._chooser.find_models = message.setup.find_models
        self._chooser.effort_meaning = message.setup.effort_meaning
        self._tidying.end, self._tidying.grace_s = message.setup.end_leftover, message.setup.grace_s
        self.state.model_problem = message.setup.model_problem
        self._composer.prompt.past = message.setup.history
        self._composer.suggest(message.setup.suggestion)
        self._drafting.begin(message.setup.drafts, message.setup.draft)
        self.model_choice.greet()

    def _on_session(self, message: messages.SessionChanged) -> None:
        event = message.event
        if event.type == "ready":
            self._composer.work_in(Path(event.workdir) if event.workdir else None)
            self._hints.say("")
            for note in event.notes:
                self._chat.say(note, "warning")
            self._sending.send_next()
            self.model_choice.begin()
        elif event.type == "model_changed":
            self.model_choice.changed(event)
        self._attaching.look_at_model()
        self.model_choice.greet()

    def _on_drafted(self, message: messages.CallsDrafted) -> None:
        drafts = message.event.calls
        self._hints.begin(f"writing {one_line(DraftPiece(drafts[-1]).plain, 60)}" if drafts else "working")

    def _on_turn_started(self, _message: messages.TurnStarted) -> None:
        self._hints.begin("working")

    def _on_turn_ended(self, message: messages.TurnEnded) -> None:
        self._hints.say("")
        if message.event.type == "turn_complete":
            self._sending.send_next()
        else:
            self._composer.hold()

    def _on_leftovers(self, message: messages.LeftoversFound) -> None:
        if self.state.ready:  # a resumed session tells of those of its own time too
            busy = self.state.running or bool(self._composer.prompt.text) or not self.is_active
            self._tidying.take(message.event.items, ask=not busy)

    def _on_undone(self, message: messages.Undone) -> None:
        anew = self._reading.took_back(message)
        if self.state.ready and not anew:
            self._attaching.give_back(message.event)

    def _on_lost(self, _message: messages.AgentLost) -> None:
        self.state.ready = self.state.running = self.state.waiting = False
        self.state.lost = True
        self._hints.say("the agent stopped")
        self._composer.hold()
        self._edges.refresh()

    # ----------------------------------------------------------------------------------------- from the person

    @on(Composer.Entered)
    def _enter(self, event: Composer.Entered) -> None:
        self._sending.take(event)

    def _run_command(self, command: Command) -> None:
        self._sending.run_command(command)

    @on(Composer.Unsent)
    def _keep_draft(self, event: Composer.Unsent) -> None:
        event.stop()
        self._drafting.changed()

    @on(messages.Attach)
    def _take_along(self, message: messages.Attach) -> None:
        message.stop()
        self._attaching.take(message.path)

    def on_unmount(self) -> None:
        """What was not sent is kept."""
        self._drafting.end()

    @on(Composer.EnteredNothing)
    def _lead_to_a_model(self) -> None:
        self.model_choice.nearest()

    @on(messages.OpenPicker)
    def _pick(self, message: messages.OpenPicker) -> None:
        message.stop()
        self._chooser.open(message.subject, self.state)

    @on(messages.ShowStatus)
    def _show_status(self, message: messages.ShowStatus) -> None:
        message.stop()
        self._chat.say(status_text(self.state), "info")

    @on(messages.Visit)
    def _visit(self, message: messages.Visit) -> None:
        message.stop()
        self._visits.open(message, self.state, self._setup)

    @on(messages.SettingChanged)
    def _take_setting(self, message: messages.SettingChanged) -> None:
        message.stop()
        self._setup = setup_with(self._setup, message.key, message.value)
        self._tidying.grace_s = self._setup.grace_s
        if message.key == "model_name" and message.value != self.state.model:
            self._chooser.use_model(message.value or None)
        elif operation := operation_for(message.key, message.value):
            self.post_message(operation)

    def _add_to_prompt(self, text: str) -> None:
        """Puts a text behind what is in the prompt already."""
        before = self._composer.prompt.text.rstrip()
        self._composer.prompt.fill(f"{before}\n\n{text}" if before else text)
        self._composer.prompt.focus()

    def _count_jobs(self, running: int, usd: float | None) -> None:
        self.state.jobs, self.state.jobs_usd = running, usd
        self._edges.refresh()

    # ---------------------------------------------------------------------------------------- keys and the look

    def action_escape(self) -> None:
        """Stops a command of the person's own or leaves an earlier prompt; interrupts what runs; else to the prompt."""
        if self._shell.running:
            self._shell.stop()
            return
        if self._reading.editing:
            self._reading.leave()
            return
        if self.state.running or self.state.waiting:
            self._hints.begin("interrupting")
        else:
            self._chat.end_search()
        self.post_message(messages.Operate("interrupt"))
        self._composer.prompt.focus()

    async def action_search(self) -> None:
        """Looks for a text in the conversation."""
        await self._reading.search()

    async def action_search_from_chat(self) -> None:
        """The same, while the chat has the focus: elsewhere the key is text."""
        await self.action_search()

    @on(messages.ChatIntent)
    async def _read(self, message: messages.ChatIntent) -> None:
        message.stop()
        await self._reading.take(message)

    @on(ChatPane.PromptWanted)
    def _edit_earlier(self, event: ChatPane.PromptWanted) -> None:
        event.stop()
        if self._reading.edit(event.number, event.text, busy=self.state.running or self.state.waiting):
            self._attaching.attach_kept(event.images)

    def action_copy_error(self) -> None:
        """The last error, with what whoever is asked for help needs to know."""
        self._chat.copy("error")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that are text where something is typed."""
        del parameters
        return action != "search_from_chat" or isinstance(self.focused, Transcript)

    def action_search_history(self) -> None:
        """Finds an earlier prompt of this directory."""
        search_history(self.app, self._composer.prompt)

    def action_edit_prompt(self) -> None:
        """Opens the prompt in the person's own editor."""
        edit_prompt(self.app, self._composer.prompt)

    def action_command(self, name: str) -> None:
        """Carries out a command that a person gave a key to."""
        self._run_command(next(command for command in COMMANDS if command.name == name))

    def action_show_spending(self) -> None:
        """Opens the spend screen."""
        self.post_message(messages.ShowSpending())

    def action_open_call(self) -> None:
        """The chosen or newest tool call in full."""
        self.post_message(messages.OpenCall(self._tools.chosen))

    def show_tab(self, name: str) -> None:
        """Shows one pane where there is room for one only; the focus stays."""
        classes = {f"show-{tab}": tab == name for tab in TABS}
        if name in {"tools", *SIDES}:
            classes |= {f"side-{side}": side == name for side in SIDES}
        self.update_classes(classes)  # all in one, since each change means new styles for the whole screen
        self._tabs.active = name

    def action_show_tab(self, name: str) -> None:
        """Shows one pane where there is room for one only, and gives it the keys."""
        self.show_tab(name)
        where = self._where()
        one_only = self.has_class("-narrow") or self.has_class("-zoomed")
        if {name, where} & set(SIDES) or (one_only and where != "prompt"):
            self.query_one(TABS[name]).focus()

    @on(Composer.Filled)
    @on(events.DescendantFocus)
    @on(events.Click)
    def _offer_keys(self) -> None:
        """The keys at the bottom are those of what has the focus, and of the panes that fit."""
        self.call_later(self._edges.refresh)

    @on(events.Resize)
    def _fit(self, event: events.Resize) -> None:
        if event.size.width != self._width:  # where a terminal has no size, each layout resizes the screen by a row
            self._width = event.size.width
            self._offer_keys()

    def on_key(self, event: events.Key) -> None:
        """Typing goes to the prompt, wherever the focus is."""
        if not (event.is_printable and event.character) or self._where() == "prompt":
            return
        number = int(event.character) if event.character in "12345" else 0
        if number and (self.has_class("-narrow") or self._where() in {"tools", *SIDES}):
            self.action_show_tab(list(TABS)[number - 1])
        elif event.key not in self.active_bindings or self._is_typed(event.character):
            event.stop()
            self._composer.prompt.focus()
            self._composer.prompt.take_letter(event.character)

    def on_paste(self, event: events.Paste) -> None:
        """So does what is pasted or dropped."""
        event.stop()
        self._composer.prompt.focus()
        self._composer.prompt.post_message(events.Paste(event.text))

    def _is_typed(self, character: str) -> bool:
        """Whether a letter is meant for the prompt although it does something in the chat."""
        return character.isalpha() and isinstance(self.focused, Transcript) and not self._chat.takes_letters

    def _where(self) -> str:
        """What has the focus: a pane by its name, `search` or `prompt`."""
        if self.focused is None:  # it was in a pane that is not shown any more
            return self._tabs.active
        pane = self.pane_in_focus
        return "search" if pane and self._chat.search_typing else pane or "prompt"

    def take_keymap(self, _keymap: Keymap) -> None:
        """Shows the keys that count now."""
        self._edges.refresh()

    def begin_afresh(self, *, practice: bool) -> None:
        """Empties the screen for another agent."""
        self.state = SessionState()
        self._visits.begin_afresh()
        self._setup = Setup()
        self._composer.clear_queue()
        self._reading.forget()
        self._shell.stop()
        self._composer.put(Entry())
        self._drafting.forget()
        self._chat.begin_afresh(practice=practice)
        self._tools.clear()
        self._jobs_watch.clear()
        self._plan.clear()
        self._hints.say("starting …")
        self.model_choice.greet()
        self._edges.refresh()

    @property
    def prompt_and_above(self) -> Sequence[MessagePump]:
        """The prompt and all that its messages go through, in this order."""
        return [node for node in self._composer.prompt.ancestors_with_self if node is not self.app]

    @property
    def setup(self) -> Setup:
        """The facts about this run."""
        return self._setup

    @property
    def workspace(self) -> Path:
        """Where the agent works; the present directory while that is not known."""
        return Path(self.state.workdir or ".")

    @property
    def farewell(self) -> str:
        """What is said in the terminal after the app is gone."""
        state = self.state
        session = f"session {state.session_id} · ${state.cost_usd:.2f}" if state.title else ""
        return leaving.farewell(session, self._jobs_watch.detached)

    @property
    def doubt(self) -> str:
        """What to ask before the app is left, or empty."""
        return keymap_of(self).tell(leaving.question(self.state.running, self._jobs_watch.detached))


_REACTIONS: dict[type[messages.AgentMessage], Callable[[MainScreen, Any], None]] = {
    messages.AgentBuilt: MainScreen._on_built,
    messages.SessionChanged: MainScreen._on_session,
    messages.CallsDrafted: MainScreen._on_drafted,
    messages.TurnStarted: MainScreen._on_turn_started,
    messages.TurnEnded: MainScreen._on_turn_ended,
    messages.LeftoversFound: MainScreen._on_leftovers,
    messages.Undone: MainScreen._on_undone,
    messages.AgentLost: MainScreen._on_lost,
}

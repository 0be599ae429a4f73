"""The agent behind the app: built, told what a person wants, shut down, and built anew for another session."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from textual.app import App

from ml_intern.options import DEMO_MODEL, Options
from ml_intern.tui import messages
from ml_intern.tui.bridge import Bridge, Connect
from ml_intern.tui.modals.confirm import Confirm

if TYPE_CHECKING:
    from ml_intern.tui.opening import Resumable
    from ml_intern.tui.screens.main import MainScreen

ENDS_HERE = "This conversation ends here; its log is kept. The practice session works in a directory of its own."


class AgentLife:
    """Runs one agent at a time, in a worker of the app.

    Args:
        app: Whose workers are used.
        options: Flags of this run.
        connect: Builds the agent.
        main: Gives the main screen.
        back: Closes everything over the main screen.
        give_up: Ends the app with these words: not even the first agent could be built.

    Attributes:
        options: What the next agent is built with.
        connect: Builds it.
    """

    def __init__(
        self,
        app: App[Any],
        options: Options,
        connect: Connect,
        main: Callable[[], MainScreen],
        back: Callable[[], None],
        give_up: Callable[[str], None],
    ) -> None:
        self.options = options
        self.connect = connect
        self._app = app
        self._main = main
        self._back = back
        self._give_up = give_up
        self._bridge: Bridge | None = None
        self._bridge_before = False

    # ----------------------------------------------------------------------------------------------- one agent

    def start(self) -> None:
        """Builds the agent and runs it."""
        self._bridge_before = self._bridge is not None
        self._bridge = Bridge(self._main().post_message, self.options, self.connect)
        self._app.run_worker(self._serve(self._bridge), name="agent", group="agent", exit_on_error=False)

    async def _serve(self, bridge: Bridge) -> None:
        try:
            await bridge.serve()
        except Exception as error:
            from ml_intern.core.config import ConfigError

            if not isinstance(error, ConfigError):
                raise
            if self._bridge_before:  # a session that was opened from here: no reason to leave
                self.options = self.options.but(resume=None)
                self._main().post_message(messages.AgentLost(str(error)))
                return
            self._give_up(f"ml-intern: {error}")

    def operate(self, message: messages.Operate) -> None:
        """Hands on what is wanted of the agent."""
        served = self._bridge is not None and self._bridge.send(message.kind, **message.fields)
        if served and message.kind == "set_model":  # it is kept when it turns out that it can be used
            self._main().model_choice.wanted = message.fields["model"]
        if not served and message.kind != "interrupt":  # nothing runs that could be interrupted
            self._warn("The agent is not running. The next prompt starts it.")

    def describe(self, message: messages.DescribeSession) -> None:
        """Names or tags the session."""
        if self._bridge is None or not self._bridge.describe(message.title, message.tags):
            self._warn("The agent is not running, so nothing was changed.")

    async def stop(self) -> None:
        """Shuts the agent down, if there is one."""
        if self._bridge is not None:
            await self._bridge.close()

    # ------------------------------------------------------------------------------------------------ the next one

    def offer_practice(self) -> None:
        """Goes over to the practice session; asks first when that ends a conversation."""
        if not self._main().state.title:
            self._begin_practice(True)
        else:
            self._app.push_screen(Confirm("practice session", ENDS_HERE, "open it"), self._begin_practice)

    def _begin_practice(self, yes: bool | None) -> None:
        if yes:
            self._app.run_worker(self._practise(), name="starting the practice session", exit_on_error=False)

    async def _practise(self) -> None:
        await self._begin_another(practice=True, demo=True, model=DEMO_MODEL, resume=None)

    async def begin_with_key(self) -> None:
        """Goes on with the session, or begins one, now that there is a key."""
        state = self._main().state
        goes_on = state.session_id if state.title and not self.options.demo else None
        await self._begin_another(practice=False, demo=False, model=self._model, resume=goes_on)
        self._main().model_choice.ask_when_ready()

    async def go_on(self, session: Resumable) -> None:
        """Goes on with an earlier session."""
        await self._begin_another(
            practice=session.practice,
            resume=session.id,
            model=DEMO_MODEL if session.practice else self._model,
            workdir=None,  # it goes on where it was
            demo=False,
        )

    @property
    def _model(self) -> str | None:
        """The model that the command line names; that of the practice session is for it alone."""
        return None if self.options.model == DEMO_MODEL else self.options.model

    async def _begin_another(self, *, practice: bool, **options: Any) -> None:
        """Shuts the agent down and builds another one with these options."""
        await self.stop()
        self.options = self.options.but(continue_latest=False, **options)
        self._back()
        self._main().begin_afresh(practice=practice)
        self.start()

    def _warn(self, text: str) -> None:
        self._app.notify(text, severity="warning", markup=False)

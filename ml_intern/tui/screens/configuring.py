"""Opens the screens of settings and keys, and lets a running session take over what was changed in them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from textual.screen import Screen

from ml_intern.tui import messages
from ml_intern.tui.setup import Setup
from ml_intern.tui.state import SessionState

_OPERATIONS: dict[str, Callable[[Any], messages.Operate]] = {
    "mode": lambda mode: messages.Operate("set_mode", mode=mode),
    "reasoning_effort": lambda effort: messages.Operate("set_effort", effort=effort),
    "max_cost_usd": lambda usd: messages.Operate("set_cap", cap_usd=usd),
}


def open_configuration(
    screen: Screen[Any], message: messages.ShowSettings | messages.ShowKeys, setup: Setup, state: SessionState
) -> None:
    """Opens the screen that a message asks for, once the configuration was read."""
    from ml_intern.core.config import ConfigError

    care = setup.config
    if care is None:
        screen.notify("The agent is still starting; the configuration is not known yet.", severity="warning")
        return

    async def show() -> None:
        try:
            config = await asyncio.to_thread(care.load)
        except ConfigError as error:
            screen.notify(str(error), severity="error", markup=False)
            return
        if isinstance(message, messages.ShowKeys):
            from ml_intern.tui.screens.keys import KeysScreen

            screen.app.push_screen(KeysScreen(care, config, message.words))
        else:
            from ml_intern.tui.screens.settings import SettingsScreen

            settings = SettingsScreen(care, config, state, setup.find_models, setup.redact, message.words)
            screen.app.push_screen(settings)

    screen.run_worker(show(), name="reading the configuration", group="configuration", exclusive=True)


def open_allowed(screen: Screen[Any], message: messages.ShowAllowed, setup: Setup, state: SessionState) -> None:
    """Opens the screen of rules, once they were read."""
    from ml_intern.core.config import ConfigError

    care = setup.rules
    if care is None:
        screen.notify("The agent is still starting; its rules are not known yet.", severity="warning")
        return

    async def show() -> None:
        try:
            rules = await care.rules()
        except ConfigError as error:
            screen.notify(str(error), severity="error", markup=False)
            return
        from ml_intern.tui.screens.allowed import AllowedScreen

        workspace = Path(state.workdir) if state.workdir else None
        screen.app.push_screen(AllowedScreen(care, rules, workspace, message.words))

    screen.run_worker(show(), name="reading the rules", group="configuration", exclusive=True)


def setup_with(setup: Setup, key: str, value: Any) -> Setup:
    """The facts about this run with a changed setting, as far as it is among them."""
    match key:
        case "ui.bell":
            return replace(setup, bell=bool(value))
        case "ui.approval_grace_s":
            return replace(setup, grace_s=float(value))
        case _:
            return setup


def operation_for(key: str, value: Any) -> messages.Operate | None:
    """What a running agent is told of a changed setting; None when it need not know."""
    make = _OPERATIONS.get(key)
    return make(value) if make is not None else None

"""Opens the screens about what extends the agent: MCP servers and skills. They are imported when they are asked for."""

from __future__ import annotations

from typing import Any

from textual.screen import Screen

from ml_intern.tui import messages
from ml_intern.tui.setup import Setup


def open_extensions(screen: Screen[Any], message: messages.ShowServers | messages.ShowSkills, setup: Setup) -> None:
    """Opens the screen that a message asks for, over another one."""
    if isinstance(message, messages.ShowServers) and setup.servers is not None:
        from ml_intern.tui.screens.mcp import McpScreen

        screen.app.push_screen(McpScreen(setup.servers(), setup.redact))
    elif isinstance(message, messages.ShowSkills) and setup.skills is not None:
        from ml_intern.tui.screens.skills import SkillsScreen

        screen.app.push_screen(SkillsScreen(setup.skills))

"""What a person does with servers in the app: looks, switches, adds. What is to last goes into their configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ml_intern.core.config import ConfigError, substitute_variables
from ml_intern.core.places import Places
from ml_intern.core.user_config import save_user_setting
from ml_intern.tools.mcp.config import parse_servers
from ml_intern.tools.mcp.hub import McpHub, ServerStatus


class McpAdmin:
    """Looks after the servers of a session.

    Args:
        hub: The servers.
        places: Where the user's configuration is.
        env: Values of `${VARIABLES}`.
        user_file: The user's file in use, where it is another one than usual.
    """

    def __init__(self, hub: McpHub, places: Places, env: Mapping[str, str], user_file: Path | None = None) -> None:
        self._hub = hub
        self._places = places
        self._env = env
        self._user_file = user_file
        self.status: Callable[[], tuple[ServerStatus, ...]] = hub.status
        self.journal = hub.journal
        self.watch = hub.watch
        self.sign_in = hub.sign_in
        self.sign_out = hub.sign_out
        self.reconnect = hub.enable

    async def switch(self, name: str, on: bool) -> None:
        """Switches a server on or off, now and for later sessions.

        Raises:
            ConfigError: The configuration cannot be written; for this session it is switched all the same.
        """
        await (self._hub.enable(name) if on else self._hub.disable(name))
        await self._save(name, {"disabled": not on})

    async def add(self, name: str, entry: dict[str, Any]) -> None:
        """Writes a server into the user's configuration and connects to it.

        Args:
            name: Its name.
            entry: As under `mcpServers`; variables stay variables in the file.

        Raises:
            ConfigError: The name is taken, the entry is wrong, or the file cannot be written. Nothing has changed then.
        """
        taken = {status.name: {"command": "-"} for status in self._hub.status()}
        if name in taken:
            raise ConfigError(f"There is a server named {name} already; choose another name.")
        values = substitute_variables({name: entry}, self._env, "mcpServers")
        config = parse_servers({**taken, **values}, keep_disabled=True)[name]
        await self._save(name, entry)
        await self._hub.add(name, config)

    async def _save(self, name: str, entry: dict[str, Any]) -> None:
        await asyncio.to_thread(save_user_setting, self._places, "mcpServers", {name: entry}, file=self._user_file)

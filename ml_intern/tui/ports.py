"""What the screens need from the outside world, as protocols: the wiring hands in who does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ml_intern.core.approvals.desk import Explanation, KnownRule
    from ml_intern.core.config import LoadedConfig
    from ml_intern.core.config_tree import KeyPath
    from ml_intern.core.display import DatasetBlock
    from ml_intern.core.keys import Key, Verdict
    from ml_intern.core.protocol import ArtifactEvent, Leftover

EndLeftover = Callable[["Leftover"], Awaitable[None]]
"""Ends what an earlier session has left running; raises `core.jobs.JobsError` with a sentence when it could not."""


PreviewDataset = Callable[[str, str, str, Callable[[str], None]], Awaitable["DatasetBlock"]]
"""Looks into a data set: takes its id or path, config, split, and what is told of the progress; raises
`core.previews.PreviewError` with a sentence when it could not."""


class ArtifactView(Protocol):
    """One artifact as it is on the Hub now."""

    @property
    def item(self) -> ArtifactEvent:
        """What the session knows of it."""

    @property
    def exists(self) -> bool | None:
        """Whether it is there; None when that cannot be told."""

    @property
    def visibility(self) -> str:
        """`private`, `public` or `gated`; empty when unknown."""

    @property
    def size(self) -> int | None:
        """Bytes of all files; None when unknown."""

    @property
    def modified(self) -> datetime | None:
        """When it was last changed; None when unknown."""

    @property
    def problem(self) -> str:
        """Why nothing more can be said, or empty."""


class ArtifactCare(Protocol):
    """Looks after what a session has made on the Hub."""

    async def look(self, items: Sequence[ArtifactEvent]) -> Sequence[ArtifactView]:
        """How artifacts are now, in the order given."""
        ...

    async def delete(self, item: ArtifactEvent) -> ArtifactEvent:
        """Deletes one for good; the event that says so is told to everybody. Raises `core.artifacts.ArtifactError`."""
        ...


class McpToolView(Protocol):
    """A tool of an MCP server."""

    @property
    def name(self) -> str:
        """As the model knows it."""

    @property
    def description(self) -> str:
        """What it is for, in a line."""

    @property
    def reads_only(self) -> bool:
        """Its server says that it changes nothing."""

    @property
    def destroys(self) -> bool:
        """Its server says that it may destroy something."""


class McpServerView(Protocol):
    """How things stand with an MCP server."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""

    @property
    def state(self) -> str:
        """`disabled`, `connecting`, `connected`, `sign_in` or `failed`."""

    @property
    def problem(self) -> str:
        """Why it is not connected, or empty."""

    @property
    def place(self) -> str:
        """The program or the address."""

    @property
    def transport(self) -> str:
        """`stdio`, `http` or `sse`."""

    @property
    def signed_in(self) -> str:
        """Where a sign-in is kept, or empty."""

    @property
    def details(self) -> Sequence[McpToolView]:
        """Its tools."""


class McpCare(Protocol):
    """Looks after MCP servers. Methods that change something may raise `core.config.ConfigError`."""

    @property
    def status(self) -> Callable[[], Sequence[McpServerView]]:
        """Gives how things stand with each server."""

    @property
    def journal(self) -> Callable[[str], Sequence[str]]:
        """Gives the last lines about a server, oldest first."""

    @property
    def watch(self) -> Callable[[Callable[[], None]], Callable[[], None]]:
        """Takes a function to be called at every change; gives one that ends it."""

    @property
    def reconnect(self) -> Callable[[str], Awaitable[None]]:
        """Connects to a server anew."""

    @property
    def sign_in(self) -> Callable[[str, Callable[[str], None]], Awaitable[str]]:
        """Signs in: takes the name and what shows the link; gives the reason where it did not work out."""

    @property
    def sign_out(self) -> Callable[[str], Awaitable[None]]:
        """Forgets a sign-in. May raise `OSError`."""

    async def switch(self, name: str, on: bool) -> None:
        """Switches a server on or off, for later sessions too."""
        ...

    async def add(self, name: str, entry: dict[str, Any]) -> None:
        """Writes a server into the user's configuration and connects to it."""
        ...


class ConfigCare(Protocol):
    """Shows the configuration and changes the user's part of it. Methods block, and may raise `ConfigError`."""

    def load(self) -> LoadedConfig:
        """The configuration as the files say it now."""
        ...

    def save(self, key_path: KeyPath, value: Any) -> LoadedConfig:
        """Writes a value into the user's file; gives what counts then."""
        ...

    def reset(self, key_path: KeyPath) -> LoadedConfig:
        """Takes a value out of the user's file; gives what counts then."""
        ...


class RuleCare(Protocol):
    """Shows what is allowed, asked and forbidden. Methods may raise `core.config.ConfigError`."""

    @property
    def file(self) -> str:
        """Where rules are kept for later sessions; empty where they cannot be."""

    async def rules(self) -> Sequence[KnownRule]:
        """All rules that count now, in the order in which they are heard."""
        ...

    async def take_back(self, rule: KnownRule) -> None:
        """Has a rule count no more, in later sessions either."""
        ...

    async def explain(self, typed: str) -> Explanation:
        """What would happen with a command, or with a call of the tool whose name comes first."""
        ...


class KeyCare(Protocol):
    """Looks after keys."""

    @property
    def kinds(self) -> Sequence[Key]:
        """What can be given."""

    @property
    def present(self) -> frozenset[str]:
        """Variables that are set."""

    async def check(self, key: Key, value: str) -> Verdict:
        """Asks whoever gave the key out."""
        ...

    async def keep(self, key: Key, value: str) -> str:
        """Keeps it; gives where, in words. May raise `OSError` or `ValueError`."""
        ...

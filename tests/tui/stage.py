"""The app without a terminal: keys go in, what a person would see comes out."""

from __future__ import annotations

import asyncio
import contextlib
import time
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual._context import visible_screen_stack
from textual.events import Key
from textual.keys import REPLACED_KEYS, _character_to_key, _get_unicode_name_from_key
from textual.pilot import Pilot

from ml_intern.core.places import find_places
from ml_intern.core.settings import LLMSettings, Settings, UISettings
from ml_intern.options import Options
from ml_intern.run import Run
from ml_intern.tui.app import MLInternApp
from ml_intern.tui.early.opening import OpeningApp
from ml_intern.wiring import Wired, assemble
from tests.support.llm_server import ScriptedLLM


class WatchedApp(MLInternApp):
    """The app, which also tells when it has painted, and what it has done to the world around its screen."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.painted = asyncio.Event()
        self.rings = 0
        self.sequences: list[str] = []
        self.opened: list[str] = []

    def bell(self) -> None:
        self.rings += 1

    def write_sequence(self, sequence: str) -> None:
        self.sequences.append(sequence)

    def open_url(self, url: str, *, new_tab: bool = True) -> None:
        del new_tab
        self.opened.append(url)

    def post_display_hook(self) -> None:
        self.painted.set()


class Stage:
    """A running app and a person in front of it."""

    def __init__(self, app: WatchedApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def screen(self) -> str:
        """The top screen as text, one line per row."""
        visible_screen_stack.set(self.app._background_screens)  # as the app does before it paints
        strips = self.app.screen._compositor.render_strips(self.app.size)
        return "\n".join(strip.text.rstrip() for strip in strips)

    def row(self, text: str) -> str:
        """The first row that holds a text. Raises `StopIteration` while there is none."""
        return next(row for row in self.screen.split("\n") if text in row)

    async def press(self, *keys: str) -> None:
        """Presses keys, each by its name, and waits until the app has dealt with them."""
        for key in keys:
            self.app.post_message(_event(key))
            await settled(self.pilot)

    async def resize(self, columns: int, lines: int) -> None:
        """Gives the terminal another size."""
        await self.pilot.resize_terminal(columns, lines)

    async def type(self, text: str) -> None:
        """Types a text, character by character, as fast as a terminal delivers it."""
        await self.burst(*text)

    async def burst(self, *keys: str) -> None:
        """Presses keys without waiting until the app has dealt with each."""
        for key in keys:
            self.app.post_message(_event(key))
        await settled(self.pilot)

    async def enter(self, text: str) -> None:
        """Types a text and sends it."""
        await self.type(text)
        await self.press("enter")

    async def sees(self, *texts: str, timeout: float = 10.0) -> None:
        """Waits until all these texts are on the screen."""
        await self.until(lambda: _holds(self.screen, texts), f"{texts} to show", timeout)

    async def sees_no_more(self, text: str, timeout: float = 10.0) -> None:
        """Waits until a text is gone."""
        await self.until(lambda: text not in self.screen, f"{text!r} to go", timeout)

    async def until(self, holds: Callable[[], bool], what: str = "it", timeout: float = 10.0) -> None:
        """Waits, looking again after each painting, until something holds."""
        deadline = asyncio.get_running_loop().time() + timeout
        while not _holds_now(holds):
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"waited in vain for {what}; the screen:\n{self.screen}")
            self.app.painted.clear()
            with contextlib.suppress(TimeoutError):  # what ends the app, for one, is not painted
                await asyncio.wait_for(self.app.painted.wait(), 0.1)


SETTLED_WITHIN_S = 60.0
"""A busy machine needs some seconds; a widget whose messages nobody takes any more would need for ever."""


async def settled(pilot: Pilot[None]) -> None:
    """Waits until no widget has a message left to deal with, and the screen shows what came of them.

    `Pilot.pause` without an argument would wait until this process is idle, which on a busy machine tells nothing.
    """
    quiet, deadline = 0, time.monotonic() + SETTLED_WITHIN_S
    while quiet < 2:
        if time.monotonic() > deadline:
            raise AssertionError("the app does not come to rest")
        await pilot.pause(0)
        pumps = (pilot.app, *pilot.app.screen.walk_children(with_self=True))
        busy = any(pump.message_queue_size for pump in pumps)
        opening = isinstance(pilot.app, OpeningApp) and pilot.app.is_opening  # it keeps keys for later
        quiet = 0 if busy or opening else quiet + 1


def _holds_now(holds: Callable[[], bool]) -> bool:
    try:
        return holds()
    except StopIteration:  # a row that it looks into is not there yet
        return False


def _holds(screen: str, texts: Iterable[str]) -> bool:
    return all(text in screen for text in texts)


def _event(key: str) -> Key:
    """The press of a key, given by its name or by what it types."""
    if len(key) == 1:
        return Key(_character_to_key(key), key)
    try:
        return Key(key, unicodedata.lookup(_get_unicode_name_from_key(REPLACED_KEYS.get(key, key))))
    except KeyError:
        return Key(key, None)


@asynccontextmanager
async def on_stage(
    app: WatchedApp, size: tuple[int, int] = (120, 40), *, headless: bool = True
) -> AsyncIterator[Stage]:
    """Runs an app without a terminal; `headless=False` lets it paint with the driver it has."""
    async with app.run_test(headless=headless, size=size, notifications=True) as pilot:
        stage = Stage(app, pilot)
        yield stage


def real_app(
    server: ScriptedLLM,
    directory: Path,
    options: Options | None = None,
    *,
    env: dict[str, str] | None = None,
    kind: type[WatchedApp] | None = None,
    **settings: Any,
) -> WatchedApp:
    """The app on the real agent, which works in `directory/work` and asks the scripted model.

    `env` adds to its environment.
    """
    workspace = directory / "work"
    workspace.mkdir(exist_ok=True)
    settings.setdefault("ui", UISettings(approval_grace_s=0.0))
    settings.setdefault("model_name", "vllm/scripted")

    def connect(_options: Options) -> Wired:
        return assemble(
            Run(
                Settings(llm=LLMSettings(retry_base_s=0.01, retry_max_s=0.05), **settings),
                places=find_places({"ML_INTERN_HOME": str(directory / "home")}),
                workspace=workspace,
                env={"LOCAL_LLM_BASE_URL": server.url, "PATH": "/usr/bin:/bin", "HOME": str(directory), **(env or {})},
            )
        )

    return (kind or WatchedApp)(options or Options(), connect)

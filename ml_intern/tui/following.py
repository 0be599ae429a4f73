"""Following links: addresses in a browser, files in the person's editor, repositories on the Hub.

Whether text and target say the same is looked at here, once for clicks and keys: a target that could not be read is
shown and confirmed before anything is opened. Where no browser can be shown, the address is copied instead.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from textual.app import App, SuspendNotSupported

from ml_intern.tui.keys.keymap import keymap_of
from ml_intern.tui.modals.confirm import Confirm
from ml_intern.tui.widgets.links import Link, safe
from ml_intern.tui.widgets.text import clean, fit

PUBLIC_HUB = "https://huggingface.co"
_LINE = re.compile(r"(?P<path>.*?)(?::(?P<line>\d+)(?:[:-]\d+)?|#L?(?P<anchor>\d+))?\Z", re.DOTALL)
_REPOSITORY = re.compile(r"(?:(?:datasets|spaces|models)/)?[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}/?\Z")
_WITH_COLON = frozenset({"code", "cursor", "windsurf", "codium", "vscodium", "zed", "subl", "hx", "helix"})
_GO_TO = frozenset({"code", "cursor", "windsurf", "codium", "vscodium"})


class Place(NamedTuple):
    """A file that a link leads to.

    Attributes:
        path: The file itself, without links on the way.
        line: A line of it; 0 for none.
        inside: It lies in the workspace.
    """

    path: Path
    line: int
    inside: bool


def can_browse(env: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether a browser that is opened here would be seen by the person who asks for it."""
    if "TEXTUAL_DRIVER" in env:  # the app runs in a browser, which opens it
        return True
    if env.get("BROWSER") or env.get("WSL_DISTRO_NAME"):
        return True
    if platform in {"darwin", "win32"}:
        return not env.get("SSH_CONNECTION")
    return bool(env.get("DISPLAY") or env.get("WAYLAND_DISPLAY"))


def browse(url: str) -> None:
    """Opens an address in a browser of its own session, which never gets the terminal.

    Raises:
        OSError: Nothing could be started.
    """
    nowhere = subprocess.DEVNULL
    subprocess.Popen(
        [sys.executable, "-m", "webbrowser", url], stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
    )


def place_of(target: str, workspace: Path) -> Place | None:
    """The file that a local target names; None when there is none. Asks the file system: call it in a thread."""
    for path, line in _readings(target):
        try:
            found = (workspace / Path(path).expanduser()).resolve()
            if found.is_file():
                return Place(found, line, found.is_relative_to(workspace.resolve()))
        except (OSError, ValueError, RuntimeError):  # too long, a NUL, no such home
            continue
    return None


def _readings(target: str) -> list[tuple[str, int]]:
    """A colon may belong to the name of a file."""
    match = _LINE.match(target)
    assert match is not None
    line = int((match["line"] or match["anchor"] or "0")[:9])
    return [(target, 0), (match["path"], line)] if line else [(target, 0)]


def repository_url(target: str, env: Mapping[str, str]) -> str:
    """The page of a repository on the Hub; empty when a target cannot be one."""
    if not _REPOSITORY.match(target):
        return ""
    hub = (env.get("HF_ENDPOINT") or PUBLIC_HUB).rstrip("/")
    return safe(f"{hub}/{target.removeprefix('models/').rstrip('/')}")


def editor_command(editor: str, place: Place) -> list[str]:
    """How an editor is started on a line of a file.

    Raises:
        ValueError: The editor's command has an open quote.
    """
    command = shlex.split(editor)
    name, path = Path(command[0]).stem if command else "", str(place.path)
    if not place.line:
        return [*command, path]
    if name in _WITH_COLON:
        return [*command, *(["--goto"] if name in _GO_TO else []), f"{path}:{place.line}"]
    return [*command, f"+{place.line}", path]


class Following:
    """Follows links for an app.

    Args:
        app: Shows what is asked.
        workspace: Where relative paths begin.
        copy: Takes an address that cannot be opened here, and what it is.
    """

    def __init__(self, app: App[Any], workspace: Callable[[], Path], copy: Callable[[str, str], None]) -> None:
        self._app = app
        self._workspace = workspace
        self._copy = copy

    def choose(self, links: Sequence[tuple[str, str]]) -> None:
        """Lets the person choose one of some links. The targets are shown, so nothing more is asked."""
        if not links:
            told = "There is no link in view. Scroll to one, or search for it with {search}."
            self._app.notify(keymap_of(self._app).tell(told), markup=False)
            return
        from ml_intern.tui.modals.pick_link import PickLink

        shown = [Link(text, target) for text, target in links]

        def follow(number: str | None) -> None:
            if number is not None:
                link = shown[int(number)]
                self._follow(Link(link.shown_target, link.target))

        self._app.push_screen(PickLink(shown, self._copy), follow)

    def follow(self, text: str, target: str) -> None:
        """Follows a link that was clicked."""
        self._follow(Link(text, target))

    def open_address(self, url: str, driver_opens: Callable[[str], None]) -> None:
        """Opens an address in a browser, or copies it where there is none that the person would see."""
        if "TEXTUAL_DRIVER" in os.environ:
            driver_opens(url)
        elif not can_browse(os.environ):
            self._copy(url, f"{fit(url, 60)}, since no browser can be shown here")
        else:
            try:
                browse(url)
            except OSError as error:
                self._app.notify(f"No browser could be started: {error}", severity="warning", markup=False)
                return
            self._app.notify(f"Opened {fit(url, 60)}.", timeout=2, markup=False)

    # ------------------------------------------------------------------------------------------------------- inside

    def _follow(self, link: Link) -> None:
        if url := safe(link.target):
            self._after_asking(link.text == url, f"{link.text}\nleads to {url}", lambda: self._app.open_url(url))
        else:
            self._app.run_worker(self._find(link), name="following a link", exit_on_error=False)

    def _after_asking(self, plain: bool, text: str, do: Callable[[], None]) -> None:
        def decide(yes: bool | None) -> None:
            if yes:
                do()

        if plain:
            do()
        else:
            self._app.push_screen(Confirm("open link", clean(text), "open"), decide)

    async def _find(self, link: Link) -> None:
        target, workspace = link.shown_target, self._workspace()
        place = await asyncio.to_thread(place_of, target, workspace)
        if place is not None:
            says_where = place.inside and link.says_where
            where = f"{place.path}, line {place.line}" if place.line else str(place.path)
            self._after_asking(says_where, f"{link.text}\nleads to {where}", lambda: self._edit(place))
        elif url := repository_url(target, os.environ):
            self._after_asking(False, f"{link.text}\nleads to {url}", lambda: self._app.open_url(url))
        else:
            self._app.notify(
                f"There is no file {clean(target)[:200]} in {workspace}.", severity="warning", markup=False
            )

    def _edit(self, place: Place) -> None:
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
        if not editor:
            self._copy(str(place.path), f"{place.path}; set EDITOR to the name of your editor to open files")
            return
        try:
            command = editor_command(editor, place)
            with self._app.suspend():
                subprocess.run(command, check=False)
        except (OSError, ValueError, SuspendNotSupported) as error:
            self._app.notify(f"{editor} could not be used: {error}", severity="warning", markup=False)

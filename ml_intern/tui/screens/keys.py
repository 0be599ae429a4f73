"""The Keys screen: what can be done where, with which key, and other keys for whatever a person likes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

from textual.binding import BindingType
from textual.content import Content

from ml_intern.core.config import ConfigError, LoadedConfig
from ml_intern.tui import messages
from ml_intern.tui.keys.actions import ACTIONS, PLACES, Action, Place
from ml_intern.tui.keys.choice import NONE, conflicts, side_effects
from ml_intern.tui.keys.keymap import Keymap, bind, keymap_of
from ml_intern.tui.keys.names import shown
from ml_intern.tui.modals.catch_key import CatchKey
from ml_intern.tui.ports import ConfigCare
from ml_intern.tui.screens.listing import Entry, ListingScreen
from ml_intern.tui.widgets.text import fit, pad

KEY_CELLS = 30
NARROW_KEY_CELLS = 18
NARROW = 80
NO_KEY = "–"


class KeysScreen(ListingScreen):
    """Lists actions by place, and gives them other keys in the user's own file.

    Args:
        care: Writes the configuration.
        config: What counts now.
        words: What to begin with in the filter.
    """

    NAME = "keys"
    HELP = (
        "What can be done, by place, with its key. Type to search, for a key too. {choose} waits for another key, "
        "{settings.reset} brings back the key it comes with, {keys.none} leaves it without one. ● marks what you have "
        "changed. All of it goes into `keys` of your configuration file."
    )
    HINTS = (
        ("{choose}", "another key"),
        ("{settings.reset}", "as it comes"),
        ("{keys.none}", "no key"),
        ("{find}", "search"),
        ("{back}", "back"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [bind("settings.reset", "reset"), bind("keys.none", "no_key")]

    def __init__(self, care: ConfigCare, config: LoadedConfig, words: str = "") -> None:
        super().__init__(words)
        self._care = care
        self._config = config

    def take_keymap(self, _keymap: Keymap) -> None:
        """Shows the keys that count now."""
        self.refresh_entries()

    # -------------------------------------------------------------------------------------------------- showing

    def entries(self) -> Sequence[Entry]:
        """Every action, behind the heading of its place."""
        keymap, entries = keymap_of(self), list[Entry]()
        for place in PLACES:
            entries.append(Entry("", partial(_heading, place)))
            for action in place.actions:
                keys = _keys_of(action, keymap)
                changed = action.id in keymap.changes
                searched = f"{place.title} {action.does} {action.id} {keys} {'changed' if changed else ''}"
                entries.append(Entry(action.id, partial(_row, action, keys, changed), searched, action.id))
        return entries

    def detail(self, entry_id: str) -> Content:
        """What the action is, and what its key gets into the way of."""
        action, keymap = ACTIONS[entry_id], keymap_of(self)
        standard = " ".join(map(shown, action.standard)) or "no key"
        lines = [
            Content.assemble((action.does, "bold"), (f"  {action.id}", "$foreground-muted")),
            Content.styled(f"It comes with {standard}." if not action.fixed else f"It stays: {action.fixed}.", ""),
        ]
        if action.id in keymap.changes:
            met, known = conflicts(entry_id, keymap), side_effects(entry_id, keymap)
            lines += [Content.styled(f"! {text}", "$warning") for text in met]
            lines += [Content.styled(text, "$foreground-muted") for text in known]
        return Content("\n").join(lines)

    # ------------------------------------------------------------------------------------------------- changing

    def choose(self, entry_id: str) -> None:
        """Waits for the new key."""
        action = ACTIONS[entry_id]
        if action.fixed:
            self.notify(f"This key stays: {action.fixed}.", markup=False)
            return

        def take(key: str | None) -> None:
            if key is not None:
                self._save(action, key)

        self.app.push_screen(CatchKey(entry_id, keymap_of(self)), take)

    def action_no_key(self) -> None:
        """Leaves the action without a key."""
        action = ACTIONS.get(self.chosen)
        if action is not None and not action.fixed:
            self._save(action, NONE)

    def action_reset(self) -> None:
        """Brings back the key that it comes with."""
        action = ACTIONS.get(self.chosen)
        if action is not None and action.id in self._config.settings.keys:
            self._write(lambda: self._care.reset(("keys", action.id)))

    def _save(self, action: Action, key: str) -> None:
        if (key,) == action.standard:
            self._write(lambda: self._care.reset(("keys", action.id)))
        else:
            self._write(lambda: self._care.save(("keys", action.id), key))

    def _write(self, write: Callable[[], LoadedConfig]) -> None:
        async def change() -> None:
            try:
                self._config = await asyncio.to_thread(write)
            except ConfigError as error:
                self.notify(f"Nothing was changed: {error}", severity="error", markup=False)
                return
            self.post_message(messages.SettingChanged("keys", dict(self._config.settings.keys)))

        self.run_worker(change(), name="saving a key", group="saving", exit_on_error=False)


def _keys_of(action: Action, keymap: Keymap) -> str:
    if action.shown and action.id not in keymap.changes:
        return action.shown
    return " ".join(map(shown, keymap.keys(action.id))) or NO_KEY


def _heading(place: Place, width: int) -> Content:
    return Content.styled(fit(place.title, width), "$accent bold")


def _row(action: Action, keys: str, changed: bool, width: int) -> Content:
    key_cells = KEY_CELLS if width >= NARROW else NARROW_KEY_CELLS
    return Content.assemble(
        ("● " if changed else "  ", "$accent"),
        (pad(fit(keys, key_cells), key_cells), "$foreground-muted" if action.fixed or keys == NO_KEY else "bold"),
        "  ",
        (fit(action.does, max(8, width - key_cells - 4)), ""),
    )

"""What an app does as a person chose it: theme, motion, keys. What the app is for comes on top of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from textual import constants, events, on
from textual.app import App
from textual.filter import LineFilter, Monochrome, NoColor
from textual.widget import Widget
from textual.widgets._input import Input
from textual.widgets._text_area import TextArea

from ml_intern.tui import messages
from ml_intern.tui.early.look import AUTO, DEFAULT_THEME
from ml_intern.tui.early.preferences import preferences_at_start, theme_at_start
from ml_intern.tui.keys.keymap import STANDARD, ShowsKeys
from ml_intern.tui.keys.sequences import read_alt
from ml_intern.tui.motion import is_reduced
from ml_intern.tui.plain_colours import PlainColours
from ml_intern.tui.preferences import save_choice
from ml_intern.tui.themes import LIGHT, OWN_THEMES
from ml_intern.tui.widgets.backdrop import Backdrop

if TYPE_CHECKING:
    from ml_intern.options import Options

KEYS_TOLD_S = 12.0


class ChosenApp(App[None]):
    """An app with the look and the keys that a person chose.

    Args:
        options: Flags of this run.
        light: The terminal's background is light.

    Attributes:
        keymap: Which key does what.
        reduced_motion: Whether little should move.
    """

    def __init__(self, options: Options, *, light: bool = False) -> None:
        super().__init__()
        self._flags = options
        self._light = light
        self._plain, self._colourless = PlainColours(), NoColor()
        self._unknown_theme = ""
        self._key_problems: tuple[str, ...] = ()
        self.keymap = STANDARD
        read_alt()
        chosen = preferences_at_start(options)
        self.use_motion(chosen.motion)
        if chosen.keys:
            self.use_keys(chosen.keys)
        for theme in OWN_THEMES:
            self.register_theme(theme)
        wanted = theme_at_start(options, chosen)
        if not self.use_theme(wanted):
            self._unknown_theme = wanted
            self.use_theme(DEFAULT_THEME)

    def tell_of_wrong_choices(self) -> None:
        """Says what of the choices could not be taken."""
        if self._unknown_theme:
            self._refuse_theme(self._unknown_theme)
        if self._key_problems:
            text = "\n".join(self._key_problems)
            self.notify(text, title="keys", severity="warning", timeout=KEYS_TOLD_S, markup=False)

    # ------------------------------------------------------------------------------------------------- the look

    def use_theme(self, name: str) -> bool:
        """Takes a theme, or the one that fits the terminal. False when there is no such theme."""
        if name == AUTO:
            name = LIGHT.name if self._light else DEFAULT_THEME
        known = name in self.available_themes
        if known:
            self.theme = name
        return known

    @on(messages.SetTheme)
    def _set_theme(self, message: messages.SetTheme) -> None:
        message.stop()
        if not self.use_theme(message.theme):
            self._refuse_theme(message.theme)
        elif message.keep:
            self.run_worker(self.keep_choice("ui.theme", message.theme), name="saving the theme", exit_on_error=False)

    def _refuse_theme(self, name: str) -> None:
        self.notify(f"There is no theme {name!r}. /theme shows them all.", severity="warning", markup=False)

    async def keep_choice(self, setting: str, value: str) -> None:
        """Keeps a choice, by the dotted path of its setting, for later sessions; says so where that fails."""
        from ml_intern.core.config import ConfigError

        try:
            await asyncio.to_thread(save_choice, setting, value, self._flags)
        except (ConfigError, OSError) as error:
            self.notify(f"{value} is used but not kept: {error}", severity="warning", markup=False)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What is done to every painted row."""
        filters = super().get_line_filters()
        if not self.native_ansi_color:
            return filters
        kept = [each for each in filters if not isinstance(each, Monochrome)]  # that is for mixed colours
        return [self._plain, *kept, *([self._colourless] if self.no_color else [])]

    def use_motion(self, chosen: str) -> None:
        """Lets things move as `full` or `reduced` says, unless the environment says otherwise."""
        self.reduced_motion = is_reduced(chosen)
        self.animation_level = "none" if self.reduced_motion else constants.TEXTUAL_ANIMATIONS

    @on(events.DescendantFocus)
    def _calm_cursor(self, event: events.DescendantFocus) -> None:
        if self.reduced_motion and isinstance(event.widget, Input | TextArea):
            event.widget.cursor_blink = False

    # ------------------------------------------------------------------------------------------------------ keys

    def use_keys(self, chosen: Mapping[str, object]) -> None:
        """Takes keys by action; what cannot be taken is left out, and kept to be told."""
        from ml_intern.tui.keys.choice import read_keys

        read = read_keys(chosen)
        self.keymap, self._key_problems = read.keymap, read.problems
        self.set_keymap(self.keymap.for_textual())
        for screen in self.screen_stack if self._screen_stacks else ():
            for node in screen.walk_children(Widget, with_self=True):
                if isinstance(node, ShowsKeys):
                    node.take_keymap(self.keymap)

    async def on_event(self, event: events.Event) -> None:
        """Hands a key to a dialog that waits for just any, before it can mean something; others are answered now."""
        if isinstance(event, events.Key):
            if not self.keymap.has("copy", event.key) and self._catch(event):
                event.stop()
                return
            if self.screen_stack and isinstance(self.screen, Backdrop):
                self.screen.expect_change()
        await super().on_event(event)

    def _catch(self, event: events.Key) -> bool:
        take = getattr(self.screen, "take_key", None) if self.screen_stack else None
        if take is None or event.is_forwarded:
            return False
        take(event.key)
        return True

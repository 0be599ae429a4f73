"""The Settings screen: everything that can be configured, read from the settings model itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.content import Content

from ml_intern.core.config import ConfigError, LoadedConfig
from ml_intern.core.settings_schema import Setting, all_settings, setting_groups
from ml_intern.core.user_config import objection_to
from ml_intern.tui import messages
from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.modals.ask_text import AskText
from ml_intern.tui.modals.edit_lines import EditLines
from ml_intern.tui.modals.pick import Choice, Pick
from ml_intern.tui.ports import ConfigCare
from ml_intern.tui.screens import pickers
from ml_intern.tui.screens import settings_text as words
from ml_intern.tui.screens.listing import Entry, ListingScreen
from ml_intern.tui.setup import FindModels
from ml_intern.tui.state import SessionState
from ml_intern.tui.themes import theme_names

LIVE = frozenset(
    {
        *("model_name", "reasoning_effort", "mode", "max_cost_usd"),
        *("ui.theme", "ui.motion", "ui.bell", "ui.approval_grace_s", "keys"),
    }
)
"""Settings that a running session takes over."""


class SettingsScreen(ListingScreen):
    """Lists settings and changes them in the user's own file, one by one.

    Args:
        care: Reads and writes the configuration.
        config: What counts now.
        state: The session, for what it has chosen otherwise.
        find_models: Looks for models, for settings that name one.
        redact: Takes secrets out of a text.
        words: What to begin with in the filter.
    """

    NAME = "settings"
    HELP = (
        "Everything that can be configured. Type to search; {choose} changes a setting, {settings.reset} takes your "
        "own value away again. ● marks what you or the command line have set. Changes go into your configuration file; "
        "the lines below the list say when they count."
    )
    HINTS = (("{choose}", "change"), ("{settings.reset}", "default"), ("{find}", "search"), ("{back}", "back"))
    BINDINGS: ClassVar[list[BindingType]] = [bind("settings.reset", "reset"), bind("settings", "leave")]

    def __init__(
        self,
        care: ConfigCare,
        config: LoadedConfig,
        state: SessionState,
        find_models: FindModels,
        redact: Callable[[str], str] = str,
        words: str = "",
    ) -> None:
        super().__init__(words)
        self._care = care
        self._config = config
        self._state = state
        self._find_models = find_models
        self._redact = redact
        self._settings = {setting.key: setting for setting in all_settings()}

    # -------------------------------------------------------------------------------------------------- showing

    def entries(self) -> Sequence[Entry]:
        """Every setting, behind the heading of its group."""
        entries: list[Entry] = []
        for group in setting_groups():
            entries.append(Entry("", partial(words.heading, group)))
            for setting in group.settings:
                value, source = self._value(setting), words.source_of(setting, self._config)
                searched = f"{group.name} {setting.name} {setting.key} {setting.description} {value} {source}"
                entries.append(Entry(setting.key, partial(words.row, setting, value, source), searched, setting.name))
        return entries

    def detail(self, entry_id: str) -> Content:
        """What the setting is about."""
        setting = self._settings[entry_id]
        value = self._value(setting)
        live = {"model_name": self._state.model, "reasoning_effort": self._state.effort, "mode": self._state.mode}
        now = live.get(setting.key, "")
        default = self._redact(words.words_of(words.value_of(setting.key, self._config.standard), setting))
        effect = words.AT_ONCE if setting.key in LIVE else words.NEXT_START
        return words.detail(setting, self._config, value, now if now != value else "", default, effect)

    def _value(self, setting: Setting) -> str:
        return self._redact(words.words_of(words.value_of(setting.key, self._config.settings), setting))

    # ------------------------------------------------------------------------------------------------- changing

    def choose(self, entry_id: str) -> None:
        """Opens what fits the kind of the setting."""
        setting = self._settings[entry_id]
        value = words.value_of(setting.key, self._config.settings)
        save = partial(self._save, setting)
        match setting.kind:
            case "switch":
                save(not value)
            case "elsewhere":
                self._go_elsewhere(setting.key)
            case "list" | "choices":
                self._edit_lines(setting, value)
            case "choice":
                named = {"": "empty: as the session"}
                choices = [
                    Choice(choice, named.get(choice, choice), current=choice == value) for choice in setting.choices
                ]
                self.app.push_screen(Pick(setting.name, choices), save)
            case _ if setting.key == "ui.theme":
                self._pick_theme(save)
            case _ if setting.key in {"model_name", "research.model"}:
                self._pick_model(value, save)
            case _:
                self._edit_line(setting, value)

    def _edit_line(self, setting: Setting, value: Any) -> None:
        may_be_empty = "Leave it empty for none." if setting.optional else ""
        bounds = f"A number: {setting.bounds}." if setting.kind == "number" and setting.bounds else ""
        note = "\n".join(filter(None, [setting.description, " ".join(filter(None, [bounds, may_be_empty]))]))
        value = self._config.references.get(setting.key, value)  # a variable stays a variable
        shown = "" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)
        dialog = AskText(setting.name, shown, note, check=lambda line: problem_with(setting, line))

        def take(line: str | None) -> None:
            if line is not None:
                self._save(setting, parsed(setting, line))

        self.app.push_screen(dialog, take)

    def _edit_lines(self, setting: Setting, value: Sequence[str]) -> None:
        may = f" Any of {', '.join(setting.choices)}." if setting.choices else ""
        dialog = EditLines(
            setting.name,
            self._config.references.get(setting.key, value),
            f"{setting.description} One entry a line.{may}",
            check=lambda lines: objection_to(setting.key, lines),
        )

        def take(lines: tuple[str, ...] | None) -> None:
            if lines is not None:
                self._save(setting, list(lines))

        self.app.push_screen(dialog, take)

    def _pick_theme(self, save: Callable[[str | None], None]) -> None:
        before = self.app.theme

        def preview(name: str) -> None:
            self.post_message(messages.SetTheme(name, keep=False))

        def decide(name: str | None) -> None:
            preview(before)
            save(name)

        self.app.push_screen(pickers.theme_picker(theme_names(self.app.available_themes), before, preview), decide)

    def _pick_model(self, value: str, save: Callable[[str | None], None]) -> None:
        picker = pickers.model_picker(self._state, current=value)
        self.app.push_screen(picker, save)
        finding = pickers.fill_models(picker, self._find_models, value)
        self.run_worker(finding, name="looking for models", exit_on_error=False)

    def _go_elsewhere(self, key: str) -> None:
        if key == "keys":
            self.post_message(messages.ShowKeys())
        elif key == "mcpServers":
            self.post_message(messages.ShowServers())
        else:
            self.notify(f"Destinations are written into {self._config.user_file}, under {key}.", markup=False)

    def action_reset(self) -> None:
        """Takes the person's own value out of their file."""
        setting = self._settings.get(self.chosen)
        if setting is None or setting.kind == "elsewhere":
            return
        if not words.is_yours(setting.key, self._config):
            self.notify(f"{setting.name} does not stand in your file.", markup=False)
            return
        self._write(setting, lambda: self._care.reset(setting.key))

    def action_leave(self) -> None:
        """Back to the conversation."""
        self.dismiss(None)

    def _save(self, setting: Setting, value: Any) -> None:
        if value is not None or setting.optional:
            self._write(setting, lambda: self._care.save(setting.key, value), value)

    def _write(self, setting: Setting, write: Callable[[], LoadedConfig], *wanted: Any) -> None:
        """Changes the file in a thread; shows what counts then, and tells the session."""

        async def change() -> None:
            try:
                self._config = await asyncio.to_thread(write)
            except ConfigError as error:
                self.notify(f"Nothing was changed: {error}", severity="error", markup=False)
                return
            value = wanted[0] if wanted else words.value_of(setting.key, self._config.settings)
            self.refresh_entries()
            self.post_message(messages.SettingChanged(setting.key, value))
            effect = words.AT_ONCE if setting.key in LIVE else words.NEXT_START
            shown = self._redact(words.words_of(value, setting))
            self.notify(f"{setting.name}: {shown} · {effect}", markup=False)

        self.run_worker(change(), name="saving a setting", group="saving", exit_on_error=False)


def parsed(setting: Setting, line: str) -> Any:
    """A typed line as a value. A number that cannot be read stays a text, which no setting takes."""
    text = line.strip()
    if setting.kind != "number":
        return text
    if not text and setting.optional:
        return None
    try:
        return int(text) if setting.whole else float(text)
    except ValueError:
        return text


def problem_with(setting: Setting, line: str) -> str:
    """Why a typed line cannot be the value, in words; empty when it can."""
    value = parsed(setting, line)
    if setting.kind == "number" and isinstance(value, str):
        kind = "a whole number" if setting.whole else "a number"
        return f"Type {kind}{f': {setting.bounds}' if setting.bounds else ''}."
    if not objection_to(setting.key, value):
        return ""
    if setting.bounds:
        return f"It must be {setting.bounds}."
    objection = objection_to(setting.key, value)
    return f"{objection[:1].upper()}{objection[1:]}"

"""What the Settings screen says: values, sources, and what a setting is about."""

from __future__ import annotations

from typing import Any

from textual.content import Content

from ml_intern.core.config import BUNDLED, COMMAND_LINE, DEFAULT, LoadedConfig
from ml_intern.core.settings import Settings
from ml_intern.core.settings_schema import Group, Setting
from ml_intern.tui.widgets.text import fit, one_line, pad

NAME_CELLS = 34
NARROW_NAME_CELLS = 25
NARROW = 80
SOURCE_CELLS = 12
EMPTY = "–"

AT_ONCE = "counts at once"
NEXT_START = "counts from the next start of ml-intern"


def words_of(value: Any, setting: Setting) -> str:
    """A value as people read it, in one line."""
    match value:
        case bool():
            return "on" if value else "off"
        case None:
            return "none"
        case int() | float():
            number = f"{value:.10g}" if isinstance(value, float) else str(value)
            return f"${number}" if setting.unit == "$" else f"{number} {setting.unit}".rstrip()
        case str():
            return one_line(value) or EMPTY
        case dict():
            return one_line(", ".join(map(str, value))) or EMPTY
        case _:
            return one_line(", ".join(map(str, value))) or EMPTY


def source_of(setting: Setting, config: LoadedConfig) -> str:
    """Where a value comes from, in a word or two; empty for one that nobody has set."""
    source = _source(setting.key, config)
    if source in {DEFAULT, BUNDLED}:
        return ""
    if source == COMMAND_LINE:
        return "command line"
    return "environment" if setting.key in config.references else "yours"


def value_of(key: str, settings: Settings) -> Any:
    """The value of a setting."""
    value: Any = settings.model_dump(mode="json")
    for part in key.split("."):
        value = value[part]
    return value


def is_yours(key: str, config: LoadedConfig) -> bool:
    """Whether the value stands in the user's own file."""
    return _source(key, config) == str(config.user_file)


def heading(group: Group, width: int) -> Content:
    """The row above a group."""
    return Content.assemble(
        (group.name, "$accent bold"),
        (fit(f"  {group.description}", max(0, width - len(group.name))), "$foreground-muted"),
    )


def row(setting: Setting, value: str, source: str, width: int) -> Content:
    """A setting in at most `width` cells: whether it was changed, its name, its value, and where that comes from."""
    name_cells = NAME_CELLS if width >= NARROW else NARROW_NAME_CELLS
    room = max(8, width - 2 - name_cells - 2 - SOURCE_CELLS - 1)
    shown = pad(fit(value, room), room)
    return Content.assemble(
        ("● " if source else "  ", "$accent"),
        (pad(fit(setting.name, name_cells), name_cells), ""),
        "  ",
        (shown, "bold" if source else ""),
        (f" {source:>{SOURCE_CELLS}}" if source else "", "$foreground-muted"),
    )


def detail(setting: Setting, config: LoadedConfig, value: str, now: str, default: str, effect: str) -> Content:
    """What a setting is about.

    Args:
        setting: The setting.
        config: What counts.
        value: Its value, in words.
        now: Its value in this session, where that is another one; else empty.
        default: The value without any configuration, in words.
        effect: When a change counts.
    """
    may = ", ".join(choice or "empty" for choice in setting.choices) or setting.bounds
    facts = [
        f"is {value}" if value != default else "",
        f"default {default}",
        may and f"may be {may}" + (" or none" if setting.optional else ""),
        effect,
    ]
    lines = [
        Content.assemble((setting.name, "bold"), (f"  {setting.key}", "$foreground-muted")),
        Content(setting.description),
        Content.styled(" · ".join(filter(None, facts)), "$foreground-muted"),
        Content.styled(_origin(setting.key, config), "$foreground-muted"),
    ]
    if now:
        lines.append(Content.styled(f"! In this session it is {now}.", "$warning"))
    return Content("\n").join(lines)


def _source(key: str, config: LoadedConfig) -> str:
    """The file or flag; a table of values comes from the first that sets anything in it."""
    if key in config.sources:
        return config.sources[key]
    below = (source for path, source in config.sources.items() if path.startswith(f"{key}."))
    return next((source for source in below if source != BUNDLED), DEFAULT)


def _origin(key: str, config: LoadedConfig) -> str:
    source = _source(key, config)
    if source in {DEFAULT, BUNDLED}:
        return "comes with ml-intern"
    if source == COMMAND_LINE:
        return "from the command line of this run, which beats the file"
    reference = config.references.get(key, "")
    return f"from {source}" + (f", as {one_line(str(reference))}" if reference else "")

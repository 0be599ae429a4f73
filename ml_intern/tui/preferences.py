"""What a person chose about the app itself, read before the first frame and written when they choose anew."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_intern.core.places import find_places

if TYPE_CHECKING:
    from ml_intern.options import Options


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the first frame needs to know.

    Attributes:
        theme: Name of a theme, or empty.
        motion: `full` or `reduced`, or empty.
        keys: Keys by action, as they stand in the configuration.
    """

    theme: str = ""
    motion: str = ""
    keys: dict[str, object] = field(default_factory=dict)


def preferences_at_start(options: Options) -> Preferences:
    """What the user's own configuration says.

    The first frame must not wait for the whole configuration to be read, and must not change its colours afterwards.
    Whatever is wrong with the file is told later, by who reads all of it.
    """
    named = options.config or os.environ.get("ML_INTERN_CLI_CONFIG")
    try:
        path = Path(named) if named else find_places().config / "cli_agent_config.json"
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return Preferences()
    ui, keys = _object(tree, "ui"), _object(tree, "keys")
    return Preferences(_text(ui, "theme"), _text(ui, "motion"), keys)


def _text(tree: dict[str, Any], key: str) -> str:
    value = tree.get(key)
    return value if isinstance(value, str) else ""


def _object(tree: Any, key: str) -> dict[str, Any]:
    value = tree.get(key) if isinstance(tree, dict) else None
    return value if isinstance(value, dict) else {}


def save_theme(theme: str, options: Options) -> None:
    """Writes the theme into the user's configuration. Blocks while it does.

    Raises:
        ConfigError: The file is broken or cannot be written.
    """
    from ml_intern.core.config import save_user_setting, user_config_file

    places = find_places()
    file, _ = user_config_file(places, os.environ, options.config)
    save_user_setting(places, "ui.theme", theme, file=file)

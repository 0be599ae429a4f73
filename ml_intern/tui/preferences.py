"""What a person chose about the look of the app, read before the first frame and written when they choose anew."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ml_intern.core.places import find_places

if TYPE_CHECKING:
    from ml_intern.options import Options


def theme_at_start(options: Options) -> str:
    """The theme in the user's own configuration, or an empty string.

    The first frame must not wait for the whole configuration to be read, and must not change its colours afterwards.
    Whatever is wrong with the file is told later, by who reads all of it.
    """
    named = options.config or os.environ.get("ML_INTERN_CLI_CONFIG")
    try:
        path = Path(named) if named else find_places().config / "cli_agent_config.json"
        theme = json.loads(path.read_text(encoding="utf-8"))["ui"]["theme"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return theme if isinstance(theme, str) else ""


def save_theme(theme: str, options: Options) -> None:
    """Writes the theme into the user's configuration. Blocks while it does.

    Raises:
        ConfigError: The file is broken or cannot be written.
    """
    from ml_intern.core.config import save_user_setting, user_config_file

    places = find_places()
    file, _ = user_config_file(places, os.environ, options.config)
    save_user_setting(places, "ui.theme", theme, file=file)

"""What a person chose about the app itself, written when they choose anew."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ml_intern.core.places import find_places

if TYPE_CHECKING:
    from ml_intern.options import Options


def save_choice(setting: str, value: str, options: Options) -> None:
    """Writes a setting, by its dotted path, into the user's configuration. Blocks while it does.

    Raises:
        ConfigError: The file is broken or cannot be written.
    """
    from ml_intern.core.config import user_config_file
    from ml_intern.core.user_config import save_user_setting

    places = find_places()
    file, _ = user_config_file(places, os.environ, options.config)
    save_user_setting(places, setting, value, file=file)

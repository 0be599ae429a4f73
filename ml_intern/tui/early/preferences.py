"""What a person chose about the app itself, read before the first frame and without what the app imports later."""

from __future__ import annotations

import os
import sys

from ml_intern.options import TYPE_CHECKING, Options
from ml_intern.tui.early.look import DEFAULT_THEME, UNCOLOURED_THEME

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_NAME = "cli_agent_config.json"


class Preferences:
    """What the first frame needs to know.

    Attributes:
        theme: Name of a theme, or empty.
        motion: `full` or `reduced`, or empty.
        plain: Whether the conversation goes line by line, without an app.
        keys: Keys by action, as they stand in the configuration.
    """

    def __init__(
        self, theme: str = "", motion: str = "", keys: Mapping[str, object] | None = None, *, plain: bool = False
    ) -> None:
        self.theme = theme
        self.motion = motion
        self.plain = plain
        self.keys: Mapping[str, object] = keys or {}


def preferences_at_start(options: Options) -> Preferences:
    """What the user's own configuration says.

    The first frame must not wait for the whole configuration to be read, and must not change its colours afterwards.
    Whatever is wrong with the file is told later, by who reads all of it.
    """
    try:
        with open(options.config or user_file(os.environ), encoding="utf-8") as file:  # noqa: PTH123 - no `pathlib` yet
            import json

            tree = json.load(file)
    except (OSError, ValueError, RecursionError):
        return Preferences()
    ui = _object(tree, "ui")
    return Preferences(_text(ui, "theme"), _text(ui, "motion"), _object(tree, "keys"), plain=ui.get("plain") is True)


def theme_at_start(options: Options, chosen: Preferences) -> str:
    """The theme that was asked for: on the command line, by the environment, or in the configuration."""
    uncoloured = UNCOLOURED_THEME if os.environ.get("NO_COLOR") else ""
    return options.theme or uncoloured or chosen.theme or DEFAULT_THEME


def user_file(env: Mapping[str, str]) -> str:
    """The user's configuration file. As `find_places` says, which takes longer to import than all of this."""
    if named := env.get("ML_INTERN_CLI_CONFIG"):
        return named
    if home := env.get("ML_INTERN_HOME", "").strip():
        return os.path.abspath(os.path.join(os.path.expanduser(home), "config", _NAME))  # noqa: PTH100, PTH111, PTH118
    if sys.platform == "linux" and "ANDROID_ROOT" not in env:
        config = env.get("XDG_CONFIG_HOME", "").strip() or os.path.expanduser("~/.config")  # noqa: PTH111
        return f"{config}/ml-intern/{_NAME}"
    from ml_intern.core.places import find_places

    return str(find_places(env).config / _NAME)


def _text(tree: dict[str, Any], key: str) -> str:
    value = tree.get(key)
    return value if isinstance(value, str) else ""


def _object(tree: Any, key: str) -> dict[str, Any]:
    value = tree.get(key) if isinstance(tree, dict) else None
    return value if isinstance(value, dict) else {}

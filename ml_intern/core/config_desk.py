"""The configuration as it is shown and changed while a session runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from ml_intern.core.config import LoadedConfig, load_config
from ml_intern.core.config_tree import KeyPath
from ml_intern.core.places import Places
from ml_intern.core.user_config import reset_user_setting, save_user_setting


class ConfigDesk:
    """Reads the configuration of this run anew, and changes the user's own file. Every method blocks.

    Args:
        places: Where the usual file is.
        env: Environment of this run.
        config_file: User file that was named on the command line.
        overrides: Values of the command line by dotted key path.
    """

    def __init__(
        self,
        places: Places,
        env: Mapping[str, str],
        config_file: Path | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        self._places = places
        self._env = env
        self._config_file = config_file
        self._overrides = dict(overrides or {})
        self._writing = Lock()  # a change reads the file, and must not miss another one

    def load(self) -> LoadedConfig:
        """The configuration as the files say it now.

        Raises:
            ConfigError: It cannot be used.
        """
        return load_config(self._places, self._env, config_file=self._config_file, overrides=self._overrides)

    def save(self, key_path: KeyPath, value: Any) -> LoadedConfig:
        """Writes a value into the user's file; gives what counts then.

        Raises:
            ConfigError: The value does not fit, or the file cannot be written.
        """
        with self._writing:
            save_user_setting(self._places, key_path, value, file=self.load().user_file)
            return self.load()

    def reset(self, key_path: KeyPath) -> LoadedConfig:
        """Takes a value out of the user's file; gives what counts then.

        Raises:
            ConfigError: The file cannot be read or written.
        """
        with self._writing:
            reset_user_setting(self._places, key_path, file=self.load().user_file)
            return self.load()

"""The person's own configuration file: single values of it read, written and taken out; the others stay as they are."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ml_intern.core.config import ConfigError, read_config_file, reason_of, user_config_file, validate
from ml_intern.core.config_tree import KeyPath, keys_of, merge, nested, take_out
from ml_intern.core.places import Places
from ml_intern.core.settings import Settings
from ml_intern.core.small_file import write_small_file


def read_user_setting(file: Path, key_path: str) -> Any:
    """A value as it stands in a configuration file, variables not replaced; None where it does not.

    Raises:
        ConfigError: The file cannot be read.
    """
    value: Any = read_config_file(file) if os.path.lexists(file) else {}
    for key in key_path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def save_user_setting(places: Places, key_path: KeyPath, value: Any, *, file: Path | None = None) -> Path:
    """Writes one value into the user's file, atomically; its other keys stay as they are.

    Args:
        places: Where the usual file is.
        key_path: Where it stands.
        value: A JSON value; it is checked before anything is written.
        file: The file to write instead of the one in use (`LoadedConfig.user_file`).

    Returns:
        The file that was written.

    Raises:
        ConfigError: The value does not fit, or the file cannot be read or written.
    """
    path = file or user_config_file(places, os.environ)[0]
    tree = read_config_file(path) if os.path.lexists(path) else {}
    merge(tree, nested(key_path, value))
    _check(nested(key_path, value), tree)
    _write(path, tree)
    return path


def reset_user_setting(places: Places, key_path: KeyPath, *, file: Path | None = None) -> Path:
    """Takes one value out of the user's file, atomically, so that the default counts again.

    Args:
        places: Where the usual file is.
        key_path: Where it stands.
        file: The file to write instead of the one in use.

    Returns:
        The file, which stays as it is when the value does not stand there.

    Raises:
        ConfigError: The file cannot be read or written.
    """
    path = file or user_config_file(places, os.environ)[0]
    tree = read_config_file(path) if os.path.lexists(path) else {}
    if take_out(tree, keys_of(key_path)):
        _write(path, tree)
    return path


def objection_to(key_path: KeyPath, value: Any) -> str:
    """Why a setting cannot have this value, in words; empty when it can."""
    try:
        Settings.model_validate(nested(key_path, value))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "string_pattern_mismatch":
            return "this does not have the right form."
        message = first["msg"].removeprefix("Value error, ")
        return f"{message[:1].lower()}{message[1:]}."
    return ""


def _check(change: dict[str, Any], tree: dict[str, Any]) -> None:
    """A change must be right by itself, or together with what stands in the file already."""
    try:
        validate(change, {})
    except ConfigError:
        try:
            Settings.model_validate(tree)
        except ValidationError:
            pass
        else:
            return
        raise


def _write(path: Path, tree: dict[str, Any]) -> None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600
        write_small_file(path, json.dumps(tree, indent=2, ensure_ascii=False) + "\n", mode)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {reason_of(error)}.") from error

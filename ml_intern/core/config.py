"""Reads the configuration: bundled file, then the user's file over it key by key, then the flags of this run.

Every mistake a person can make in a file ends as one sentence that names the file, the key and the way out.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ml_intern.core.config_keys import nearest_key
from ml_intern.core.places import Places
from ml_intern.core.settings import Settings
from ml_intern.core.small_file import read_small_file
from ml_intern.resources import config_path

USER_FILE = "cli_agent_config.json"
USER_FILE_VARIABLE = "ML_INTERN_CLI_CONFIG"

DEFAULT = "default"
BUNDLED = "bundled configuration"
COMMAND_LINE = "command line"

_WITHOUT_EFFECT = frozenset(
    {
        "auto_file_upload",
        "auto_save_interval",
        "heartbeat_interval_s",
        "personal_trace_repo_template",
        "session_dataset_repo",
        "share_traces",
    }
)
"""Keys that files written for earlier versions hold. They are no mistakes of a person, so they only draw a warning."""

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")
_NEARLY = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*):(?P<default>[A-Za-z0-9_./][^}]*)\}")
"""A default that lacks its hyphen."""


class ConfigError(Exception):
    """The configuration cannot be used. The message is one sentence for a person, with the next step."""


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """The merged configuration.

    Attributes:
        settings: The values.
        sources: Where each value that some file or flag sets comes from, by dotted key path (`llm.max_attempts`).
        warnings: Sentences for a person.
        user_file: The user's file, whether it exists or not; `save_user_setting` writes there.
        references: Values that name environment variables, as they stand in a file, by dotted key path.
        standard: The values without the user's file and the flags.
    """

    settings: Settings
    sources: dict[str, str]
    warnings: tuple[str, ...]
    user_file: Path
    references: dict[str, Any] = field(default_factory=dict)
    standard: Settings = field(default_factory=Settings)

    def explain(self) -> Iterator[tuple[str, Any, str]]:
        """Every setting as `(key path, value, where it comes from)`, in the order of the settings model."""
        for key_path, value in _leaves(self.settings.model_dump()):
            yield key_path, value, self.sources.get(key_path, DEFAULT)


def load_config(
    places: Places,
    env: Mapping[str, str],
    *,
    config_file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> LoadedConfig:
    """The configuration of this run.

    Args:
        places: Where the user's own file is looked for.
        env: Environment for `ML_INTERN_CLI_CONFIG` and `${NAME}` substitution.
        config_file: User file that beats both usual places; it must exist.
        overrides: Values of the command line by dotted key path.

    Raises:
        ConfigError: A file cannot be read, or a key or a value is wrong.
    """
    user_file, required = user_config_file(places, env, config_file)
    tree: dict[str, Any] = {}
    sources: dict[str, str] = {}
    warnings: list[str] = []
    _lay_over(tree, _read_object(config_path("cli_agent_config.json")), BUNDLED, sources)
    standard = _validate(tree, sources)
    if required or os.path.lexists(user_file):
        layer = _adopt_older_keys(_read_object(user_file), user_file, warnings)
        _lay_over(tree, layer, str(user_file), sources)
    references = {key_path: value for key_path, value in _leaves(tree) if "${" in json.dumps(value)}
    tree = _substitute(tree, env, sources)
    for key_path, value in (overrides or {}).items():
        _lay_over(tree, _nested(key_path, value), COMMAND_LINE, sources)
        references.pop(key_path, None)
    servers = tree.get("mcpServers")
    if isinstance(servers, dict):  # `null` takes a server of an earlier layer away
        tree["mcpServers"] = {name: server for name, server in servers.items() if server is not None}
    return LoadedConfig(_validate(tree, sources), sources, tuple(warnings), user_file, references, standard)


def user_config_file(places: Places, env: Mapping[str, str], config_file: Path | None = None) -> tuple[Path, bool]:
    """The user's configuration file, and whether it must exist because someone named it.

    Raises:
        ConfigError: A named file does not exist.
    """
    named, by = config_file, "--config"
    if named is None and (value := env.get(USER_FILE_VARIABLE, "").strip()):
        named, by = Path(value), USER_FILE_VARIABLE
    if named is None:
        return places.config / USER_FILE, False
    path = named.expanduser().absolute()
    if not os.path.isfile(path):  # noqa: PTH113 - `Path.is_file` raises on a directory that may not be entered
        raise ConfigError(f"{by} names {path}, which is not a file; create it or name another one.")
    return path, True


KeyPath = str | tuple[str, ...]
"""Where a value stands: dotted, for example `ui.theme`, or key by key where a key has dots itself."""


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
    tree = _read_object(path) if os.path.lexists(path) else {}
    _merge(tree, _nested(key_path, value))
    _check(_nested(key_path, value), tree)
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
    tree = _read_object(path) if os.path.lexists(path) else {}
    if _take_out(tree, _keys_of(key_path)):
        _write(path, tree)
    return path


def objection_to(key_path: KeyPath, value: Any) -> str:
    """Why a setting cannot have this value, in words; empty when it can."""
    try:
        Settings.model_validate(_nested(key_path, value))
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
        _validate(change, {})
    except ConfigError:
        try:
            Settings.model_validate(tree)
        except ValidationError:
            pass
        else:
            return
        raise


def _take_out(tree: dict[str, Any], keys: tuple[str, ...]) -> bool:
    """Removes a key, and whatever is empty without it. Tells whether it was there."""
    first, rest = keys[0], keys[1:]
    if first not in tree:
        return False
    if not rest:
        del tree[first]
        return True
    below = tree[first]
    if not isinstance(below, dict) or not _take_out(below, rest):
        return False
    if not below:
        del tree[first]
    return True


def read_user_setting(file: Path, key_path: str) -> Any:
    """A value as it stands in a configuration file, variables not replaced; None where it does not.

    Raises:
        ConfigError: The file cannot be read.
    """
    value: Any = _read_object(file) if os.path.lexists(file) else {}
    for key in key_path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def substitute_variables(tree: Mapping[str, Any], env: Mapping[str, str], where: str) -> dict[str, Any]:
    """Values with `${NAME}` and `${NAME:-default}` replaced, as in a configuration file.

    Args:
        tree: Any JSON object.
        env: The variables.
        where: What the values are, for the sentence of an error.

    Raises:
        ConfigError: A variable is not set and has no default.
    """
    return _substitute(dict(tree), env, dict.fromkeys(tree, where))


# ---------------------------------------------------------------------------------------------------- reading


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(read_small_file(path))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {_reason(error)}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8.") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigError(f"{path} is not valid JSON: {error.msg} at {where}.") from error
    except RecursionError as error:
        raise ConfigError(f"{path} is nested too deeply to be a configuration.") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path} must hold a JSON object: {{ … }}.")
    return value


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _adopt_older_keys(layer: dict[str, Any], path: Path, warnings: list[str]) -> dict[str, Any]:
    """Takes files of earlier versions as they are: one key has a successor, some are without effect now."""
    idle = sorted(_WITHOUT_EFFECT & layer.keys())
    adopted = {key: value for key, value in layer.items() if key not in _WITHOUT_EFFECT}
    if idle:
        warnings.append(f"{path}: {', '.join(idle)} {'has' if len(idle) == 1 else 'have'} no effect any more.")
    if "yolo_mode" in adopted:
        if adopted.pop("yolo_mode") is True and "mode" not in adopted:
            adopted["mode"] = "yolo"
        warnings.append(f'{path}: yolo_mode is now written "mode": "yolo".')
    if "reasoning_effort" in adopted and adopted["reasoning_effort"] is None:
        adopted["reasoning_effort"] = "off"
    return adopted


# ---------------------------------------------------------------------------------------------------- merging


def _lay_over(tree: dict[str, Any], layer: dict[str, Any], source: str, sources: dict[str, str]) -> None:
    _merge(tree, layer)
    sources.update((key_path, source) for key_path, _ in _leaves(layer))


def _merge(tree: dict[str, Any], layer: Mapping[str, Any]) -> None:
    """Objects merge key by key; lists and scalars replace."""
    for key, value in layer.items():
        below = tree.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            _merge(below, value)
        else:
            tree[key] = value


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        # A server's own keys are the server's business, and they are where people keep tokens.
        if isinstance(value, dict) and value and prefix != "mcpServers.":
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _keys_of(key_path: KeyPath) -> tuple[str, ...]:
    return tuple(key_path.split(".")) if isinstance(key_path, str) else key_path


def _nested(key_path: KeyPath, value: Any) -> dict[str, Any]:
    for key in reversed(_keys_of(key_path)):
        value = {key: value}
    return dict(value)


def _substitute(tree: dict[str, Any], env: Mapping[str, str], sources: Mapping[str, str]) -> dict[str, Any]:
    def text(value: str, key_path: str) -> str:
        def variable(match: re.Match[str]) -> str:
            name, default = match["name"], match["default"]
            if (found := env.get(name)) is not None:
                return found
            if default is not None:
                return default
            where = _source_of(key_path, sources)
            raise ConfigError(
                f"{where}: {key_path} needs the environment variable {name}, which is not set; "
                f"set it, or write ${{{name}:-default}}."
            )

        if (match := _NEARLY.search(value)) and not key_path.startswith("approvals."):  # rules speak of shell commands
            where, right = _source_of(key_path, sources), f"${{{match['name']}:-{match['default']}}}"
            raise ConfigError(f"{where}: {key_path} holds {match[0]}; a default is written {right}.")
        return _VARIABLE.sub(variable, value)

    def walk(value: Any, key_path: str) -> Any:
        if isinstance(value, str):
            return text(value, key_path) if "${" in value else value
        if isinstance(value, dict):
            return {key: walk(item, f"{key_path}.{key}" if key_path else key) for key, item in value.items()}
        if isinstance(value, list):
            return [walk(item, key_path) for item in value]
        return value

    return {key: walk(value, key) for key, value in tree.items()}


def _source_of(key_path: str, sources: Mapping[str, str]) -> str:
    """The file or flag a value comes from; a value inside a list or a server belongs to its nearest recorded parent."""
    while key_path:
        if key_path in sources:
            return sources[key_path]
        key_path = key_path.rpartition(".")[0]
    return "configuration"


# --------------------------------------------------------------------------------------------------- validation


def _validate(tree: dict[str, Any], sources: Mapping[str, str]) -> Settings:
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        first, *rest = error.errors(include_url=False)
        more = f" ({len(rest)} more like this)" if rest else ""
        raise ConfigError(_explain(first["type"], first["msg"], first["loc"], sources) + more + ".") from error


def _explain(kind: str, message: str, location: tuple[int | str, ...], sources: Mapping[str, str]) -> str:
    keys = [key for key in location if isinstance(key, str)]
    key_path = ".".join(keys)
    where = _source_of(key_path, sources)
    if kind != "extra_forbidden":
        return f"{where}: {key_path}: {message[:1].lower()}{message[1:]}"
    return f"{where}: unknown key {key_path}; the nearest known one is {nearest_key(keys)}"


# ----------------------------------------------------------------------------------------------------- writing


def _write(path: Path, tree: dict[str, Any]) -> None:
    try:
        _write_atomically(path, json.dumps(tree, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {_reason(error)}.") from error


def _write_atomically(path: Path, text: str) -> None:
    """A reader sees the old file or the new one, whatever happens in between. A symlink keeps pointing where it did."""
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o600
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise

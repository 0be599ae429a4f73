"""Reads the configuration: bundled file, then the user's file over it key by key, then the flags of this run.

Every mistake a person can make in a file ends as one sentence that names the file, the key and the way out.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ml_intern.core.config_keys import nearest_key
from ml_intern.core.config_tree import leaves, merge, nested
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
        user_file: The user's file, whether it exists or not; what a person sets is written there.
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
        for key_path, value in leaves(self.settings.model_dump()):
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
    _lay_over(tree, read_config_file(config_path("cli_agent_config.json")), BUNDLED, sources)
    standard = validate(tree, sources)
    if required or os.path.lexists(user_file):
        layer = _adopt_older_keys(read_config_file(user_file), user_file, warnings)
        _lay_over(tree, layer, str(user_file), sources)
    references = {key_path: value for key_path, value in leaves(tree) if "${" in json.dumps(value)}
    tree = _substitute(tree, env, sources)
    for key_path, value in (overrides or {}).items():
        _lay_over(tree, nested(key_path, value), COMMAND_LINE, sources)
        references.pop(key_path, None)
    servers = tree.get("mcpServers")
    if isinstance(servers, dict):  # `null` takes a server of an earlier layer away
        tree["mcpServers"] = {name: server for name, server in servers.items() if server is not None}
    return LoadedConfig(validate(tree, sources), sources, tuple(warnings), user_file, references, standard)


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


def read_config_file(path: Path) -> dict[str, Any]:
    """What stands in a configuration file, variables not replaced.

    Raises:
        ConfigError: It cannot be read, or holds no JSON object.
    """
    try:
        value = json.loads(read_small_file(path))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {reason_of(error)}.") from error
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


def reason_of(error: OSError) -> str:
    """Why a file cannot be used, as the end of a sentence."""
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
    merge(tree, layer)
    sources.update((key_path, source) for key_path, _ in leaves(layer))


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


def validate(tree: dict[str, Any], sources: Mapping[str, str]) -> Settings:
    """The settings that a tree of values makes.

    Args:
        tree: The values.
        sources: Where they come from, by dotted key path, for the sentence of an error.

    Raises:
        ConfigError: A key or a value is wrong.
    """
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

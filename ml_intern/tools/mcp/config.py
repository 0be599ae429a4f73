"""What the configuration says about servers, checked before anything is started."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ml_intern.core.config import ConfigError

_NOT_IN_A_HEADER = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_A_URL = re.compile(r"[\x00-\x20\x7f\\]")
"""A backslash, too: parsers disagree on what is the host of an address that holds one."""


class _Server(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    disabled: bool = False
    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 120.0
    """Seconds that one call may take."""


class ProgramServer(_Server):
    """A server that is a program on this machine, spoken to over its standard input and output."""

    command: Annotated[str, Field(min_length=1)]
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    """Variables beside the few every program needs; nothing else of the environment is handed on."""
    cwd: str = ""
    """Directory it starts in; the workspace when empty."""
    transport: Literal["stdio"] = "stdio"


class OAuthClient(BaseModel):
    """Who we are to a server that people sign in to, where it does not let programs register by themselves."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    client_id: str = ""
    client_secret: Annotated[str, Field(repr=False)] = ""
    scopes: tuple[str, ...] = ()
    callback_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port of 127.0.0.1 that the browser comes back to; 0: any free one."""


class RemoteServer(_Server):
    """A server at an address."""

    url: str
    headers: dict[str, str] = Field(default_factory=dict)
    oauth: OAuthClient = OAuthClient()
    transport: Literal["http", "sse"] = "http"

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or _NOT_IN_A_URL.search(url):
            raise ValueError("an address begins with http:// or https:// and names a host")
        return url

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not name or not name.isascii() or _NOT_IN_A_HEADER.search(name + value):
                raise ValueError(f"the header {name!r} holds a line break or another character that cannot be sent")
        return headers


ServerConfig = ProgramServer | RemoteServer


def parse_servers(entries: Mapping[str, Mapping[str, Any]], *, keep_disabled: bool = False) -> dict[str, ServerConfig]:
    """The servers that are to be used, by name; disabled ones are checked and left out.

    Args:
        entries: `mcpServers` of the configuration, variables substituted.
        keep_disabled: Whether disabled ones are wanted too.

    Raises:
        ConfigError: An entry is wrong; the sentence names the server and never shows a value, which may be a key.
    """
    servers: dict[str, ServerConfig] = {}
    prefixes: dict[str, str] = {}
    for name, entry in entries.items():
        config = _parse(name, _usual_words(entry))
        if (other := prefixes.setdefault(safe_name(name), name)) != name:
            raise ConfigError(f"mcpServers.{name} and mcpServers.{other} would name their tools alike; rename one.")
        if keep_disabled or not config.disabled:
            servers[name] = config
    return servers


def safe_name(name: str) -> str:
    """A name in the characters that every model provider takes in names of tools."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)


def _usual_words(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry as other clients write it: `type` for `transport`, and longer names for HTTP."""
    words = dict(entry)
    if "type" in words and "transport" not in words:
        words["transport"] = words.pop("type")
    if words.get("transport") in {"streamable-http", "streamable_http", "streamableHttp"}:
        words["transport"] = "http"
    return words


def _parse(name: str, entry: dict[str, Any]) -> ServerConfig:
    if not re.search(r"[A-Za-z0-9]", name):
        raise ConfigError(f"mcpServers: {name!r} cannot name a server; use letters and digits.")
    if ("command" in entry) == ("url" in entry):
        raise ConfigError(f'mcpServers.{name} needs either "command" (a program to start) or "url" (an address).')
    kind: type[ServerConfig] = ProgramServer if "command" in entry else RemoteServer
    try:
        return kind.model_validate(entry)
    except ValidationError as error:
        raise ConfigError(f"mcpServers.{name}{_explain(error, kind)}.") from error


def _explain(error: ValidationError, kind: type[ServerConfig]) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        nearest = difflib.get_close_matches(place, kind.model_fields, n=1, cutoff=0.0)[0]
        return f": unknown key {place}; the nearest known one is {nearest}"
    message = problem["msg"].removeprefix("Value error, ")
    return f".{place}: {message[:1].lower()}{message[1:]}"

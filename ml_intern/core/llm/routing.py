"""Which way a model id goes: the transport, the address, the key, and the model's name at that address."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ml_intern.core.llm.errors import LLMError
from ml_intern.core.llm.providers import (
    CREDENTIAL_ARGUMENTS,
    KEY_VARIABLES,
    LOCAL_SERVERS,
    OPENAI_URL,
    ROUTER_URL,
    ROUTER_URL_VARIABLE,
    SHARED_KEY_VARIABLE,
    SHARED_URL_VARIABLE,
    LocalServer,
    is_provider,
    key_variables,
)
from ml_intern.core.llm.reasoning import Replay
from ml_intern.core.settings import Settings

TransportName = Literal["wire", "litellm", "practice"]

HF_TOKEN_HINT = "set HF_TOKEN or run `hf auth login`"  # noqa: S105 - a sentence, not a token
RESPONSES_ONLY = (
    "gpt-5.[4-9]*",
    "gpt-[6-9]*",
    "gpt-5*-pro*",
    "gpt-5*codex*",
    "codex-*",
    "o[0-9]*-pro*",
    "o[0-9]*-deep-*",
)
"""Models that OpenAI itself serves with tools and reasoning only under `/v1/responses`, which litellm speaks."""

_ROUTER_TAG = re.compile(r":[a-z][a-z0-9-]*$")
_LEAST_LIKENESS = 0.7
_LIKENESS_SPREAD = 0.1
_LEAST_BEGINNING = 4
_BEGINNING_LIKENESS = 0.95
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class Route:
    """How one model is reached.

    Attributes:
        model: Full id as the user gave it.
        transport: Which transport speaks to it.
        wire_model: The model's name in the request.
        base_url: Address up to and including `/v1`; empty lets litellm use the provider's own.
        api_key: The key; empty sends none.
        headers: Extra request headers.
        provider: `anthropic`, `openai`, …; `huggingface` for the router, the prefix for local servers.
        is_local: A server of the user's own: costs nothing, gets no reasoning effort.
        key_names: Variables that may hold the key, for error texts.
        arguments: Further arguments of a litellm call.
        replay: Whether reasoning of earlier replies goes back to the model.
        note: What the user should know about this way, or empty.
    """

    model: str
    transport: TransportName
    wire_model: str
    base_url: str = ""
    api_key: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    provider: str = ""
    is_local: bool = False
    key_names: tuple[str, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict, repr=False)
    replay: Replay = "auto"
    note: str = ""

    @property
    def address(self) -> str:
        """Where requests go, for people."""
        return self.base_url or f"the {self.provider} API"

    @property
    def is_router(self) -> bool:
        """Whether it is the Hugging Face router."""
        return self.provider == "huggingface"

    @property
    def is_public_openai(self) -> bool:
        """Whether it is OpenAI's own endpoint and not another server that speaks its wire."""
        return self.provider == "openai" and self.base_url == OPENAI_URL


def resolve(
    model: str,
    env: Mapping[str, str],
    settings: Settings,
    known_models: Callable[[], Iterable[str]] = tuple,
) -> Route:
    """The route of a model id.

    Args:
        model: The id.
        env: Environment variables, `.env` included.
        settings: `llm.transport` may force litellm.
        known_models: Ids to compare a wrong one with; called only then.

    Raises:
        LLMError: `no_model` (nothing is configured), `model_not_found` (no such way; near ids are named), `no_key`.
    """
    if not model.strip():
        raise LLMError("no_model", "No model is configured; choose one with /model or --model, or try --demo.")
    prefix, _, name = model.partition("/")
    if not name or re.search(r"\s", model):
        raise _unknown(model, known_models)
    if prefix == "demo":
        return Route(model, "practice", name, provider="demo", is_local=True)
    if server := LOCAL_SERVERS.get(prefix):
        route = _local_route(model, name, server, env)
    elif prefix in {"anthropic", "openai"}:
        route = _first_party_route(model, prefix, name, env)
    elif prefix == "huggingface":
        route = _router_route(model, name, env, known_models)
    elif is_provider(prefix):
        return _provider_route(model, prefix, env)
    else:
        route = _router_route(model, model, env, known_models)
    return _with_litellm(route) if settings.llm.transport == "litellm" else route


def find_hf_token(env: Mapping[str, str]) -> str:
    """The Hugging Face token from the environment or the file where a login keeps it, or an empty string."""
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if token := env.get(variable, "").strip():
            return token
    try:
        return _token_file(env).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def near_matches(model: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Known ids that look like this one, best first; among equals those that come first in `known`.

    Letter case, dots for dashes, a tag, and the part before the last slash make no difference.
    """
    wanted = _form(model)
    scored: list[tuple[float, int, str]] = []
    for order, candidate in enumerate(dict.fromkeys(known)):
        form = _form(candidate)
        score = max(_likeness(wanted, form), _likeness(_tail(wanted), _tail(form)))
        if score >= _LEAST_LIKENESS:
            scored.append((-round(score, 2), order, candidate))
    scored.sort()
    return [candidate for score, _, candidate in scored if -score >= -scored[0][0] - _LIKENESS_SPREAD][:limit]


def local_base_url(server: LocalServer, env: Mapping[str, str]) -> str:
    """A local server's address with `/v1`: its own variable, then the shared one, then where it usually listens."""
    for variable in (server.url_variable, SHARED_URL_VARIABLE):
        if url := env.get(variable, "").strip():
            return _versioned(url, variable)
    return _versioned(server.base_url, server.url_variable)


def router_base_url(env: Mapping[str, str]) -> str:
    """The router's address."""
    url = env.get(ROUTER_URL_VARIABLE, "").strip()
    return _rooted(url, ROUTER_URL_VARIABLE) if url else ROUTER_URL


# ---------------------------------------------------------------------------------------------------- the ways


def _local_route(model: str, name: str, server: LocalServer, env: Mapping[str, str]) -> Route:
    names = (*server.key_variables, SHARED_KEY_VARIABLE)
    return Route(
        model,
        "wire",
        name,
        base_url=local_base_url(server, env),
        api_key=_first(env, names),
        provider=server.prefix,
        is_local=True,
        key_names=names,
    )


def _first_party_route(model: str, provider: str, name: str, env: Mapping[str, str]) -> Route:
    """Anthropic and OpenAI: their own API with their key, the router with a token and a note about it."""
    names = KEY_VARIABLES[provider]
    key = _first(env, names)
    variable = f"{provider.upper()}_BASE_URL"
    url = env.get(variable, "").strip()
    if _ROUTER_TAG.search(name) and not name.startswith("ft:") and not url:
        return _router_route(model, model, env, tuple)
    if not key and not url:
        return _router_instead(model, names[0], env)
    if provider == "anthropic":
        base = _checked(url, variable).removesuffix("/v1") if url else ""
        return Route(model, "litellm", model, base, key or "none", provider=provider, key_names=names)
    base = _rooted(url, variable) if url else OPENAI_URL
    route = Route(model, "wire", name, base, key, provider=provider, key_names=names)
    if route.is_public_openai and any(fnmatchcase(name, pattern) for pattern in RESPONSES_ONLY):
        return _with_litellm(route)
    return route


def _router_instead(model: str, variable: str, env: Mapping[str, str]) -> Route:
    token = find_hf_token(env)
    if not token:
        text = f"{model} needs a key; set {variable}, or {HF_TOKEN_HINT} to reach it through Hugging Face."
        raise LLMError("no_key", text)
    note = f"{variable} is not set, so {model} is reached through the Hugging Face router with your HF token."
    return _to_router(model, model, token, env, note)


def _router_route(model: str, name: str, env: Mapping[str, str], known_models: Callable[[], Iterable[str]]) -> Route:
    if not _HUB_ID.fullmatch(name):
        raise _unknown(model, known_models)
    token = find_hf_token(env)
    if not token:
        hint = did_you_mean(model, known_models)
        raise LLMError("no_key", f"{model} is served by Hugging Face and needs a token; {HF_TOKEN_HINT}.{hint}")
    return _to_router(model, name, token, env, "")


def _to_router(model: str, name: str, token: str, env: Mapping[str, str], note: str) -> Route:
    names = ("HF_TOKEN",)
    return Route(model, "wire", name, router_base_url(env), token, provider="huggingface", key_names=names, note=note)


def _provider_route(model: str, provider: str, env: Mapping[str, str]) -> Route:
    names = key_variables(provider)
    key = _first(env, names)
    if names and not key:
        text = f"{model} needs a key; set {names[0]} or choose another model with /model."
        if _HUB_ID.fullmatch(model):
            text += f" If it is a model of the Hugging Face Hub, write huggingface/{model}."
        raise LLMError("no_key", text)
    arguments = {
        argument: env[variable]
        for variable, argument in CREDENTIAL_ARGUMENTS.get(provider, {}).items()
        if env.get(variable, "").strip()
    }
    base = arguments.pop("api_base", "")
    return Route(model, "litellm", model, base, key, provider=provider, key_names=names, arguments=arguments)


def _with_litellm(route: Route) -> Route:
    """The same way, spoken by litellm."""
    if route.transport != "wire":
        return route
    return replace(route, transport="litellm", wire_model=f"openai/{route.wire_model}")


# ---------------------------------------------------------------------------------------------------- small parts


def _unknown(model: str, known_models: Callable[[], Iterable[str]]) -> LLMError:
    hint = did_you_mean(model, known_models) or " Ids look like anthropic/claude-opus-4-6, vllm/NAME or org/model."
    return LLMError("model_not_found", f"{model!r} is no model id that leads anywhere.{hint}")


def did_you_mean(model: str, known_models: Callable[[], Iterable[str]]) -> str:
    """A question that names ids like this one, to follow a sentence; empty where there are none, or it is one."""
    prefix, _, name = model.partition("/")
    provider = difflib.get_close_matches(prefix.lower(), (*LOCAL_SERVERS, "demo"), 1, 0.8)
    close = [f"{found}/{name}" for found in provider if name] or near_matches(model, known_models())
    return f" Did you mean {' or '.join(close)}?" if close and model not in close else ""


def _form(model: str) -> str:
    return _ROUTER_TAG.sub("", model.lower()).replace(".", "-").replace("_", "-")


def _tail(model: str) -> str:
    return model.rpartition("/")[2]


def _likeness(one: str, other: str) -> float:
    """How alike two names are, from 0 to 1; 0 as soon as it is clear that they are not."""
    if len(one) >= _LEAST_BEGINNING and other.startswith(one):
        return 1.0 if one == other else _BEGINNING_LIKENESS
    matcher = difflib.SequenceMatcher(None, one, other, autojunk=False)
    if matcher.real_quick_ratio() < _LEAST_LIKENESS or matcher.quick_ratio() < _LEAST_LIKENESS:
        return 0.0
    return matcher.ratio()


def _first(env: Mapping[str, str], names: Iterable[str]) -> str:
    return next((value for name in names if (value := env.get(name, "").strip())), "")


def _checked(url: str, variable: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not match, a port that is no number or too large
        usable = False
    if not usable:
        raise LLMError(
            "bad_request", f"{variable} is {url!r}, which is no URL; write it like http://localhost:8000/v1."
        )
    return url.rstrip("/")


def _versioned(url: str, variable: str) -> str:
    url = _checked(url, variable)
    return url if url.endswith("/v1") else f"{url}/v1"


def _rooted(url: str, variable: str) -> str:
    """Appends `/v1` to a bare origin only: a path of its own is meant as it is."""
    url = _checked(url, variable)
    return url if urlsplit(url).path.strip("/") else f"{url}/v1"


def _token_file(env: Mapping[str, str]) -> Path:
    if path := env.get("HF_TOKEN_PATH", "").strip():
        return Path(path).expanduser()
    cache = Path(env.get("XDG_CACHE_HOME", "").strip() or Path(env.get("HOME", "").strip() or Path.home()) / ".cache")
    home = env.get("HF_HOME", "").strip()
    return (Path(home) if home else cache / "huggingface").expanduser() / "token"

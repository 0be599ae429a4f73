"""Checking a key before it is kept: whose it is, and whether a failure is the key's or the network's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from ml_intern.core.keyfile import save_key
from ml_intern.core.keys import Key, Verdict
from ml_intern.core.llm.http_pool import HttpPool
from ml_intern.core.llm.providers import OPENAI_URL
from ml_intern.core.places import Places
from ml_intern.services.endpoints import Endpoints

TIMEOUT_S = 10.0
ANTHROPIC_URL = "https://api.anthropic.com"
GEMINI_URL = "https://generativelanguage.googleapis.com/v1beta"


HUGGING_FACE = Key("HF_TOKEN", "Hugging Face", "models, jobs, private repositories", "huggingface.co/settings/tokens")
KEYS = (
    HUGGING_FACE,
    Key("ANTHROPIC_API_KEY", "Anthropic", "models anthropic/…", "console.anthropic.com/settings/keys"),
    Key("OPENAI_API_KEY", "OpenAI", "models openai/…", "platform.openai.com/api-keys"),
    Key("GEMINI_API_KEY", "Google Gemini", "models gemini/…", "aistudio.google.com/apikey"),
    Key("OPENROUTER_API_KEY", "OpenRouter", "models openrouter/…", "openrouter.ai/settings/keys"),
    Key("MISTRAL_API_KEY", "Mistral", "models mistral/…", "console.mistral.ai/api-keys"),
    Key("DEEPSEEK_API_KEY", "DeepSeek", "models deepseek/…", "platform.deepseek.com/api_keys"),
    Key("GITHUB_TOKEN", "GitHub", "more requests an hour to GitHub", "github.com/settings/tokens"),
)


class KeyDesk:
    """Checks and keeps keys for a screen.

    Args:
        env: Environment of the run.
        places: Where ml-intern keeps its files.
    """

    kinds = KEYS

    def __init__(self, env: Mapping[str, str], places: Places) -> None:
        self._env = env
        self._places = places

    @property
    def present(self) -> frozenset[str]:
        """Variables that are set."""
        return frozenset(key.variable for key in KEYS if self._env.get(key.variable, "").strip())

    async def check(self, key: Key, value: str) -> Verdict:
        """Asks whoever gave the key out."""
        return await check_key(key, value, self._env)

    async def keep(self, key: Key, value: str) -> str:
        """Keeps it; gives where, in words.

        Raises:
            OSError: The file cannot be written.
            ValueError: It is no key.
        """
        path = await asyncio.to_thread(save_key, self._places, key.variable, value)
        return f"in {path}, for you alone"


Question = tuple[str, dict[str, str]]
"""An address, and headers with the key."""


async def check_key(key: Key, value: str, env: Mapping[str, str]) -> Verdict:
    """Asks whoever gave the key out. A kind that nobody can be asked about is `unclear`."""
    ask = _QUESTIONS.get(key.variable)
    if ask is None:
        return Verdict("unclear", f"{key.label} keys cannot be checked from here; the first message will tell.")
    url, headers = ask(value, env)
    pool = HttpPool(TIMEOUT_S)
    try:
        status, answer = await _get(pool, url, headers)
    except _UnreachableError as error:
        return Verdict("unreachable", f"{url.split('/')[2]} {error}, so nothing is known about the key.")
    finally:
        await pool.aclose()
    if status in {401, 403} or (status == 400 and key.variable == "GEMINI_API_KEY"):
        return Verdict("invalid", f"{key.label} does not know this key (HTTP {status}). Copy it once more, all of it.")
    if status >= 400:
        return Verdict("unclear", f"{key.label} answered HTTP {status}, which says nothing about the key.")
    return Verdict("valid", _whose(key, answer))


class _UnreachableError(Exception):
    pass


async def _get(pool: HttpPool, url: str, headers: dict[str, str]) -> tuple[int, Any]:
    import httpx

    try:
        client = await pool.client(url)
        async with asyncio.timeout(TIMEOUT_S):
            response = await client.get(url, headers=headers)
    except TimeoutError as error:
        raise _UnreachableError(f"does not answer within {TIMEOUT_S:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _UnreachableError("cannot be reached") from error
    try:
        return response.status_code, json.loads(response.content)
    except ValueError:
        return response.status_code, None


def _whose(key: Key, answer: Any) -> str:
    if not isinstance(answer, dict):
        return f"{key.label} knows this key."
    if key is not HUGGING_FACE:
        listed = answer.get("data", answer.get("models"))
        return f"{key.label} knows this key" + (f": {len(listed)} models." if isinstance(listed, list) else ".")
    role = answer.get("auth", {}).get("accessToken", {}).get("role", "") if isinstance(answer.get("auth"), dict) else ""
    plan = ", PRO" if answer.get("isPro") else ""
    reads = ". It only reads: jobs and uploads need one that writes" if role == "read" else ""
    return f"Signed in as {answer.get('name', 'somebody')}{plan}{reads}."


def _hugging_face(value: str, env: Mapping[str, str]) -> Question:
    return Endpoints(env).url("hub", "api/whoami-v2"), {"Authorization": f"Bearer {value}"}


def _github(value: str, env: Mapping[str, str]) -> Question:
    return Endpoints(env).url("github", "user"), {"Authorization": f"Bearer {value}"}


def _openai(value: str, env: Mapping[str, str]) -> Question:
    return f"{_base(env, 'OPENAI_BASE_URL', OPENAI_URL)}/models", {"Authorization": f"Bearer {value}"}


def _anthropic(value: str, env: Mapping[str, str]) -> Question:
    base = _base(env, "ANTHROPIC_BASE_URL", ANTHROPIC_URL).removesuffix("/v1")
    return f"{base}/v1/models", {"x-api-key": value, "anthropic-version": "2023-06-01"}


def _gemini(value: str, env: Mapping[str, str]) -> Question:
    return f"{_base(env, 'GEMINI_API_BASE', GEMINI_URL)}/models", {"x-goog-api-key": value}


def _base(env: Mapping[str, str], variable: str, default: str) -> str:
    return (env.get(variable, "").strip() or default).rstrip("/")


_QUESTIONS: dict[str, Callable[[str, Mapping[str, str]], Question]] = {
    "HF_TOKEN": _hugging_face,
    "GITHUB_TOKEN": _github,
    "OPENAI_API_KEY": _openai,
    "ANTHROPIC_API_KEY": _anthropic,
    "GEMINI_API_KEY": _gemini,
}

"""Who can be asked: the providers, the variables that hold their keys, and the local model servers."""

from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A kind of model server people run on their own machines.

    Attributes:
        prefix: First part of a model id.
        label: Its name for people.
        base_url: Where it listens unless told otherwise.
        url_variable: Environment variable that tells otherwise.
        key_variables: Variables that may hold a key, best first.
    """

    prefix: str
    label: str
    base_url: str
    url_variable: str
    key_variables: tuple[str, ...]


SHARED_URL_VARIABLE = "LOCAL_LLM_BASE_URL"
SHARED_KEY_VARIABLE = "LOCAL_LLM_API_KEY"

LOCAL_SERVERS: Mapping[str, LocalServer] = {
    server.prefix: server
    for server in (
        LocalServer("ollama", "Ollama", "http://localhost:11434", "OLLAMA_BASE_URL", ("OLLAMA_API_KEY",)),
        LocalServer("vllm", "vLLM", "http://localhost:8000", "VLLM_BASE_URL", ("VLLM_API_KEY",)),
        LocalServer(
            "lm_studio",
            "LM Studio",
            "http://127.0.0.1:1234",
            "LMSTUDIO_BASE_URL",
            ("LMSTUDIO_API_KEY", "LM_STUDIO_API_KEY"),
        ),
        LocalServer("llamacpp", "llama.cpp", "http://localhost:8080", "LLAMACPP_BASE_URL", ("LLAMACPP_API_KEY",)),
    )
}

ROUTER_URL = "https://router.huggingface.co/v1"
ROUTER_URL_VARIABLE = "HF_ROUTER_BASE_URL"
OPENAI_URL = "https://api.openai.com/v1"

KEY_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "openai": ("OPENAI_API_KEY",),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "azure": ("AZURE_API_KEY",),
    "azure_ai": ("AZURE_AI_API_KEY",),
    "baseten": ("BASETEN_API_KEY",),
    "cerebras": ("CEREBRAS_API_KEY",),
    "chutes": ("CHUTES_API_KEY",),
    "codestral": ("CODESTRAL_API_KEY",),
    "cohere": ("COHERE_API_KEY", "CO_API_KEY"),
    "cohere_chat": ("COHERE_API_KEY", "CO_API_KEY"),
    "dashscope": ("DASHSCOPE_API_KEY",),
    "databricks": ("DATABRICKS_API_KEY",),
    "deepinfra": ("DEEPINFRA_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "fireworks_ai": ("FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY"),
    "github": ("GITHUB_API_KEY",),
    "groq": ("GROQ_API_KEY",),
    "hyperbolic": ("HYPERBOLIC_API_KEY",),
    "minimax": ("MINIMAX_API_KEY",),
    "mistral": ("MISTRAL_API_KEY",),
    "moonshot": ("MOONSHOT_API_KEY",),
    "nebius": ("NEBIUS_API_KEY",),
    "novita": ("NOVITA_API_KEY",),
    "nscale": ("NSCALE_API_KEY",),
    "nvidia_nim": ("NVIDIA_NIM_API_KEY", "NVIDIA_API_KEY"),
    "openrouter": ("OPENROUTER_API_KEY",),
    "perplexity": ("PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"),
    "replicate": ("REPLICATE_API_KEY", "REPLICATE_API_TOKEN"),
    "sambanova": ("SAMBANOVA_API_KEY",),
    "scaleway": ("SCW_SECRET_KEY",),
    "together_ai": ("TOGETHERAI_API_KEY", "TOGETHER_API_KEY", "TOGETHER_AI_API_KEY"),
    "vercel_ai_gateway": ("VERCEL_AI_GATEWAY_API_KEY", "AI_GATEWAY_API_KEY"),
    "volcengine": ("VOLCENGINE_API_KEY", "ARK_API_KEY"),
    "xai": ("XAI_API_KEY",),
    "zai": ("ZAI_API_KEY",),
}
"""Providers of which we know the variables for the key, best first."""

CREDENTIAL_ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    "azure": {"AZURE_API_BASE": "api_base", "AZURE_API_VERSION": "api_version"},
    "azure_ai": {"AZURE_AI_API_BASE": "api_base"},
    "bedrock": {
        "AWS_ACCESS_KEY_ID": "aws_access_key_id",
        "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key",
        "AWS_SESSION_TOKEN": "aws_session_token",
        "AWS_REGION": "aws_region_name",
        "AWS_PROFILE": "aws_profile_name",
    },
    "databricks": {"DATABRICKS_API_BASE": "api_base"},
    "vertex_ai": {
        "VERTEXAI_PROJECT": "vertex_project",
        "VERTEXAI_LOCATION": "vertex_location",
        "GOOGLE_APPLICATION_CREDENTIALS": "vertex_credentials",
    },
}
"""Variables beside the key that become arguments of a litellm call, by provider."""

OWN_CREDENTIALS = frozenset({"bedrock", "sagemaker", "sagemaker_chat", "vertex_ai", "watsonx", "oci", "github_copilot"})
"""Providers whose credentials are not one key: files, roles, logins. Their own libraries find and check them."""

_NO_CHAT_PROVIDER = frozenset({"custom", "custom_openai", "auto_router", "huggingface", "a2a", "litellm_proxy"})


def is_provider(name: str) -> bool:
    """Whether model ids that begin with this name go to a provider of that name."""
    return name in KEY_VARIABLES or name in OWN_CREDENTIALS or name in litellm_providers()


def key_variables(provider: str) -> tuple[str, ...]:
    """The variables that may hold a provider's key, best first; `<NAME>_API_KEY` where nothing better is known."""
    if provider in OWN_CREDENTIALS:
        return ()
    return KEY_VARIABLES.get(provider) or (f"{provider.upper().replace('-', '_')}_API_KEY",)


@functools.cache
def litellm_directory() -> Path | None:
    """Where litellm is installed, found without importing it."""
    spec = importlib.util.find_spec("litellm")
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


@functools.cache
def litellm_providers() -> frozenset[str]:
    """Names of the providers litellm can chat with, read from its data file; empty when there is none."""
    directory = litellm_directory()
    if directory is None:
        return frozenset()
    try:
        data = json.loads((directory / "provider_endpoints_support_backup.json").read_text("utf-8"))
        able = {name for name, facts in data["providers"].items() if facts["endpoints"].get("chat_completions")}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return frozenset()
    return frozenset(able - _NO_CHAT_PROVIDER - LOCAL_SERVERS.keys())

from __future__ import annotations

from pathlib import Path

import pytest

from ml_intern.core.llm.errors import LLMError
from ml_intern.core.llm.routing import Route, find_hf_token, near_matches, resolve
from ml_intern.core.settings import LLMSettings, Settings

ENV = {"HOME": "/nonexistent"}
KNOWN = ("anthropic/claude-opus-4-6", "openai/gpt-5.5", "moonshotai/Kimi-K2.6:novita")


def route(model: str, **env: str) -> Route:
    return resolve(model, {**ENV, **env}, Settings(), lambda: KNOWN)


def refusal(model: str, **env: str) -> LLMError:
    with pytest.raises(LLMError) as caught:
        route(model, **env)
    return caught.value


@pytest.mark.parametrize(
    ("model", "variable", "default"),
    [
        ("ollama/qwen3:8b", "OLLAMA_BASE_URL", "http://localhost:11434/v1"),
        ("vllm/org/name", "VLLM_BASE_URL", "http://localhost:8000/v1"),
        ("lm_studio/x", "LMSTUDIO_BASE_URL", "http://127.0.0.1:1234/v1"),
        ("llamacpp/x", "LLAMACPP_BASE_URL", "http://localhost:8080/v1"),
    ],
)
def test_local_models_go_to_their_server(model: str, variable: str, default: str) -> None:
    name = model.partition("/")[2]
    found = route(model)
    assert (found.base_url, found.wire_model, found.transport, found.is_local) == (default, name, "wire", True)
    assert route(model, LOCAL_LLM_BASE_URL="http://h:1").base_url == "http://h:1/v1"
    assert route(model, LOCAL_LLM_BASE_URL="http://h:1", **{variable: "http://h:2/v1/"}).base_url == "http://h:2/v1"
    assert found.api_key == ""


def test_local_keys_come_from_the_own_variable_then_the_shared_one() -> None:
    assert route("vllm/x", LOCAL_LLM_API_KEY="shared").api_key == "shared"
    assert route("vllm/x", LOCAL_LLM_API_KEY="shared", VLLM_API_KEY="own").api_key == "own"
    assert "own" not in repr(route("vllm/x", VLLM_API_KEY="own"))


@pytest.mark.parametrize("model", ["org/name", "org/name:novita", "org/name:fastest", "huggingface/org/name"])
def test_hub_models_go_to_the_router(model: str) -> None:
    found = route(model, HF_TOKEN="hf_x")
    assert found.base_url == "https://router.huggingface.co/v1"
    assert found.wire_model == model.removeprefix("huggingface/")
    assert (found.api_key, found.transport, found.provider, found.note) == ("hf_x", "wire", "huggingface", "")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://127.0.0.1:9/", "http://127.0.0.1:9/v1"])
def test_the_router_can_be_anywhere(url: str) -> None:
    assert route("org/name", HF_TOKEN="t", HF_ROUTER_BASE_URL=url).base_url == "http://127.0.0.1:9/v1"


def test_openai_and_anthropic_go_to_their_own_api_with_their_key() -> None:
    openai = route("openai/gpt-4.1", OPENAI_API_KEY="sk", HF_TOKEN="hf")
    assert (openai.base_url, openai.api_key, openai.transport) == ("https://api.openai.com/v1", "sk", "wire")
    anthropic = route("anthropic/claude-opus-4-6", ANTHROPIC_API_KEY="sk", HF_TOKEN="hf")
    assert (anthropic.api_key, anthropic.transport, anthropic.note) == ("sk", "litellm", "")


@pytest.mark.parametrize("model", ["openai/gpt-5.5", "openai/gpt-5-codex", "openai/o3-pro"])
def test_models_that_openai_serves_by_another_wire_go_through_litellm(model: str) -> None:
    assert route(model, OPENAI_API_KEY="sk").transport == "litellm"
    assert route(model, OPENAI_API_KEY="sk", OPENAI_BASE_URL="http://h:1").transport == "wire"


@pytest.mark.parametrize("model", ["anthropic/claude-opus-4-6", "openai/gpt-5.5"])
def test_without_their_key_they_go_to_the_router_and_it_is_said(model: str) -> None:
    found = route(model, HF_TOKEN="hf_x")
    assert (found.provider, found.wire_model, found.api_key) == ("huggingface", model, "hf_x")
    assert f"{model.partition('/')[0].upper()}_API_KEY is not set" in found.note


def test_a_router_tag_means_the_router_even_when_there_is_a_key() -> None:
    found = route("anthropic/claude-opus-4.8:fal-ai", ANTHROPIC_API_KEY="sk", HF_TOKEN="hf_x")
    assert (found.provider, found.api_key) == ("huggingface", "hf_x")
    assert route("openai/ft:gpt-4o:org::id", OPENAI_API_KEY="sk").provider == "openai"
    assert route("openai/qwen3:latest", OPENAI_BASE_URL="http://h:1").provider == "openai"


def test_base_urls_of_openai_and_anthropic_are_honoured_and_need_no_key() -> None:
    found = route("openai/x", OPENAI_BASE_URL="http://h:1/v1", HF_TOKEN="hf_x")
    assert (found.base_url, found.api_key) == ("http://h:1/v1", "")
    assert route("anthropic/x", ANTHROPIC_BASE_URL="http://h:1/v1", ANTHROPIC_API_KEY="sk").base_url == "http://h:1"


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("anthropic/claude-opus-4-6", "ANTHROPIC_API_KEY"),
        ("openai/gpt-5.5", "OPENAI_API_KEY"),
        ("gemini/gemini-3-pro", "GEMINI_API_KEY"),
        ("openrouter/x/y", "OPENROUTER_API_KEY"),
        ("org/name", "HF_TOKEN"),
        ("friendliai/x", "FRIENDLIAI_API_KEY"),
    ],
)
def test_a_missing_key_is_named(model: str, variable: str) -> None:
    found = refusal(model)
    assert found.kind == "no_key"
    assert variable in found.message


def test_other_providers_go_through_litellm_and_never_to_the_router() -> None:
    assert refusal("gemini/x", HF_TOKEN="hf_x").kind == "no_key"
    found = route("gemini/x", GOOGLE_API_KEY="k", HF_TOKEN="hf_x")
    assert (found.transport, found.wire_model, found.api_key) == ("litellm", "gemini/x", "k")
    assert route("bedrock/x", AWS_REGION="eu").arguments == {"aws_region_name": "eu"}
    assert route("azure/x", AZURE_API_KEY="k", AZURE_API_BASE="https://a").base_url == "https://a"


@pytest.mark.parametrize(
    ("model", "near"),
    [
        ("gpt-5.5", "openai/gpt-5.5"),
        ("claude-opus-4.6", "anthropic/claude-opus-4-6"),
        ("kimi-k2.6", "moonshotai/Kimi-K2.6:novita"),
        ("nonsense", "org/model"),
        ("vllm/", "vllm/NAME"),
        ("a/b/c", "org/model"),
        ("org/na me", "org/model"),
    ],
)
def test_an_id_that_leads_nowhere_is_an_error_with_near_ids_or_the_forms(model: str, near: str) -> None:
    found = refusal(model, HF_TOKEN="hf_x", OPENAI_API_KEY="sk")
    assert found.kind == "model_not_found"
    assert near in found.message


def test_a_misspelt_provider_is_pointed_out() -> None:
    assert "anthropic/claude-opus-4-6" in refusal("antropic/claude-opus-4-6").message


@pytest.mark.parametrize(
    ("wrong", "right"), [("vlm/x", "vllm/x"), ("Ollamma/qwen3", "ollama/qwen3"), ("lmstudio/x", "lm_studio/x")]
)
def test_a_misspelt_local_server_is_pointed_out(wrong: str, right: str) -> None:
    assert f"Did you mean {right}?" in refusal(wrong).message


@pytest.mark.parametrize("model", ["mistralai/Mistral-7B-v0.1", "meta-llama/Llama-3.1-8B", "deepseek-ai/DeepSeek-V3"])
def test_an_organisation_of_the_hub_is_no_misspelt_server(model: str) -> None:
    assert "Did you mean" not in refusal(model).message


def test_no_model_at_all_is_its_own_error() -> None:
    assert refusal("").kind == "no_model"


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://x", "http://", "http://h:99999", "http://h:port", "http://[::1"]
)
def test_an_address_that_is_no_url_is_named_with_its_variable(url: str) -> None:
    assert "VLLM_BASE_URL" in refusal("vllm/x", VLLM_BASE_URL=url).message


def test_the_practice_model_needs_nothing() -> None:
    assert route("demo/first-run").transport == "practice"


@pytest.mark.parametrize(
    ("model", "wire_model"), [("vllm/x", "openai/x"), ("org/n", "openai/org/n"), ("openai/gpt-4.1", "openai/gpt-4.1")]
)
def test_litellm_can_be_chosen_by_hand(model: str, wire_model: str) -> None:
    settings = Settings(llm=LLMSettings(transport="litellm"))
    found = resolve(model, {**ENV, "HF_TOKEN": "t", "OPENAI_API_KEY": "k"}, settings)
    assert (found.transport, found.wire_model) == ("litellm", wire_model)
    assert found.base_url


def test_the_token_of_a_login_is_found(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(" hf_file\n")
    assert find_hf_token({"HF_HOME": str(tmp_path)}) == "hf_file"
    assert find_hf_token({"HF_TOKEN_PATH": str(tmp_path / "token")}) == "hf_file"
    assert find_hf_token({"HF_HOME": str(tmp_path), "HF_TOKEN": "hf_env"}) == "hf_env"
    home = tmp_path / "home"
    (home / ".cache/huggingface").mkdir(parents=True)
    (home / ".cache/huggingface/token").write_text("hf_home")
    assert find_hf_token({"HOME": str(home)}) == "hf_home"
    assert find_hf_token({"HOME": str(tmp_path)}) == ""


def test_near_matches_ignore_case_and_the_organisation() -> None:
    assert near_matches("moonshot/KIMI-k2.6:novita", KNOWN) == ["moonshotai/Kimi-K2.6:novita"]
    assert near_matches("zzz", KNOWN) == []

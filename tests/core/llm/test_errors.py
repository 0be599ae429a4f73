from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from ml_intern.core.llm.errors import LLMError, from_exception, from_status, from_stream_error, retry_after_from
from ml_intern.core.llm.routing import Route
from ml_intern.core.llm.wordings import context_limit_from, effort_verdict, replay_verdict

LOCAL = Route(
    "vllm/m", "wire", "m", "http://localhost:8000/v1", "sk-secret-key", provider="vllm", is_local=True,
    key_names=("VLLM_API_KEY", "LOCAL_LLM_API_KEY"),
)  # fmt: skip
ROUTER = Route("o/m", "wire", "o/m", "https://router/v1", "hf_x", provider="huggingface", key_names=("HF_TOKEN",))
ANTHROPIC = Route("anthropic/m", "litellm", "anthropic/m", provider="anthropic", key_names=("ANTHROPIC_API_KEY",))


def error(status: int, body: str | dict[str, Any] = "", route: Route = LOCAL) -> LLMError:
    return from_status(status, body if isinstance(body, str) else json.dumps({"error": body}), {}, route)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, "", "auth"),
        (403, "", "auth"),
        (403, "You have exceeded your monthly included credits", "billing"),
        (402, "", "billing"),
        (404, "", "model_not_found"),
        (404, "model x is not supported by provider novita", "provider_unsupported"),
        (408, "", "timeout"),
        (409, "", "server"),
        (418, "", "bad_request"),
        (429, "slow down", "rate_limit"),
        (429, "too many tokens per minute", "rate_limit"),
        (429, {"message": "You exceeded your current quota", "code": "insufficient_quota"}, "billing"),
        (429, "Request too large for gpt-x on tokens per min", "context_overflow"),
        (500, "boom", "server"),
        (503, "", "server"),
        (529, "overloaded", "server"),
        (500, "the request exceeds the available context size", "context_overflow"),
        (400, "bad thing 1500", "bad_request"),
        (400, "thinking is not supported", "effort_unsupported"),
        (400, "Invalid value for reasoning_effort: must be one of low, high", "effort_unsupported"),
        (400, "Invalid `signature` in `thinking` block", "thinking_signature"),
        (400, "messages.3.reasoning_content: Extra inputs are not permitted", "thinking_signature"),
        (400, "Your credit balance is too low: billing", "billing"),
        (400, {"message": "The requested model 'x' does not exist", "code": "model_not_found"}, "model_not_found"),
        (400, "API key not valid. Please pass a valid API key.", "auth"),
        (400, {"message": "blocked", "code": "content_filter"}, "content_filter"),
        (413, "", "context_overflow"),
        (422, "Unprocessable", "bad_request"),
        (302, "", "bad_request"),
    ],
)
def test_status_decides_first_and_words_only_where_it_leaves_a_question(status: int, body: Any, kind: str) -> None:
    found = error(status, body)
    assert (found.kind, found.status) == (kind, status)


OVERFLOWS = [
    ("context window exceeded", None),
    ("This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.", 8192),
    ("max context length reached", None),
    ("prompt is too long: 210000 tokens > 200000 maximum", 200_000),
    ("The prompt is too long: 365407, model maximum context length: 262143", 262_143),
    ("context length exceeded", None),
    ("too many input tokens", None),
    ("input is too long for requested model", None),
    ("input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length", 200_000),
    ("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", 1_048_576),
    ("the request exceeds the available context size (4096 tokens), try increasing it", 4096),
    ('request (5000 tokens) exceeds the available context size, "n_ctx": 4096', 4096),
    ("`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000", 4096),
    ("Prompt contains 40000 tokens, too large for model with 32768 maximum context length", 32_768),
    ("This model's maximum prompt length is 131072 but the request contains 537812 tokens.", 131_072),
    ("Please reduce the length of the messages or completion.", None),
    ("Input tokens exceed the configured limit of 272000 tokens.", 272_000),
    ("Trying to keep the first 5000 tokens when context the overflows: loaded with context length of only 4096", 4096),
    ("prompt exceeds max length", None),
]  # fmt: skip


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize(("words", "limit"), OVERFLOWS)
def test_overflow_is_known_in_every_wording_and_its_limit_is_read(status: int, words: str, limit: int | None) -> None:
    found = error(status, {"message": words})
    assert found.kind == "context_overflow"
    assert context_limit_from(found.detail) == limit


@pytest.mark.parametrize("words", ["bad thing 1500", "max_tokens must be positive", "unknown field 'context'", ""])
def test_other_refusals_are_no_overflow(words: str) -> None:
    assert error(400, words).kind == "bad_request"


def test_a_limit_is_read_with_separators_and_small_numbers_are_no_limits() -> None:
    assert context_limit_from("maximum context length is 128,000 tokens") == 128_000
    assert context_limit_from("maximum context length is 4 messages") is None


@pytest.mark.parametrize(
    ("route", "says", "not_says"),
    [
        (LOCAL, ["http://localhost:8000/v1", "VLLM_API_KEY"], ["HF", "Hugging Face"]),
        (ROUTER, ["https://router/v1", "HF_TOKEN", "hf auth login"], []),
        (ANTHROPIC, ["anthropic", "ANTHROPIC_API_KEY"], ["HF_TOKEN"]),
    ],
)
def test_a_refused_key_names_the_endpoint_and_its_variable(route: Route, says: list[str], not_says: list[str]) -> None:
    message = error(401, "no", route).message
    assert all(words in message for words in says)
    assert not any(words in message for words in not_says)


def test_used_up_credits_come_with_the_link() -> None:
    assert "https://huggingface.co/settings/billing" in error(402, "", ROUTER).message


@pytest.mark.parametrize("status", [400, 401, 402, 404, 413, 429, 500])
def test_a_message_is_one_line_without_secrets_and_control_sequences(status: int) -> None:
    body = "\x1b[31mTraceback\x1b[0m (most recent)\n  sk-secret-key\x00 " + "x" * 9000
    found = error(status, body)
    assert "\n" not in found.message + found.detail
    assert "\x1b" not in found.message + found.detail
    assert "sk-secret-key" not in found.message + found.detail
    assert len(found.message) < 600


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"Retry-After-Ms": "250"}, 0.25),
        ({"Retry-After": format_datetime(datetime.fromtimestamp(1030, UTC), usegmt=True)}, 30.0),
        ({"Retry-After": format_datetime(datetime.fromtimestamp(10, UTC), usegmt=True)}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-3"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_as_seconds_and_as_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_from(headers, now=1000.0) == seconds


@pytest.mark.parametrize(
    ("exception", "kind"),
    [
        (httpx.ConnectError("All connection attempts failed"), "connection"),
        (httpx.ConnectTimeout(""), "timeout"),
        (httpx.ReadTimeout(""), "timeout"),
        (httpx.RemoteProtocolError("Server disconnected"), "connection"),
        (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"), "bad_request"),
        (ConnectionResetError(), "connection"),
        (RuntimeError("odd"), "internal"),
    ],
)
def test_exceptions_are_typed_by_their_class(exception: Exception, kind: str) -> None:
    assert from_exception(exception, LOCAL).kind == kind


def test_the_cause_of_a_wrapped_exception_decides() -> None:
    try:
        try:
            raise httpx.ConnectError("Connection refused")
        except httpx.ConnectError as cause:
            raise RuntimeError("Internal Server Error") from cause
    except RuntimeError as wrapped:
        found = from_exception(wrapped, LOCAL)
    assert (found.kind, found.unreachable) == ("connection", True)
    assert "http://localhost:8000/v1" in found.message


def test_an_error_of_ours_stays_as_it_is() -> None:
    ours = LLMError("billing", "x")
    assert from_exception(ours, LOCAL) is ours


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        ({"message": "overloaded", "code": 503}, "stream_cut"),
        ({"message": "provider went away"}, "stream_cut"),
        ("boom", "stream_cut"),
        ({"message": "slow down", "code": "429"}, "rate_limit"),
        ({"message": "prompt is too long", "type": "invalid_request_error"}, "context_overflow"),
        ({"message": "x", "code": "insufficient_quota"}, "billing"),
    ],
)
def test_errors_inside_a_running_reply_are_typed_too(payload: Any, kind: str) -> None:
    assert from_stream_error(payload, LOCAL).kind == kind


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        ("thinking is not supported by this model", "drop"),
        ("This model does not support reasoning", "drop"),
        ("Unsupported value: 'reasoning_effort' does not support 'xhigh'", "lower"),
        ("output_config.effort: invalid", "lower"),
        ("temperature is not supported", None),
    ],
)
def test_effort_refusals_tell_the_level_from_the_whole(words: str, verdict: str | None) -> None:
    assert effort_verdict(words) == verdict


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        ("The reasoning_content in the thinking mode must be passed back to the API.", "send"),
        ("reasoning_content is missing in assistant tool call message at index 2", "send"),
        ("Unrecognized key(s): 'reasoning_content'", "drop"),
        ("Invalid signature in thinking block", "drop"),
        ("invalid temperature", None),
    ],
)
def test_replayed_reasoning_may_be_refused_or_missed(words: str, verdict: str | None) -> None:
    assert replay_verdict(words) == verdict

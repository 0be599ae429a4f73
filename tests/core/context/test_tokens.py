from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from ml_intern.core.context import tokens
from ml_intern.core.context.messages import Message, ToolCall
from ml_intern.core.context.tokens import SAMPLE_ABOVE, TokenCounter, estimate

PROSE = "The learning rate was lowered after the third epoch because the loss had begun to rise again. "
CODE = "def train(model, data):\n    for batch in data:\n        loss = model(**batch).loss\n        loss.backward()\n"
LOG = "".join(f"2024-05-01 12:00:{n % 60:02d} INFO step={n} loss={1 / (n + 1):.4f} lr=2e-5\n" for n in range(200))
CHINESE = "训练模型之前先检查数据集的列名和格式。"


def test_it_estimates_until_a_vocabulary_is_read_and_counts_with_it_from_then_on() -> None:
    counter = TokenCounter()
    assert not counter.exact
    assert counter.text(PROSE) == estimate(PROSE)
    assert counter.load()
    assert counter.exact
    assert counter.text("hello world") == 2


async def test_warming_happens_off_the_event_loop() -> None:
    counter = TokenCounter()
    assert await counter.warm()
    assert counter.exact


def test_counting_needs_neither_litellm_nor_a_network_client() -> None:
    code = (
        "import sys, socket\n"
        "def refuse(*_a, **_k): raise AssertionError('network')\n"
        "socket.socket.connect = refuse; socket.getaddrinfo = refuse\n"
        "from ml_intern.core.context.tokens import TokenCounter\n"
        "assert 'tiktoken' not in sys.modules\n"
        "counter = TokenCounter(); assert counter.load(); assert counter.text('hello world') == 2\n"
        "print(sorted({'litellm', 'requests', 'httpx'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("content", [b"", b"not base64 at all\n", b"IQ== 0\nIg== 1\n", b"IQ== x\n"])
def test_a_broken_vocabulary_leaves_the_estimate_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (tmp_path / tokens.VOCABULARY).write_bytes(content)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    counter = TokenCounter()
    assert not counter.load()
    assert counter.text(PROSE) == estimate(PROSE)


def test_a_cache_directory_without_the_vocabulary_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert TokenCounter().load()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", [PROSE * 20, CODE * 20, LOG, CHINESE * 30, "Модель обучена. " * 50, '{"a": 1.5}, ' * 99]
)
def test_the_estimate_is_in_the_right_range(exact_counter: TokenCounter, text: str) -> None:
    assert 0.7 <= estimate(text) / exact_counter.text(text) <= 2.1


@pytest.mark.parametrize("text", [PROSE, CODE, LOG, CHINESE])
def test_a_long_text_is_counted_from_samples_closely_and_quickly(exact_counter: TokenCounter, text: str) -> None:
    long = text * (1_000_000 // len(text))
    started = time.process_time()
    sampled = exact_counter.text(long)
    spent = time.process_time() - started
    piecewise = sum(exact_counter.text(long[at : at + SAMPLE_ABOVE]) for at in range(0, len(long), SAMPLE_ABOVE))
    assert 0.95 <= sampled / piecewise <= 1.05
    assert spent < 0.1


@pytest.mark.parametrize(
    "text", [" " * 100_000, "a" * 100_000, "\n" * 100_000, "<|endoftext|>", "a\ud800b", "\x00" * 99]
)
def test_odd_texts_are_counted_like_any_other(exact_counter: TokenCounter, text: str) -> None:
    assert exact_counter.text(text) > 0
    assert estimate(text) > 0


def test_an_empty_text_has_no_tokens(exact_counter: TokenCounter) -> None:
    assert exact_counter.text("") == estimate("") == 0


def test_a_message_counts_its_calls_and_what_a_provider_wants_back(exact_counter: TokenCounter) -> None:
    plain = exact_counter.message(Message("assistant", PROSE))
    call = ToolCall("1", "write", f'{{"content": "{PROSE * 3}"}}')
    assert exact_counter.message(Message("assistant", PROSE, tool_calls=(call,))) > plain * 3
    thought = Message("assistant", PROSE, reasoning=PROSE * 3)
    assert exact_counter.message(thought) == plain
    signed = Message("assistant", PROSE, reasoning=PROSE * 3, provider={"signature": "x"})
    assert exact_counter.message(signed) > plain * 3

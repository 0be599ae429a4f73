from __future__ import annotations

import stat
from pathlib import Path

from ml_intern.tui.history import KEPT, PromptHistory, history_file


def test_steps_back_through_prompts_and_returns_to_the_draft() -> None:
    history = PromptHistory()
    for prompt in ("one", "two"):
        history.add(prompt)
    assert history.older("draft") == "two"
    assert history.older("two") == "one"
    assert history.older("one") is None
    assert history.newer() == "two"
    assert history.newer() == "draft"
    assert history.newer() is None


def test_a_repeated_prompt_is_kept_once() -> None:
    history = PromptHistory()
    for prompt in ("same", "same", "  "):
        history.add(prompt)
    assert history.older("") == "same"
    assert history.older("same") is None


def test_prompts_are_there_in_the_next_run_and_only_for_their_owner(tmp_path: Path) -> None:
    path = history_file(tmp_path / "history", tmp_path)
    PromptHistory(path).add("several\nlines \ud800 and a lone surrogate")
    assert PromptHistory(path).older("") == "several\nlines \ud800 and a lone surrogate"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_directories_have_histories_of_their_own(tmp_path: Path) -> None:
    assert history_file(tmp_path, tmp_path / "a") != history_file(tmp_path, tmp_path / "b")


def test_secrets_are_not_written(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history = PromptHistory(path, lambda text: text.replace("hunter2", "[redacted]"))
    history.add("use hunter2")
    assert "hunter2" not in path.read_text()
    assert history.older("") == "use hunter2"


def test_a_damaged_file_loses_its_damaged_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(b'"good"\n{"not": "text"}\n\xff\xfe broken\n"also good"\n"torn')
    history = PromptHistory(path)
    assert history.older("") == "also good"
    assert history.older("") == "good"


def test_the_file_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history = PromptHistory(path)
    for number in range(2 * KEPT + 1):
        history.add(f"prompt {number}")
    assert PromptHistory(path).older("") == f"prompt {2 * KEPT}"
    assert len(path.read_text().splitlines()) == KEPT


def test_a_directory_that_cannot_be_written_costs_only_the_memory_of_it(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    history = PromptHistory(blocked / "history.jsonl")
    history.add("kept in memory")
    assert history.older("") == "kept in memory"

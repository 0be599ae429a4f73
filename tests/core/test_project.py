from __future__ import annotations

from pathlib import Path

import pytest

from ml_intern.core.project import as_context, find_project, is_trusted, trust


def test_the_nearest_instructions_up_to_the_git_root_hold(tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_text("outside")
    root = tmp_path / "repo"
    inner = root / "a" / "b"
    inner.mkdir(parents=True)
    (root / ".git").mkdir()
    assert find_project(inner).text == ""
    (root / "AGENTS.md").write_text("use uv")
    assert find_project(inner).root == root
    assert find_project(inner).text == "use uv"
    (root / "a" / ".ml-intern").mkdir()
    (root / "a" / ".ml-intern" / "instructions.md").write_text("nearer")
    assert find_project(inner).text == "nearer"


def test_trust_is_remembered_and_covers_what_lies_below(tmp_path: Path) -> None:
    config, project = tmp_path / "config", tmp_path / "p"
    assert not is_trusted(config, project)
    trust(config, project)
    trust(config, tmp_path / "other")
    assert is_trusted(config, project)
    assert is_trusted(config, project / "below")
    assert not is_trusted(config, tmp_path)


@pytest.mark.parametrize("content", ["", "[]", '{"directories": 5}', '{"directories": [1, null]}', "{"])
def test_a_broken_list_trusts_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "trusted.json").write_text(content)
    assert not is_trusted(tmp_path, tmp_path)


def test_the_model_is_told_where_instructions_come_from(tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_bytes(b"be kind \xff")
    text = as_context(find_project(tmp_path))
    assert str(tmp_path / "AGENTS.md") in text
    assert "be kind" in text

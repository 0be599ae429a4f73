from __future__ import annotations

import json
from pathlib import Path

import pytest

from ml_intern.core.places import find_places
from ml_intern.options import Options
from ml_intern.tui.early.look import DEFAULT_THEME, UNCOLOURED_THEME
from ml_intern.tui.early.preferences import Preferences, preferences_at_start, theme_at_start, user_file


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"XDG_CONFIG_HOME": "/x/config"},
        {"XDG_CONFIG_HOME": " "},
        {"ML_INTERN_HOME": "/h"},
        {"ML_INTERN_HOME": "~/h"},
    ],
)
def test_the_file_is_where_the_rest_of_the_program_looks(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CONFIG_HOME", "ML_INTERN_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert Path(user_file(env)) == find_places(env).config / "cli_agent_config.json"


def test_a_file_of_ones_own_comes_first(tmp_path: Path) -> None:
    assert user_file({"ML_INTERN_CLI_CONFIG": "mine.json", "ML_INTERN_HOME": "/h"}) == "mine.json"
    tree = {"ui": {"theme": "nord", "motion": "reduced"}, "keys": {"prompt.send": "ctrl+s"}}
    (tmp_path / "a.json").write_text(json.dumps(tree))
    chosen = preferences_at_start(Options(config=tmp_path / "a.json"))
    assert (chosen.theme, chosen.motion, chosen.keys) == ("nord", "reduced", {"prompt.send": "ctrl+s"})


@pytest.mark.parametrize(
    ("asked", "chosen", "no_color", "theme"),
    [
        ("dracula", "nord", "1", "dracula"),
        (None, "nord", "1", UNCOLOURED_THEME),
        (None, "nord", "", "nord"),
        (None, "", "", DEFAULT_THEME),
    ],
)
def test_the_theme_is_the_one_that_was_asked_for_most(
    asked: str | None, chosen: str, no_color: str, theme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    assert theme_at_start(Options(theme=asked), Preferences(chosen)) == theme


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"ui": 1, "keys": 2}', '{"ui": {"theme": 3}}', '{"ui": {"theme": ""}}', "\x00", "[" * 9999]
)
def test_whatever_is_wrong_with_it_is_told_later(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    for name in ("a.json", "none.json"):
        chosen = preferences_at_start(Options(config=tmp_path / name))
        assert (chosen.theme, chosen.motion, chosen.keys) == ("", "", {})

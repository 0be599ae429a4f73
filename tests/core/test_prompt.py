from __future__ import annotations

import re
from pathlib import Path

import pytest

from ml_intern.core.prompt import compose, system_prompt
from ml_intern.resources import config_path

TEMPLATE = config_path("prompts", "system.md").read_text(encoding="utf-8")


def prompt(*tools: str, headless: bool = False) -> str:
    return system_prompt(TEMPLATE, tools, workspace=Path("/data/x"), headless=headless, runtime="local")


def test_parts_are_kept_when_their_flag_is_set_and_facts_filled_in() -> None:
    template = "a {who}\n@when x\nb\n@end\n@when y\nc\n@end\nd"
    assert compose(template, {"x"}, {"who": "me"}) == "a me\nb\nd"


@pytest.mark.parametrize("template", ["@when x\na", "a\n@end", "@when x\n@when y\n@end\n@end"])
def test_unbalanced_parts_are_an_error(template: str) -> None:
    with pytest.raises(ValueError):
        compose(template, {"x", "y"}, {})


def test_only_registered_tools_are_named() -> None:
    assert "plan_tool" not in prompt("bash")
    assert "plan_tool" in prompt("bash", "plan_tool")
    assert "# Jobs" not in prompt("bash")
    assert "# Jobs" in prompt("bash", "hf_jobs")


def test_headless_rules_are_for_headless_runs_only() -> None:
    assert "Nobody is watching" not in prompt()
    assert "Nobody is watching" in prompt(headless=True)


def test_the_prompt_is_the_same_each_time_and_has_no_gaps() -> None:
    assert prompt("bash") == prompt("bash")
    assert "/data/x" in prompt()
    assert not re.search(r"\{\w+\}|@when|@end", prompt("bash", headless=True))

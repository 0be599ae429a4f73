from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from ml_intern.core.once import Once
from ml_intern.core.prompt import system_prompt
from ml_intern.core.tools.spec import ToolSpec
from ml_intern.resources import config_path
from ml_intern.services.http import HttpService
from ml_intern.services.hub import HubClient
from ml_intern.services.search_index import SearchIndex
from ml_intern.tools.jobs.local import LocalBackend
from ml_intern.tools.registry import Services, create_builtin_tools


@pytest.fixture
def tools(tmp_path: Path) -> list[ToolSpec]:
    index = Once(lambda: SearchIndex(tmp_path / "search.db"))
    http = HttpService(tmp_path / "http")
    return create_builtin_tools(Services(LocalBackend(tmp_path, {}), HubClient({}), http, index, {}))


REQUIRED = {
    "bash": ["command"],
    "read": ["path"],
    "write": ["path", "content"],
    "edit": ["path", "old_str", "new_str"],
    "plan_tool": ["todos"],
    "hf_jobs": ["operation"],
    "hub_repo_details": ["repo_ids"],
    "hf_repo_files": ["repo_id", "operation"],
    "hf_repo_git": ["repo_id", "operation"],
    "explore_hf_docs": ["endpoint"],
    "fetch_hf_docs": ["url"],
    "find_hf_api": [],
    "hf_papers": ["operation"],
    "hf_inspect_dataset": ["dataset"],
    "github_find_examples": ["repo"],
    "github_list_repos": ["owner"],
    "github_read_file": ["repo"],
    "web_search": ["query"],
    "web_fetch": ["url"],
}


def test_the_tools_for_files_and_commands_come_first(tools: list[ToolSpec]) -> None:
    assert [spec.name for spec in tools][:5] == ["bash", "read", "write", "edit", "plan_tool"]


def test_every_schema_is_closed_and_names_what_is_required(tools: list[ToolSpec]) -> None:
    schemas = {spec.name: spec.schema() for spec in tools}

    assert {name: schemas[name].get("required", []) for name in REQUIRED} == REQUIRED
    for spec in tools:
        assert schemas[spec.name]["additionalProperties"] is False
        assert "$ref" not in json.dumps(spec.wire())


def test_null_is_a_parameter_left_out_and_never_a_required_one(tools: list[ToolSpec]) -> None:
    for spec in tools:
        assert isinstance(spec.parameters, type)
        fields = spec.parameters.model_fields
        with pytest.raises(ValidationError) as caught:
            spec.parameters.model_validate({"no such": 1} | dict.fromkeys(fields))
        required = {name for name, field in fields.items() if field.is_required()}
        assert {problem["loc"][0] for problem in caught.value.errors()} == {"no such", *required}


def test_a_tool_that_is_not_there_is_not_named_in_the_prompt(tools: list[ToolSpec], tmp_path: Path) -> None:
    template = config_path("prompts", "system.md").read_text(encoding="utf-8")
    names = {spec.name for spec in tools if "_" in spec.name}
    for left_out in [set(), *({name} for name in names), names]:
        kept = tuple(spec.name for spec in tools if spec.name not in left_out)
        prompt = system_prompt(template, kept, workspace=tmp_path, headless=True, runtime="local")
        assert not left_out & set(re.findall(r"[a-z_]+", prompt))
        assert "sandbox" not in prompt

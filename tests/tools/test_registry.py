from __future__ import annotations

import json
from pathlib import Path

import pytest

from ml_intern.core.tools.spec import ToolSpec
from ml_intern.services.http import HttpService
from ml_intern.services.hub import HubClient
from ml_intern.tools.jobs.local import LocalBackend
from ml_intern.tools.registry import Services, create_builtin_tools


@pytest.fixture
def tools(tmp_path: Path) -> list[ToolSpec]:
    return create_builtin_tools(Services(LocalBackend(tmp_path, {}), HubClient({}), HttpService(tmp_path / "http"), {}))


REQUIRED = {
    "bash": ["command"],
    "read": ["path"],
    "write": ["path", "content"],
    "edit": ["path", "old_str", "new_str"],
    "plan_tool": ["todos"],
    "hf_jobs": ["operation"],
    "github_find_examples": ["repo"],
    "github_list_repos": ["owner"],
    "github_read_file": ["repo"],
    "web_search": ["query"],
    "web_fetch": ["url"],
}


def test_the_tools_for_files_and_commands_come_first(tools: list[ToolSpec]) -> None:
    assert [spec.name for spec in tools][:6] == ["bash", "read", "write", "edit", "plan_tool", "hf_jobs"]


def test_every_schema_is_closed_and_names_what_is_required(tools: list[ToolSpec]) -> None:
    schemas = {spec.name: spec.schema() for spec in tools}

    assert {name: schemas[name].get("required") for name in REQUIRED} == REQUIRED
    for spec in tools:
        assert schemas[spec.name]["additionalProperties"] is False
        assert "$ref" not in json.dumps(spec.wire())

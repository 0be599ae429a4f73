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


def test_the_local_tools_come_first_and_in_order(tools: list[ToolSpec]) -> None:
    assert [spec.name for spec in tools] == ["bash", "read", "write", "edit", "plan_tool", "hf_jobs"]


def test_every_schema_is_closed_and_names_what_is_required(tools: list[ToolSpec]) -> None:
    required = {spec.name: spec.schema().get("required") for spec in tools}

    assert required == {
        "bash": ["command"],
        "read": ["path"],
        "write": ["path", "content"],
        "edit": ["path", "old_str", "new_str"],
        "plan_tool": ["todos"],
        "hf_jobs": ["operation"],
    }
    for spec in tools:
        assert spec.schema()["additionalProperties"] is False
        assert "$ref" not in json.dumps(spec.wire())

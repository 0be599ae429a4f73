from __future__ import annotations

import json
import re
import runpy
import shlex
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from ml_intern import cli
from ml_intern.core.config import USER_FILE, load_config
from ml_intern.core.llm.model_file import read_model_file
from ml_intern.core.places import find_places
from ml_intern.core.settings import Settings
from ml_intern.core.tools.spec import SessionState, ToolContext, ToolSpec
from ml_intern.tools.mcp.config import parse_servers
from ml_intern.tui.keys.actions import all_actions
from ml_intern.tui.keys.names import spoken

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def context(workspace: Path, lines: list[str]) -> ToolContext:
    return ToolContext(
        call_id="1",
        session_id="s",
        workspace=workspace,
        spill_dir=workspace,
        settings=Settings(),
        env=MappingProxyType({}),
        state=SessionState(),
        log=lines.append,
        set_state=lambda *_, **__: None,
        emit=lambda _: None,
    )


async def test_tool_of_the_readme_works(tmp_path: Path) -> None:
    (code,) = blocks("python")
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec", dont_inherit=True), names)
    spec = names["COUNT_ROWS"]
    assert isinstance(spec, ToolSpec)
    assert isinstance(spec.parameters, type)
    assert spec.schema()["required"] == ["path"]
    (tmp_path / "data.csv").write_text("a,b\n1,2\n3,4\n")
    lines: list[str] = []
    result = await spec.handler(spec.parameters(path="data.csv"), context(tmp_path, lines))
    assert (result.ok, result.text, lines) == (True, "data.csv has 2 rows.", ["2 rows"])
    missing = await spec.handler(spec.parameters(path="no.csv"), context(tmp_path, lines))
    assert not missing.ok


def test_configurations_of_the_readme_load(tmp_path: Path) -> None:
    places = find_places({"ML_INTERN_HOME": str(tmp_path)})
    places.config.mkdir()
    configurations = [block for block in blocks("json") if '"models"' not in block]
    assert len(configurations) == 3
    for block in configurations:
        (places.config / USER_FILE).write_text(block)
        settings = load_config(places, {"DOCS_TOKEN": "x"}).settings
        for key, value in json.loads(block).items():
            assert getattr(settings, key) != getattr(Settings(), key), f"{key}: {value} changes nothing"


def test_servers_of_the_readme_could_be_connected_to() -> None:
    (block,) = [block for block in blocks("json") if '"mcpServers"' in block]
    assert set(parse_servers(json.loads(block)["mcpServers"])) == {"time", "docs"}


def test_model_file_of_the_readme_is_understood(tmp_path: Path) -> None:
    (block,) = [block for block in blocks("json") if '"models"' in block]
    path = tmp_path / "models.json"
    path.write_text(block)
    file = read_model_file(path)
    assert file.warnings == ()
    assert file.models["vllm/my-finetune"].context_window == 65536


def test_commands_of_the_readme_parse() -> None:
    lines = [line for block in blocks("bash") for line in block.splitlines() if "ml-intern" in line]
    parsed = 0
    for line in lines:
        words = shlex.split(line, comments=True)
        arguments = words[words.index("ml-intern") + 1 :]
        if arguments[-1:] != ["-"]:
            cli.parse(arguments)
            parsed += 1
    assert parsed >= 5


@pytest.mark.parametrize("flag", sorted(set(re.findall(r"--[a-z-]+", cli.help_text()))))
def test_every_flag_is_in_the_readme(flag: str) -> None:
    assert f"`{flag}" in README or f"`-m`, `{flag}" in README or flag == "--json"


def test_files_the_readme_names_exist() -> None:
    for name in re.findall(r"`((?:ml_intern/|\.env|[A-Z]{4,})[\w./]*\w)`", README):
        if "/" in name or name.endswith(".md") or name in {"LICENSE", ".env.example"}:
            assert (ROOT / name).exists(), name


def test_tables_of_the_documentation_are_as_the_app_has_them() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_tables.py"))
    for name, table in (("keys.md", made["keys_table"]), ("settings.md", made["settings_table"])):
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == table(), "run docs/make_tables.py"


def test_keys_the_readme_names_are_those_the_app_comes_with() -> None:
    known = {spoken(key) for action in all_actions() for key in action.standard}
    named = set(re.findall(r"`?\b((?:Ctrl|Alt|Shift)\+\w+|F\d+|Esc)\b`?", README))
    assert len(named) > 6
    assert named - known == set()

from __future__ import annotations

import json
import re
import runpy
import shlex
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import BaseModel

from ml_intern import cli
from ml_intern.core.config import USER_FILE, load_config
from ml_intern.core.llm.model_file import read_model_file
from ml_intern.core.places import find_places
from ml_intern.core.settings import Settings
from ml_intern.core.tools.spec import SessionState, ToolContext, ToolSpec
from ml_intern.tools.mcp.config import parse_servers
from ml_intern.tui.commands import COMMANDS
from ml_intern.tui.keys.actions import all_actions
from ml_intern.tui.keys.names import spoken

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MADE = {"keys.md", "settings.md"}
"""Tables made from the code; the configuration shown in them is tested where they are."""
PAGES = {
    "README.md": README,
    **{
        f"docs/{page.name}": page.read_text(encoding="utf-8")
        for page in sorted((ROOT / "docs").glob("*.md"))
        if page.name not in MADE
    },
}
ALL = "\n".join(PAGES.values())


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", ALL, re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


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
    configurations = [block for block in blocks("json") if '"models"' not in block and '"seq"' not in block]
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
def test_every_flag_is_explained(flag: str) -> None:
    assert f"`{flag}" in ALL or flag == "--json"


@pytest.mark.parametrize("page", PAGES)
def test_files_a_page_names_exist(page: str) -> None:
    for name in re.findall(r"`((?:ml_intern/|\.env|[A-Z]{4,})[\w./]*\w)`", PAGES[page]):
        if "/" in name or name.endswith(".md") or name in {"LICENSE", ".env.example"}:
            assert (ROOT / name).exists() or name in {"AGENTS.md", "SKILL.md"}, name


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if not target.startswith("https://"):
            path, _, anchor = target.partition("#")
            file = (ROOT / page).parent / path if path else ROOT / page
            assert file.exists(), target
            assert not anchor or anchor in anchors(file), target


def test_every_page_can_be_found_from_the_readme_and_every_picture_is_shown_somewhere() -> None:
    linked = set(re.findall(r"\]\(([^)#\s]+)", README))
    tour = set(re.findall(r"\]\(([^)#\s]+)", PAGES["docs/tour.md"] + PAGES["docs/sessions.md"]))
    missing = {page for page in PAGES if page not in linked and page.removeprefix("docs/") not in tour}
    assert missing == {"README.md"}
    for picture in (ROOT / "docs" / "images").iterdir():
        assert f"images/{picture.name})" in ALL, picture.name


def test_pictures_tell_nothing_of_the_machine_they_were_made_on() -> None:
    for picture in (ROOT / "docs" / "images").iterdir():
        assert not re.search(r"/tmp/|/home/|/root|/Users/|127\.0\.0\.1", picture.read_text(encoding="utf-8")), (
            picture.name
        )


def test_what_the_tour_quotes_was_told() -> None:
    (quoted,) = blocks("text")
    told = (ROOT / "docs" / "images" / "plain.txt").read_text(encoding="utf-8")
    for part in quoted.split("…\n"):
        assert part in told


def test_tables_of_the_documentation_are_as_the_app_has_them() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_tables.py"))
    for name, table in (("keys.md", made["keys_table"]), ("settings.md", made["settings_table"])):
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == table(), "run docs/make_tables.py"


@pytest.mark.parametrize("page", PAGES)
def test_keys_a_page_names_are_those_the_app_comes_with(page: str) -> None:
    known = {spoken(key) for action in all_actions() for key in action.standard}
    named = set(re.findall(r"`?\b((?:Ctrl|Alt|Shift)\+[\w↑↓]+|F\d+|Esc)\b`?", PAGES[page]))
    named |= {f"{kind}+{arrow}" for kind, arrow in re.findall(r"`(Ctrl|Alt|Shift)\+([↑↓])`", PAGES[page])}
    assert named - known == set()


@pytest.mark.parametrize("page", ["README.md", "docs/tour.md", "docs/compared.md", "docs/using.md", "docs/sessions.md"])
def test_single_keys_a_page_names_do_something(page: str) -> None:
    known = {spoken(key) for action in all_actions() for key in action.standard} | {"space"}
    prose = re.sub(r"^```.*?^```$", "", PAGES[page], flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`([^`\w\s]|[a-zA-Z]|Space|space|Enter|Tab|Delete|Backspace)`", prose))
    signs = {"@", "!", "/", "≤", "⚑", "\\", ";"}
    assert len(named) > 6
    assert named - signs - known == set()


@pytest.mark.parametrize("page", PAGES)
def test_commands_a_page_names_exist(page: str) -> None:
    known = {f"/{name}" for command in COMMANDS for name in (command.name, *command.aliases)}
    named = set(re.findall(r"`(/[a-z][a-z-]*)[ `]", PAGES[page]))
    assert named - known == set()


@pytest.mark.parametrize("page", PAGES)
def test_settings_a_page_names_exist(page: str) -> None:
    sections = {name: value for name, value in Settings() if isinstance(value, BaseModel)}
    for section, name in re.findall(r"`([a-z]+)\.([a-z_]+)[`:]", PAGES[page]):
        if section in sections:
            assert hasattr(sections[section], name), f"{section}.{name}"


@pytest.mark.parametrize("page", PAGES)
def test_flags_a_page_names_exist(page: str) -> None:
    known = set(re.findall(r"--[a-z-]+", cli.help_text()))
    commands = {"--all", "--format", "--to", "--remove", "--older-than", "--dry-run", "--trash"}
    named = set(re.findall(r"`(?:ml-intern )?(--[a-z-]+)", PAGES[page]))
    assert named - known - commands - {"--end", "--host", "--port"} == set()


def test_every_command_is_explained() -> None:
    for command in COMMANDS:
        assert re.search(rf"`/{command.name}\b", PAGES["docs/using.md"]), command.name

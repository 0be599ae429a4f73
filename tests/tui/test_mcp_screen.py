from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.config import ConfigError, load_config
from ml_intern.core.places import Places, find_places
from ml_intern.core.skills import Skills
from ml_intern.tools.mcp.admin import McpAdmin
from ml_intern.tools.mcp.config import parse_servers
from ml_intern.tui.modals.add_server import EntryError, entry_of
from tests.support.mcp_bench import McpBench, program
from tests.support.mcp_oauth import Browser, SignInServer
from tests.tui.playback import played_app
from tests.tui.stage import Stage, on_stage

pytestmark = pytest.mark.xdist_group("mcp")


def places(directory: Path) -> Places:
    return find_places({"ML_INTERN_HOME": str(directory / "home")})


def written(directory: Path) -> dict[str, Any]:
    path = places(directory).config / "cli_agent_config.json"
    servers: dict[str, Any] = json.loads(path.read_text())["mcpServers"] if path.exists() else {}
    return servers


@asynccontextmanager
async def shown(
    directory: Path, servers: dict[str, Any], size: tuple[int, int] = (120, 40)
) -> AsyncIterator[tuple[Stage, McpBench]]:
    async with McpBench(directory / "bench", servers) as mcp:
        admin = McpAdmin(
            mcp.hub, places(directory), {"NOTES_KEY": "s3cret"}, places(directory).config / "cli_agent_config.json"
        )
        app, _ = played_app(directory, servers=admin)
        async with on_stage(app, size) as stage:
            await stage.sees("Ask for machine-learning work", "claude-opus")
            await stage.enter("/mcp")
            await stage.sees("mcp servers", "esc back")
            yield stage, mcp


async def test_states_are_told_in_words_and_tools_with_what_they_may_do(tmp_path: Path) -> None:
    servers = {"notes": program(), "dead": program("die"), "off": program(disabled=True)}
    async with shown(tmp_path, servers) as (stage, _):
        await stage.sees("1 of 3 connected", "✓ connected", "✗ cannot be used", "○ off")
        await stage.sees("notes__echo", "Does echo.")
        assert "reads only" in stage.row("notes__echo")
        assert "may destroy" in stage.row("notes__crash")
        await stage.press("down")
        await stage.sees("The program ended with exit code 1: ModuleNotFoundError: No module named 'numpy'.")
        await stage.press("l")
        await stage.sees("log of dead", "not connected: the program ended with exit code 1")
        await stage.press("l", "escape")
        await stage.sees("Ask for machine-learning work")


async def test_a_server_is_switched_off_and_on_for_good(tmp_path: Path) -> None:
    async with shown(tmp_path, {"notes": program()}) as (stage, mcp):
        await stage.sees("✓ connected")
        await stage.press("e")
        await stage.sees("○ off", "0 of 1 connected")
        assert mcp.router.names == ()
        await stage.until(lambda: written(tmp_path) == {"notes": {"disabled": True}}, "the file")
        await stage.press("e")
        await stage.sees("✓ connected")
        assert "notes__echo" in mcp.router.names
        await stage.until(lambda: written(tmp_path) == {"notes": {"disabled": False}}, "the file")
        await stage.press("r")
        await stage.until(lambda: len(mcp.told) >= 3, "a new connection")
        await stage.sees("✓ connected")


async def test_a_server_is_added_to_the_configuration_and_connected_to(tmp_path: Path) -> None:
    command = program()
    async with shown(tmp_path, {}) as (stage, mcp):
        await stage.sees("No MCP server is configured. Press a to add one", "a add   esc back")
        await stage.press("a")
        await stage.sees("add an MCP server", "ctrl+s add it")
        await stage.press("ctrl+s")
        await stage.sees("Type the program with its arguments.")
        await stage.type("notes")
        await stage.press("tab", "tab")
        await stage.type(f"{command['command']} {command['args'][0]}")
        await stage.press("tab")
        await stage.type("KEY=${MISSING}")
        await stage.press("ctrl+s")
        await stage.sees("needs the environment variable MISSING")
        assert mcp.hub.status() == ()
        await stage.press("ctrl+u")
        await stage.type("KEY=${NOTES_KEY}")
        await stage.press("ctrl+s")
        await stage.sees("1 of 1 connected", "notes__echo")
        assert written(tmp_path) == {"notes": {**command, "env": {"KEY": "${NOTES_KEY}"}}}
        assert json.loads((await mcp.call("notes__environment")).text)["env"]["KEY"] == "s3cret"
    loaded = load_config(places(tmp_path), {"NOTES_KEY": "other"}).settings.mcpServers
    assert parse_servers(loaded)["notes"].env == {"KEY": "other"}  # type: ignore[union-attr]  # it is a program


async def test_a_sign_in_shows_its_link_and_ends_connected(tmp_path: Path) -> None:
    with SignInServer() as server:
        async with shown(tmp_path, {"closed": {"url": server.url}}) as (stage, mcp):
            await stage.sees("! wants a sign-in", "It wants you to sign in. Press s: your browser opens its page.")
            await stage.sees("s sign in   esc back")
            await stage.press("s")
            await stage.until(lambda: bool(stage.app.opened), "the browser")
            await stage.sees("If it did not open, go to:", f"{server.origin}/authorize")
            Browser().open(stage.app.opened[0])
            await stage.sees("✓ connected", "Signed in to closed.", "closed__secret", "signed in; kept in")
            await stage.sees("o sign out   esc back")
            await stage.press("o")
            await stage.sees("! wants a sign-in")
            assert mcp.router.names == ()


async def test_a_narrow_terminal_keeps_name_and_state(tmp_path: Path) -> None:
    async with shown(tmp_path, {"notes": program()}, size=(60, 20)) as (stage, _):
        await stage.sees("notes", "✓ connected")


# -------------------------------------------------------------------------------------------------------- adding


def test_what_is_typed_becomes_an_entry() -> None:
    assert entry_of("stdio", "uvx 'a b' --x", "A=1 B='2 3'") == {
        "command": "uvx",
        "args": ["a b", "--x"],
        "env": {"A": "1", "B": "2 3"},
    }
    assert entry_of("sse", "https://x.org/sse", "") == {"url": "https://x.org/sse", "transport": "sse"}
    header = entry_of("http", "https://x.org/mcp", "Authorization: Bearer ${KEY}")["headers"]
    assert header == {"Authorization": "Bearer ${KEY}"}


@pytest.mark.parametrize(
    ("kind", "place", "extra", "expected"),
    [
        ("http", "", "", "Type the address."),
        ("stdio", "uvx 'x", "", "A quotation mark is not closed."),
        ("stdio", "uvx x", "KEY", "NAME=value"),
        ("http", "https://x.org", "Authorization", "Name: value"),
    ],
)
def test_what_makes_no_entry_is_told(kind: str, place: str, extra: str, expected: str) -> None:
    with pytest.raises(EntryError, match=expected):
        entry_of(kind, place, extra)


async def test_a_name_that_is_taken_or_wrong_changes_nothing(tmp_path: Path) -> None:
    async with McpBench(tmp_path / "bench", {"notes": program(disabled=True)}) as mcp:
        admin = McpAdmin(mcp.hub, places(tmp_path), {}, tmp_path / "config.json")
        for name, entry in (("notes", {"command": "x"}), ("!", {"command": "x"}), ("new", {"comand": "x"})):
            with pytest.raises(ConfigError):
                await admin.add(name, entry)
        assert not (tmp_path / "config.json").exists()
        assert len(mcp.hub.status()) == 1


# -------------------------------------------------------------------------------------------------------- skills


async def test_skills_are_listed_with_their_source_and_can_be_read(tmp_path: Path) -> None:
    folder = places(tmp_path).config / "skills" / "tidy"
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text("---\nname: tidy\ndescription: Keeps [b]things[/b] tidy.\n---\n# Sweep\nTwice.\n")
    broken = folder.parent / "broken"
    broken.mkdir()
    (broken / "SKILL.md").write_text("nothing")
    skills = Skills(tmp_path / "bundled", places(tmp_path).config, tmp_path)
    app, _ = played_app(tmp_path, skills=skills)
    async with on_stage(app) as stage:
        await stage.sees("Ask for machine-learning work", "claude-opus")
        await stage.enter("/skills")
        await stage.sees("1 skill", "tidy", "yours", "Keeps [b]things[/b] tidy.", "Sweep", "Twice.")
        await stage.sees("does not begin with front matter")
        (broken / "SKILL.md").write_text("---\ndescription: Mended.\n---\nBody.")
        await stage.press("r")
        await stage.sees("2 skills", "Mended.")

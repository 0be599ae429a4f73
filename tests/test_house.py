from __future__ import annotations

import ast
import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import ml_intern

PACKAGE = Path(ml_intern.__file__).parent
HEAVY = frozenset(
    {
        *("textual", "rich", "litellm", "openai", "mcp", "huggingface_hub", "tiktoken", "httpx"),
        *("hishel", "lxml", "pypdf", "trafilatura"),
    }
)

LINES_OF_A_FILE = 400
LINES_OF_A_FUNCTION = 60


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def modules_in(*rooms: str) -> list[str]:
    paths = [path for room in rooms for path in sorted((PACKAGE / room).rglob("*.py"))]
    return [name_of(path) for path in paths]


def loaded_by(*modules: str) -> set[str]:
    """What a fresh interpreter holds after importing these modules, all of them in one process."""
    code = "import importlib, json, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\n"
    code += "json.dump(sorted(sys.modules), sys.stdout)"
    command = [sys.executable, "-c", code, *modules]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def within(loaded: set[str], *rooms: str) -> set[str]:
    """Those of the loaded modules that lie in rooms of the house."""
    roots = [f"ml_intern.{room}" for room in rooms]
    return {name for name in loaded if any(name == root or name.startswith(f"{root}.") for root in roots)}


def test_core_loads_no_heavy_library_and_no_other_room() -> None:
    loaded = loaded_by(*modules_in("core"))
    assert "ml_intern.core.protocol" in loaded
    assert not loaded & HEAVY
    assert not within(loaded, "tools", "services", "sessions", "headless", "tui", "web", "wiring", "cli")


def test_tools_never_load_a_front_end() -> None:
    loaded = loaded_by(*modules_in("tools", "services"))
    assert "ml_intern.tools.registry" in loaded
    assert not loaded & HEAVY
    assert not within(loaded, "headless", "tui", "web", "sessions", "wiring", "cli")


def test_sessions_know_only_the_core() -> None:
    loaded = loaded_by(*modules_in("sessions"))
    assert "ml_intern.sessions.log" in loaded
    assert not loaded & HEAVY
    assert not within(loaded, "tools", "services", "headless", "tui", "web", "wiring", "cli")


def test_headless_never_loads_the_app() -> None:
    loaded = loaded_by(*modules_in("headless"), "ml_intern.wiring")
    assert "ml_intern.headless.runner" in loaded
    assert not loaded & HEAVY
    assert not within(loaded, "tui", "web")


def test_the_app_never_loads_headless() -> None:
    loaded = loaded_by(*modules_in("tui"))
    assert "ml_intern.tui.main" in loaded
    assert not within(loaded, "headless", "web")


FOR_THE_FIRST_FRAME = frozenset(
    {
        *("", ".cli", ".exit_codes", ".options", ".tui", ".tui.main", ".tui.widgets", ".tui.widgets.paste"),
        *(".tui.early", ".tui.early.draft", ".tui.early.frame", ".tui.early.guard", ".tui.early.keys"),
        *(".tui.early.look", ".tui.early.output", ".tui.early.preferences"),
    }
)
SLOW = frozenset(
    {
        *("argparse", "asyncio", "dataclasses", "difflib", "email", "http", "inspect", "ipaddress", "json", "logging"),
        *("pathlib", "shutil", "socket", "ssl", "subprocess", "typing", "unicodedata", "urllib.parse"),
    }
)
"""Parts of the standard library that take longer to import than the first frame takes to paint."""


def test_first_frame_loads_next_to_nothing() -> None:
    loaded = loaded_by("ml_intern.cli", "ml_intern.tui.main") - loaded_by()
    ours = {name for name in loaded if name.partition(".")[0] == "ml_intern"}
    assert ours == {f"ml_intern{name}" for name in FOR_THE_FIRST_FRAME}
    assert {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names == {"ml_intern"}
    assert not loaded & SLOW


def test_command_line_loads_only_the_standard_library() -> None:
    loaded = loaded_by("ml_intern.cli", "ml_intern.arguments") - loaded_by()
    ours = {name for name in loaded if name.partition(".")[0] == "ml_intern"}
    names = {"ml_intern", *(f"ml_intern.{name}" for name in ("cli", "arguments", "exit_codes", "options", "parser"))}
    assert ours == names
    assert not loaded & (SLOW - {"argparse"})


# ------------------------------------------------------------------------------------------ order within the app

RANKS = {"widgets": 0, "modals": 1, "panes": 1, "screens": 2, "app": 3}
"""Who may import whom: only from a lower rank, and panes and modals not from each other."""


def imports_of(path: Path) -> Iterator[str]:
    """All modules a file imports, late ones too, but none that only a type checker sees."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    unseen = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_in_app(module: str) -> str:
    parts = module.split(".")
    return parts[2] if parts[:2] == ["ml_intern", "tui"] and len(parts) > 2 and parts[2] in RANKS else ""


def test_parts_of_the_app_import_downwards_only() -> None:
    wrong = []
    for path in sorted((PACKAGE / "tui").rglob("*.py")):
        room = room_in_app(name_of(path))
        for imported in imports_of(path) if room else ():
            target = room_in_app(imported)
            if target and target != room and RANKS[target] >= RANKS[room]:
                wrong.append(f"{name_of(path)} imports {imported}")
    assert wrong == []


@pytest.mark.parametrize(
    ("room", "strangers"),
    [
        ("core", ("tools", "services", "sessions", "headless", "tui", "web", "wiring", "cli")),
        ("tools", ("sessions", "headless", "tui", "web", "wiring", "cli")),
        ("sessions", ("tools", "headless", "tui", "web", "wiring", "cli")),
        ("headless", ("tools", "tui", "web", "cli")),
        ("tui", ("tools", "headless", "web", "cli")),
    ],
)
def test_rooms_keep_their_borders_in_late_imports_too(room: str, strangers: tuple[str, ...]) -> None:
    paths = sorted((PACKAGE / room).rglob("*.py"))
    assert paths
    wrong = [
        f"{name_of(path)} imports {imported}"
        for path in paths
        for imported in sorted(set(imports_of(path)))
        if within({imported}, *strangers)
    ]
    assert wrong == []


# -------------------------------------------------------------------------------------------------------- guides


def test_sizes_are_told_where_they_pass_the_guide() -> None:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(PACKAGE.parent)
        if (lines := text.count("\n")) > LINES_OF_A_FILE:
            found.append(f"{name}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                length = node.end_lineno - node.lineno + 1
                if length > LINES_OF_A_FUNCTION:
                    found.append(f"{name}:{node.lineno} {node.name}: {length} lines")
    if found:
        with warnings.catch_warnings():
            warnings.simplefilter("default")  # a guide and not a fence: it is told, and nothing fails
            warnings.warn("larger than the guide:\n  " + "\n  ".join(found), stacklevel=1)

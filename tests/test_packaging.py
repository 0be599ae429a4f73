from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ml_intern import __version__

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as hatchling builds it from a copy of the sources, so that nothing is left in the checkout."""
    source = tmp_path_factory.mktemp("source")
    for name in ("ml_intern", "configs", "styles"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory the wheel is installed into, without its dependencies: those of this environment serve."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        pytest.fail("uv is needed to install the wheel; `python3 -m pip install uv` brings it")
    target = tmp_path_factory.mktemp("installed")
    command = [uv, "pip", "install", "--quiet", "--no-deps", "--no-index", "--python", sys.executable]
    done = subprocess.run([*command, "--target", str(target), str(wheel)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return target


def ask(installed: Path, elsewhere: Path, *command: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(command, cwd=elsewhere, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_wheel_holds_everything_that_must_travel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for directory in ("configs", "styles"):
        paths = [path for path in (ROOT / directory).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        assert paths
        assert {f"ml_intern/{path.relative_to(ROOT)}" for path in paths} <= names
    assert "ml_intern/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


def test_installed_command_works_from_any_directory(installed: Path, tmp_path: Path) -> None:
    said = ask(installed, tmp_path, sys.executable, str(installed / "bin" / "ml-intern"), "--version")
    assert said == f"ml-intern {__version__}"


def test_installed_package_finds_its_own_files(installed: Path, tmp_path: Path) -> None:
    code = (
        "import json, ml_intern\n"
        "from ml_intern.resources import config_path, styles_path\n"
        "json.loads(config_path('cli_agent_config.json').read_text())\n"
        "print(ml_intern.__file__, config_path(), styles_path(), *styles_path().iterdir())"
    )
    paths = ask(installed, tmp_path, sys.executable, "-c", code).split()
    assert len(paths) > 3
    assert all(Path(path).is_relative_to(installed) for path in paths)


def test_installed_configuration_is_complete(installed: Path, tmp_path: Path) -> None:
    code = (
        "from ml_intern.core.config import load_config\n"
        "from ml_intern.core.places import find_places\n"
        "print(load_config(find_places({'ML_INTERN_HOME': '.'}), {}).settings.model_name)"
    )
    assert "/" in ask(installed, tmp_path, sys.executable, "-c", code)


def test_versions_of_ci_are_plain_and_allowed_by_the_project() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.-]*==[0-9][0-9a-z.!+-]*", line) for line in lines)
    pinned = {line.partition("==")[0] for line in lines}
    project = (ROOT / "pyproject.toml").read_text()
    wanted = set(re.findall(r'^    "([A-Za-z0-9_-]+)>=', project, re.MULTILINE))
    assert len(wanted) > 10
    assert {name.lower().replace("_", "-") for name in wanted} <= pinned


def test_what_must_not_travel_is_ignored() -> None:
    command = ["git", "check-ignore", "uv.lock", ".env", ".venv/x", ".mypy_cache/x"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    if done.returncode == 128:
        pytest.skip("not a git checkout")
    assert len(done.stdout.split()) == 4

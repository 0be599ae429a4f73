"""Servers that other people have written, installed from the package registries once and kept between runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

PYTHON = ("mcp-server-time", "mcp-server-git", "mcp-server-fetch")
NODE = ("@modelcontextprotocol/server-everything", "@modelcontextprotocol/server-filesystem")
_PATIENCE_S = 90.0


class NotInstalledError(Exception):
    """They cannot be had here; the message says why."""


def python_servers(directory: Path) -> Path:
    """The directory of the programs written in Python.

    Raises:
        NotInstalledError: The registry cannot be reached, or has no such packages.
    """
    programs = directory / "python" / ("Scripts" if sys.platform == "win32" else "bin")
    if not all((programs / name).exists() for name in PYTHON):
        uv = shutil.which("uv")
        if uv is None:
            _run(sys.executable, "-m", "venv", str(directory / "python"))
            _run(str(programs / "python"), "-m", "pip", "install", "--quiet", *PYTHON)
        else:
            _run(uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(directory / "python"))
            _run(uv, "pip", "install", "--quiet", "--python", str(programs / "python"), *PYTHON)
    return programs


def node_servers(directory: Path) -> Path:
    """The directory of the programs written in JavaScript.

    Raises:
        NotInstalledError: There is no Node.js, or the registry cannot be reached.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NotInstalledError("there is no Node.js with npm")
    programs = directory / "node" / "node_modules" / ".bin"
    if not all((programs / f"mcp-{name.rpartition('/')[2]}").exists() for name in NODE):
        options = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error", "--fetch-retries=0")
        _run(npm, "install", *options, "--prefix", str(directory / "node"), *NODE)
    return programs


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise NotInstalledError(f"{Path(command[0]).name} did not end within {_PATIENCE_S:g} s") from None
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise NotInstalledError(f"{Path(command[0]).name} failed: {lines[-1][:300]}")

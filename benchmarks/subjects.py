"""What is measured: ml-intern, the yardsticks beside it, and peers named in the environment."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

OURS = "ml-intern"
PEERS_VARIABLE = "BENCH_PEER"
TERMINAL = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "SHELL": "/bin/bash"} | {
    key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL") if key in os.environ
}
"""What every program finds in its environment."""
FLOOR = Path(__file__).with_name("floor.py")


@dataclass(frozen=True)
class Subject:
    """A program that can be measured.

    Attributes:
        name: Heading of its column.
        cwd: An empty directory to start it in.
        env: Its whole environment.
        app: Command of its full-screen app, if it has one.
        headless: Command that works on `{prompt}` and ends, if it has one.
        imports: Command that only imports a library: the least that a program built on it can take to start.
    """

    name: str
    cwd: Path
    env: Mapping[str, str]
    app: tuple[str, ...] = ()
    headless: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()

    def prompted(self, prompt: str) -> list[str]:
        """The headless command for this prompt."""
        return [word.replace("{prompt}", prompt) for word in self.headless]


def find_subjects(url: str, directory: Path) -> list[Subject]:
    """Ml-intern first, then the yardsticks, then the peers.

    Args:
        url: The model server, without `/v1`.
        directory: Every program gets a home and a working directory in here.
    """
    program = (sys.executable, "-m", "ml_intern", "--model", "vllm/bench")
    found = [
        _subject(
            OURS,
            directory,
            {"LOCAL_LLM_BASE_URL": f"{url}/v1", "WEB_SEARCH_BASE_URL": url},
            app=(*program, "--mode", "yolo", "--max-iterations", "2000"),
            headless=(*program, "--max-cost", "none", "{prompt}"),
        ),
        _subject("import textual", directory, imports=(sys.executable, "-c", "import textual.app")),
        _subject("floor", directory, headless=(sys.executable, str(FLOOR), f"{url}/v1", "{prompt}")),
    ]
    for template in os.environ.get(PEERS_VARIABLE, "").splitlines():
        words = shlex.split(template)
        if words:
            _add_peer(found, words, url, directory)
    return found


def _add_peer(found: list[Subject], words: list[str], url: str, directory: Path) -> None:
    """A command with `{prompt}` in it is headless, another one is the app. Both may be given, on a line each."""
    name = Path(words[0]).name
    known = next((subject for subject in found[3:] if subject.name == name), None)
    if known:
        found.remove(known)
    peer = known or _subject(name, directory)
    command = tuple(word.replace("{url}", url).replace("{cwd}", str(peer.cwd)) for word in words)
    is_headless = any("{prompt}" in word for word in command)
    found.append(
        Subject(
            name,
            peer.cwd,
            peer.env,
            app=peer.app if is_headless else command,
            headless=command if is_headless else peer.headless,
        )
    )


def _subject(
    name: str,
    directory: Path,
    env: Mapping[str, str] | None = None,
    *,
    app: tuple[str, ...] = (),
    headless: tuple[str, ...] = (),
    imports: tuple[str, ...] = (),
) -> Subject:
    own = directory / name.replace(" ", "-")
    home, cwd = own / "home", own / "project"
    home.mkdir(parents=True)
    cwd.mkdir()
    places = {"HOME": str(home), "ML_INTERN_HOME": str(home / "ml-intern")}
    return Subject(name, cwd, {**TERMINAL, **places, **(env or {})}, app, headless, imports)

"""Runs the program as a process of its own, apart from the home and the settings of whoever runs the tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.nursery import Child

MODEL = ("--model", "vllm/scripted")


class Program:
    """A home, a working directory and an environment to start ml-intern in.

    Args:
        directory: An empty directory for all of it.
        **env: Variables beside the few every process needs.
    """

    def __init__(self, directory: Path, **env: str) -> None:
        self.home = directory / "home"
        self.workdir = directory / "work"
        for made in (self.home, self.workdir):
            made.mkdir()
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "SSL_CERT_FILE") if name in os.environ}
        self.env = {**kept, "HOME": str(self.home), "ML_INTERN_HOME": str(self.home), **env}

    def command(self, *arguments: str) -> list[str]:
        """The command line."""
        return [sys.executable, "-m", "ml_intern", *arguments]

    def run(self, *arguments: str, stdin: bytes = b"") -> Finished:
        """Starts it and waits for its end. `stdin` is short: it goes into the pipe whole."""
        reading, writing = os.pipe()
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(stdin)
        with os.fdopen(reading, "rb") as given, self._child(*arguments, stdin=given.fileno()) as child:
            stdout, stderr = child.communicate(30)
        return Finished(child.wait(), stdout, stderr)

    def run_anew(self, *arguments: str) -> Finished:
        """The same, loaded by an interpreter of its own."""
        with self.started_anew(*arguments) as process:
            stdout, stderr = process.communicate(timeout=30)
        return Finished(process.wait(), stdout, stderr)

    @contextmanager
    def started(self, *arguments: str) -> Iterator[Child]:
        """Starts it and goes on; it is killed at the end if it still runs."""
        with Path(os.devnull).open("rb") as nothing, self._child(*arguments, stdin=nothing.fileno()) as child:
            yield child

    @contextmanager
    def started_anew(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """The same, loaded by an interpreter of its own."""
        process = subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.env,
            cwd=self.workdir,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    @contextmanager
    def _child(self, *arguments: str, stdin: int) -> Iterator[Child]:
        with Child(arguments, self.env, self.workdir, stdin) as child:
            try:
                yield child
            finally:
                child.kill()

    def configure(self, **settings: Any) -> None:
        """Writes the user's configuration file."""
        path = self.home / "config" / "cli_agent_config.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(settings))

    def logs(self) -> list[Path]:
        """Session logs, oldest first."""
        return sorted((self.home / "sessions").rglob("*.jsonl"), key=lambda path: path.stat().st_mtime)


class Finished:
    """What a process left behind."""

    def __init__(self, code: int, stdout: bytes, stderr: bytes) -> None:
        self.code = code
        self.stdout = stdout.decode()
        self.stderr = stderr.decode()

    @property
    def object(self) -> dict[str, Any]:
        """The one object on standard output."""
        value: dict[str, Any] = json.loads(self.stdout)
        return value

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events on standard output."""
        return [json.loads(line) for line in self.stdout.splitlines()]

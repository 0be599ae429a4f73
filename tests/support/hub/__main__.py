"""Serves a stand-in Hub from the command line until Ctrl+C."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.hub.server import TOKEN, Person, StandInHub


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    root = Path(options.root or tempfile.mkdtemp(prefix="stand-in-hub-")).resolve()
    person = Person(options.user, tuple(options.org or ["acme"]))
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with StandInHub(root, {options.token: person}, options.port) as hub:
        if options.script:
            play(hub, json.loads(Path(options.script).read_text(encoding="utf-8")))
        for name, value in hub.env().items():
            _say(f"export {name}={shlex.quote(value)}")
        _say(f"# {person.name} and {', '.join(person.orgs)}; everything is kept in {root}; Ctrl+C ends it")
        ended.wait()
    return 0


def play(hub: StandInHub, steps: Sequence[dict[str, Any]]) -> None:
    """Upsets a server as told.

    A step is `{"call": "jobs.cut_streams", "with": {"times": 2}}` or `{"set": "jobs.page_size", "to": 5}`.

    Raises:
        AttributeError: There is no such thing.
    """
    for step in steps:
        *path, name = str(step.get("call") or step["set"]).split(".")
        target: Any = hub
        for part in path:
            target = getattr(target, part)
        if "call" in step:
            getattr(target, name)(**step.get("with", {}))
        elif hasattr(target, name):
            setattr(target, name, step["to"])
        else:
            raise AttributeError(f"there is no {step['set']!r} to set")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.support.hub", description=__doc__)
    parser.add_argument("--root", help="directory of everything that is stored (default: a new temporary one)")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: any free one)")
    parser.add_argument("--user", default="mia", help="name of the account (default: mia)")
    parser.add_argument("--org", action="append", help="an organisation of the account; may be repeated")
    parser.add_argument("--token", default=TOKEN, help="the token of the account")
    parser.add_argument("--script", help="JSON file with what shall go wrong, see `play`")
    return parser


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

"""A Hub with three people for the tests of the stand-in: mia (of acme), ben, and somebody without a token."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi

from tests.support.hub import StandInHub
from tests.support.hub.server import Person

MIA = "hf_" + "miaToken" * 5
BEN = "hf_" + "benToken" * 5


@contextmanager
def hub_of_people(root: Path) -> Iterator[StandInHub]:
    """The server; mia's token is the first."""
    with StandInHub(root, tokens={MIA: Person("mia", ("acme",)), BEN: Person("ben")}) as hub:
        yield hub


def as_mia(hub: StandInHub) -> HfApi:
    """The official client with mia's token."""
    return HfApi(endpoint=hub.url, token=MIA)


def as_ben(hub: StandInHub) -> HfApi:
    """The official client with ben's token."""
    return HfApi(endpoint=hub.url, token=BEN)


def as_nobody(hub: StandInHub) -> HfApi:
    """The official client without a token."""
    return HfApi(endpoint=hub.url, token=False)


def in_a_program(hub: StandInHub, code: str, *arguments: str) -> Any:
    """Runs Python in a process that knows the Hub from its environment only; returns what it prints as JSON."""
    env = {**os.environ, **hub.env(), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])

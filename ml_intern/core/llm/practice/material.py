"""What the practice model says and uses, as it lies in `configs/demo/`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from ml_intern.resources import config_path


@dataclass(frozen=True, slots=True)
class Saying:
    """A text with places to fill in, and what is thought before it."""

    text: str
    thought: str = ""


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that is prepared.

    Attributes:
        suggestion: The prompt that is offered.
        plan: Steps as `(id, content)`.
        look: The command that looks at the data.
        script: Source of the baseline.
        old: What the one improvement replaces in it.
        new: What it puts there.
        names: Titles of the two kinds of job.
        timeout: Timeout of a job.
        epochs: Epochs in the script as written.
        most_epochs: No wish sets more.
        sayings: Texts by name.
    """

    suggestion: str
    plan: tuple[tuple[str, str], ...]
    look: str
    script: str
    old: str
    new: str
    names: Mapping[str, str]
    timeout: str
    epochs: int
    most_epochs: int
    sayings: Mapping[str, Saying]

    def say(self, name: str, **facts: object) -> str:
        """A text with its places filled in."""
        return self.sayings[name].text.format(**facts)

    def thought(self, name: str) -> str:
        """What is thought before a text."""
        return self.sayings[name].thought


@cache
def material() -> Material:
    """Reads it, once."""
    data = json.loads(config_path("demo", "first-run.json").read_text(encoding="utf-8"))
    return Material(
        suggestion=data["suggestion"],
        plan=tuple((step["id"], step["content"]) for step in data["plan"]),
        look=data["look"],
        script=config_path("demo", "train.py").read_text(encoding="utf-8"),
        old="\n".join(data["edit"]["old"]),
        new="\n".join(data["edit"]["new"]),
        names=data["names"],
        timeout=data["timeout"],
        epochs=data["epochs"],
        most_epochs=data["most_epochs"],
        sayings={name: Saying(**saying) for name, saying in data["say"].items()},
    )

"""What a person sends at once: words, and the images and outputs that go with them. As data, so that it can be kept."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ml_intern.tui.widgets.text import count


@dataclass(frozen=True, slots=True)
class Output:
    """What a command of the person's own put out, and its exit code."""

    command: str
    text: str
    code: int

    mark: ClassVar[str] = "attached"

    @property
    def title(self) -> str:
        """What it is."""
        return f"! {self.command}"

    @property
    def facts(self) -> str:
        """How the command ended, and how much there is."""
        lines = self.text.count("\n") + 1 if self.text else 0
        return f"exit {self.code} · {count(lines, 'line')}"

    def block(self) -> str:
        """As the agent reads it. The output cannot end its block."""
        text = self.text.replace("</command_output", "<\\/command_output")
        command = html.escape(self.command)
        return f'<command_output command="{command}" exit_code="{self.code}">\n{text}\n</command_output>'


@dataclass(frozen=True, slots=True)
class Picture:
    """An image file.

    Attributes:
        path: Where it is.
        title: What people call it.
        facts: Its pixels and its size.
    """

    path: str
    title: str
    facts: str

    mark: ClassVar[str] = "image"


Thing = Output | Picture
"""What goes with words."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Words with what goes with them."""

    text: str = ""
    things: tuple[Thing, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to send."""
        return bool(self.text.strip() or self.things)

    def fields(self, redact: Callable[[str], str]) -> dict[str, Any]:
        """It as the fields of an operation."""
        found: dict[str, Any] = {"text": self.text}
        pictures = [thing for thing in self.things if isinstance(thing, Picture)]
        outputs = [thing for thing in self.things if isinstance(thing, Output)]
        if pictures:
            found["images"] = [{"path": picture.path, "name": picture.title} for picture in pictures]
        if outputs:
            found["attached"] = [
                {"label": redact(f"{output.title} · {output.facts}"), "text": redact(output.block())}
                for output in outputs
            ]
        return found

    def record(self, redact: Callable[[str], str]) -> dict[str, Any]:
        """It as data that can be written down."""
        return {"text": redact(self.text), "things": [_thing_record(thing, redact) for thing in self.things]}

    @classmethod
    def from_record(cls, record: Any) -> Entry:
        """The inverse of `record`. What does not fit is left out."""
        if not isinstance(record, Mapping) or not isinstance(record.get("text"), str):
            return cls()
        things = record.get("things")
        found = (_thing_of(each) for each in (things if isinstance(things, list) else ()))
        return cls(record["text"], tuple(thing for thing in found if thing is not None))


def _thing_record(thing: Thing, redact: Callable[[str], str]) -> dict[str, Any]:
    if isinstance(thing, Output):
        return {"command": redact(thing.command), "text": redact(thing.text), "code": thing.code}
    return {"path": thing.path, "title": thing.title, "facts": thing.facts}


def _thing_of(record: Any) -> Thing | None:
    match record:
        case {"command": str(command), "text": str(text), "code": int(code)}:
            return Output(command, text, code)
        case {"path": str(path), "title": str(title), "facts": str(facts)}:
            return Picture(path, title, facts)
    return None

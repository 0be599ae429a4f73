"""Running a job again with edits: what it was submitted with, as a request in the person's own words to the agent."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets._input import Input
from textual.widgets._static import Static

from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.modals.base import Dialog
from ml_intern.tui.modals.editor import edit_outside
from ml_intern.tui.widgets.form import TextField
from ml_intern.tui.widgets.key_bar import KeyBar
from ml_intern.tui.widgets.script_area import ScriptArea

FIELDS = (
    ("hardware_flavor", "hardware"),
    ("timeout", "timeout"),
    ("dependencies", "packages"),
    ("script_args", "arguments"),
)
KEYS = [
    ("{form.done}", "put it into the prompt"),
    ("{fields}", "fields"),
    ("{form.editor}", "your editor"),
    ("{back}", "leave"),
]


@dataclass(slots=True)
class Request:
    """What a job was submitted with.

    Attributes:
        job_id: The job.
        title: How it is called.
        kind: `script` or `command`.
        text: The script, its path or the command line; empty where nobody here knows it.
        fields: Further parameters as text, by name.
        rest: Parameters that are kept as they are.
    """

    job_id: str
    title: str
    kind: str = "script"
    text: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    rest: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, job_id: str, title: str, arguments: Mapping[str, Any]) -> Request:
        """Out of the arguments of the call that submitted it."""
        kind = "command" if arguments.get("command") else "script"
        names = {name for name, _ in FIELDS}
        rest = {
            key: value
            for key, value in arguments.items()
            if value and key not in {"operation", "script", "command", "detach", *names}
        }
        fields = {name: _as_text(arguments.get(name)) for name in names}
        if not fields["hardware_flavor"]:
            fields["hardware_flavor"] = _as_text(rest.pop("flavor", None) or rest.pop("hardware", None))
        return cls(job_id, title, kind, _as_text(arguments.get(kind)), fields, rest)

    def prompt(self, text: str, fields: Mapping[str, str]) -> str:
        """The request, for the agent to carry out.

        Args:
            text: Script or command, edited.
            fields: Parameters, edited.
        """
        if not text.strip():
            head = f"Run job {self.job_id} ({self.title}) again. Look up with `inspect` and `logs` what it ran."
        else:
            head = f"Run this job again with `hf_jobs`, exactly as below (it was {self.job_id}, {self.title})."
        said = [f"{name}: {value}" for name, _ in FIELDS if (value := fields.get(name, "").strip())]
        said += [f"{name}: {_as_text(value)}" for name, value in self.rest.items()]
        body = f"{self.kind}:\n```{'python' if self.kind == 'script' else 'bash'}\n{text.rstrip()}\n```"
        if "\n" not in text.strip():
            body = f"{self.kind}: {text.strip()}" if text.strip() else ""
        return "\n".join([head, *said, *filter(None, [body])])


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return shlex.join(value)
    return "" if value is None else json.dumps(value, ensure_ascii=False)


class Rerun(Dialog[str]):
    """Lets a person edit a job. Answers with the request for the prompt, where it can still be read and changed.

    Args:
        request: The job.
    """

    HELP = (
        "Edit the script and the parameters. {form.done} puts the request into the prompt, where {prompt.send} sends "
        "it; the agent submits the job and asks for approval as ever. Nothing runs before that."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "cancel", above=True),
        bind("form.done", "done"),
        bind("form.editor", "edit_outside"),
    ]

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._request = request

    def compose(self) -> ComposeResult:
        """Script, parameters, keys."""
        request = self._request
        with Vertical(id="rerun", classes="dialog") as frame:
            frame.border_title = Content(f"run {request.title} again")  # a string would be read as markup
            if not request.text:
                yield Static(
                    "What this job ran is not known here: paste it, or leave it to the agent to find out.",
                    id="rerun-note",
                    markup=False,
                )
            yield ScriptArea(id="rerun-text", compact=True, show_line_numbers=True, tab_behavior="focus")
            with Vertical(id="rerun-fields"):
                for name, label in FIELDS:
                    yield TextField(label, request.fields.get(name, ""), id=f"rerun-{name}")
            yield KeyBar(KEYS)

    def on_mount(self) -> None:
        """The script can be edited at once."""
        self._text = self.query_one(ScriptArea)
        self._text.load_script(self._request.text)
        self._text.cursor_blink = False
        self._text.focus()

    def action_edit_outside(self) -> None:
        """The person's own editor."""
        edited = edit_outside(self.app, self._text.script, self._request.kind)
        if edited is not None:
            self._text.load_script(edited)

    def action_done(self) -> None:
        """Answers with the request."""
        fields = {name: self.query_one(f"#rerun-{name}", Input).value for name, _ in FIELDS}
        self.dismiss(self._request.prompt(self._text.script, fields))

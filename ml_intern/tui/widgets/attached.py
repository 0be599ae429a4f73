"""Outputs of the person's own commands that go to the agent with the next prompt."""

from __future__ import annotations

import html
from dataclasses import dataclass

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from ml_intern.tui.widgets.line import Part, line
from ml_intern.tui.widgets.text import count, one_line


@dataclass(frozen=True, slots=True)
class Output:
    """What a command put out, and its exit code."""

    command: str
    text: str
    code: int

    def block(self) -> str:
        """As the agent reads it. The output cannot end its block."""
        text = self.text.replace("</command_output", "<\\/command_output")
        command = html.escape(self.command)
        return f'<command_output command="{command}" exit_code="{self.code}">\n{text}\n</command_output>'


class AttachedView(Widget):
    """One line for each output that is attached, with the key that removes the last."""

    outputs: reactive[tuple[Output, ...]] = reactive((), layout=True)

    def watch_outputs(self, outputs: tuple[Output, ...]) -> None:
        """Takes no room while there is nothing to show."""
        self.display = bool(outputs)

    def get_content_height(self, *_args: object) -> int:
        """One line for each."""
        return len(self.outputs)

    def render(self) -> Content:
        """The commands; the last line carries the key."""
        width = self.content_size.width
        rows = []
        for number, output in enumerate(self.outputs, 1):
            lines = count(output.text.count("\n") + 1 if output.text else 0, "line")
            parts = [
                Part("attached", "$accent"),
                Part(one_line(f"! {output.command}"), flexible=True, rank=9),
                Part(f"exit {output.code} · {lines}", "$foreground-muted", rank=5),
            ]
            rows.append(line(parts, [Part("⌫", tail="remove", rank=2)] if number == len(self.outputs) else [], width))
        return Content("\n").join(rows)

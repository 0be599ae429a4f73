"""Sentences that name the app's commands, for a run that has none: the same step as a flag or as another run."""

from __future__ import annotations

import re

_STEPS = (
    (r"another /model\b", "another model with --model"),
    (r"with /model or --model\b", "with --model"),
    (r"with /(model|effort)\b", r"with --\1"),
    (r"with /new\b", "in a new run"),
    (r"until you /trust it\b", "until you /trust it in the app"),
    (r"Say `continue` to\b", "Run `ml-intern --continue continue` to"),
)


def for_command_line(text: str) -> str:
    """A sentence of the core as somebody can follow it who has no prompt to type commands into."""
    for pattern, replacement in _STEPS:
        text = re.sub(pattern, replacement, text)
    return text

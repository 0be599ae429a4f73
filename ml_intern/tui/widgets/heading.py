"""The first line of a screen: its name, and what there is to say about it at a glance."""

from __future__ import annotations

from textual.content import Content


def heading(name: str, *facts: str) -> Content:
    """The name in the accent, the facts behind it quiet."""
    return Content.assemble((name, "$accent bold"), *((f"   {fact}", "$foreground-muted") for fact in facts if fact))

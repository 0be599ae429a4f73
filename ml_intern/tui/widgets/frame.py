"""What stands in a pane's border."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget


def entitle(frame: Widget, title: str | None = None, subtitle: str | None = None) -> None:
    """Puts texts into a border, as they are; None leaves what is there.

    Setting a title repaints everything inside the border, so that is done only where it changes.
    """
    for name, text in (("border_title", title), ("border_subtitle", subtitle)):
        if text is None:
            continue
        content = Content(text)
        if (getattr(frame, name) or "") != content.markup:
            setattr(frame, name, content if text else None)

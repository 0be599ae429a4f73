"""What stands in a pane's border."""

from __future__ import annotations

from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget


def entitle(frame: Widget, title: str | None = None, subtitle: str | None = None) -> None:
    """Puts texts into a border, as they are; None leaves what is there. Only the rows that change are painted."""
    width, height = frame.outer_size
    for name, text, y in (("border_title", title, 0), ("border_subtitle", subtitle, height - 1)):
        if text is None:
            continue
        content = Content(text)
        if (getattr(frame, name) or "") == content.markup:
            continue
        if height:
            # Set in the open, it would have everything inside the border painted too: a list, with each call in it.
            setattr(frame, f"_{name}", content.expand_tabs(4).split()[0] if text else None)
            frame.refresh(Region(0, y, width, 1).translate(-frame.content_offset))
        else:
            setattr(frame, name, content if text else None)

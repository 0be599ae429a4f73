"""Short items that flow over as many rows as they need and are never broken in two."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive
from textual.widget import Widget

GAP = 3


class Flow(Widget):
    """Lays items out one beside the other, like words of a paragraph.

    Args:
        items: What is shown.
    """

    items: reactive[tuple[Content, ...]] = reactive((), layout=True)

    def __init__(
        self,
        items: Sequence[Content] = (),
        *,
        id: str | None = None,  # noqa: A002 - Textual's name
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.set_reactive(Flow.items, tuple(items))

    def get_content_height(self, _container: Size, _viewport: Size, width: int) -> int:
        """As many rows as the items take."""
        return len(rows(self.items, width))

    def render(self) -> Content:
        """The rows at the present width."""
        return Content("\n").join(rows(self.items, self.content_size.width))


def rows(items: Sequence[Content], width: int) -> list[Content]:
    """The items in rows of at most this width; one that is wider is wrapped."""
    done: list[Content] = []
    for item in items:
        if done and done[-1].cell_length + GAP + item.cell_length <= width:
            done[-1] = Content.assemble(done[-1], " " * GAP, item)
        elif item.cell_length <= width or width < 1:
            done.append(item)
        else:
            done.extend(item.wrap(width))
    return done

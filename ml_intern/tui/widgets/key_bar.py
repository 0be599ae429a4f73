"""The line of keys at the foot of a dialog or a screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive
from textual.widget import Widget

from ml_intern.tui.keys.keymap import Keymap, keymap_of
from ml_intern.tui.widgets.flow import rows

Hint = tuple[str, str]
"""What to press, with `{action}` for the key of an action, and what that does."""


class KeyBar(Widget):
    """Shows which keys do what, by the keymap that counts now. A key that an action no longer has is left out.

    Args:
        hints: What is shown, the most useful first.
    """

    hints: reactive[tuple[Hint, ...]] = reactive((), layout=True)
    lit: reactive[bool] = reactive(True)
    """Whether the keys do something yet."""

    def __init__(
        self,
        hints: Sequence[Hint] = (),
        *,
        id: str | None = None,  # noqa: A002 - Textual's name
        classes: str | None = "dialog-keys",
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.set_reactive(KeyBar.hints, tuple(hints))

    def show(self, hints: Iterable[Hint], *, lit: bool = True) -> None:
        """Shows other keys."""
        self.hints, self.lit = tuple(hints), lit

    def get_content_height(self, _container: Size, _viewport: Size, width: int) -> int:
        """As many rows as the items take."""
        return len(rows(self._items(), width))

    def render(self) -> Content:
        """The rows at the present width."""
        return Content("\n").join(rows(self._items(), self.content_size.width))

    def take_keymap(self, _keymap: Keymap) -> None:
        """Shows the keys that count now."""
        self.refresh(layout=True)

    def _items(self) -> list[Content]:
        style = "$accent bold" if self.lit else "$foreground-muted"
        pairs = effective(self.hints, keymap_of(self))
        return [Content.assemble((key, style), (f" {does}", "$foreground-muted")) for key, does in pairs]


def effective(hints: Iterable[Hint], keymap: Keymap) -> list[Hint]:
    """The hints with their keys; those whose action has no key are left out."""
    return [(key, does) for pressed, does in hints if (key := keymap.fill(pressed))]

"""Which key does what now: the table of actions, with what a person has changed in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from textual.binding import Binding

from ml_intern.tui.keys.actions import ACTIONS, PLACE_OF, PLACES, around
from ml_intern.tui.keys.names import shown, spoken

if TYPE_CHECKING:
    from textual.dom import DOMNode

NO_KEY = "f63"
"""A key that no keyboard has: Textual knows no binding without a key."""

_PLACEHOLDER = re.compile(r"\{([a-z/][a-z_./-]*)(?::(\d))?\}")


class Keymap:
    """Answers which keys an action has. It never changes; another choice of keys is another keymap.

    Args:
        changes: Keys of actions that have others than the table says, by the action's id; none for no key at all.
    """

    def __init__(self, changes: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self.changes: dict[str, tuple[str, ...]] = dict(changes or {})

    def keys(self, action_id: str) -> tuple[str, ...]:
        """The keys of an action, the one to be shown first."""
        changed = self.changes.get(action_id)
        return ACTIONS[action_id].standard if changed is None else changed

    def has(self, action_id: str, key: str) -> bool:
        """Whether the key does this."""
        return key in self.keys(action_id)

    def shown(self, action_id: str) -> str:
        """The key of an action for a line of keys; empty without one."""
        action = ACTIONS[action_id]
        if action.shown and action_id not in self.changes:
            return action.shown
        return next(map(shown, self.keys(action_id)), "")

    def spoken(self, action_id: str, most: int = 1) -> str:
        """The key of an action for a sentence.

        Args:
            action_id: The action.
            most: How many keys may be named, where there are several.
        """
        action = ACTIONS[action_id]
        if action.shown and action_id not in self.changes:
            return action.shown
        keys = [spoken(key) for key in self.keys(action_id)[:most]]
        return " or ".join(keys) if keys else f"(no key for {action_id!r})"

    def fill(self, text: str) -> str:
        """A line of keys with each `{action}` replaced by its key; empty when one of them has none."""
        keys = [self.shown(name) for name, _ in _PLACEHOLDER.findall(text) if name in ACTIONS]
        return "" if "" in keys else _shorter(self._replace(text, lambda name, _most: self.shown(name)))

    def tell(self, text: str) -> str:
        """A sentence with each `{action}` replaced by its key; `{action:2}` names up to two."""
        return self._replace(text, self.spoken)

    def heard_around(self, place: str) -> frozenset[str]:
        """Keys of what can be done around a place, and those that a person chose for something in it."""
        names = around(next(each for each in PLACES if each.name == place))
        heard = (
            self.keys(action.id)
            for action in ACTIONS.values()
            if PLACE_OF[action.id].name in names and not action.fixed
            if action.id in self.changes or PLACE_OF[action.id].name != place
        )
        return frozenset(key for keys in heard for key in keys)

    def for_textual(self) -> dict[str, str]:
        """The changes as `App.set_keymap` takes them."""
        return {action_id: ",".join(keys) or NO_KEY for action_id, keys in self.changes.items()}

    def _replace(self, text: str, key: Callable[[str, int], str]) -> str:
        def replace(match: re.Match[str]) -> str:
            return key(match[1], int(match[2] or 1)) if match[1] in ACTIONS else match[0]

        return _PLACEHOLDER.sub(replace, text)


def _shorter(keys: str) -> str:
    """`alt+1 alt+2` as `alt+1 2`."""
    first, *rest = keys.split(" ")
    held = first[: first.rfind("+") + 1]
    if len(held) > 1 and rest and all(key.startswith(held) for key in rest):
        return " ".join([first, *(key.removeprefix(held) for key in rest)])
    return keys


STANDARD = Keymap()


class _HasKeymap(Protocol):
    keymap: Keymap


@runtime_checkable
class ShowsKeys(Protocol):
    """What must know when other keys count."""

    def take_keymap(self, keymap: Keymap) -> None:
        """Other keys count from now on."""


def keymap_of(node: DOMNode) -> Keymap:
    """The keymap of the app that a widget or a screen is in."""
    app = node.app
    return cast("_HasKeymap", app).keymap if hasattr(app, "keymap") else STANDARD


def bind(action_id: str, does: str, *, above: bool | None = None) -> Binding:
    """A binding of an action of the table.

    Args:
        action_id: Its id.
        does: The action in Textual's terms, for example `cancel_job` or `step(1)`.
        above: Whether it is heard before what has the focus, where that is other than the table says.
    """
    action = ACTIONS[action_id]
    first = action.above if above is None else above
    return Binding(action.keys or NO_KEY, does, action.does, show=False, priority=first, id=action_id)


def bind_number(number: int, does: str) -> Binding:
    """A binding of a number key, for the row or tab of that number."""
    return Binding(str(number), does, show=False, id="number")

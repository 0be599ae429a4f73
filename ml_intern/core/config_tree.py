"""Values of the configuration as a tree of JSON objects, and where each stands in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

KeyPath = str | tuple[str, ...]
"""Where a value stands: dotted, for example `ui.theme`, or key by key where a key has dots itself."""


def merge(tree: dict[str, Any], layer: Mapping[str, Any]) -> None:
    """Lays values over a tree: objects merge key by key; lists and scalars replace."""
    for key, value in layer.items():
        below = tree.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            merge(below, value)
        else:
            tree[key] = value


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no object, with its dotted key path."""
    for key, value in tree.items():
        # A server's own keys are the server's business, and they are where people keep tokens.
        if isinstance(value, dict) and value and prefix != "mcpServers.":
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def keys_of(key_path: KeyPath) -> tuple[str, ...]:
    """The keys that lead to a value."""
    return tuple(key_path.split(".")) if isinstance(key_path, str) else key_path


def nested(key_path: KeyPath, value: Any) -> dict[str, Any]:
    """A tree that holds one value only."""
    for key in reversed(keys_of(key_path)):
        value = {key: value}
    return dict(value)


def take_out(tree: dict[str, Any], keys: tuple[str, ...]) -> bool:
    """Removes a key, and whatever is empty without it. Tells whether it was there."""
    first, rest = keys[0], keys[1:]
    if first not in tree:
        return False
    if not rest:
        del tree[first]
        return True
    below = tree[first]
    if not isinstance(below, dict) or not take_out(below, rest):
        return False
    if not below:
        del tree[first]
    return True

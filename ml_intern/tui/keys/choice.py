"""Reads the keys that a person chose, and says in words what cannot be, and what gets into the way of what."""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from textual.binding import Binding

from ml_intern.tui.keys.actions import ACTIONS, PLACE_OF, Action, around, together
from ml_intern.tui.keys.keymap import Keymap
from ml_intern.tui.keys.names import KeyNameError, is_typed, read_key, shown

NONE = "none"
"""What stands in the configuration for no key at all."""

_EDITING = frozenset({"enter", "backspace", "delete", "left", "right", "up", "down", "tab", "shift+tab", "space"})
"""Keys that a person needs to write and to move about at all."""


class KeyChoiceError(Exception):
    """An action cannot have this key. The message is one sentence."""


@dataclass(frozen=True, slots=True)
class Read:
    """What became of the keys in the configuration.

    Attributes:
        keymap: What counts.
        problems: A sentence about each entry that is left out, and each that gets into the way of another.
    """

    keymap: Keymap
    problems: tuple[str, ...] = ()


def read_keys(chosen: Mapping[str, object]) -> Read:
    """The keymap out of `keys` in the configuration. Whatever is wrong is left out and told; nothing is raised."""
    changes: dict[str, tuple[str, ...]] = {}
    problems: list[str] = []
    for action_id, text in chosen.items():
        try:
            keys = allowed_keys(action_id, text if isinstance(text, str) else "")
        except KeyChoiceError as error:
            problems.append(f"keys.{action_id}: {error}")
            continue
        if keys != ACTIONS[action_id].standard:
            changes[action_id] = keys
    keymap, told = Keymap(changes), set[str]()
    for action_id in changes:
        problems += [f"keys.{action_id}: {text}" for text in conflicts(action_id, keymap, but=told)]
        told.add(action_id)
    return Read(keymap, tuple(problems))


def allowed_keys(action_id: str, text: str) -> tuple[str, ...]:
    """Keys as Textual names them.

    Args:
        action_id: The action that is to have them.
        text: As a person writes them, with commas between; `none` for no key.

    Raises:
        KeyChoiceError: There is no such action or key, or the action cannot have it.
    """
    action = ACTIONS.get(action_id)
    if action is None:
        near = difflib.get_close_matches(action_id, ACTIONS, n=1, cutoff=0.5)
        raise KeyChoiceError(f"there is no such action; {f'the nearest is {near[0]}' if near else '/keys lists them'}.")
    if action.fixed:
        raise KeyChoiceError(f"{action.id} keeps its key: {action.fixed}.")
    if text.strip().lower() == NONE:
        return ()
    try:
        keys = tuple(dict.fromkeys(read_key(part) for part in _parts(text)))
    except KeyNameError as error:
        raise KeyChoiceError(str(error)) from error
    for key in keys:
        _refuse(action, key)
    return keys


def _parts(text: str) -> list[str]:
    """The keys between the commas; a comma by itself is the key."""
    return [","] if text.strip() == "," else [part for part in text.split(",") if part.strip()] or [text]


def _refuse(action: Action, key: str) -> None:
    """Keys that would lock a person out, or make typing impossible."""
    if key in action.standard:
        return
    if key == "ctrl+c":
        raise KeyChoiceError("ctrl+c interrupts and quits, always; choose another key.")
    heard_while_typing = action.above and not all(map(is_typed, action.standard))
    in_prompt = PLACE_OF[action.id].name == "prompt" and (action.id, key) != ("prompt.newline", "enter")
    if (is_typed(key) or key in _EDITING) and (heard_while_typing or in_prompt):
        raise KeyChoiceError(
            f"{shown(key)} is needed for typing there; choose another key, for example with alt or ctrl."
        )


def conflicts(action_id: str, keymap: Keymap, but: Container[str] = ()) -> Iterator[str]:
    """What a changed action gets into the way of, in words. Nothing is said of what was so before the change.

    Args:
        action_id: The action.
        keymap: The keys that count.
        but: Ids of actions that were looked at before.
    """
    action = ACTIONS[action_id]
    for key in keymap.keys(action_id):
        for other in ACTIONS.values():
            if other.id == action_id or other.id in but:
                continue
            if key not in keymap.keys(other.id) or not together(action, other):
                continue
            if other.fixed and PLACE_OF[action_id].name == "prompt":
                continue  # these keys mean something of their own in the prompt anyway
            if key in action.standard and key in other.standard:
                continue  # one is heard before the other, as ever
            yield f"{shown(key)} also means {other.id} ({other.does}); give one of them another key."
        if is_typed(key) and "main" in around(PLACE_OF[action_id]) and key not in action.standard:
            yield f"{shown(key)} is a letter in the prompt, so it works outside of it only."


def side_effects(action_id: str, keymap: Keymap) -> Iterator[str]:
    """What a changed action takes away from writing, in words: good to know, and no mistake."""
    action = ACTIONS[action_id]
    for key in keymap.keys(action_id):
        if key in _edits_text() and key not in action.standard:
            in_prompt = "main" in around(PLACE_OF[action_id])
            where = "does not edit the prompt any more" if in_prompt else "edits text where something is typed"
            yield f"{shown(key)} {where}."


@cache
def _edits_text() -> frozenset[str]:
    """Keys that the text fields have by themselves."""
    from textual.widgets._text_area import TextArea

    keys = (key for binding in TextArea.BINDINGS if isinstance(binding, Binding) for key in binding.key.split(","))
    return frozenset(key for key in keys if key not in _EDITING)

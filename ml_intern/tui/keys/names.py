"""What keys are called: as a person writes them, as Textual names them, and as they are shown."""

from __future__ import annotations

import difflib
import unicodedata
from functools import cache

from textual.keys import KEY_NAME_REPLACEMENTS, REPLACED_KEYS, key_to_character

MODIFIERS = ("alt", "ctrl", "hyper", "meta", "shift", "super")
"""In the order in which Textual writes them."""

_SYMBOLS = {
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "enter": "↵",
    "escape": "esc",
    "backspace": "⌫",
    "delete": "del",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "insert": "ins",
}
_SPOKEN = {
    "enter": "Enter",
    "escape": "Esc",
    "backspace": "Backspace",
    "delete": "Delete",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "space": "Space",
    "tab": "Tab",
    "home": "Home",
    "end": "End",
    "insert": "Insert",
}
_ALSO = {
    "esc": "escape",
    "return": "enter",
    "ret": "enter",
    "del": "delete",
    "ins": "insert",
    "pgup": "pageup",
    "page_up": "pageup",
    "pgdn": "pagedown",
    "pgdown": "pagedown",
    "page_down": "pagedown",
    "spacebar": "space",
    "bs": "backspace",
    "control": "ctrl",
    "ctl": "ctrl",
    "option": "alt",
    "opt": "alt",
    "cmd": "super",
    "command": "super",
    "win": "super",
    **{symbol: key for key, symbol in _SYMBOLS.items()},
}
_NAMED = frozenset(
    {
        *("up", "down", "left", "right", "enter", "escape", "backspace", "delete", "insert", "tab", "space"),
        *("home", "end", "pageup", "pagedown"),
        *(f"f{number}" for number in range(1, 25)),
    }
)
_SAME_AS = {
    "ctrl+i": "tab",
    "ctrl+m": "enter",
    "ctrl+left_square_bracket": "escape",
    "ctrl+h": "backspace",
}
"""What most terminals send for a key, so that the two cannot be told apart."""


class KeyNameError(Exception):
    """There is no such key, or terminals do not send it. The message is one sentence that names a way out."""


def read_key(text: str) -> str:
    """A key as Textual names it.

    Args:
        text: As a person writes it: `Ctrl+X`, `alt+j`, `?`, `esc`, `F6`.

    Raises:
        KeyNameError: There is no such key.
    """
    written = text.strip()
    before, _, last = written.removesuffix("+").rpartition("+")
    base = _base("+" if written.endswith("+") else last.strip(), written)
    names = (written[:-1] if written.endswith("+") else before).lower().split("+")
    modifiers = {_ALSO.get(name, name) for name in map(str.strip, names) if name}
    if wrong := sorted(modifiers.difference(MODIFIERS)):
        raise KeyNameError(f"{written!r} is no key: {wrong[0]} is none of {', '.join(MODIFIERS)}.")
    if modifiers == {"shift"} and len(base) == 1:
        return base.upper()
    key = "+".join([*sorted(modifiers), base.lower() if modifiers else base])
    if same := _SAME_AS.get(key):
        raise KeyNameError(f"{shown(key)} reaches programs as {shown(same)} in most terminals; choose another key.")
    return key


def _base(name: str, written: str) -> str:
    if len(name) == 1 and name not in _ALSO:
        return name if name.isalnum() else _name_of(name)
    lower = name.lower()
    lower = _ALSO.get(lower, lower)
    if lower in _NAMED or lower in _characters():
        return lower
    near = difflib.get_close_matches(lower, [*_NAMED, *_characters(), *_ALSO], n=1, cutoff=0.6)
    hint = f"the nearest is {near[0]}" if near else "write it like ctrl+x, alt+j, f6, ? or space"
    raise KeyNameError(f"{written!r} is no key; {hint}.")


def _name_of(character: str) -> str:
    name = unicodedata.name(character, "").lower().replace("-", "_").replace(" ", "_")
    if not name:
        raise KeyNameError(f"{character!r} is no key; write it like ctrl+x, alt+j, f6, ? or space.")
    return KEY_NAME_REPLACEMENTS.get(name, name)


@cache
def _characters() -> frozenset[str]:
    """Names of the characters of a keyboard that are neither letters nor digits."""
    return frozenset(_name_of(chr(code)) for code in range(33, 127) if not chr(code).isalnum())


def is_typed(key: str) -> bool:
    """Whether the key writes a character where something can be typed."""
    return key == "space" or ("+" not in key and len(_character(key)) == 1)


def shown(key: str) -> str:
    """A key in a line of keys: `ctrl+p`, `↵`, `esc`, `?`."""
    *modifiers, base = key.split("+")
    return "+".join([*modifiers, _SYMBOLS.get(base) or _character(base)])


def spoken(key: str) -> str:
    """A key in a sentence: `Ctrl+P`, `Enter`, `Esc`, `?`."""
    *modifiers, base = key.split("+")
    name = _SPOKEN.get(base) or _SYMBOLS.get(base) or _character(base)
    if (modifiers and len(name) == 1) or base[1:].isdigit():
        name = name.upper()
    return "+".join([*(modifier.capitalize() for modifier in modifiers), name])


def _character(base: str) -> str:
    if base in _NAMED:
        return base
    return key_to_character(REPLACED_KEYS.get(base, base)) or base

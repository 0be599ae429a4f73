from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.dom import DOMNode

import ml_intern.tui
from ml_intern.tui.keys.actions import ACTIONS, all_actions
from ml_intern.tui.keys.choice import read_keys
from ml_intern.tui.keys.keymap import NO_KEY, Keymap
from ml_intern.tui.keys.names import KeyNameError, read_key, shown, spoken

ROOT = Path(ml_intern.tui.__file__).parent
KEY_IN_TEXT = re.compile(
    r"\b([Cc]trl|[Aa]lt|[Ss]hift)\+|\b(Esc|esc|Enter|Tab|Backspace|F[1-9]|f[1-9])\b|[↵⏎↑↓←→]|\b[Pp]ress [a-zA-Z]\b"
)
PLACEHOLDER = re.compile(r"\{([a-z]+(?:\.[a-z_]+)?)(?::\d)?\}")


def classes_of_the_app() -> Iterator[type[DOMNode]]:
    for module in pkgutil.walk_packages([str(ROOT)], "ml_intern.tui."):
        importlib.import_module(module.name)
    found, left = set[type[DOMNode]](), [DOMNode]
    while left:
        for below in left.pop().__subclasses__():
            if below not in found:
                found.add(below)
                left.append(below)
    yield from (each for each in found if each.__module__.startswith("ml_intern."))


def bindings_of_the_app() -> list[tuple[type[DOMNode], Binding]]:
    return [(each, binding) for each in classes_of_the_app() for binding in each.__dict__.get("BINDINGS", ())]


def texts_of_the_app() -> Iterator[tuple[Path, str]]:
    """Every string constant that is no docstring and lies outside of the rooms of keys."""
    for path in ROOT.rglob("*.py"):
        if path.parent.name in {"keys", "early"}:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
                yield path.relative_to(ROOT), node.value


def test_every_binding_is_of_an_action_in_the_table_and_every_action_is_used() -> None:
    bindings = bindings_of_the_app()
    strangers = [f"{each.__name__}: {binding}" for each, binding in bindings if binding.id not in ACTIONS]
    assert strangers == []
    other_keys = [
        f"{each.__name__}: {binding.id} is {binding.key}"
        for each, binding in bindings
        if binding.id != "number" and binding.key != (ACTIONS[binding.id or ""].keys or NO_KEY)
    ]
    assert other_keys == []
    used = {binding.id for _, binding in bindings} | {text for _, text in texts_of_the_app()}
    assert [action.id for action in all_actions() if action.id not in used and not action.fixed] == []


def test_an_id_stands_in_the_table_once_and_a_class_uses_a_key_once() -> None:
    assert len(ACTIONS) == len(list(all_actions()))
    for each in {each for each, _ in bindings_of_the_app()}:
        keys = [key for binding in each.__dict__["BINDINGS"] for key in binding.key.split(",") if key != NO_KEY]
        assert len(keys) == len(set(keys)), each


def test_no_text_of_the_app_names_a_key_by_itself() -> None:
    named = [(str(path), text[:60]) for path, text in texts_of_the_app() if KEY_IN_TEXT.search(text)]
    assert [text for text in named if "text.py" not in text[0]] == []  # a table of characters lies there


def test_every_key_that_a_text_asks_for_is_in_the_table() -> None:
    asked = [(str(path), name) for path, text in texts_of_the_app() for name in PLACEHOLDER.findall(text)]
    assert len(asked) > 100
    assert [name for name in asked if name[1] not in ACTIONS] == []


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("Ctrl+X", "ctrl+x"),
        (" Alt + J ", "alt+j"),
        ("option+k", "alt+k"),
        ("esc", "escape"),
        ("PgUp", "pageup"),
        ("F6", "f6"),
        ("?", "question_mark"),
        ("+", "plus"),
        ("ctrl++", "ctrl+plus"),
        (",", "comma"),
        ("shift+a", "A"),
        ("shift+ctrl+left", "ctrl+shift+left"),
        ("é", "é"),
    ],
)
def test_keys_may_be_written_as_people_write_them(written: str, key: str) -> None:
    assert read_key(written) == key
    assert read_key(shown(key)) == read_key(spoken(key)) == key


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "write it like ctrl+x"),
        ("crtl+x", "crtl is none of alt, ctrl"),
        ("spcae", "the nearest is space"),
        ("f99", "the nearest is f9"),
        ("ctrl+i", "reaches programs as tab"),
        ("ctrl+[", "reaches programs as esc"),
        ("\x00", "is no key"),
    ],
)
def test_what_is_no_key_is_said_with_a_way_out(written: str, why: str) -> None:
    with pytest.raises(KeyNameError, match=re.escape(why)):
        read_key(written)


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        ({"interupt": "ctrl+x"}, "keys.interupt: there is no such action; the nearest is interrupt."),
        ({"/trial": "f8"}, "keys./trial: there is no such action; the nearest is /trail."),
        ({"jobs": "crtl+x"}, "keys.jobs: 'crtl+x' is no key"),
        ({"jobs": 7}, "keys.jobs: '' is no key"),
        ({"jobs": "7"}, "keys.jobs: 7 is needed for typing"),
        ({"copy": "f9"}, "keys.copy: copy keeps its key: it is the way out"),
        ({"quit": "ctrl+c"}, "keys.quit: ctrl+c interrupts and quits, always"),
        ({"help": "h"}, "keys.help: h is needed for typing there"),
        ({"help": "enter"}, "keys.help: ↵ is needed for typing there"),
        ({"prompt.send": "s"}, "keys.prompt.send: s is needed for typing there"),
    ],
)
def test_a_key_that_cannot_be_is_left_out_and_told(chosen: dict[str, object], problem: str) -> None:
    read = read_keys(chosen)
    assert read.keymap.changes == {}
    assert [text.startswith(problem) for text in read.problems] == [True], read.problems


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        ({"jobs": "f2"}, "keys.jobs: f2 also means sessions"),
        ({"interrupt": "ctrl+o"}, "keys.interrupt: ctrl+o also means call"),
        ({"call": "x"}, "keys.call: x is a letter in the prompt"),
        ({"prompt.newline": "enter"}, "keys.prompt.newline: ↵ also means prompt.send"),
    ],
)
def test_a_key_that_gets_into_the_way_counts_and_is_told(chosen: dict[str, object], problem: str) -> None:
    read = read_keys(chosen)
    assert list(read.keymap.changes) == list(chosen)
    assert any(text.startswith(problem) for text in read.problems), read.problems


def test_keys_that_change_places_get_into_nobodys_way() -> None:
    swapped = read_keys({"prompt.send": "ctrl+enter, f12", "prompt.newline": "enter", "call": "none"})
    assert swapped.problems == ()
    assert swapped.keymap.keys("prompt.send") == ("ctrl+enter", "f12")
    assert swapped.keymap.keys("call") == ()


def test_lines_and_sentences_name_the_keys_that_count() -> None:
    keymap = Keymap({"interrupt": ("ctrl+x",), "call": (), "/trail": ("f8",)})
    assert keymap.fill("{interrupt}") == "ctrl+x"
    assert keymap.fill("{call} {interrupt}") == ""
    assert keymap.fill("{pane.chat} {pane.tools}") == "alt+1 2"
    assert keymap.tell("{interrupt} stops, {call} shows, {prompt.newline:2}, {/trail}, {nothing}") == (
        "Ctrl+X stops, (no key for 'call') shows, Shift+Enter or Ctrl+J, F8, {nothing}"
    )

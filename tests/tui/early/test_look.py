from __future__ import annotations

import itertools
import random

import pytest
from rich.color import Color, ColorSystem
from rich.color_triplet import ColorTriplet
from textual._wrap import compute_wrap_offsets

from ml_intern.tui.early.look import COLOURS, Look, _nearest, broken, cells
from ml_intern.tui.themes import OWN_THEMES

TRUE = {"COLORTERM": "truecolor", "TERM": "xterm"}


def test_rows_are_broken_where_the_prompt_breaks_them() -> None:
    choice = random.Random(3)
    for _ in range(400):
        words = ("a", "word", "   ", "Donaudampfschifffahrt", "日本語", "naïve", "-", "x" * 40, "  ")
        line = "".join(choice.choice(words) + choice.choice((" ", "")) for _ in range(choice.randrange(12)))
        width = choice.randrange(2, 30)
        at = [0, *compute_wrap_offsets(line, width, tab_size=4), len(line)]
        assert broken(line, width) == [line[a:b] for a, b in itertools.pairwise(at)], (line, width)


def test_the_palette_of_256_is_used_as_the_renderer_uses_it() -> None:
    choice = random.Random(5)
    colours = [colour for palette in COLOURS.values() for colour in palette.values() if len(colour) == len("rrggbb")]
    known = [tuple(bytes.fromhex(colour)) for colour in colours]
    anything = [tuple(choice.randrange(256) for _ in range(3)) for _ in range(500)]
    for red, green, blue in [*known, *anything, (0, 0, 0), (255, 255, 255)]:
        colour = Color.from_triplet(ColorTriplet(red, green, blue)).downgrade(ColorSystem.EIGHT_BIT)
        assert _nearest(red, green, blue) == colour.number


def test_the_own_themes_are_all_known() -> None:
    assert set(COLOURS) == {theme.name for theme in OWN_THEMES}


@pytest.mark.parametrize(
    ("theme", "env"),
    [
        ("nord", TRUE),
        ("ml-intern-dark", {"TERM": "linux"}),
        ("ml-intern-dark", {**TRUE, "NO_COLOR": "1"}),
        ("ml-intern-ansi", {**TRUE, "NO_COLOR": "1"}),
        ("ml-intern-dark", {}),
    ],
)
def test_where_the_colours_are_not_sure_the_terminal_keeps_its_own(theme: str, env: dict[str, str]) -> None:
    look = Look(theme, env)
    assert look.style("accent", "surface", bold=True) == "\x1b[0;1m"
    assert look.cursor() == "\x1b[7m"


def test_widths_are_those_of_the_screen() -> None:
    assert [cells(text) for text in ("abc", "日本", "e\u0301", "👍", "")] == [3, 4, 1, 2, 0]

"""How the first frame looks: the colours of the app's own themes as the app paints them, widths, and broken lines."""

from __future__ import annotations

import re
from collections.abc import Mapping

DEFAULT_THEME = "ml-intern-dark"
LIGHT_THEME = "ml-intern-light"
UNCOLOURED_THEME = "ml-intern-ansi"
"""The theme of the terminal's own colours; with `NO_COLOR` it has none."""
AUTO = "auto"
"""Dark or light, as the terminal is."""

COLOURS: dict[str, dict[str, str]] = {
    DEFAULT_THEME: {
        "background": "15171c",
        "surface": "1b1e25",
        "foreground": "d4d7dd",
        "muted": "979ca6",
        "accent": "e5b450",
        "warning": "df8e4f",
        "cursor": "d4d7dd",
    },
    LIGHT_THEME: {
        "background": "faf9f6",
        "surface": "f2f0eb",
        "foreground": "22262e",
        "muted": "5a5e66",
        "accent": "895a00",
        "warning": "95460b",
        "cursor": "606266",
    },
    "ml-intern-contrast": {
        "background": "000000",
        "surface": "101010",
        "foreground": "ffffff",
        "muted": "d0d0d0",
        "accent": "fed75f",
        "warning": "feaf5f",
        "cursor": "ffffff",
    },
    "ml-intern-contrast-light": {
        "background": "ffffff",
        "surface": "f4f4f4",
        "foreground": "000000",
        "muted": "383838",
        "accent": "5b3a00",
        "warning": "6a2e00",
        "cursor": "494949",
    },
    UNCOLOURED_THEME: {"muted": "2", "accent": "35", "warning": "91"},
}
"""What the themes come to in the rows that the first frame paints: a colour, or a code that stands for itself. Other
themes are not known this early."""
_DIM = "2"

RESET = "\x1b[0m"
_PALETTES = ("kitty", "256color")
"""Ends of `TERM` that promise 256 colours."""
_GREY_BELOW = 0.15


class Look:
    """Turns the names of `COLOURS` into what the terminal understands; into nothing where that is not sure.

    Args:
        theme: Name of the theme.
        env: Environment variables, which tell what the terminal can do.
    """

    def __init__(self, theme: str, env: Mapping[str, str]) -> None:
        self._exact = env.get("COLORTERM", "").strip().lower() in {"truecolor", "24bit"}
        palette = env.get("TERM", "").strip().lower().rpartition("-")[2] in _PALETTES
        known = self._exact or palette or theme == UNCOLOURED_THEME
        self._colours = COLOURS.get(theme, {}) if known and "TEXTUAL_COLOR_SYSTEM" not in env else {}
        if "NO_COLOR" in env:
            self._colours = {name: code for name, code in self._colours.items() if code == _DIM}

    def style(self, foreground: str, background: str = "background", *, bold: bool = False) -> str:
        """What begins a piece of text in these colours."""
        codes = ["0"]
        if bold:
            codes.append("1")
        for plane, name in (("38", foreground), ("48", background)):
            if colour := self._colours.get(name):
                codes.append(self._code(plane, colour))
        return f"\x1b[{';'.join(codes)}m"

    def cursor(self) -> str:
        """What begins the cell of the cursor."""
        return self.style("background", "cursor") if "cursor" in self._colours else "\x1b[7m"

    def _code(self, plane: str, colour: str) -> str:
        if len(colour) < len("rrggbb"):
            return colour
        red, green, blue = (int(colour[at : at + 2], 16) for at in (0, 2, 4))
        if self._exact:
            return f"{plane};2;{red};{green};{blue}"
        return f"{plane};5;{_nearest(red, green, blue)}"


def _nearest(red: int, green: int, blue: int) -> int:
    """The colour of the palette of 256 that the app's renderer takes for this one."""
    high, low = max(red, green, blue) / 255, min(red, green, blue) / 255
    lightness = (high + low) / 2
    spread = high + low if lightness <= 0.5 else 2 - high - low
    if high == low or (high - low) / spread < _GREY_BELOW:
        grey = round(lightness * 25)
        return {0: 16, 25: 231}.get(grey, 231 + grey)
    six = (round(part / 95 if part < 95 else 1 + (part - 95) / 40) for part in (red, green, blue))
    return 16 + sum(part * weight for part, weight in zip(six, (36, 6, 1), strict=True))


def cells(text: str) -> int:
    """How wide a text is on the screen."""
    if text.isascii():
        return len(text)
    return sum(map(_cells_of, text))


def _cells_of(character: str) -> int:
    import unicodedata  # not needed by most

    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def broken(line: str, width: int) -> list[str]:
    """A line of the prompt as rows of at most `width` cells, broken where the prompt breaks it."""
    rows, used = [""], 0
    for chunk in re.findall(r"\S+\s*|\s+", line):
        size = cells(chunk)
        if used + size <= width:
            rows[-1] += chunk
            used += size
        elif size <= width:
            rows.append(chunk)
            used = size
        else:
            used = _fold(chunk, width, rows)
    return rows if rows[0] or len(rows) == 1 else rows[1:]


def _fold(chunk: str, width: int, rows: list[str]) -> int:
    """Breaks what fits on no row anywhere. Returns the cells used in the last row."""
    rows.append("")
    used = 0
    for character in chunk:
        size = _cells_of(character)
        if used + size > width:
            rows.append("")
            used = 0
        rows[-1] += character
        used += size
    return used

"""The app's own themes: calm, one accent, three levels of emphasis. Textual's built-in ones stay available.

Text has a contrast of 4.5 and more on every ground, 7 and more in the two of high contrast; a test reckons it.
"""

from __future__ import annotations

from collections.abc import Iterable

from textual.theme import Theme

from ml_intern.tui.early.look import AUTO, DEFAULT_THEME, UNCOLOURED_THEME

DARK = Theme(
    name=DEFAULT_THEME,
    primary="#e6b450",
    secondary="#7fa6c9",
    accent="#e6b450",
    success="#8fb573",
    warning="#e08e4f",
    error="#e06c75",
    foreground="#d4d7dd",
    background="#15171c",
    surface="#1b1e25",
    panel="#242831",
    dark=True,
    variables={
        "foreground-muted": "#979ca6",
        "border": "#e6b450",
        "border-blurred": "#363c48",
        "scrollbar": "#363c48",
        "scrollbar-hover": "#4b5363",
        "scrollbar-active": "#5d6679",
        "scrollbar-background": "#15171c",
        "scrollbar-background-hover": "#15171c",
        "scrollbar-background-active": "#15171c",
        "scrollbar-corner-color": "#15171c",
        "block-cursor-foreground": "#15171c",
        "block-cursor-background": "#e6b450",
        "block-cursor-text-style": "none",
        "input-cursor-background": "#d4d7dd",
        "input-cursor-foreground": "#15171c",
        "input-selection-background": "#e6b450 25%",
        "screen-selection-background": "#e6b450 25%",
    },
)

LIGHT = Theme(
    name="ml-intern-light",
    primary="#8a5a00",
    secondary="#2f6690",
    accent="#8a5a00",
    success="#336a22",
    warning="#96460b",
    error="#b3323f",
    foreground="#22262e",
    background="#faf9f6",
    surface="#f2f0eb",
    panel="#e6e3dc",
    dark=False,
    variables={
        "foreground-muted": "#5a5e66",
        "border": "#8a5a00",
        "border-blurred": "#cdc9bf",
        "scrollbar": "#cdc9bf",
        "scrollbar-hover": "#b5b0a3",
        "scrollbar-active": "#9d978a",
        "scrollbar-background": "#faf9f6",
        "scrollbar-background-hover": "#faf9f6",
        "scrollbar-background-active": "#faf9f6",
        "scrollbar-corner-color": "#faf9f6",
        "block-cursor-foreground": "#faf9f6",
        "block-cursor-background": "#8a5a00",
        "block-cursor-text-style": "none",
        "input-cursor-background": "#22262e",
        "input-cursor-foreground": "#faf9f6",
        "input-selection-background": "#8a5a00 20%",
        "screen-selection-background": "#8a5a00 20%",
    },
)

CONTRAST = Theme(
    name="ml-intern-contrast",
    primary="#ffd75f",
    secondary="#87d7ff",
    accent="#ffd75f",
    success="#87ff87",
    warning="#ffaf5f",
    error="#ff9f9f",
    foreground="#ffffff",
    background="#000000",
    surface="#101010",
    panel="#202020",
    dark=True,
    variables={
        "foreground-muted": "#d0d0d0",
        "border": "#ffd75f",
        "border-blurred": "#a8a8a8",
        "scrollbar": "#a8a8a8",
        "scrollbar-hover": "#d0d0d0",
        "scrollbar-active": "#ffffff",
        "scrollbar-background": "#000000",
        "scrollbar-background-hover": "#000000",
        "scrollbar-background-active": "#000000",
        "scrollbar-corner-color": "#000000",
        "block-cursor-foreground": "#000000",
        "block-cursor-background": "#ffd75f",
        "block-cursor-text-style": "bold",
        "input-cursor-background": "#ffffff",
        "input-cursor-foreground": "#000000",
        "input-selection-background": "#5f4f00",
        "screen-selection-background": "#5f4f00",
    },
)

CONTRAST_LIGHT = Theme(
    name="ml-intern-contrast-light",
    primary="#5c3a00",
    secondary="#003f6b",
    accent="#5c3a00",
    success="#0f4a00",
    warning="#6b2e00",
    error="#8a0010",
    foreground="#000000",
    background="#ffffff",
    surface="#f4f4f4",
    panel="#e8e8e8",
    dark=False,
    variables={
        "foreground-muted": "#383838",
        "border": "#5c3a00",
        "border-blurred": "#585858",
        "scrollbar": "#585858",
        "scrollbar-hover": "#383838",
        "scrollbar-active": "#000000",
        "scrollbar-background": "#ffffff",
        "scrollbar-background-hover": "#ffffff",
        "scrollbar-background-active": "#ffffff",
        "scrollbar-corner-color": "#ffffff",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-background": "#5c3a00",
        "block-cursor-text-style": "bold",
        "input-cursor-background": "#000000",
        "input-cursor-foreground": "#ffffff",
        "input-selection-background": "#ffd98a",
        "screen-selection-background": "#ffd98a",
    },
)

_QUIET = "ansi_bright_black"
"""As text: stands for the terminal's text colour, dimmed (`plain_colours`)."""
_MARKED = "ansi_bright_white"
"""As a background: stands for the terminal's two colours, exchanged (`plain_colours`)."""

ANSI = Theme(
    name=UNCOLOURED_THEME,
    ansi=True,
    primary="ansi_magenta",
    secondary="ansi_default",
    accent="ansi_magenta",
    success="ansi_green",
    warning="ansi_bright_red",
    error="ansi_red",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    dark=True,
    variables={
        "ansi-background": "ansi_default",
        "ansi-foreground": "ansi_default",
        "text-muted": _QUIET,
        "text-disabled": _QUIET,
        "foreground-muted": _QUIET,
        "border": "ansi_magenta",
        "border-blurred": _QUIET,
        "scrollbar": _QUIET,
        "scrollbar-hover": "ansi_default",
        "scrollbar-active": "ansi_default",
        "scrollbar-background": "ansi_default",
        "scrollbar-background-hover": "ansi_default",
        "scrollbar-background-active": "ansi_default",
        "scrollbar-corner-color": "ansi_default",
        "block-cursor-background": _MARKED,
        "block-cursor-blurred-background": _MARKED,
        "input-cursor-text-style": "reverse",
        "input-selection-background": _MARKED,
        "screen-selection-background": _MARKED,
    },
)

OWN_THEMES = (DARK, LIGHT, CONTRAST, CONTRAST_LIGHT, ANSI)
NOTES = {
    DARK.name: "the default",
    AUTO: "dark or light, as the terminal was at the start",
    CONTRAST.name: "high contrast, white on black",
    CONTRAST_LIGHT.name: "high contrast, black on white",
    ANSI.name: "the terminal's own 16 colours, on its own background",
    "ansi-dark": "16 colours, as Textual mixes them",
    "ansi-light": "16 colours, as Textual mixes them",
}


def theme_names(available: Iterable[str]) -> list[str]:
    """Names of themes in the order in which they are offered: the app's own first."""
    own = [theme.name for theme in OWN_THEMES]
    return [*own, AUTO, *sorted(name for name in available if name not in own)]

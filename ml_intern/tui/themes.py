"""The app's own themes: calm, one accent, three levels of emphasis. Textual's built-in ones stay available."""

from __future__ import annotations

from textual.theme import Theme

DEFAULT_THEME = "ml-intern-dark"

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
        "foreground-muted": "#8c919b",
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
    success="#3d7a2b",
    warning="#a8500f",
    error="#b3323f",
    foreground="#22262e",
    background="#faf9f6",
    surface="#f2f0eb",
    panel="#e6e3dc",
    dark=False,
    variables={
        "foreground-muted": "#62666e",
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

OWN_THEMES = (DARK, LIGHT)

"""How much moves on the screen, and how often running times tick."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from typing import Protocol

    from textual.dom import DOMNode

    class _Moves(Protocol):
        reduced_motion: bool


REDUCED_MOTION_VARIABLE = "ML_INTERN_REDUCED_MOTION"
TICK_S = 1.0
CALM_TICK_S = 5.0


def is_reduced(chosen: str) -> bool:
    """Whether little should move: the environment says so, or else the configuration (`full` or `reduced`)."""
    wanted = os.environ.get(REDUCED_MOTION_VARIABLE, "").strip().lower()
    return chosen == "reduced" if not wanted else wanted not in {"0", "false", "no", "off"}


def tick_s(node: DOMNode) -> float:
    """Seconds between two ticks of a running time in the app that a widget or a screen is in."""
    app = node.app
    reduced = hasattr(app, "reduced_motion") and cast("_Moves", app).reduced_motion
    return CALM_TICK_S if reduced else TICK_S

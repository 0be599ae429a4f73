"""Runs without a screen: one prompt in, one answer out."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_intern.options import Options


def run(options: Options) -> int:
    """Works on the one prompt of `options` and returns the exit code."""
    gc.disable()  # until the run is on its way
    from ml_intern.headless.runner import run_headless

    return run_headless(options)

"""How long a training will take, guessed from its script: to tell a timeout that is far too short."""

from __future__ import annotations

import re

from ml_intern.core.fit_guess import LONGEST_SCRIPT, guess
from ml_intern.core.jobs import Flavor
from ml_intern.tools.known_datasets import KnownDatasets

_TFLOPS = {
    "T4": 15.0,
    "L4": 35.0,
    "A10G": 40.0,
    "L40S": 110.0,
    "A100": 120.0,
    "H200": 330.0,
    "RTX PRO 6000": 130.0,
}
"""Trillions of operations a second that a fine-tuning gets out of one accelerator, in 16 bits."""

START_S = 240.0
"""Installing packages and loading a model, before the first step."""

_USED_LENGTH = 0.5
"""Samples fill about half of the longest length that is allowed."""

_NUMBER = r"\s*=\s*([\d_]+(?:\.\d+)?)\b"
_MAX_STEPS = re.compile(r"\bmax_steps" + _NUMBER)
_EPOCHS = re.compile(r"\bnum_train_epochs" + _NUMBER)
_ACCUMULATION = re.compile(r"\bgradient_accumulation_steps" + _NUMBER)
_DATASET = re.compile(r"""load_dataset\(\s*["']([\w.-]+/[\w.-]+|[\w.-]+)["']""")


def rough_seconds(script: str, flavor: Flavor, known: KnownDatasets) -> float | None:
    """Seconds a training may take, right to a factor of two or three; None when the script tells too little."""
    text = script[:LONGEST_SCRIPT]
    found = guess(text)
    speed = next((speed for name, speed in _TFLOPS.items() if flavor.accelerator.endswith(f"x {name}")), None)
    if found is None or speed is None:
        return None
    work = found[1]
    samples_a_step = work.batch * (_value(_ACCUMULATION, text) or 1.0) * flavor.accelerators
    samples = _samples(text, samples_a_step, known)
    if samples is None:
        return None
    per_weight = 6.0 if work.method == "full" else 4.5  # frozen weights need no gradient of their own
    operations = per_weight * work.params * samples * work.sequence * _USED_LENGTH
    return START_S + operations / (speed * 1e12 * flavor.accelerators)


def datasets_of(script: str) -> tuple[str, ...]:
    """Data sets that a script loads by name."""
    return tuple(dict.fromkeys(_DATASET.findall(script[:LONGEST_SCRIPT])))


def _samples(text: str, samples_a_step: float, known: KnownDatasets) -> float | None:
    steps = _value(_MAX_STEPS, text)
    if steps is not None and steps > 0:
        return steps * samples_a_step
    rows = [item.rows for name in datasets_of(text) if (item := known.find(name)) and item.rows]
    if not rows:
        return None
    return max(rows) * (_value(_EPOCHS, text) or 3.0)  # three epochs are the default of the Trainer


def _value(pattern: re.Pattern[str], text: str) -> float | None:
    found = pattern.search(text)
    return float(found[1].replace("_", "")) if found else None

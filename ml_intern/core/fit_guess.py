"""Reads out of a script what a memory estimate needs to know: a guess to begin with, for a person to correct."""

from __future__ import annotations

import re
from dataclasses import replace

from ml_intern.core.fit import FitError, Method, Workload, parse_params

LONGEST_SCRIPT = 200_000
"""Characters that are looked at."""

_NAME = re.compile(r"""["']([\w.-]{1,96}/[\w.-]{1,96})["']""")
_SEQUENCE = re.compile(r"\bmax_(?:seq_)?length\s*=\s*(\d{1,7})\b")
_BATCH = re.compile(r"\bper_device_train_batch_size\s*=\s*(\d{1,4})\b")
_RANK = re.compile(r"\bLoraConfig\([^)]*?\br\s*=\s*(\d{1,4})\b", re.DOTALL)
_CHECKPOINTING = re.compile(r"\bgradient_checkpointing\s*=\s*(True|False)\b")
_EIGHT_BIT = re.compile(r"adamw?_(?:bnb_)?8bit|AdamW8bit|paged_adamw_8bit", re.IGNORECASE)
_TRAINS = re.compile(r"Trainer\s*\(|\.train\(\)|\.backward\(")


def guess(script: str, *, length: int = 2048) -> tuple[str, Workload] | None:
    """The model's name and the workload, or None when the script names no model that tells its size.

    Args:
        script: What is run.
        length: Tokens of a sequence, where the script does not say.
    """
    text = script[:LONGEST_SCRIPT]
    for found in _NAME.finditer(text):
        try:
            params = parse_params(found[1])
        except FitError:
            continue
        return found[1], _with_figures(Workload(params, method=_method(text), sequence=length), text)
    return None


def _method(text: str) -> Method:
    if "LoraConfig" in text:
        return "qlora" if "load_in_4bit" in text else "lora"
    return "full" if _TRAINS.search(text) else "inference"


def _with_figures(work: Workload, text: str) -> Workload:
    if found := _SEQUENCE.search(text):
        work = replace(work, sequence=max(1, int(found[1])))
    if found := _BATCH.search(text):
        work = replace(work, batch=max(1, int(found[1])))
    if found := _RANK.search(text):
        work = replace(work, rank=max(1, int(found[1])))
    if found := _CHECKPOINTING.search(text):
        work = replace(work, checkpointing=found[1] == "True")
    return replace(work, optimizer="adamw-8bit") if _EIGHT_BIT.search(text) else work

"""How much accelerator memory a model needs, estimated from its size: for choosing hardware before anything is rented.

Every figure is arithmetic over a few assumptions, which the estimate carries along in words. It is meant to tell 24 GB
from 80 GB, not 23 from 25.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from ml_intern.core.jobs import Flavor

Method = Literal["full", "lora", "qlora", "inference"]
Dtype = Literal["bf16", "fp16", "fp32"]
Optimizer = Literal["adamw", "adamw-8bit"]
Verdict = Literal["fits", "tight", "too small", "unknown", "no GPU"]

GB = 1e9
MOST = 1e15
BYTES: dict[Dtype, int] = {"bf16": 2, "fp16": 2, "fp32": 4}
QUANTISED_BYTES = 0.55
"""A weight in 4 bits, with its share of the scales."""
ACTIVATION_BYTES = 34
"""Kept for the backward pass, per token, layer and unit of width, in 16 bits and without the attention matrix."""
LOGIT_BYTES = 8
"""Per token and word of the vocabulary: a logit and its gradient in 32 bits."""
VOCABULARY = 128_000
LORA_SHAPE = 20
"""Rows and columns of all linear layers of a block together, in units of the width."""
KV_SHARE = 0.25
"""Width of keys and values in units of the model's, with grouped queries."""
SLACK = 1.1
CONTEXT_GB = 1.0
COMFORTABLE = 0.85
"""Up to this share of the memory an estimate is called a fit, since it may be off by as much."""

_SHAPES = (
    (0.07e9, 6, 512),
    (0.135e9, 30, 576),
    (0.36e9, 32, 960),
    (0.6e9, 28, 1024),
    (1.2e9, 16, 2048),
    (1.7e9, 28, 2048),
    (3.2e9, 28, 3072),
    (8.0e9, 32, 4096),
    (14e9, 40, 5120),
    (32e9, 64, 5120),
    (70e9, 80, 8192),
    (123e9, 88, 12288),
    (405e9, 126, 16384),
)
"""Parameters, blocks and width of usual decoder models."""

_SIZE = re.compile(r"(?<![A-Za-z0-9.])(?:(\d+)x)?(\d+(?:\.\d+)?)([kmbt])(?![A-Za-z0-9])", re.IGNORECASE)
_UNITS = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_PLAIN = re.compile(r"\d+(?:\.\d+)?e\d+|\d[\d_,]{5,}", re.IGNORECASE)


class FitError(Exception):
    """What was entered makes no estimate; the text says what to enter instead."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What would be computed.

    Attributes:
        params: Number of parameters.
        method: Full fine-tuning, LoRA over frozen 16-bit weights, LoRA over 4-bit weights, or inference.
        dtype: Type of weights and activations.
        optimizer: How the optimizer keeps its two moments.
        rank: Rank of the LoRA adapters.
        sequence: Tokens of a sample (inference: of the whole context).
        batch: Samples at the same time on one accelerator.
        checkpointing: Whether activations are computed anew in the backward pass instead of being kept.
    """

    params: float
    method: Method = "lora"
    dtype: Dtype = "bf16"
    optimizer: Optimizer = "adamw"
    rank: int = 16
    sequence: int = 2048
    batch: int = 1
    checkpointing: bool = True


@dataclass(frozen=True, slots=True)
class Part:
    """One share of the memory.

    Attributes:
        name: What takes it.
        gb: How much, in GB (10⁹ bytes).
        formula: How the figure comes about.
        shared: Whether several accelerators can divide it among themselves.
    """

    name: str
    gb: float
    formula: str
    shared: bool = True


@dataclass(frozen=True, slots=True)
class Estimate:
    """Memory for a workload.

    Attributes:
        parts: What takes how much.
        assumptions: What the figures take for granted, as sentences.
    """

    parts: tuple[Part, ...]
    assumptions: tuple[str, ...]

    def gb_on(self, accelerators: int = 1) -> float:
        """GB that each of so many accelerators needs, when what can be divided is."""
        shared = sum(part.gb for part in self.parts if part.shared)
        own = sum(part.gb for part in self.parts if not part.shared)
        return (shared / max(1, accelerators) + own) * SLACK + CONTEXT_GB


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a workload fits on a flavor.

    Attributes:
        verdict: In words.
        needed_gb: GB that each accelerator needs; 0 where there is none.
        available_gb: GB that each accelerator has; 0 where there is none or nobody knows.
    """

    verdict: Verdict
    needed_gb: float
    available_gb: float


def parse_params(text: str) -> float:
    """Number of parameters of `8B`, `1.7b`, `135M`, `8x7B`, or of a model's name that says it: `Qwen/Qwen3-8B`.

    Of several numbers the first counts: `Qwen3-30B-A3B` holds 30 billion, however few are active.

    Raises:
        FitError: There is no such number in it.
    """
    if plain := _PLAIN.fullmatch(text.strip()):
        return float(plain[0].replace("_", "").replace(",", ""))
    if found := _SIZE.search(text):
        return float(found[1] or 1) * float(found[2]) * _UNITS[found[3].lower()]
    raise FitError(f"{text.strip()!r} tells no size. Write the number of parameters with its unit, for example 8B.")


def estimate(work: Workload) -> Estimate:
    """The memory a workload needs.

    Raises:
        FitError: A figure is zero or less.
    """
    figures = (work.params, work.rank, work.sequence, work.batch)
    if min(figures) <= 0 or max(figures) > MOST:
        raise FitError("Parameters, rank, sequence length and batch must be more than zero and of this world.")
    blocks, width = shape_of(work.params)
    shape = f"{blocks} blocks, {width:,} wide, as usual for this size"
    if work.method == "inference":
        return Estimate((_weights(work), _cache(work, blocks, width)), (_SPLIT, f"The model has {shape}."))
    parts = (*_states(work, blocks, width), *_activations(work, blocks, width))
    said = [
        _SPLIT,
        f"The model has {shape}, and {VOCABULARY // 1000}k words.",
        "Attention keeps no matrix (flash or SDPA).",
    ]
    if work.method == "full" and work.dtype != "fp32":
        said.append("Mixed precision keeps 32-bit master weights; training in 16 bits alone would need a quarter less.")
    if work.method in ("lora", "qlora"):
        said.append("The adapters sit on all linear layers.")
    return Estimate(parts, tuple(said))


_SPLIT = "Several GPUs share the weights and what belongs to them (FSDP, ZeRO-3 or tensor parallel), not activations."


def fit(needs: Estimate, flavor: Flavor) -> Fit:
    """Whether a flavor's accelerators can take an estimate."""
    count = flavor.accelerators
    if not count:
        return Fit("no GPU", 0.0, 0.0)
    needed, available = needs.gb_on(count), flavor.vram_gb / count
    if not available:
        return Fit("unknown", needed, 0.0)
    verdict: Verdict = "fits" if needed <= COMFORTABLE * available else "tight" if needed <= available else "too small"
    return Fit(verdict, needed, available)


def shape_of(params: float) -> tuple[int, int]:
    """Blocks and width of a usual decoder model of about this size."""
    _size, blocks, width = min(_SHAPES, key=lambda shape: abs(math.log(shape[0] / params)))
    return blocks, width


def adapter_params(work: Workload) -> float:
    """Parameters of LoRA adapters on all linear layers."""
    blocks, width = shape_of(work.params)
    return float(LORA_SHAPE * width * blocks * work.rank)


def size_text(params: float) -> str:
    """A number of parameters for people: `8B`, `135M`."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if params >= size:
            return f"{params / size:.3g}{unit}"
    return f"{params:.0f}"


def _weights(work: Workload) -> Part:
    if work.method == "qlora":
        return Part("weights", work.params * QUANTISED_BYTES / GB, f"{size_text(work.params)} × {QUANTISED_BYTES} B")
    size = BYTES[work.dtype]
    return Part("weights", work.params * size / GB, f"{size_text(work.params)} × {size} B")


def _states(work: Workload, blocks: int, width: int) -> tuple[Part, ...]:
    """Weights, gradients and optimizer."""
    trained = work.params if work.method == "full" else adapter_params(work)
    size, gradient = size_text(trained), BYTES[work.dtype]
    moments = 8 if work.optimizer == "adamw" else 2
    master = 4 if work.dtype != "fp32" else 0
    label = "32-bit copy and moments" if master else "moments"
    formula = f"{size} × ({master} + {moments}) B" if master else f"{size} × {moments} B"
    parts = [_weights(work)]
    if work.method != "full":
        of = f"{LORA_SHAPE} × {width:,} × {blocks} × r {work.rank} × {gradient} B"
        parts.append(Part(f"adapters ({size})", trained * gradient / GB, of))
    parts.append(Part("gradients", trained * gradient / GB, f"{size} × {gradient} B"))
    parts.append(Part(f"{work.optimizer}: {label}", trained * (master + moments) / GB, formula))
    return tuple(parts)


def _activations(work: Workload, blocks: int, width: int) -> tuple[Part, ...]:
    tokens, scale = work.sequence * work.batch, BYTES[work.dtype] // 2
    one_block = tokens * width * ACTIVATION_BYTES * scale
    told = f"{work.batch} × {work.sequence:,} tokens × {width:,}"
    if work.checkpointing:
        kept = tokens * width * 2 * scale * blocks + one_block
        formula = f"{told} × ({2 * scale} B × {blocks} + {ACTIVATION_BYTES * scale} B), checkpointed"
    else:
        kept = one_block * blocks
        formula = f"{told} × {ACTIVATION_BYTES * scale} B × {blocks}"
    logits = tokens * VOCABULARY * LOGIT_BYTES
    return (
        Part("activations", kept / GB, formula, shared=False),
        Part(
            "logits",
            logits / GB,
            f"{work.batch} × {work.sequence:,} tokens × {VOCABULARY:,} words × {LOGIT_BYTES} B",
            shared=False,
        ),
    )


def _cache(work: Workload, blocks: int, width: int) -> Part:
    size = BYTES[work.dtype]
    held = 2 * work.batch * work.sequence * blocks * width * KV_SHARE * size
    formula = f"2 × {work.batch} × {work.sequence:,} tokens × {blocks} × {width * KV_SHARE:,.0f} × {size} B"
    return Part("keys and values", held / GB, formula)

"""What a line of a training log says in numbers.

Three ways of writing are understood: the dictionaries of the Transformers trainer (with numbers or numbers in quotes),
JSON objects, and `step 10 loss=2.3 lr: 1e-4`. Other lines cost a microsecond or two and say nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

MAX_LINE_CHARS = 2_000
"""No trainer writes longer lines of figures; more of a line is not looked at."""

_FAR = 1e12

Role = Literal["step", "epoch", "result", "rate", "noise", "other"]

# Every name begins where a word begins, and both names and blanks are bounded: the work per line is linear.
_PAIR = re.compile(
    r"""(?<![\w./@-])([A-Za-z_][\w./@-]{0,63})['"]?([ \t]{0,3}[=:]|[ \t])[ \t]{0,4}['"]?"""
    r"""([-+]?(?:nan|inf(?:inity)?|(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d*)?(?:e[-+]?\d+)?|\.\d+(?:e[-+]?\d+)?))"""
    r"""(?!\w|\.\d|:\d)""",
    re.IGNORECASE | re.ASCII,
)
_BAR = re.compile(r"\| {0,12}(\d{1,12})/\d{1,12} \[")
_STEP = re.compile(
    r"(?:^|[/.])(?:global_?|train_?|current_?|optimi[sz]er_?)?(?:step|steps|iter|iteration|iterations|update|updates)$"
)
_EPOCH = re.compile(r"(?:^|[/.])(?:train_?)?epochs?$")
_RESULT = re.compile(
    r"(?:^|[_/.])(?:loss|losses|nll|ppl|perplexity|acc|accuracy|reward|rewards|f1|bleu|rouge\w{0,6}|mse|rmse|mae|wer|cer|"
    r"auc|auroc|map|iou|kl|bpb|entropy|exact_match|score|margins|chosen|rejected)(?:@\d+|_mean|_std)?$"
    r"|^(?:train[_/.])?(?:grad_norm|gradient_norm|grad)$|^rewards?/"
)
_RATE = re.compile(r"(?:^|[/.])(?:lr|learning_rate)$")
_NOISE = re.compile(
    r"(?:runtime|samples_per_second|steps_per_second|tokens_per_second|total_flos|num_tokens|num_input_tokens_seen)$"
    r"|(?:^|[_/.])(?:time|seconds|timestamp|pid|rank|port|line|eta|elapsed)$"
)


@dataclass(slots=True)
class Figures:
    """The numbers of one line.

    Attributes:
        values: By name, in the order of the line; step and epoch are not among them. May hold NaN and infinities.
        step: Step the line is about, if it says so.
        epoch: Epoch the line is about, if it says so.
        final: The line sums up a whole run (`train_runtime`); its values are no points of a curve.
    """

    values: dict[str, float] = field(default_factory=dict)
    step: float | None = None
    epoch: float | None = None
    final: bool = False


@lru_cache(maxsize=4096)
def role(name: str) -> Role:
    """What a number of this name is."""
    lower = name.lower()
    for pattern, answer in _ROLES:
        if pattern.search(lower):
            return answer
    return "other"


_ROLES: tuple[tuple[re.Pattern[str], Role], ...] = (
    (_STEP, "step"),
    (_EPOCH, "epoch"),
    (_NOISE, "noise"),
    (_RATE, "rate"),
    (_RESULT, "result"),
)


def read_figures(line: str) -> Figures | None:
    """The numbers of a line, or None when it reports no progress of a training.

    Args:
        line: One line of a log, however long and odd.
    """
    head = line[:MAX_LINE_CHARS]
    pairs = _PAIR.findall(head)
    if not pairs:
        return None
    figures = Figures()
    said = figures.values
    results = 0
    for name, separator, text in pairs:
        kind = role(name)
        # Without a sign between them, a word and a number belong together only when the word is a known one.
        if separator in " \t" and kind in ("other", "noise"):
            continue
        value = float(text.replace(",", "") if "," in text else text)
        if kind == "result":
            results += 1
            said[name] = value
        elif kind == "step":
            figures.step = value if 0 <= value < _FAR else figures.step
        elif kind == "epoch":
            figures.epoch = value if 0 <= value < _FAR else figures.epoch
        elif kind == "noise":
            figures.final = figures.final or name.endswith("train_runtime")
        else:
            said[name] = value
    if results and figures.step is None and (bar := _BAR.search(head)):
        figures.step = float(bar[1])
    placed = figures.step is not None or figures.epoch is not None
    if results or (placed and (said or len(pairs) == 1)):
        return figures
    return None

"""Which kinds of training a data set fits as it is, and what is missing where it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml_intern.tools.datasets.features import CHAT_KEYS, Column


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a data set fits one way of training.

    Attributes:
        method: `SFT`, `DPO`, `GRPO`, `classification`.
        fits: True as it is; None after a small change; False otherwise.
        reason: Why, and what to change.
    """

    method: str
    fits: bool | None
    reason: str

    def line(self) -> str:
        """The verdict in one line."""
        word = {True: "fits", None: "fits after a change", False: "does not fit"}[self.fits]
        return f"{self.method}: {word} ({self.reason})"


def verdicts(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> list[Verdict]:
    """A verdict for each way of training.

    Args:
        columns: The columns.
        rows: Some rows, to see what the columns really hold.
    """
    known = {column.name: column for column in columns}
    found = [_sft(known), _dpo(known), _grpo(known), _classification(known)]
    return [_with_rows(verdict, known, rows) for verdict in found]


def _sft(known: Mapping[str, Column]) -> Verdict:
    if (chat := known.get("messages")) is not None and chat.chat_keys == CHAT_KEYS[0]:
        return Verdict("SFT", True, "messages with role and content")
    if _words(known, "prompt", "completion"):
        return Verdict("SFT", True, "prompt and completion")
    if _words(known, "text"):
        return Verdict("SFT", True, "text")
    for column in known.values():
        if column.chat_keys == CHAT_KEYS[1]:
            return Verdict("SFT", None, f"turn {column.name} (from, value) into messages (role, content)")
        if column.chat_keys == CHAT_KEYS[0]:
            return Verdict("SFT", None, f"rename {column.name} to messages")
    for ask, reply in (("instruction", "output"), ("question", "answer"), ("input", "output"), ("prompt", "response")):
        if _words(known, ask, reply):
            return Verdict("SFT", None, f"rename {ask} and {reply} to prompt and completion, or build messages")
    return Verdict("SFT", False, f"needs messages, text, or prompt and completion; it has {_names(known)}")


def _dpo(known: Mapping[str, Column]) -> Verdict:
    if _words(known, "chosen", "rejected"):
        asked = known.get("prompt")
        if asked is not None and asked.holds_words:
            return Verdict("DPO", True, "prompt, chosen and rejected")
        return Verdict("DPO", True, "chosen and rejected; the prompt is taken from what they share")
    return Verdict("DPO", False, "needs chosen and rejected (and prompt)")


def _grpo(known: Mapping[str, Column]) -> Verdict:
    if _words(known, "prompt"):
        return Verdict("GRPO", True, "prompt; rewards may use the other columns")
    for name in ("question", "problem", "instruction", "messages"):
        if name in known and known[name].holds_words:
            return Verdict("GRPO", None, f"rename {name} to prompt")
    return Verdict("GRPO", False, "needs prompt")


def _classification(known: Mapping[str, Column]) -> Verdict:
    texts = [column.name for column in known.values() if column.is_text]
    labels = [column.name for column in known.values() if column.is_label]
    if labels and texts:
        return Verdict("classification", True, f"{labels[0]} is a class, {texts[0]} is text")
    for name in ("label", "labels", "class", "category"):
        if name in known and texts and name not in texts[:1]:
            return Verdict("classification", None, f"{name} is {known[name].kind}: make it a class label")
    return Verdict("classification", False, "needs text and a column of classes")


def _with_rows(verdict: Verdict, known: Mapping[str, Column], rows: Sequence[Mapping[str, Any]]) -> Verdict:
    """A verdict by types is taken back where the rows that were seen are empty there."""
    if not verdict.fits or not rows:
        return verdict
    used = [name for name in known if name in verdict.reason.replace(";", "").replace(",", "").split()]
    hollow = [name for name in used if not any(row.get(name) for row in rows)]
    if not hollow:
        return verdict
    return Verdict(verdict.method, False, f"{', '.join(hollow)} is empty in all {len(rows)} rows that were looked at")


def _words(known: Mapping[str, Column], *names: str) -> bool:
    return all(name in known and known[name].holds_words for name in names)


def _names(known: Mapping[str, Column]) -> str:
    return ", ".join(list(known)[:8]) or "no columns"

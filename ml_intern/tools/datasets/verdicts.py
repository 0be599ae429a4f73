"""Which kinds of training a data set fits as it is, and what is missing where it does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ml_intern.tools.datasets.features import CHAT_KEYS, Column
from ml_intern.tools.datasets.sample import frequencies

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a data set fits one way of training.

    Attributes:
        method: `SFT`, `DPO`, `GRPO`, `classification`.
        fits: True as it is; None after a small change; False otherwise.
        reason: Why, and what to change.
        columns: Those that it rests on, where it fits.
    """

    method: str
    fits: bool | None
    reason: str
    columns: tuple[str, ...] = ()

    def line(self) -> str:
        """The verdict in one line."""
        word = {True: "fits", None: "fits after a change", False: "does not fit"}[self.fits]
        return f"{self.method}: {word} ({self.reason})"


def verdicts(
    columns: Sequence[Column], rows: Sequence[Row], statistics: Mapping[str, Mapping[str, Any]] | None = None
) -> list[Verdict]:
    """A verdict for each way of training.

    Args:
        columns: The columns.
        rows: Some rows, to see what the columns really hold.
        statistics: What is known of the values of columns, as the data set viewer describes it.
    """
    known = {column.name: column for column in columns}
    found = [_sft(known), _dpo(known), _grpo(known), _classification(known, statistics or {})]
    return [_with_rows(verdict, known, rows) for verdict in found]


def _sft(known: Mapping[str, Column]) -> Verdict:
    if (chat := known.get("messages")) is not None and chat.chat_keys == CHAT_KEYS[0]:
        return Verdict("SFT", True, "messages with role and content", ("messages",))
    if _words(known, "prompt", "completion"):
        if known["prompt"].is_text != known["completion"].is_text:
            return Verdict("SFT", None, "prompt and completion must both be text, or both be messages")
        return Verdict("SFT", True, "prompt and completion", ("prompt", "completion"))
    if _words(known, "text"):
        return Verdict("SFT", True, "text", ("text",))
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
            return Verdict("DPO", True, "prompt, chosen and rejected", ("prompt", "chosen", "rejected"))
        return Verdict(
            "DPO", True, "chosen and rejected; the prompt is taken from what they share", ("chosen", "rejected")
        )
    return Verdict("DPO", False, "needs chosen and rejected (and prompt)")


def _grpo(known: Mapping[str, Column]) -> Verdict:
    if _words(known, "prompt"):
        return Verdict("GRPO", True, "prompt; rewards may use the other columns", ("prompt",))
    for name in ("question", "problem", "instruction", "messages"):
        if name in known and known[name].holds_words:
            return Verdict("GRPO", None, f"rename {name} to prompt")
    return Verdict("GRPO", False, "needs prompt")


def _classification(known: Mapping[str, Column], statistics: Mapping[str, Mapping[str, Any]]) -> Verdict:
    texts = [column.name for column in known.values() if column.is_text]
    labels = [column.name for column in known.values() if column.is_label]
    classes = {name: frequencies(statistics.get(name) or {}) for name in known}
    if labels and texts:
        if len(classes[labels[0]]) == 1:
            return Verdict("classification", False, f"{labels[0]} is {classes[labels[0]][0][0]} in all rows")
        return Verdict("classification", True, f"{labels[0]} is a class, {texts[0]} is text", (labels[0], texts[0]))
    named = [name for name in ("label", "labels", "class", "category", "target", "sentiment") if name in known]
    repeating = [name for name in known if len(classes[name]) > 1]
    for name in dict.fromkeys([*named, *repeating]):
        if any(text != name for text in texts):
            return Verdict("classification", None, f"{name} is {known[name].kind}: make it a class label")
    return Verdict("classification", False, "needs text and a column of classes")


def _with_rows(verdict: Verdict, known: Mapping[str, Column], rows: Sequence[Row]) -> Verdict:
    """A verdict by types is corrected where the rows that were seen say something else."""
    if not verdict.fits or not rows:
        return verdict
    seen = f"{len(rows)} rows that were looked at"
    hollow = [name for name in verdict.columns if all(_says_nothing(known[name], row.get(name)) for row in rows)]
    if hollow:
        return Verdict(verdict.method, False, f"{', '.join(hollow)} is empty in all {seen}")
    for name in verdict.columns:
        if known[name].chat_keys and any(isinstance(row.get(name), Mapping) for row in rows):
            change = f"{name} holds one list for each key: turn it into a list of messages"
            return Verdict(verdict.method, None, change)
    doubt = _DOUBTS.get(verdict.method)
    bad = sum(map(doubt, rows)) if doubt is not None else 0
    if not bad:
        return verdict
    what = _DOUBTFUL[verdict.method]
    if bad == len(rows):
        return Verdict(verdict.method, False, f"{what} in all {seen}")
    return replace(verdict, reason=f"{verdict.reason}; but {what} in {bad} of {seen}")


def _says_nothing(column: Column, value: Any) -> bool:
    """Whether a cell is empty; the class 0 is one, -1 stands for none."""
    return value in (None, -1) if column.is_label else not value


def _nothing_to_learn(row: Row) -> bool:
    """Whether a chat has no word of the assistant."""
    chat = row.get("messages")
    return isinstance(chat, list) and not any(
        isinstance(message, Mapping)
        and message.get("role") == "assistant"
        and (message.get("content") or message.get("tool_calls"))
        for message in chat
    )


def _no_preference(row: Row) -> bool:
    """Whether the better answer is the worse one."""
    return "chosen" in row and row.get("chosen") == row.get("rejected")


_DOUBTS: Mapping[str, Callable[[Row], bool]] = {"SFT": _nothing_to_learn, "DPO": _no_preference}
_DOUBTFUL = {"SFT": "the assistant says nothing", "DPO": "chosen equals rejected"}


def _words(known: Mapping[str, Column], *names: str) -> bool:
    return all(name in known and known[name].holds_words for name in names)


def _names(known: Mapping[str, Column]) -> str:
    return ", ".join(list(known)[:8]) or "no columns"

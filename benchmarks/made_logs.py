"""Something to measure with: thousands of session logs, written as runs would leave them.

Words are as common as words are (the n-th is said 1/n as often as the first), and outputs are full of numbers, so that
an index of these logs has the words, and the many beginnings of words, that an index of real ones has.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

COMMON: list[str] = re.findall(
    r"\w+",
    "the loss train of model to step learning rate a batch dataset eval in run token checkpoint gradient is and config "
    "layer warmup cosine epoch tokenizer adapter lora baseline accuracy seed head job kernel label mask optimizer "
    "padding perplexity pipeline precision quantize reward sampler schedule sequence shard split tensor validation",
)
SYLLABLES: list[str] = re.findall(
    r"\w+", "ba co de fi gu ha in jo ka le mo na or pa qui ro sa tra un ve wi xy ze tri sto"
)
"""Of which less common words are made."""
RARE = "quokka"
"""Said in every five-hundredth session."""
WORDS = 30_000
LINES = 40_000
TURNS = 6
MINUTES = 45
"""From one session to the next."""


@dataclass
class MadeLogs:
    """Sessions to be written.

    Args:
        directory: Where session logs live.
        projects: Directories that the sessions worked in, by turns.
        sessions: How many.
        kilobytes: About the size of each.
    """

    directory: Path
    projects: Sequence[str]
    sessions: int
    kilobytes: int
    _chance: random.Random = field(default_factory=lambda: random.Random(7), init=False)

    def write(self) -> int:
        """Writes the logs, as long apart and as old as if they had been used, and returns their size in bytes."""
        self._words = [*COMMON, *(self._word() for _ in range(WORDS))]
        self._weights = list(accumulate(1 / rank for rank in range(1, len(self._words) + 1)))
        self._lines = [self._line(number) for number in range(LINES)]
        start = datetime(2024, 1, 1, tzinfo=UTC)
        size = 0
        for number in range(self.sessions):
            began = start + timedelta(minutes=MINUTES * number)
            path = self.directory / f"{began:%Y/%m}" / f"{self._chance.getrandbits(64):016x}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = (json.dumps(event).encode() + b"\n" for event in self._events(path.stem, began, number))
            size += path.write_bytes(b"".join(lines))
            os.utime(path, (began.timestamp(), began.timestamp()))
        return size

    def _word(self) -> str:
        return "".join(self._chance.choices(SYLLABLES, k=self._chance.randint(2, 4)))

    def _said(self, count: int) -> str:
        return " ".join(self._chance.choices(self._words, cum_weights=self._weights, k=count))

    def _line(self, number: int) -> str:
        chance = self._chance
        match number % 4:
            case 0:
                figures = f"grad_norm {chance.random():.4f} lr {chance.random() / 1000:.3e}"
                return f"step {chance.randrange(20_000)} loss {chance.random() * 3:.4f} {figures}"
            case 1:
                return f"{chance.getrandbits(48):012x} {self._said(6)}"
            case _:
                return self._said(12)

    def _events(self, name: str, began: datetime, number: int) -> Iterator[dict[str, Any]]:
        lines = self.kilobytes * 1000 // TURNS // 75 // 2  # each output is there twice: for people and as a message
        seq = 0

        def event(kind: str, **fields: Any) -> dict[str, Any]:
            nonlocal seq
            seq += 1
            now = (began + timedelta(milliseconds=seq)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            return {"seq": seq, "time": now, "session_id": name, "type": kind, **fields}

        directory = self.projects[number % len(self.projects)]
        yield event("session_started", schema_version=1, directory=directory, model="vllm/qwen3", version="0")
        for turn in range(TURNS):
            said = f"{self._said(12)}{f' {RARE}' if turn == 0 and number % 500 == 0 else ''}"
            said = f"{label(number)} {said}" if turn == 0 else said
            output = "\n".join(self._chance.choices(self._lines, k=lines))
            yield event("user_message", content=said)
            yield event("processing")
            yield event("tool_call", tool="bash", arguments={"command": f"python {said}"}, tool_call_id=f"c{turn}")
            yield event("tool_output", tool="bash", tool_call_id=f"c{turn}", output=output, success=True)
            message = {"role": "tool", "content": output, "tool_call_id": f"c{turn}"}
            yield event("history", op="append", messages=[message], keep=0)
            yield event("assistant_message", content=said)
            yield event("turn_complete", reason="completed", final_response=said, iterations=2, cost_usd=0.01, tokens=9)


def label(number: int) -> str:
    """What the first prompt of the n-th session begins with, and nothing else says."""
    return f"zz{number:05}"

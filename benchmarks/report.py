"""The table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.subjects import OURS, Subject

HIGHER_IS_BETTER = "(more is better)"
ROWS = {
    "first_frame_ms": "first frame, ms",
    "text_shown_ms": "typed text shows, ms",
    "ready_ms": "input ready, ms",
    "ready_cpu_s": "CPU until input ready, s",
    "ready_kb": "painted until input ready, KB",
    "lost_keys": "keys lost or out of order while it starts",
    "idle_mb": "memory when idle, MB",
    "idle_cpu_percent": "CPU when idle, %",
    "idle_bytes_per_s": "painted when idle, bytes/s",
    "key_ms": "key shows, median ms",
    "key_p95_ms": "key shows, p95 ms",
    "key_bytes": "painted per key, bytes",
    "key_cpu_ms": "CPU per key, ms",
    "first_request_ms": "Enter to first request, ms",
    "request_ms": "Enter to later requests, ms",
    "reply_painted_ms": "short reply until painted, ms",
    "stream_chunks_per_s": f"streaming until painted, chunks/s {HIGHER_IS_BETTER}",
    "stream_cpu_s": "CPU per 1,000 chunks, s",
    "stream_kb": "painted per 1,000 chunks, KB",
    "paced_cpu_s": "CPU per 1,000 chunks at 50/s, s",
    "paced_kb": "painted per 1,000 chunks at 50/s, KB",
    "busy_key_ms": "key shows while 50 chunks/s stream, median ms",
    "busy_key_p95_ms": "key shows while 50 chunks/s stream, p95 ms",
    "research_key_ms": "key shows while 8 researchers work, median ms",
    "research_key_p95_ms": "key shows while 8 researchers work, p95 ms",
    "research_key_ratio": "the median, beside the same app at rest",
    "research_key_p95_ratio": "the p95, beside the same app at rest",
    "research_cpu_percent": "CPU while 8 researchers work, %",
    "research_queued_percent": "of that time, the app waited for a CPU of the machine, %",
    "research_kb_per_s": "painted while 8 researchers work, KB/s",
    "app_turn_ms": "tool turn in the app, median ms",
    "app_turn_p95_ms": "tool turn in the app, p95 ms",
    "app_turn_first_fifth_ms": "tool turn in the app, first fifth, ms",
    "app_turn_last_fifth_ms": "tool turn in the app, last fifth, ms",
    "app_turn_cpu_ms": "CPU per tool turn in the app, ms",
    "app_turn_kb": "painted per tool turn, KB",
    "app_after_key_ms": "key shows after all this, median ms",
    "app_after_mb": "memory after all this, MB",
    "long_turn_ms": "1,000 tool turns: turn, median ms",
    "long_turn_p95_ms": "1,000 tool turns: turn, p95 ms",
    "long_turn_first_fifth_ms": "1,000 tool turns: first fifth, ms",
    "long_turn_last_fifth_ms": "1,000 tool turns: last fifth, ms",
    "long_turn_cpu_first_fifth_ms": "1,000 tool turns: CPU of a turn in the first fifth, ms",
    "long_turn_cpu_last_fifth_ms": "1,000 tool turns: CPU of a turn in the last fifth, ms",
    "long_turn_cpu_ms": "1,000 tool turns: CPU per turn, ms",
    "long_turn_kb": "1,000 tool turns: painted per turn, KB",
    "long_after_key_ms": "1,000 tool turns: key shows after, median ms",
    "long_after_mb": "1,000 tool turns: memory after, MB",
    "headless_first_request_ms": "headless: start to first request, ms",
    "headless_turn_ms": "headless: tool turn, median ms",
    "headless_turn_p95_ms": "headless: tool turn, p95 ms",
    "headless_turn_first_fifth_ms": "headless: tool turn, first fifth, ms",
    "headless_turn_last_fifth_ms": "headless: tool turn, last fifth, ms",
    "headless_end_ms": "headless: last reply to process end, ms",
    "headless_s": "headless: whole run, s",
    "headless_cpu_s": "headless: CPU, s",
    "headless_peak_mb": "headless: peak memory, MB",
    "headless_request_kb": "headless: size of the first request, KB",
}


@dataclass
class Results:
    """All figures of all rounds.

    Attributes:
        subjects: What was measured, ml-intern first.
        rounds: For each round, the figures of each subject by name.
        problems: What could not be measured, and why.
        others_cpu: Cores that other programs of the machine used in each round.
    """

    subjects: Sequence[Subject]
    rounds: list[dict[str, dict[str, float]]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    others_cpu: list[float] = field(default_factory=list)

    def values(self, name: str, key: str) -> list[float]:
        """A figure of one subject in all rounds that have it."""
        return [figures[name][key] for figures in self.rounds if key in figures.get(name, {})]

    def ratios(self, name: str, key: str) -> list[float]:
        """Ml-intern's figure divided by another subject's in the same round."""
        pairs = [(figures.get(OURS, {}).get(key), figures.get(name, {}).get(key)) for figures in self.rounds]
        return [ours / theirs for ours, theirs in pairs if ours is not None and theirs]


def table(results: Results) -> str:
    """Markdown: medians over the rounds, with the ratio of ml-intern to each yardstick."""
    others = [subject.name for subject in results.subjects[1:]]
    shown = [name for name in others if any(results.values(name, key) for key in ROWS)]
    lines = ["| measure | " + " | ".join([OURS, *(f"{name} | ratio" for name in shown)]) + " |"]
    lines.append("| --- |" + " ---: |" * (1 + 2 * len(shown)))
    for key, title in ROWS.items():
        cells = [_cell(results.values(OURS, key), number, spread=True)]
        for name in shown:
            cells += [_cell(results.values(name, key), number), _cell(results.ratios(name, key), "{:.2f}".format)]
        if any(cells):
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def notes(results: Results, cores: int) -> str:
    """What to know before believing the table."""
    used = median(results.others_cpu) if results.others_cpu else 0.0
    lines = [f"Rounds: {len(results.rounds)}. Other programs used {used:.1f} of {cores} cores meanwhile (median)."]
    lines += [f"- {problem}" for problem in results.problems]
    return "\n".join(lines)


def number(value: float) -> str:
    """Three digits are all that such a figure is worth."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _cell(values: Sequence[float], form: Callable[[float], str], *, spread: bool = False) -> str:
    if not values:
        return ""
    middle = form(median(values))
    return f"{middle} ({form(min(values))}–{form(max(values))})" if spread and len(values) > 1 else middle

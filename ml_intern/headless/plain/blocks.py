"""What a tool shows a person, as lines that can be read aloud. Nothing is left out."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from ml_intern.core.display import (
    CurveBlock,
    DiffBlock,
    DisplayBlock,
    JobCard,
    LogBlock,
    PlanBlock,
    TableBlock,
    TextBlock,
)
from ml_intern.core.plain_text import plain


def block_lines(block: DisplayBlock) -> Iterator[str]:
    """The lines of one block, free of control characters."""
    for line in _lines(block):
        yield plain(line)


def _lines(block: DisplayBlock) -> Iterator[str]:
    match block:
        case TextBlock():
            yield from _titled(block.title, block.text.split("\n"))
        case DiffBlock():
            yield f"change of {block.path}, removed lines begin with minus, added ones with plus:"
            old, new = block.old.split("\n"), block.new.split("\n")
            for line in difflib.unified_diff(old, new, lineterm="", n=2):
                if not line.startswith(("---", "+++")):
                    yield line
        case TableBlock():
            yield from _titled(block.title, ())
            for row in block.rows:
                yield "; ".join(f"{name} {cell}" for name, cell in zip(block.columns, row, strict=True))
        case LogBlock():
            if block.omitted:
                yield f"{block.omitted:,} lines before these are in {block.path or 'the log'}"
            yield from block.lines
        case PlanBlock():
            for content, status in block.items:
                yield f"{status.replace('_', ' ')}: {content}"
        case JobCard():
            yield _job(block)
        case CurveBlock():
            for name, points in block.series.items():
                if points:
                    yield f"{name}: {len(points)} points, from {points[0][1]:g} to {points[-1][1]:g}"


def _titled(title: str, lines: tuple[str, ...] | list[str]) -> Iterator[str]:
    if title:
        yield f"{title}:"
    yield from lines


def _job(card: JobCard) -> str:
    facts = [f"job {card.job_id}", card.title, card.stage.lower(), card.flavor, card.load, card.url]
    if card.cost_usd is not None:
        facts.append(f"${card.cost_usd:.2f} so far")
    if card.max_cost_usd is not None:
        facts.append(f"at most ${card.max_cost_usd:.2f}")
    return ", ".join(fact for fact in facts if fact)

"""All calls of a request with what was decided about each, to be looked over before it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_intern.tui.modals import approval_text
from ml_intern.tui.widgets.display import LinesPiece
from ml_intern.tui.widgets.lines import BLANK, Line, Run, indent, line, wrap
from ml_intern.tui.widgets.text import money, one_line
from ml_intern.tui.widgets.tool_model import summarise

if TYPE_CHECKING:
    from ml_intern.core.protocol import ApprovalItem, ApprovalRequired
    from ml_intern.tui.modals.batch import Batch, Decision

MARKS = {True: ("✓", "success"), False: ("✗", "error"), None: ("○", "muted")}
WORDS = {True: "approve", False: "reject", None: "undecided"}


def decision_pieces(batch: Batch, request: ApprovalRequired) -> list[LinesPiece]:
    """The list, one piece for each call, and what approving it costs."""
    pairs = list(zip(batch.items, batch.decisions, strict=True))
    rows = [_piece(number, item, made) for number, (item, made) in enumerate(pairs, 1)]
    return [*rows, LinesPiece(lambda width: [BLANK, *_sum(batch, request, width)])]


def _piece(number: int, item: ApprovalItem, made: Decision) -> LinesPiece:
    def make(width: int) -> list[Line]:
        mark, ink = MARKS[made.approved]
        head = Run(f"{number:>2} {mark} {WORDS[made.approved]:<9} ", ink)
        words = f"{one_line(item.tool, 60)}  {summarise(item.tool, item.arguments)}"
        lines = indent(wrap([Run(words)], max(10, width - len(head.text))), Run(" " * len(head.text)), head)
        return lines + [row for note in _notes(item, made) for row in _note(note, len(head.text), width)]

    return LinesPiece(make, item.tool, 2)


def _note(text: str, margin: int, width: int) -> list[Line]:
    return indent(wrap([Run(text, "muted")], max(10, width - margin)), Run(" " * margin))


def _notes(item: ApprovalItem, made: Decision) -> list[str]:
    """Why a call is asked about, what it costs, and what else the person said about it."""
    worst = approval_text.worst_usd(item, made.wish) if made.approved else None
    facts = (one_line(item.reason, 200), f"at most {money(worst)}" if worst else "")
    notes = [" · ".join(filter(None, facts))] if any(facts) else []
    if made.changed:
        notes.append("as you changed it")
    if made.remember and made.approved:
        until = "always" if made.always else "in this session"
        notes.append(f"and {one_line(made.rule, 200) or 'this very call'} {until}")
    if made.feedback and not made.approved:
        notes.append(f"“{one_line(made.feedback, 300)}”")
    return notes


def _sum(batch: Batch, request: ApprovalRequired, width: int) -> list[Line]:
    approved = [made for made in batch.decisions if made.approved]
    worst = batch.worst_usd
    text = f"{len(approved)} of {len(batch.items)} approved"
    text += f", {money(worst)} at most" if worst else ""
    lines = wrap([Run(text, "strong")], width)
    if worst and request.cap_usd is not None:
        after = request.spent_usd + worst
        over = after > request.cap_usd
        leads = f"spent {money(request.spent_usd)} · this may bring it to {money(after)} of {money(request.cap_usd)}"
        lines += wrap([Run(leads + (", over the cap" if over else ""), "error" if over else "muted")], width)
    if not batch.complete:
        lines.append(line("nothing is sent before each of them is decided", "muted"))
    return lines

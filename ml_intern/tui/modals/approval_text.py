"""The words of the approval dialog: title, money, checks, reason and keys, as pure functions of the request."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from textual.content import Content

from ml_intern.tui.widgets.text import clean, money, one_line

if TYPE_CHECKING:
    from ml_intern.core.display import DisplayBlock
    from ml_intern.core.protocol import ApprovalItem

TITLES = {
    "bash": "Run a command",
    "write": "Write a file",
    "edit": "Change a file",
    "hf_jobs": "Run a job",
    "sandbox_create": "Start a sandbox",
    "hf_repo_files": "Change files on the Hub",
    "hf_repo_git": "Change a repository on the Hub",
    "notify": "Send a message",
}


def title(item: ApprovalItem) -> str:
    """What would be done, in a few words."""
    return f"{TITLES[item.tool]} · {item.tool}" if item.tool in TITLES else f"Use {item.tool}"


def position(decided: Sequence[bool | None], at: int) -> str:
    """Which of several calls this is, and what was decided about each."""
    if len(decided) == 1:
        return ""
    marks = "".join({True: "✓", False: "✗", None: "○"}[approved] for approved in decided)
    return f"{marks}  {at + 1} of {len(decided)}"


def cost(item: ApprovalItem, spent_usd: float, cap_usd: float | None) -> Content:
    """What it costs at worst and where that leads; empty when nothing is paid and there is nothing to say."""
    return Content("\n").join(_cost(item, spent_usd, cap_usd))


def checks(item: ApprovalItem) -> tuple[Content, ...]:
    """The pre-flight findings."""
    return tuple(
        Content.assemble(("✓ " if passed else "✗ ", "$success" if passed else "$error"), one_line(text))
        for passed, text in item.checks
    )


def _cost(item: ApprovalItem, spent_usd: float, cap_usd: float | None) -> list[Content]:
    note = clean(item.cost_note)
    worst = item.estimated_cost_usd
    if worst is None:
        return [Content.styled(note, "$warning")] if note else []
    if worst == 0:
        return [Content(note)] if note else []
    after = spent_usd + worst
    first = Content.assemble(f"{note} = " if note else "", ("at most ", "bold"), (money(worst), "bold"))
    cap = f" of {money(cap_usd)}" if cap_usd is not None else ""
    second = f"spent {money(spent_usd)} · this may bring it to {money(after)}{cap}"
    over = cap_usd is not None and after > cap_usd
    return [
        first,
        Content.styled(second + (", over the cap" if over else ""), "$error" if over else "$foreground-muted"),
    ]


def why(item: ApprovalItem, edited: bool) -> Content:
    """The reason, and that an edit will be approved rather than the original."""
    reason = Content.assemble(("why asked: ", "$foreground-muted"), clean(item.reason))
    note = Content.styled("edited: the lines above are what you change; a approves it so", "$warning")
    return Content("\n").join([reason, note]) if edited else reason


def editable_text(item: ApprovalItem) -> str:
    """What a person edits: the argument, or the file it names when the dialog shows that file."""
    argument = str(item.arguments.get(item.editable, ""))
    for block in item.display:
        if block.type == "text" and block.title and PurePath(block.title).name == PurePath(argument.strip()).name:
            return block.text
    return argument


def blocks(item: ApprovalItem, edited: str | None) -> list[DisplayBlock]:
    """All that will happen, nothing left out: the edit as a diff, what the tool shows, and every other argument."""
    from ml_intern.core.display import DiffBlock, TextBlock

    shown = list(item.display)
    if edited is not None:
        shown = [DiffBlock(path=item.editable, old=editable_text(item), new=edited)]
    seen = json.dumps([block.model_dump() for block in shown], ensure_ascii=False, default=str)
    seen += item.cost_note + item.reason
    rest = {name: value for name, value in item.arguments.items() if name != item.editable or not shown}
    rest = {name: value for name, value in rest.items() if not _is_shown(value, seen)}
    if rest:
        text = json.dumps(rest, indent=2, ensure_ascii=False, default=str)
        shown.append(TextBlock(text=text, language="json", title="further arguments" if shown else "arguments"))
    return shown


def _is_shown(value: object, seen: str) -> bool:
    return value in (None, "", [], {}) or json.dumps(value, ensure_ascii=False, default=str).strip('"') in seen


def keys(item: ApprovalItem, *, typing: str, several: bool, complete: bool) -> list[tuple[str, str]]:
    """The keys that answer now."""
    if typing == "note":
        return [("↵", "reject with this note"), ("esc", "back")]
    if typing == "edit":
        return [("ctrl+s", "done, show the change"), ("ctrl+e", "your editor"), ("esc", "back")]
    return _answers(item, several, complete)


def _answers(item: ApprovalItem, several: bool, complete: bool) -> list[tuple[str, str]]:
    pairs = [("↵", "send")] if complete else []
    pairs += [("a", "approve"), ("r", "reject"), ("n", "reject, say why")]
    if item.editable:
        pairs.append(("e", f"edit {item.editable}"))
    if item.rememberable:
        pairs.append(("s", "allow the like in this session"))
    if several:
        pairs += [("A", "approve the rest"), ("←→", "the others")]
    return [*pairs, ("↑↓", "read"), ("esc", "end the turn")]

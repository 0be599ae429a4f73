"""The words of the approval dialog: title, money, checks, reason and keys, as pure functions of the request."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from textual.content import Content

from ml_intern.tui.modals.wish import Wish
from ml_intern.tui.widgets.text import cells, fit, money, one_line

if TYPE_CHECKING:
    from ml_intern.core.approvals.effects import Compute
    from ml_intern.core.display import DisplayBlock, TextBlock
    from ml_intern.core.jobs import Flavor
    from ml_intern.core.protocol import ApprovalItem

LONGEST_REASON = 800
USUAL_WIDTH = 76
"""Cells of a line in the dialog before it knows its own size."""
ROOMY = 28
"""From so many lines on, a screen has room for all that was found outside."""
ORIGIN_LINES = {False: 4, True: 7}
SHORTEST_PASSAGE = 60
"""Cells of a passage from outside that are shown however small the dialog is."""

TITLES = {
    "bash": "Run a command",
    "write": "Write a file",
    "edit": "Change a file",
    "hf_jobs": "Run a job",
    "sandbox_create": "Start a sandbox",
    "hf_repo_files": "Change files on the Hub",
    "hf_repo_git": "Change a repository on the Hub",
    "notify": "Send a message",
    "mcp_sampling": "Let an MCP server ask the model",
}


TOLD = {"bash": {"work_dir"}, "write": {"path"}, "edit": {"path", "old_str"}}
"""Arguments that are told by where it happens, or by the difference."""


def title(item: ApprovalItem) -> str:
    """What would be done, in a few words."""
    if item.tool == "hf_jobs" and item.compute is not None:
        return "Run a job on this machine" if item.compute.usd_per_hour == 0 else "Run a job on Hugging Face"
    return f"{TITLES[item.tool]} · {item.tool}" if item.tool in TITLES else f"Use {one_line(item.tool, 60)}"


def position(decided: Sequence[bool | None], at: int | None) -> str:
    """Which of several calls this is (None: all of them are listed), and what was decided about each."""
    if len(decided) == 1:
        return ""
    marks = "".join({True: "✓", False: "✗", None: "○"}[approved] for approved in decided)
    return f"{marks}  all {len(decided)}" if at is None else f"{marks}  {at + 1} of {len(decided)}"


@dataclass(frozen=True, slots=True)
class Change:
    """Other hardware, time or namespace than a call asked for.

    Attributes:
        wish: What is wanted.
        arguments: The arguments of the call that say so.
        compute: The hardware with its price, and the time.
        worst_usd: What it costs at most; None when unknown.
    """

    wish: Wish
    arguments: dict[str, Any]
    compute: Compute
    worst_usd: float | None


def present_wish(item: ApprovalItem, change: Change | None) -> Wish:
    """What is asked for now: the person's wish, or the call's own words."""
    compute = item.compute
    if change is not None or compute is None:
        return change.wish if change is not None else Wish("")
    said = str(item.arguments.get(compute.arguments.get("timeout", ""), "") or "")
    return Wish(compute.flavor, said or _time_as_typed(compute.seconds), compute.namespace)


def change(item: ApprovalItem, wish: Wish, flavors: Sequence[Flavor]) -> Change | None:
    """A wish as a change of the call; None when it is what the call asks for anyway."""
    from ml_intern.core.jobs import parse_duration

    compute, asked = item.compute, present_wish(item, None)
    if compute is None or wish == asked:
        return None
    names = compute.arguments
    values = {"flavor": wish.flavor, "timeout": wish.timeout, "namespace": wish.namespace}
    edited = {names[key]: value for key, value in values.items() if key in names and value != getattr(asked, key)}
    flavor = next((flavor for flavor in flavors if flavor.name == wish.flavor), None)
    now = replace(
        compute,
        flavor=wish.flavor,
        hardware=_hardware_of(flavor) if flavor else "",
        usd_per_hour=flavor.usd_per_hour if flavor else None,
        seconds=parse_duration(wish.timeout) if wish.timeout else compute.seconds,
        namespace=wish.namespace,
    )
    return Change(wish, edited, now, 0.0 if _is_paid_later(item) else _worst(now, _hours(item)))


def _hardware_of(flavor: Flavor) -> str:
    return flavor.label if flavor.runs_on else flavor.hardware


def _is_paid_later(item: ApprovalItem) -> bool:
    """Whether nothing is paid now although the hardware has a price: runs of a schedule."""
    return item.estimated_cost_usd == 0 and item.compute is not None and bool(item.compute.usd_per_hour)


def worst_usd(item: ApprovalItem, changed: Change | None) -> float | None:
    """What the call costs at most as it stands."""
    return changed.worst_usd if changed else item.estimated_cost_usd


def allowance(item: ApprovalItem, changed: Change | None) -> str:
    """What "allow in this session" would allow: a rule, or words for the call to the letter."""
    if changed is None or not item.rule:
        return item.allowance
    from ml_intern.core.approvals.rules import Rule

    return replace(Rule.of(item.rule), max_usd=changed.worst_usd).shown


def _hours(item: ApprovalItem) -> float:
    """How long the estimate of a call reckons with, where no time is part of it."""
    compute = item.compute
    if compute is None or not compute.usd_per_hour or not item.estimated_cost_usd:
        return 1.0
    return item.estimated_cost_usd / compute.usd_per_hour


def _worst(compute: Compute, hours: float) -> float | None:
    if compute.usd_per_hour is None:
        return None
    return compute.usd_per_hour * (hours if compute.seconds is None else compute.seconds / 3600)


def _time_as_typed(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"


@dataclass(frozen=True, slots=True)
class Place:
    """Where calls happen.

    Attributes:
        workspace: Where the agent works on this machine; None when that is not known.
        sandbox_dir: Where commands start in a sandbox; empty when they run on this machine.
        rule_file: Where rules are kept for later sessions.
    """

    workspace: Path | None = None
    sandbox_dir: str = ""
    rule_file: str = ""


NOWHERE = Place()


def cost(
    item: ApprovalItem,
    spent_usd: float,
    cap_usd: float | None,
    changed: Change | None = None,
    place: Place = NOWHERE,
) -> Content:
    """Where it happens, hardware, what it costs at worst and where that leads; empty when there is nothing to say."""
    where = _where(item, place)
    lines = [Content.styled(where, "$foreground-muted")] if where else []
    return Content("\n").join([*lines, *_cost(item, spent_usd, cap_usd, changed)])


def _where(item: ApprovalItem, place: Place) -> str:
    """The directory that a command runs in, as people write it."""
    start = place.sandbox_dir or str(place.workspace or "")
    if item.tool != "bash" or not start:
        return ""
    said = one_line(str(item.arguments.get("work_dir") or ""), 400)
    if place.sandbox_dir:
        return f"in the sandbox, {os.path.normpath(os.path.join(start, said))}"  # noqa: PTH118 - of another machine
    whole = os.path.normpath(os.path.join(start, os.path.expanduser(said)))  # noqa: PTH111, PTH118 - only its text
    home = os.path.expanduser("~")  # noqa: PTH111 - only compared
    inside = whole == home or whole.startswith(home + os.sep)
    return f"on this machine, in ~{whole.removeprefix(home)}" if inside else f"on this machine, in {whole}"


def checks(item: ApprovalItem) -> tuple[Content, ...]:
    """The pre-flight findings."""
    return tuple(
        Content.assemble(("✓ " if passed else "✗ ", "$success" if passed else "$error"), one_line(text, LONGEST_CHECK))
        for passed, text in item.checks
    )


def checks_block(item: ApprovalItem) -> TextBlock:
    """The same as a text, for dialogs without room for them above: what did not pass comes first."""
    from ml_intern.core.display import TextBlock

    ordered = sorted(item.checks, key=lambda check: check[0])
    lines = [f"{'✓' if passed else '✗'} {one_line(text, LONGEST_CHECK)}" for passed, text in ordered]
    return TextBlock(text="\n".join(lines), language="prose", title="looked at beforehand")


def _cost(item: ApprovalItem, spent_usd: float, cap_usd: float | None, changed: Change | None) -> list[Content]:
    worst = worst_usd(item, changed)
    compute = changed.compute if changed else item.compute
    note, later = one_line(item.cost_note), _is_paid_later(item)
    lines = [_hardware(compute, _worst(compute, 1.0) if later else worst, note)] if compute else _noted(item)
    if later and changed is None:
        lines.append(Content.styled(note, "$warning"))
    if changed is not None and item.compute is not None:
        lines.append(Content.styled(f"you changed it; asked for was {_asked_for(item)}", "$warning"))
    hourly = compute is not None and compute.seconds is None
    return [*lines, *_leads_to(worst, spent_usd, cap_usd, hourly)]


def _noted(item: ApprovalItem) -> list[Content]:
    """The cost in the tool's own words."""
    note = one_line(item.cost_note)
    if item.estimated_cost_usd is None:
        return [Content.styled(note, "$warning")] if note else []
    if item.estimated_cost_usd == 0:
        return [Content(note)] if note else []
    worst = money(item.estimated_cost_usd)
    return [Content.assemble(f"{note} = " if note else "", ("at most ", "bold"), (worst, "bold"))]


def _hardware(compute: Compute, worst: float | None, note: str) -> Content:
    """`a10g-small · 1× A10G 24 GB · $1.00/h × 2 h = at most $2.00`."""
    flavor, hardware = one_line(compute.flavor), one_line(compute.hardware)
    facts = [flavor, "" if hardware == flavor else hardware]
    length = _length(compute.seconds)
    paid_by = f" · paid by {one_line(compute.namespace)}" if compute.namespace else ""
    if compute.usd_per_hour == 0:
        facts += ["nothing is rented", f"at most {length}" if length else ""]
        return Content(" · ".join(filter(None, facts)) + paid_by)
    if compute.usd_per_hour is None:
        known = " · ".join(filter(None, [*facts, f"at most {length}" if length else ""]))
        return Content.assemble(known, (" · price unknown, which counts as over every cap", "$warning"), paid_by)
    rate = f"{money(compute.usd_per_hour)}/h"
    if not length:  # by the hour, for as long as it exists; the tool says what ends it
        return Content.assemble(
            " · ".join(filter(None, facts)), " · ", (rate, "bold"), note.partition("/h")[2], paid_by
        )
    known = " · ".join(filter(None, [*facts, f"{rate} × {length}"]))
    return Content.assemble(known, " = ", ("at most ", "bold"), (money(worst), "bold"), paid_by)


def _asked_for(item: ApprovalItem) -> str:
    compute = item.compute
    if compute is None:
        return ""
    length = _length(compute.seconds)
    worst = _worst(compute, 1.0) if _is_paid_later(item) else item.estimated_cost_usd
    parts = [one_line(compute.flavor), f"for {length}" if length else "", f"at most {money(worst)}"]
    return ", ".join(filter(None, parts))


def _length(seconds: float | None) -> str:
    """A time as it is asked for: `2 h`, `90 min`."""
    if seconds is None:
        return ""
    from ml_intern.core.jobs import duration_text

    return duration_text(seconds)


def _leads_to(worst: float | None, spent_usd: float, cap_usd: float | None, hourly: bool) -> list[Content]:
    """Where the session's spending may go with it."""
    if not worst:
        return []
    after = spent_usd + worst
    cap = f" of {money(cap_usd)}" if cap_usd is not None else ""
    over = cap_usd is not None and after > cap_usd
    what = "an hour of it" if hourly else "this"
    left = f" · {money(cap_usd - after)} left then" if cap_usd is not None and not over else ""
    text = f"spent {money(spent_usd)} · {what} may bring it to {money(after)}{cap}"
    text += ", over the cap" if over else left
    return [Content.styled(text, "$error" if over else "$foreground-muted")]


def why(item: ApprovalItem, edited: bool) -> Content:
    """The reason, and that an edit will be approved rather than the original."""
    reason = Content.assemble(("why asked: ", "$foreground-muted"), one_line(item.reason, LONGEST_REASON))
    note = Content.styled("edited: approving it approves it as you changed it", "$warning")
    return Content("\n").join([reason, note]) if edited else reason


def origin(item: ApprovalItem, width: int, height: int) -> Content:
    """Where words of the call come from, if from outside; empty otherwise. A small dialog quotes less of it.

    Args:
        item: The call.
        width: Cells of a line.
        height: Lines of the screen.
    """
    if item.origin is None:
        return Content()
    source = f"found in: {one_line(item.origin.source, 120)} ({one_line(item.origin.via, 60)})"
    lead = "! Not from you: this follows an order " if item.origin.order else ""
    taken = -(-cells(lead + source) // width)
    room = width * max(1, ORIGIN_LINES[height >= ROOMY] - taken) - 3
    passage = fit(one_line(item.origin.passage, 400), max(SHORTEST_PASSAGE, room))
    ink = "$warning" if item.origin.order else ""
    return Content.assemble((f"{lead}{source}", ink), ("\n“", "$foreground-muted"), passage, ("”", "$foreground-muted"))


def editable_text(item: ApprovalItem) -> str:
    """What a person edits: the argument, or the file it names when the dialog shows that file."""
    argument = str(item.arguments.get(item.editable, ""))
    for block in item.display:
        if block.type == "text" and block.title and PurePath(block.title).name == PurePath(argument.strip()).name:
            return block.text
    return argument


def blocks(item: ApprovalItem, edited: str | None) -> list[DisplayBlock]:
    """All that will happen, nothing left out: what was edited, what the tool shows, and every other argument."""
    from ml_intern.core.display import DiffBlock, TextBlock

    shown = list(item.display)
    if edited is not None:
        change = DiffBlock(path=item.editable, old=editable_text(item), new=edited)
        whole = TextBlock(text=edited, language=_language(item), title=f"{item.editable} as you changed it")
        others = [block for block in shown if not _shows(block, editable_text(item))]
        shown = [change, whole, *others]
    seen = json.dumps([block.model_dump() for block in shown], ensure_ascii=False, default=str)
    told = _told(item, edited) if shown else set()
    rest = {name: value for name, value in item.arguments.items() if name not in told and not _is_shown(value, seen)}
    if rest:
        shown.append(
            TextBlock(text=_written(rest), language="json", title="further arguments" if shown else "arguments")
        )
    return shown


def _written(arguments: Mapping[str, Any]) -> str:
    """Arguments as JSON: on one line where they are few and short."""
    short = json.dumps(arguments, ensure_ascii=False, default=str)
    long = len(short) > SHORT_ARGUMENTS or any(isinstance(value, dict | list) for value in arguments.values())
    return json.dumps(arguments, indent=2, ensure_ascii=False, default=str) if long else short


def _told(item: ApprovalItem, edited: str | None) -> set[str]:
    """Arguments that the dialog shows elsewhere."""
    hardware = item.compute.arguments.values() if item.compute else ()
    by_difference = item.tool != "bash" and edited is not None  # which is another one now
    return {item.editable, *hardware, *(() if by_difference else TOLD.get(item.tool, ()))}


def _shows(block: DisplayBlock, text: str) -> bool:
    """Whether a block shows the text that was edited, as it was before."""
    if block.type == "diff":
        return True
    return block.type == "text" and block.text == text


def _language(item: ApprovalItem) -> str:
    before = next((block for block in item.display if block.type == "text"), None)
    return before.language if before is not None and before.type == "text" else ""


SHORT_ARGUMENTS = 60
LONGEST_CHECK = 1_000
LONG_ENOUGH = 12
"""Characters from which a text that occurs in what is shown counts as shown. A shorter one may be there by chance."""


def _is_shown(value: object, seen: str) -> bool:
    if value in (None, "", [], {}):
        return True
    return isinstance(value, str) and len(value) >= LONG_ENOUGH and json.dumps(value, ensure_ascii=False)[1:-1] in seen

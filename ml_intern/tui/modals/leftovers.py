"""What earlier sessions have left running: kept, ended, or left for later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets._option_list import Option, OptionList
from textual.widgets._static import Static

from ml_intern.tui.keys.keymap import bind, bind_number, keymap_of
from ml_intern.tui.modals.base import GraceDialog
from ml_intern.tui.widgets.key_bar import KeyBar
from ml_intern.tui.widgets.text import ago, count, fit, money, one_line

if TYPE_CHECKING:
    from ml_intern.core.protocol import Leftover

KEYS = [
    ("{leftovers.mark} or 1-9", "keep or end"),
    ("{leftovers.end_all}", "end all"),
    ("{leftovers.apply}", "do it"),
    ("{back}", "later"),
]


class LeftoversDialog(GraceDialog[tuple["Leftover", ...]]):
    """Asks about each job and sandbox. Answers with those to be ended, or None for later.

    Args:
        items: What runs.
        grace_s: How long keys decide nothing.
        now: Seconds since the epoch.
    """

    HELP = (
        "These jobs and sandboxes were started by sessions that have ended, and still run. {leftovers.mark} marks "
        "one to be kept or ended, {leftovers.end_all} marks all of this machine, {leftovers.apply} does it, {back} "
        "leaves it for later: /leftovers asks again."
    )
    DECISIONS = frozenset({"mark", "number", "end_all", "apply"})
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "cancel"),
        bind("leftovers.mark", "mark"),
        bind("leftovers.end_all", "end_all"),
        bind("leftovers.apply", "apply"),
        *(bind_number(number, f"number({number})") for number in range(1, 10)),
    ]

    def __init__(self, items: Sequence[Leftover], grace_s: float, now: Callable[[], float]) -> None:
        super().__init__(grace_s)
        self._items = tuple(items)
        self._ending: set[str] = set()
        self._now = now

    def compose(self) -> ComposeResult:
        """The sum, one line for each, keys."""
        with Vertical(id="leftovers", classes="dialog") as frame:
            frame.border_title = "left running"
            yield Static(summary(self._items), id="leftovers-sum", markup=False)
            yield OptionList(id="leftovers-list", compact=True, markup=False)
            yield Static(id="leftovers-effect", markup=False)
            yield KeyBar(KEYS, id="leftovers-keys")

    def on_mount(self) -> None:
        """Everything is kept until a person says otherwise."""
        super().on_mount()
        self._list = self.query_one(OptionList)
        self._list.focus()
        self._show()

    def on_answers(self) -> None:
        """The keys light up."""
        self._show()

    def on_resize(self, _event: events.Resize) -> None:
        """The rows are cut to the present width."""
        if self.is_mounted:
            self.call_after_refresh(self._show)

    def _show(self) -> None:
        kept = self._list.highlighted or 0
        width, now = self._list.scrollable_content_region.width or 60, self._now()
        self._list.clear_options()
        self._list.add_options([Option(row(item, item.id in self._ending, now, width)) for item in self._items])
        self._list.highlighted = min(kept, len(self._items) - 1)
        self.query_one("#leftovers-effect", Static).update(self._effect())
        self.query_one("#leftovers-keys", KeyBar).lit = self.answers

    def _effect(self) -> str:
        ending = [item for item in self._items if item.id in self._ending]
        elsewhere = sum(not item.here for item in ending)
        warning = f" {elsewhere} of them may still be in use on another machine." if elsewhere else ""
        key = keymap_of(self).spoken("leftovers.apply")
        return f"{key} ends {len(ending)} of {len(self._items)}.{warning}" if ending else f"{key} keeps everything."

    def action_mark(self) -> None:
        """Keeps or ends the chosen one."""
        index = self._list.highlighted
        if index is not None:
            self._ending ^= {self._items[index].id}
            self._show()

    def action_number(self, number: int) -> None:
        """Keeps or ends the one in that row."""
        if number <= len(self._items):
            self._list.highlighted = number - 1
            self.action_mark()

    def action_end_all(self) -> None:
        """Marks all that this machine has started."""
        self._ending |= {item.id for item in self._items if item.here}
        self._show()

    def action_apply(self) -> None:
        """Answers."""
        self.dismiss(tuple(item for item in self._items if item.id in self._ending))


def summary(items: Sequence[Leftover]) -> str:
    """`2 jobs and 1 sandbox of earlier sessions still run: $1.40/h, $3.10 so far.`"""
    jobs = sum(item.kind == "job" for item in items)
    boxes = len(items) - jobs
    things = [count(jobs, "job")] if jobs else []
    if boxes:
        things.append("1 sandbox" if boxes == 1 else f"{boxes} sandboxes")
    hourly, so_far = sum(item.usd_per_hour or 0.0 for item in items), sum(item.cost_usd or 0.0 for item in items)
    unknown = any(item.usd_per_hour is None for item in items)
    cost = f"{money(hourly)}/h, {money(so_far)} so far" if hourly else "free of charge"
    if unknown:
        cost = f"{cost}, some at an unknown price" if hourly else "at an unknown price"
    verb = "runs" if len(items) == 1 else "run"
    return f"{' and '.join(things)} of earlier sessions still {verb}: {cost}."


def row(item: Leftover, ending: bool, now: float, width: int) -> Content:
    """One thing on a line: what becomes of it, what it is, what it costs, how old it is."""
    mark, word, style = ("✗", "end ", "$error bold") if ending else ("○", "keep", "$foreground-muted")
    price = "free" if item.usd_per_hour == 0 else f"{money(item.usd_per_hour)}/h"
    facts = [
        f"{item.kind} {one_line(item.id)}",
        one_line(item.flavor),
        price,
        f"{money(item.cost_usd)} so far" if item.cost_usd else "",
        _age(item.since, now),
        "" if item.here else "another machine",
        one_line(item.title),
    ]
    return Content.assemble((f"{mark} {word} ", style), fit(" · ".join(filter(None, facts)), max(8, width - 7)))


def _age(since: str, now: float) -> str:
    try:
        return ago(now - datetime.fromisoformat(since).timestamp())
    except ValueError:
        return ""

"""The plan pane: what the agent means to do, how far it is, and how long each step took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive
from textual.timer import Timer
from textual.widget import Widget

from ml_intern.tui import messages
from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.motion import tick_s
from ml_intern.tui.widgets.frame import entitle
from ml_intern.tui.widgets.line import Part, line, whole_seconds
from ml_intern.tui.widgets.text import duration, one_line

if TYPE_CHECKING:
    from ml_intern.core.protocol import PlanItem

NO_STEPS = "The agent's steps appear here."
MARKS = {"pending": ("○", "$foreground-muted"), "in_progress": ("▸", "$accent"), "completed": ("✓", "$success")}

TEXT_STYLES = {"pending": "", "in_progress": "bold", "completed": "$foreground-muted strike"}
JUST_DONE = "strike"
"""Bright, so that a step which was finished just now is noticed among the others."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step as the pane shows it.

    Attributes:
        began_at: When it was first seen in progress, in seconds of the clock; None before.
        took_s: How long it took, once it is completed.
        fresh: It was completed by the last change of the plan.
    """

    id: str
    content: str
    status: str
    began_at: float | None = None
    took_s: float | None = None
    fresh: bool = False


def advance(steps: Sequence[Step], plan: Sequence[PlanItem], now: float) -> tuple[Step, ...]:
    """The plan with the times of what was known before carried over."""
    known = {step.id: step for step in steps}
    return tuple(_advanced(known.get(item.id), item, now) for item in plan)


def _advanced(before: Step | None, item: PlanItem, now: float) -> Step:
    step = Step(item.id, item.content, item.status)
    if before is not None:
        step = replace(step, began_at=before.began_at, took_s=before.took_s)
    if item.status == "in_progress":
        step = replace(step, began_at=now if step.began_at is None else step.began_at, took_s=None)
    elif item.status == "completed" and step.took_s is None and step.began_at is not None:
        step = replace(step, took_s=now - step.began_at)
    finished = step.status == "completed" and before is not None and before.status != "completed"
    return replace(step, fresh=finished)


class PlanList(Widget):
    """The steps in plan order; a single line when that is all the room there is."""

    steps: reactive[tuple[Step, ...]] = reactive((), layout=True)
    folded = reactive(False)

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock

    def watch_folded(self) -> None:
        """Without steps there is one line either way."""
        if self.steps:
            self.refresh(layout=True)

    def get_content_height(self, _container: Size, _viewport: Size, width: int) -> int:
        """As many lines as the wrapped steps take."""
        return len(self._lines(width))

    def render(self) -> Content:
        """The steps at the present width."""
        return Content("\n").join(self._lines(self.content_size.width))

    def _lines(self, width: int) -> list[Content]:
        if not self.steps:
            return [Content.styled(NO_STEPS, "$foreground-muted").truncate(width, ellipsis=True)]
        if self.folded:
            return self._step_lines(self._current(), width)[:1]
        return [row for step in self.steps for row in self._step_lines(step, width)]

    def _current(self) -> Step:
        for status in ("in_progress", "pending"):
            for step in self.steps:
                if step.status == status:
                    return step
        return self.steps[-1]

    def _step_lines(self, step: Step, width: int) -> list[Content]:
        mark, mark_style = MARKS[step.status]
        text_style = TEXT_STYLES[step.status] if not step.fresh else JUST_DONE
        spent = " ".join(filter(None, ("just done" if step.fresh else "", self._spent(step))))
        room = max(8, width - 2 - (len(spent) + 2 if spent else 0))
        text = one_line(step.content)
        rows = [row.plain for row in Content(text).wrap(room)] or [""]
        if self.folded and len(rows) > 1:
            rows = [Content(text).truncate(room, ellipsis=True).plain]
        right = [Part(spent, "$success" if step.fresh else "$foreground-muted")] if spent else []
        first = line([Part(mark, mark_style), Part(rows[0], text_style)], right, width, " ")
        return [first, *(Content.styled(f"  {row}", text_style) for row in rows[1:])]

    def _spent(self, step: Step) -> str:
        if step.took_s is not None:
            return duration(step.took_s)
        if step.status == "in_progress" and step.began_at is not None:
            return whole_seconds(self._clock() - step.began_at)
        return ""


class PlanPane(VerticalScroll, can_focus=True):
    """Shows the plan. Its clock ticks only while a turn runs and a step is in progress.

    Args:
        clock: Seconds since the epoch.
        live: Time goes on by itself; otherwise `tell_time` says when it has.
    """

    HELP = (
        "The plan in plan order: ○ to do, ▸ being done, ✓ done and struck through, each with the time it took; what "
        "was just done is bright. The agent keeps it up to date; tell it in the prompt what to change. "
        "{pane.maximise} gives the pane all the room."
    )

    BINDINGS: ClassVar[list[BindingType]] = [bind("pane.maximise", "maximise")]

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        *,
        live: bool = True,
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        super().__init__(id=id)
        self._clock = clock
        self._live = live
        self._list = PlanList(clock)
        self._ticker: Timer | None = None
        self._running = False
        self.border_title = "plan"

    def compose(self) -> ComposeResult:
        """The list of steps."""
        yield self._list

    def on_resize(self) -> None:
        """Where the style sheet leaves one line, it shows the current step."""
        self._list.folded = self.screen.has_class("-medium") and not self.screen.has_class("-zoomed")

    def action_maximise(self) -> None:
        """Gives the pane all the room, or takes it back."""
        self.post_message(messages.Maximise("plan"))

    @property
    def summary(self) -> str:
        """How far the plan is; empty without one."""
        steps = self._list.steps
        return f"{sum(step.status == 'completed' for step in steps)} of {len(steps)}" if steps else ""

    def take(self, message: messages.AgentMessage) -> None:
        """Shows what concerns the plan."""
        match message:
            case messages.PlanChanged(event=event):
                self._show(advance(self._list.steps, event.plan, self._moment(event.time)))
            case messages.Begun():
                self.clear()
            case messages.TurnStarted():
                self._tick(True)
            case messages.TurnEnded():
                self._tick(False)
            case _:
                pass

    def clear(self) -> None:
        """Forgets the plan."""
        self._show(())

    def snapshot(self) -> tuple[Step, ...]:
        """The pane as it is, for `restore`."""
        return self._list.steps

    def restore(self, kept: tuple[Step, ...]) -> None:
        """The pane as it was."""
        self._show(kept)

    def tell_time(self) -> None:
        """The clock has moved."""
        self._show(self._list.steps)
        self._list.refresh()

    def _moment(self, stamp: str) -> float:
        """The event's own time, so that a replay shows the times of the day it happened."""
        try:
            return datetime.fromisoformat(stamp).timestamp()
        except ValueError:
            return self._clock()

    def _show(self, steps: tuple[Step, ...]) -> None:
        self._list.steps = steps
        if self.is_attached:  # it costs more than taking a plan in, and nobody sees it
            entitle(self, f"plan · {self.summary}" if steps else "plan")
        self._tick(self._running)

    def _tick(self, running: bool) -> None:
        self._running = running
        wanted = self._live and running and any(step.status == "in_progress" for step in self._list.steps)
        if wanted and self._ticker is None:
            self._ticker = self.set_interval(tick_s(self), self._list.refresh)
        elif not wanted and self._ticker is not None:
            self._ticker.stop()
            self._ticker = None

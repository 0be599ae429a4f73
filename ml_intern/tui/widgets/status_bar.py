"""The line at the top: what this is about, and mode, model, context and money."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from ml_intern.tui.state import SessionState
from ml_intern.tui.widgets.line import Part, line
from ml_intern.tui.widgets.text import count, count_short

CONTEXT_WARNS_AT = 0.8
MONEY_WARNS_AT = 0.8


class StatusBar(Widget):
    """Shows a session's state in one line. Mode, context and money stay to the last when it gets narrow."""

    parts: reactive[tuple[tuple[Part, ...], tuple[Part, ...]]] = reactive(((), ()))

    HELP = (
        "The status line: the title of this conversation, then approval mode, model, how full its context is, "
        "tokens, and what the session has cost."
    )

    def show(self, state: SessionState) -> None:
        """Takes in the present state; repaints only if the line would read differently."""
        self.parts = status_parts(state)

    def render(self) -> Content:
        """The line at the present width."""
        left, right = self.parts
        return line(left, right, self.content_size.width, " · ")


def status_parts(state: SessionState) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """What the line says on its left and on its right."""
    return _left(state), _right(state)


def _left(state: SessionState) -> tuple[Part, ...]:
    name = "ml-intern practice" if state.practice else "ml-intern"
    title = f"▸ {state.title}" if state.title else ""
    return Part(name, "$accent bold", rank=3, short="ml-intern", short_rank=4), Part(title, rank=5, flexible=True)


def _right(state: SessionState) -> tuple[Part, ...]:
    if not state.ready:
        return (Part("not running" if state.lost else "starting …", "$foreground-muted", rank=1),)
    model = "no model: /model" if state.model_problem else state.model
    return (
        Part(state.mode, "$warning bold" if state.mode == "yolo" else ""),
        Part(model, "$warning" if state.model_problem else "", rank=2, short=model.rsplit("/", 1)[-1], short_rank=7),
        _context(state),
        Part(f"{count_short(state.tokens)} tokens" if state.tokens else "", "$foreground-muted", rank=8),
        _jobs(state),
        _money(state),
        Part(state.session_id[:8], "$foreground-muted", rank=9),
    )


def _context(state: SessionState) -> Part:
    share = state.context_share
    if share is None:
        return Part("")
    return Part(f"ctx {share:.0%}", "$warning" if share >= CONTEXT_WARNS_AT else "")


def _jobs(state: SessionState) -> Part:
    """What runs, and what it has cost so far: it ticks, and is not part of the session's sum yet."""
    if not state.jobs:
        return Part("")
    said = count(state.jobs, "job")
    cost = f" · ${state.jobs_usd:.2f}" if state.jobs_usd else ""
    return Part(said + cost, "$accent", rank=1, short=said, short_rank=6)


def _money(state: SessionState) -> Part:
    spent = f"${state.cost_usd:.2f}{'+?' if state.unpriced else ''}"
    cap = "" if state.cap_usd is None else f" of ${state.cap_usd:.2f}"
    near = state.cap_usd is not None and state.cost_usd + state.promised_usd >= MONEY_WARNS_AT * state.cap_usd
    style = "$warning" if near else ""
    if not state.promised_usd:
        return Part(f"{spent}{cap}", style)
    promised = f"${state.promised_usd:.2f}"
    return Part(f"{spent} + {promised} promised{cap}", style, short=f"{spent} +{promised}{cap}", short_rank=6)

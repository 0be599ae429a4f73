"""What a person sees on standard error while a run without a screen works."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from ml_intern.core.plain_text import plain
from ml_intern.core.protocol import (
    AssistantMessage,
    Compacted,
    ErrorEvent,
    EventBase,
    Notice,
    PlanUpdate,
    QuestionAsked,
    QuestionResolved,
    Ready,
    SubagentEvent,
    SubagentState,
    ToolCallEvent,
    ToolOutput,
    ToolStateChange,
)
from ml_intern.core.redact import Redactor
from ml_intern.core.tools.fetched import without_marks
from ml_intern.headless.outcome import Outcome
from ml_intern.headless.streams import Stream

SHOWN_OTHERWISE = frozenset({"plan_tool"})
"""Tools that bring an event of their own, which says it better."""
_WIDTH = 100
_TELLING = (
    *("command", "path", "query", "operation", "url", "pattern"),
    *("repo_id", "script", "prompt", "task", "question"),
)
"""Arguments that say most about a call; the first that is there is shown."""


class Marks(NamedTuple):
    """What lines begin with."""

    call: str = "▸"
    done: str = "✓"
    failed: str = "✗"
    warning: str = "!"
    notice: str = "·"
    question: str = "?"


WORDS = Marks("tool", "done:", "failed:", "warning:", "notice:", "question:")
"""Marks that are read aloud as what they mean."""


class Progress:
    """Writes one line for what happens: tool calls, failures, notices, the plan, and how it ended.

    Args:
        stream: Where to.
        redactor: Takes secrets out.
        marks: What lines begin with.
        word: Words the sentences of the core for whoever reads them here.
    """

    def __init__(
        self,
        stream: Stream,
        redactor: Redactor,
        marks: Marks = Marks(),  # noqa: B008 - it is frozen
        word: Callable[[str], str] = str,
    ) -> None:
        self._stream = stream
        self._redactor = redactor
        self._marks = marks
        self._word = word
        self._remark = ""

    def line(self, text: str) -> None:
        """Writes a line, cleaned of secrets and control sequences."""
        self._stream.write_line(self._redactor.text(plain(text)))

    def faint(self, text: str) -> None:
        """Writes a line of lesser weight."""
        self._stream.write_line(self._stream.dim(self._redactor.text(plain(text))))

    def event(self, event: EventBase) -> None:
        """Tells of an event, if it is worth a line."""
        marks = self._marks
        match event:
            case Ready():
                self.faint(f"model {event.model or 'none'} · mode {event.mode} · {event.workdir}")
                for note in event.notes:
                    self.line(f"{marks.warning} {self._word(note)}")
            case AssistantMessage():
                self._remark = event.content
            case ToolCallEvent() if event.tool in SHOWN_OTHERWISE:
                self._tell_remark()
            case ToolCallEvent():
                self._tell_remark()
                self.line(f"{marks.call} {one_line(event.tool)} {summary_of(event.arguments)}".rstrip())
            case ToolOutput() if not event.success:
                self.line(f"  {marks.failed} {one_line(event.tool)}: {one_line(without_marks(event.output))}")
            case SubagentEvent(event=ToolCallEvent() as call):
                self.faint(f"    {marks.call} {call.tool} {summary_of(call.arguments)}".rstrip())
            case SubagentEvent(event=Notice() as notice) if notice.level != "info":
                self.line(f"    {marks.warning} {notice.text}")
            case SubagentState() if event.state != "running":
                self._tell_subagent(event)
            case ToolStateChange() if event.job_url:
                self.faint(f"  {event.tool}: {event.state} {event.job_url}")
            case PlanUpdate() if event.plan:
                self._tell_plan(event)
            case QuestionAsked():
                self.line(f"{marks.question} {one_line(event.question)}")
            case QuestionResolved() if event.how == "default":
                taken = f"the default was taken: {'; '.join(event.choices)}" if event.choices else "the agent decides"
                self.faint(f"  nobody is here to answer; {one_line(taken)}")
            case Notice():
                mark = marks.notice if event.level == "info" else marks.warning
                self.line(f"{mark} {self._word(event.text)}")
            case ErrorEvent() if not event.ends_turn:
                self.line(f"{marks.warning} {event.error}")
            case Compacted():
                self.faint(f"{marks.notice} context compacted: {event.old_tokens:,} → {event.new_tokens:,} tokens")

    def finish(self, outcome: Outcome) -> None:
        """Says how it ended and which session it was."""
        if outcome.error:
            self.line(f"ml-intern: {outcome.error}")
        elif outcome.reason not in {"completed", "needs_approval"}:
            self.line(f"ml-intern: {_ENDINGS.get(outcome.reason, outcome.reason)}")
        if not outcome.session_id:
            return
        calls = f"{outcome.iterations} model call{'' if outcome.iterations == 1 else 's'}"
        cost = f"${outcome.cost_usd:.4f}"
        if outcome.unpriced_calls:
            cost += f" and {outcome.unpriced_calls} of unknown price"
        self.faint(f"{calls} · {outcome.tokens:,} tokens · {cost} · {outcome.duration_ms / 1000:.1f} s")
        self.line(f"session {outcome.session_id}")

    def _tell_remark(self) -> None:
        """What the model says between its calls is no answer, so it goes here."""
        if self._remark.strip():
            self.faint(f"  {one_line(self._remark)}")
        self._remark = ""

    def _tell_subagent(self, event: SubagentState) -> None:
        mark = self._marks.done if event.state == "completed" else self._marks.failed
        used = f"{event.tools} call{'' if event.tools == 1 else 's'} · {event.tokens:,} tokens · ${event.cost_usd:.4f}"
        note = f" · {one_line(event.note)}" if event.note else ""
        self.faint(f"  {mark} {one_line(event.label)} · {used} · {event.seconds:.0f} s{note}")

    def _tell_plan(self, event: PlanUpdate) -> None:
        done = sum(item.status == "completed" for item in event.plan)
        current = next((item.content for item in event.plan if item.status == "in_progress"), "")
        self.faint(f"  plan {done}/{len(event.plan)}{f' · {one_line(current)}' if current else ''}")


_ENDINGS = {
    "interrupted": "interrupted.",
    "max_iterations": "the limit of model calls ended the run; raise it with --max-iterations.",
    "cost_limit": "the spending cap ended the run; raise it with --max-cost.",
    "context_limit": "the context is full and could not be compacted further.",
}


def one_line(text: str, width: int = _WIDTH) -> str:
    """The first words of a text on one line."""
    text = " ".join(plain(text[: 4 * width]).split())
    return text if len(text) <= width else f"{text[: width - 1]}…"


def summary_of(arguments: dict[str, Any]) -> str:
    """The argument that tells most about a call, on one line."""
    told = [str(arguments[name]) for name in _TELLING if isinstance(arguments.get(name), str)]
    if not told:
        return one_line(json.dumps(arguments, ensure_ascii=False)) if arguments else ""
    if "operation" in arguments and len(told) > 1:  # `run` alone says little; with the script it says what runs
        told.insert(0, told.pop(told.index(str(arguments["operation"]))))
        return one_line(" ".join(told[:2]))
    return one_line(told[0])

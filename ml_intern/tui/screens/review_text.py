"""What the Review screen says in words: about an event, about money, about what is filtered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ml_intern.core.tools.fetched import without_marks
from ml_intern.sessions.needle import Needle, needle_of
from ml_intern.sessions.replay import IDLE_S, Recording
from ml_intern.sessions.replay_lines import Mark
from ml_intern.tui.keys.keymap import Keymap
from ml_intern.tui.state import SessionState
from ml_intern.tui.widgets.key_bar import effective
from ml_intern.tui.widgets.line import Part
from ml_intern.tui.widgets.status_bar import status_parts
from ml_intern.tui.widgets.text import clean, clean_output, count, duration, money, one_line, timestamp
from ml_intern.tui.widgets.timeline import MARKS, Timeline
from ml_intern.tui.widgets.tool_model import ToolEntry, figures_of, origin_text, summarise

if TYPE_CHECKING:
    from ml_intern.core import protocol

AROUND = 40
"""Characters before a find that are shown with it."""
ENDS = {
    "completed": "the turn is done",
    "max_iterations": "the turn ended at the limit of model calls",
    "cost_limit": "the turn ended at the spending cap",
    "context_limit": "the turn ended: the context is full",
}
NONE_OF = {
    Mark.ERROR: "There is no error",
    Mark.APPROVAL: "No approval was asked for",
    Mark.PROMPT: "There is no prompt",
    Mark.PAID: "No payment stands out",
    Mark.JOB: "There is no job",
}


RATED = {"up": "called good", "down": "called poor", "none": "not rated any more"}


def describe(event: protocol.EventBase | None, needle: str = "") -> str:
    """What happened, on one line. A text that was searched for is shown with what surrounds it."""
    if event is None:
        return "an event that cannot be read"
    make = _WORDS.get(getattr(event, "type", ""))
    text = make(event) if make is not None else str(getattr(event, "type", "")).replace("_", " ")
    text = one_line(text, 300)
    return text if not needle or needle_of(needle).within(text) else f"{text}{_found(event, needle_of(needle))}"


def _found(event: Any, needle: Needle) -> str:
    """The place of a find."""
    arguments = getattr(event, "arguments", None)
    texts = [getattr(event, name, "") for name in ("content", "output")]
    texts += [str(value) for value in arguments.values()] if isinstance(arguments, dict) else []
    for text in texts:
        if place := next(needle.places(text), None):
            begin = max(0, place[0] - AROUND)
            around = " ".join(clean(text[begin : place[1] + 2 * AROUND]).split())
            return f" · {'…' if begin else ''}{around}…"
    return ""


def _output(event: protocol.ToolOutput) -> str:
    first = next(
        (text for text in clean_output(without_marks(event.output[:2_000])).split("\n") if text.strip()), "no output"
    )
    took = f" after {duration(event.duration_s)}" if event.duration_s else ""
    return f"{event.tool} {'gave' if event.success else 'FAILED'}{took}: {first}"


def _approval(event: protocol.ApprovalRequired) -> str:
    parts = [
        f"{item.tool}, {item.reason}"
        + (f", at most {money(item.estimated_cost_usd)}" if item.estimated_cost_usd is not None else "")
        for item in event.tools
    ]
    return f"approval asked: {'; '.join(parts)}"


def _model_call(event: protocol.LLMCall) -> str:
    price = "price unknown" if event.cost_usd is None else money(event.cost_usd)
    tokens = f"{event.prompt_tokens:,} tokens in, {event.completion_tokens:,} out"
    return f"model call: {price}, {tokens}, {duration(event.latency_ms / 1000)}"


def _expense(event: protocol.Expense) -> str:
    price = "price unknown" if event.cost_usd is None else money(event.cost_usd)
    return f"{event.kind} {event.ref}: {price} {event.state}"


def _moved(event: protocol.ToolStateChange) -> str:
    stages = ", ".join(f"job {block.job_id} {block.stage}" for block in event.display if block.type == "job")
    return f"{event.tool} {stages or event.state}"


def _plan(event: protocol.PlanUpdate) -> str:
    done = sum(item.status == "completed" for item in event.plan)
    now = next((f": {item.content}" for item in event.plan if item.status == "in_progress"), "")
    return f"plan: {done} of {len(event.plan)}{now}"


def _reply(event: protocol.AssistantMessage) -> str:
    text = event.content.strip() or event.reasoning
    kind = "answer" if event.content.strip() else "thought"
    return f"{kind}{', interrupted' if event.partial else ''}: {text[:400]}"


def _pieces(event: protocol.AssistantChunk) -> str:
    return f"{'answer' if event.kind == 'text' else 'thought'}, broken off: {event.content[:400]}"


_WORDS: dict[str, Any] = {
    "ready": lambda event: f"the session was opened with {event.model or 'no model'}, mode {event.mode}",
    "session_resumed": lambda event: f"the session was resumed with {count(event.messages, 'message')}",
    "model_changed": lambda event: f"model {event.model}, effort {event.effort or 'off'}",
    "mode_changed": lambda event: f"mode {event.mode}",
    "shutdown": lambda _event: "ml-intern was left",
    "user_message": lambda event: f"{'said meanwhile' if event.steered else 'prompt'}: {event.content[:400]}",
    "assistant_chunk": _pieces,
    "assistant_message": _reply,
    "turn_complete": lambda event: f"{ENDS[event.reason]}, {money(event.cost_usd)}",
    "error": lambda event: f"error: {event.error}",
    "interrupted": lambda _event: "interrupted",
    "notice": lambda event: event.text,
    "aside": lambda event: f"by the way: {event.question[:200]}{f' – {event.answer[:200]}' if event.answer else ''}",
    "tool_call": lambda event: f"{event.tool} asked for: {summarise(event.tool, event.arguments)}",
    "tool_log": lambda event: f"{event.tool}: {event.log[-400:]}",
    "tool_state_change": _moved,
    "tool_output": _output,
    "plan_update": _plan,
    "origin": lambda event: f"{event.tool}: {origin_text(event.origin)}",
    "approval_required": _approval,
    "approval_resolved": lambda event: f"approval {event.how}",
    "question_asked": lambda event: f"asked the person: {event.question[:400]}",
    "question_resolved": lambda event: f"question {event.how}: {'; '.join(event.choices) or event.text[:400]}",
    "subagent_state": lambda event: f"{event.label} {event.state}, {figures_of(event)}",
    "subagent": lambda event: f"sub-agent: {describe(event.event)}",
    "compacted": lambda event: f"context compacted: {event.old_tokens:,} tokens are now {event.new_tokens:,}",
    "undo_complete": lambda event: f"taken back: {event.prompt[:300] or 'nothing'}",
    "feedback": lambda event: f"the answer was {RATED[event.rating]}",
    "llm_call": _model_call,
    "expense": _expense,
    "artifact": lambda event: f"{event.kind} {event.id} {event.state}",
}


def times(recording: Recording) -> tuple[str, str]:
    """Beginning and end, with the day where it matters."""
    begin, end = (datetime.fromtimestamp(ms / 1000) for ms in (recording.times[0], recording.times[-1]))  # noqa: DTZ006 - as people read it
    if begin.date() == end.date():
        return begin.strftime("%H:%M"), end.strftime("%H:%M")
    return begin.strftime("%d %b %H:%M"), end.strftime("%d %b %H:%M")


Parts = tuple[Part, ...]


class Chosen(NamedTuple):
    """Steps that were searched for or filtered, and by what."""

    name: str
    steps: Sequence[int]


def status(recording: Recording, state: SessionState, *, live: bool) -> tuple[Parts, Parts]:
    """The line at the top: what is reviewed, and the state of the session at the playhead."""
    name = f"review · {one_line(recording.title, 100)}"
    title = Part(name, "$accent", rank=3, short="review", short_rank=1, flexible=True)
    _, right = status_parts(replace(state, ready=True))
    return (title,), (*right, Part("this session" if live else "read-only", "$foreground-muted", rank=6))


def moment(recording: Recording, step: int, needle: str) -> Parts:
    """When a step was and what happened in it."""
    at = datetime.fromtimestamp(recording.times[step] / 1000)  # noqa: DTZ006 - as people read it
    try:
        event = recording.event(step)
    except OSError:  # the log is gone; whoever moves on is told
        event = None
    what = describe(event, needle)
    return Part(at.strftime("%H:%M:%S")), Part(what, rank=7, flexible=True)


def reading(share: float) -> Parts:
    """Says how far the session has been read."""
    return (Part(f"reading the session … {share:.0%}", "$warning", rank=1),)


def pause(recording: Recording, step: int) -> Parts:
    """Says of the wait for the next step that it is shorter than it was."""
    seconds = recording.pause_s(step + 1)
    return (Part(f"skipping a pause of {duration(seconds)}", "$warning", rank=4),) if seconds > IDLE_S else ()


def place_among(step: int, finds: Chosen) -> str:
    """Which of the finds is shown, and how many there are."""
    if step not in finds.steps:
        return f"{len(finds.steps):,} found"
    return f"{finds.steps.index(step) + 1:,} of {len(finds.steps):,}"


def chosen(only: Chosen | None) -> Parts:
    """The filter."""
    return () if only is None else (Part(f"only {only.name}: {count(len(only.steps), 'event')}", "$warning", rank=2),)


def legend(timeline: Timeline) -> Parts:
    """The signs on the timeline."""
    names = [name for name in ("prompt", "approval", "paid", "error", "job") if timeline.has(name)]
    return tuple(Part(MARKS[name][0], MARKS[name][1], tail=name, rank=6) for name in names)


def keys(keymap: Keymap, *, playing: bool, speed: int) -> Parts:
    """The keys, the most useful first."""
    pairs = [
        ("{review.before}{review.after}", "event"),
        ("{review.play}", f"{'pause' if playing else 'play'} {speed}×"),
        ("{back}", "back"),
        ("{review.turn_before} {review.turn_after}", "turn"),
        ("{review.error}", "error"),
        ("{find}", "search"),
        ("{review.filter}", "filter"),
        ("{review.fork}", "fork here"),
        ("{review.resume}", "resume"),
        ("{review.approval} {review.paid} {review.job}", "approval, paid, job"),
        ("{review.faster} {review.slower}", "speed"),
        ("{help}", "help"),
    ]
    shown = enumerate(effective(pairs, keymap))
    return tuple(Part(key, "$accent bold", tail=does, rank=rank) for rank, (key, does) in shown)


def paid_in_all(recording: Recording) -> str:
    """What to say when no payment stands out."""
    usd = sum(line.usd for line in recording.lines if line.kind == "llm_call")
    calls = sum(line.kind == "llm_call" for line in recording.lines)
    return f"{count(calls, 'model call')} cost {money(usd)} in all" if calls else "nothing was paid"


def entry_of(told: Sequence[Any]) -> ToolEntry | None:
    """One tool call from all that was told of it; None without its beginning."""
    entry: ToolEntry | None = None
    for event in told:
        now = timestamp(event.time)
        match event.type:
            case "tool_call":
                entry = entry or ToolEntry.of(event.tool_call_id, event.tool, event.arguments)
            case "tool_log" if entry is not None:
                entry.log(event.log)
            case "tool_state_change" if entry is not None:
                if event.display:
                    entry.show(event.display)
                entry.move(event.state, now)
            case "origin" if entry is not None:
                entry.origin = event.origin
            case "tool_output" if entry is not None:
                entry.finish(event.success, event.output, event.duration_s, event.display, now)
            case _:
                pass
    return entry

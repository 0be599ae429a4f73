"""What an event of a running session costs: writing it to the log, and showing it, early in a session and late."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from benchmarks.keyed import Figure, Span, Watch
from ml_intern.core.events import EventStream
from ml_intern.core.protocol import (
    AssistantMessage,
    EventBase,
    Processing,
    ToolCallEvent,
    ToolLog,
    ToolOutput,
    ToolStateChange,
    TurnComplete,
    UserMessage,
)
from ml_intern.core.redact import Redactor
from ml_intern.sessions.log import SessionLog
from tests.tui.playback import played_app
from tests.tui.stage import Stage, on_stage

SAMPLE = 500
"""Events that are measured at a time."""
SIZE = (120, 40)
LINE = "step 1200 loss 0.3141 grad_norm 0.2718 lr 1.9e-05 " * 2


def event_figures(place: Path, count: int) -> Iterator[Figure]:
    """Early and late in a session of so many events.

    Args:
        place: The log goes here.
        count: How many.
    """
    stream = EventStream("long")
    log = SessionLog(place / "long", Redactor(), "0", print)
    stream.subscribe(log)
    spans = []
    for event in islice(_told(), count):
        watch = Watch()
        stream.emit(event)
        spans.append(watch.span)
    log.close()
    assert log.path is not None
    log.path.unlink()
    yield Figure("appending an event, the first ones", spans[10 : 10 + SAMPLE], 0.2)
    yield Figure(f"appending an event, the {count:,}th", spans[-SAMPLE:], 0.2)
    early, late = asyncio.run(_shown(place, count))
    yield Figure("showing an event, the first ones", early)
    yield Figure(f"showing an event, the {count:,}th", late)


def _told() -> Iterator[EventBase]:
    """Turns of one call each, without an end."""
    number = 0
    while True:
        number += 1
        call = f"c{number}"
        yield UserMessage(content=f"Try learning rate {number}e-5.")
        yield Processing()
        yield ToolCallEvent(tool="bash", arguments={"command": f"python train.py {number}"}, tool_call_id=call)
        yield ToolStateChange(tool="bash", tool_call_id=call, state="running")
        for _ in range(4):
            yield ToolLog(tool="bash", log=LINE, tool_call_id=call)
        yield ToolOutput(tool="bash", tool_call_id=call, output=LINE * 40, success=True)
        yield AssistantMessage(content="The loss falls **more slowly** now.")
        yield TurnComplete(reason="completed", final_response="", iterations=2, cost_usd=0.01, tokens=50)


async def _shown(place: Path, count: int) -> tuple[list[Span], list[Span]]:
    """What the app takes for an event until it has been painted, early and late."""
    app, agents = played_app(place / "app")
    events = _told()
    async with on_stage(app, SIZE) as stage:
        await stage.sees("claude-opus")
        early = [await _show(stage, agents[0].events.play, [event]) for event in islice(events, SAMPLE)]
        left = count - 2 * SAMPLE
        while left > 0:
            await _show(stage, agents[0].events.play, list(islice(events, min(SAMPLE, left))))
            left -= SAMPLE
        late = [await _show(stage, agents[0].events.play, [event]) for event in islice(events, SAMPLE)]
    return early, late


async def _show(stage: Stage, play: object, events: Sequence[EventBase]) -> Span:
    watch = Watch()
    assert callable(play)
    play(*events)
    await stage.pilot.pause()
    return watch.span

from __future__ import annotations

import re
from pathlib import Path

from ml_intern.core.protocol import (
    AssistantChunk,
    AssistantMessage,
    AssistantStreamEnd,
    EventBase,
    Notice,
    Ready,
    TurnComplete,
)
from ml_intern.tui.widgets.timeline import Timeline
from tests.tui.playback import played_app
from tests.tui.review_story import PAST, paid, prompt, said, write_log
from tests.tui.stage import Stage, on_stage

ANSWER = "The loss **falls** quickly."


def streamed() -> list[tuple[float, EventBase]]:
    """A reply with a notice in its middle, and one within which the run was killed."""
    return [
        (0, Ready(tool_count=20, model="vllm/qwen3", mode="guarded", workdir="/data/project")),
        *[(1, event) for event in prompt("Explain it")],
        (2, AssistantChunk(content="Let me see.", kind="reasoning")),
        (3, AssistantChunk(content="The loss **fa")),
        (3, AssistantChunk(content="lls** ")),
        (4, Notice(text="A job has ended.")),
        (5, AssistantChunk(content="quickly.")),
        (5, AssistantStreamEnd()),
        (5, paid()),
        (5, said("assistant", ANSWER)),
        (5, AssistantMessage(content=ANSWER, reasoning="Let me see.")),
        (6, TurnComplete(reason="completed", final_response=ANSWER, iterations=1, cost_usd=0.01, tokens=970)),
        *[(10, event) for event in prompt("And the norm?")],
        (11, AssistantChunk(content="Well.", kind="reasoning")),
        (12, AssistantChunk(content="The norm stays ")),
        (13, AssistantChunk(content="below o")),
    ]


async def opened(stage: Stage) -> None:
    await stage.sees("claude-opus")
    await stage.enter(f"/review {PAST}")
    await stage.sees("review · ", "event 8 of 8")


async def test_arrows_pass_over_pieces_and_show_a_reply_as_far_as_it_had_come(tmp_path: Path) -> None:
    write_log(tmp_path / "home" / "sessions", streamed())
    async with on_stage(played_app(tmp_path)[0], (120, 40)) as stage:
        await opened(stage)
        await stage.sees("answer, broken off: The norm stays below o", "The loss falls quickly.")
        pictures = []
        for number, shown, not_yet in (
            (7, "prompt: And the norm?", "below o"),
            (6, "the turn is done", "And the norm?"),
            (5, "answer: The loss", "done ·"),
            (4, "model call: $0.01", "done ·"),
            (3, "A job has ended.", "quickly"),
            (2, "prompt: Explain it", "The loss"),
            (1, "the session was opened", "Explain it\n"),
        ):
            await stage.press("left")
            await stage.sees(f"event {number} of 8", shown)
            assert not_yet not in stage.screen
            pictures.append(stage.screen)
        for picture in reversed(pictures[:-1]):
            await stage.press("right")
            await stage.until(lambda picture=picture: stage.screen == picture, "the same picture")  # type: ignore[misc]  # a default binds it
        assert pictures[4].count("The loss falls") == 1
        await stage.press("end", "slash")
        await stage.enter("norm stays")
        await stage.sees("/ norm stays", "1 of 1")


async def test_a_jump_into_or_past_a_reply_shows_the_same_from_wherever_it_comes(tmp_path: Path) -> None:
    events: list[tuple[float, EventBase]] = [(0, Notice(text="hello")), (0, Notice(text="again"))]
    for turn in range(60):
        whole = f"Answer {turn} is **short**."
        events += [(turn, event) for event in prompt(f"Question {turn}")]
        events += [(turn, AssistantChunk(content="Hm.", kind="reasoning")), (turn, AssistantChunk(content=whole))]
        events += [(turn, AssistantStreamEnd()), (turn, paid()), (turn, said("assistant", whole))]
        events.append((turn, AssistantMessage(content=whole, reasoning="Hm.")))
    write_log(tmp_path / "home" / "sessions", events)
    steps = 2 + 3 * 60
    async with on_stage(played_app(tmp_path)[0], (120, 40)) as stage:
        await stage.sees("claude-opus")
        await stage.enter(f"/review {PAST}")
        await stage.sees(f"event {steps} of {steps}")

        async def at(step: int) -> str:
            stage.app.screen.query_one(Timeline).post_message(Timeline.Sought(step))
            await stage.sees(f"event {step + 1} of {steps}")
            return re.sub("[▁-█]", " ", stage.screen)  # the scroll bar goes by heights that are estimated

        wanted = [99, 100, 101, 102, 150, 20, 21, 22]  # at 99 a place to come back to is due, within a reply
        assert "model call" in await at(99)
        pictures = {step: await at(step) for step in wanted}
        await at(0)
        for step in reversed(wanted):
            assert await at(step) == pictures[step], step

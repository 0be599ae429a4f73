"""A few deliberate pictures: each shows how a whole screen looks, which no single assertion says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from ml_intern.core.protocol import (
    ApprovalRequired,
    AssistantMessage,
    ContextUsage,
    PlanItem,
    PlanUpdate,
    Processing,
    ToolCallEvent,
    ToolOutput,
    ToolStateChange,
    TurnComplete,
    UserMessage,
)
from tests.tui.playback import PlayedAgent, played_app
from tests.tui.stage import Stage, WatchedApp
from tests.tui.test_approvals import job

ANSWER = """\
The data has **4,212** conversations; 31 are empty and I dropped them.

1. Full SFT, `lr 2e-5`, 3 epochs
2. Evaluation on the held-out split

```python
trainer = SFTTrainer(model, train_dataset=data)
trainer.train()
```

| metric | before | after |
| --- | ---: | ---: |
| loss | 2.31 | 1.02 |
"""

Compare = Callable[..., bool]


def worked(agent: PlayedAgent) -> None:
    steps = [("Inspect the data set", "completed"), ("Smoke-test the script", "pending"), ("Train", "pending")]
    agent.events.play(
        UserMessage(content="Fine-tune SmolLM3 on notes.jsonl and tell me if it got better."),
        Processing(),
        ContextUsage(tokens=76_000, window=200_000, cost_usd=1.42, cap_usd=10.0),
        PlanUpdate(
            plan=tuple(PlanItem.model_validate({"id": name, "content": name, "status": how}) for name, how in steps)
        ),
        ToolCallEvent(tool="hf_inspect_dataset", arguments={"dataset": "ada/notes"}, tool_call_id="1"),
        ToolStateChange(tool="hf_inspect_dataset", tool_call_id="1", state="running"),
        ToolOutput(tool="hf_inspect_dataset", tool_call_id="1", output="4,212 rows", success=True, duration_s=1.2),
        ToolCallEvent(tool="bash", arguments={"command": "python train.py --max-steps 1"}, tool_call_id="2"),
        ToolOutput(tool="bash", tool_call_id="2", output="no such file: train.py", success=False, duration_s=0.3),
        AssistantMessage(content=ANSWER),
        TurnComplete(reason="completed", final_response=ANSWER, iterations=3, cost_usd=0.12, tokens=5_000),
    )


def picture(app: WatchedApp, agents: list[PlayedAgent], *, busy: bool) -> Callable[[Pilot[None]], Any]:
    async def prepare(pilot: Pilot[None]) -> None:
        stage = Stage(app, pilot)
        await stage.sees("claude-opus")
        if busy:
            worked(agents[0])
            await stage.sees("done · 3 model calls")
        await pilot.pause()

    return prepare


@pytest.mark.parametrize("busy", [False, True], ids=["empty", "busy"])
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=["narrow", "medium", "wide"])
def test_main_screen(snap_compare: Compare, tmp_path: Path, size: tuple[int, int], busy: bool) -> None:
    app, agents = played_app(tmp_path)
    assert snap_compare(app, terminal_size=size, run_before=picture(app, agents, busy=busy))


THEMES = ["ml-intern-light", "ml-intern-contrast", "ml-intern-ansi"]


@pytest.mark.parametrize("theme", THEMES)
def test_themes(snap_compare: Compare, tmp_path: Path, theme: str) -> None:
    app, agents = played_app(tmp_path, theme=theme)
    assert snap_compare(app, terminal_size=(120, 40), run_before=picture(app, agents, busy=True))


@pytest.mark.parametrize("theme", ["ml-intern-dark", *THEMES])
def test_approval(snap_compare: Compare, tmp_path: Path, theme: str) -> None:
    app, agents = played_app(tmp_path, theme=theme)

    async def prepare(pilot: Pilot[None]) -> None:
        stage = Stage(app, pilot)
        await stage.sees("claude-opus")
        agents[0].events.play(
            Processing(), ApprovalRequired(tools=(job("one"), job("two")), count=2, spent_usd=1.42, cap_usd=10.0)
        )
        await stage.sees("why asked")
        await pilot.pause()

    assert snap_compare(app, terminal_size=(80, 24), run_before=prepare)


def test_help(snap_compare: Compare, tmp_path: Path) -> None:
    app, _ = played_app(tmp_path)

    async def prepare(pilot: Pilot[None]) -> None:
        stage = Stage(app, pilot)
        await stage.sees("claude-opus")
        await stage.press("f1")
        await stage.sees("The prompt.")

    assert snap_compare(app, terminal_size=(100, 40), run_before=prepare)


def test_jumping(snap_compare: Compare, tmp_path: Path) -> None:
    app, agents = played_app(tmp_path)

    async def prepare(pilot: Pilot[None]) -> None:
        await picture(app, agents, busy=True)(pilot)
        await pilot.press("f6")

    assert snap_compare(app, terminal_size=(120, 40), run_before=prepare)

"""A session to be reviewed: its log, written the way a run does, with the times of one day."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ml_intern.core.display import JobCard
from ml_intern.core.protocol import (
    ApprovalItem,
    ApprovalRequired,
    ApprovalResolved,
    AssistantMessage,
    ContextUsage,
    EventBase,
    Expense,
    HistoryRecord,
    LLMCall,
    PlanItem,
    PlanUpdate,
    Processing,
    Ready,
    ToolCallEvent,
    ToolLog,
    ToolOutput,
    ToolStateChange,
    TurnComplete,
    UserMessage,
)
from ml_intern.core.redact import Redactor
from ml_intern.sessions.log import SessionLog

PAST = "0ddba11d-0000-4000-8000-000000000000"


def write_log(directory: Path, events: Sequence[tuple[float, EventBase]], session_id: str = PAST) -> Path:
    """Writes a log the way a run does, each event at its number of seconds after noon."""
    log = SessionLog(directory, Redactor(), "1.2.3", lambda _: None)
    for seq, (second, event) in enumerate(events, 1):
        minute, rest = divmod(second, 60)
        time = f"2026-01-01T{12 + int(minute // 60):02}:{int(minute % 60):02}:{rest:06.3f}Z"
        log(event.model_copy(update={"seq": seq, "time": time, "session_id": session_id}))
    log.close()
    assert log.path is not None
    return log.path


def said(role: str, content: str, **more: object) -> HistoryRecord:
    return HistoryRecord(op="append", messages=({"role": role, "content": content, **more},))


def prompt(content: str) -> list[EventBase]:
    return [said("user", content), UserMessage(content=content), Processing()]


def plan(*states: str) -> PlanUpdate:
    return PlanUpdate(
        plan=tuple(
            PlanItem.model_validate({"id": str(n), "content": f"Step {n}", "status": state})
            for n, state in enumerate(states)
        )
    )


def call(call_id: str, tool: str, **arguments: object) -> list[EventBase]:
    made = {"id": call_id, "type": "function", "function": {"name": tool, "arguments": json.dumps(arguments)}}
    return [
        said("assistant", "", tool_calls=[made]),
        ToolCallEvent(tool=tool, arguments=arguments, tool_call_id=call_id),
    ]


def moved(call_id: str, tool: str, state: str, stage: str = "") -> ToolStateChange:
    display = (JobCard(job_id="job-1", backend="hub", stage=stage),) if stage else ()
    return ToolStateChange(tool=tool, tool_call_id=call_id, state=state, display=display)


def gave(call_id: str, tool: str, output: str, *, success: bool = True) -> list[EventBase]:
    return [
        ToolOutput(tool=tool, tool_call_id=call_id, output=output, success=success, duration_s=3.0),
        moved(call_id, tool, "completed" if success else "failed"),
        said("tool", output, tool_call_id=call_id, name=tool),
    ]


def paid(usd: float = 0.01) -> LLMCall:
    return LLMCall(
        model="vllm/qwen3",
        kind="main",
        cost_usd=usd,
        prompt_tokens=900,
        completion_tokens=70,
        cached_tokens=0,
        latency_ms=1_500,
    )


def asked(call_id: str) -> ApprovalRequired:
    item = ApprovalItem(
        tool="hf_jobs",
        arguments={"operation": "run"},
        tool_call_id=call_id,
        reason="paid compute",
        estimated_cost_usd=2.0,
    )
    return ApprovalRequired(tools=(item,), count=1, spent_usd=0.02)


def story() -> list[tuple[float, EventBase]]:
    """Two turns: a command that fails and one that works; a job that was approved, after a long pause."""
    return [
        (0, Ready(tool_count=20, model="vllm/qwen3", mode="guarded", workdir="/data/project")),
        *[(1, event) for event in prompt("Clean the data")],
        (2, paid()),
        (2, ContextUsage(tokens=1_000, window=10_000, cost_usd=0.01)),
        (2, plan("in_progress", "pending")),
        *[(3, event) for event in call("c1", "bash", command="python clean.py")],
        (4, moved("c1", "bash", "running")),
        *[(5, event) for event in gave("c1", "bash", "no such file: clean.py", success=False)],
        *[(6, event) for event in call("c2", "bash", command="python data/clean.py")],
        (6, moved("c2", "bash", "running")),
        (7, ToolLog(tool="bash", log="row 1 of 2", tool_call_id="c2")),
        *[(9, event) for event in gave("c2", "bash", "31 rows dropped\n" + "x" * 70_000)],
        (9, plan("completed", "in_progress")),
        (10, said("assistant", "The data is clean.")),
        (10, AssistantMessage(content="The data is **clean**.", reasoning="31 rows were empty")),
        (10, ContextUsage(tokens=2_000, window=10_000, cost_usd=0.02)),
        (10, TurnComplete(reason="completed", final_response="", iterations=3, cost_usd=0.02, tokens=900)),
        *[(3_610, event) for event in prompt("Train on it")],
        *[(3_611, event) for event in call("c3", "hf_jobs", operation="run", script="train.py")],
        (3_611, asked("c3")),
        (3_620, ApprovalResolved(tool_call_ids=("c3",), how="decided")),
        (3_621, Expense(kind="job", what="hf_jobs", ref="job-1", cost_usd=2.0, state="promised")),
        (3_622, moved("c3", "hf_jobs", "running", "SCHEDULING")),
        (3_623, moved("c3", "hf_jobs", "running", "RUNNING")),
        (3_624, moved("c3", "hf_jobs", "running", "RUNNING")),
        *[(3_630, event) for event in gave("c3", "hf_jobs", "Job job-1 COMPLETED.")],
        (3_631, said("assistant", "Trained: loss 1.02.")),
        (3_631, AssistantMessage(content="Trained: loss **1.02**.")),
        (3_631, ContextUsage(tokens=3_000, window=10_000, cost_usd=1.25)),
        (3_631, TurnComplete(reason="completed", final_response="", iterations=2, cost_usd=1.23, tokens=900)),
    ]


def long_story(turns: int) -> list[tuple[float, EventBase]]:
    """Turns of ten events each, a second apart; the plan is made in the first one and goes on in the second."""
    told: list[EventBase] = [Ready(tool_count=20, model="vllm/qwen3", mode="guarded", workdir="/data/project")]
    for turn in range(turns):
        call_id = f"c{turn}"
        told += [
            *prompt(f"Prompt {turn}"),
            paid(),
            ContextUsage(tokens=turn, window=10_000, cost_usd=0.01 * (turn + 1)),
        ]
        told += [plan("completed" if turn else "in_progress", "pending")] if turn < 2 else []
        told += [*call(call_id, "bash", command=f"python train.py {turn}"), moved(call_id, "bash", "running")]
        told += [ToolLog(tool="bash", log=f"step {step}", tool_call_id=call_id) for step in range(3)]
        told += [*gave(call_id, "bash", f"loss {turn}"), said("assistant", "Done."), AssistantMessage(content="Done.")]
        told.append(TurnComplete(reason="completed", final_response="", iterations=2, cost_usd=0.01, tokens=9))
    return [(float(second), event) for second, event in enumerate(told)]

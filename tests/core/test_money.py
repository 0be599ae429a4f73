from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.approvals.effects import Assessment, Cost, Effect
from ml_intern.core.ledger import Ledger, Totals
from ml_intern.core.places import find_places
from ml_intern.core.protocol import (
    ApprovalDecision,
    AssistantChunk,
    Compact,
    ContextUsage,
    ErrorEvent,
    Expense,
    Interrupt,
    LLMCall,
    Notice,
    SetCap,
    SetModel,
    ToolStateChange,
    TurnComplete,
    UserInput,
)
from ml_intern.core.settings import MoneySettings, Settings
from ml_intern.core.tools.spec import Params, ToolContext, ToolResult, ToolSpec
from ml_intern.run import Run
from ml_intern.sessions.restore import SavedSession, restore
from ml_intern.wiring import assemble
from tests.support.harness import Harness, tool
from tests.support.llm_server import ScriptedLLM, call, text, tools

PRICED = {"input_usd": 100, "output_usd": 100}
QUIET = MoneySettings(first_warning_usd=None, velocity_share=None)


def write_prices(directory: Path, *models: str) -> None:
    file = directory / "home" / "config" / "models.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"models": dict.fromkeys(models or ("vllm/scripted",), PRICED)}))


class Rent(Params):
    """A job of a test: what it may cost, what it does cost, and how it goes."""

    worst: float | None = 4.0
    cost: float | None = None
    ok: bool = True
    job: str = ""
    hang: bool = False
    crash: bool = False


def rental() -> ToolSpec:
    async def run(params: Rent, context: ToolContext) -> ToolResult:
        if params.job:
            context.pay_as(params.job)
        if params.hang:
            await asyncio.Event().wait()
        if params.crash:
            raise OSError("lost the connection")
        return ToolResult("ran", ok=params.ok, cost_usd=params.cost)

    def assess(params: Rent, _context: object) -> Assessment:
        return Assessment(frozenset({Effect.COMPUTE}), cost=Cost(params.worst, "test"), subject=params.job)

    return tool("rent", run, assess=assess, params=Rent)


def hosted(server: ScriptedLLM, directory: Path, cap: float | None = None) -> Harness:
    """An agent whose model is reached through the router, which tells no price."""
    return assembled(
        server,
        directory,
        Settings(model_name="org/unheard-of", mode="yolo", max_cost_usd=cap),
        env={"HF_ROUTER_BASE_URL": server.url, "HF_TOKEN": "hf_" + "x" * 34},
    )


def assembled(
    server: ScriptedLLM,
    directory: Path,
    settings: Settings,
    env: Mapping[str, str],
    saved: SavedSession | None = None,
) -> Harness:
    workspace = directory / "work"
    workspace.mkdir(exist_ok=True)
    places = find_places({"ML_INTERN_HOME": str(directory / "home")})
    wired = assemble(
        Run(settings, places=places, workspace=workspace, env={"HOME": str(directory), **env}, saved=saved)
    )
    return Harness.around(wired, server)


def rent(**arguments: Any) -> dict[str, Any]:
    return call("rent", arguments)


def totals(agent: Harness) -> Totals:
    return agent.agent.session.budget.totals


def warnings(agent: Harness) -> list[str]:
    return [event.text for event in agent.all(Notice) if event.level == "warning"]


# --------------------------------------------------------------------------------------------------- model calls


async def test_a_reply_that_passes_the_cap_is_kept_and_its_calls_are_run_before_the_turn_ends(tmp_path: Path) -> None:
    write_prices(tmp_path)
    ran: list[str] = []
    script = (text("Looking.") + tools(call("look", {"value": "x"}, id="c1")).usage(20_000, 10), text("never"))
    async with (
        ScriptedLLM(*script) as server,
        Harness(
            server, tmp_path, cap=1.5, tools=[tool("look", lambda params, _: ran.append(params.value))], money=QUIET
        ) as agent,
    ):
        end = (await agent.prompt())[-1]
        assert isinstance(end, TurnComplete)
        assert (end.reason, len(server.requests), ran) == ("cost_limit", 1, ["x"])
        assert end.cost_usd == end.estimated_usd == pytest.approx(2.001)
        kept = agent.agent.session.context.messages[-2:]
        assert [message.role for message in kept] == ["assistant", "tool"]
        assert kept[0].content == "Looking."
        assert kept[0].tool_calls[0].id == kept[1].tool_call_id
        assert "--max-cost" in warnings(agent)[-1]
        agent.agent.session.budget.cap_usd = None
        await agent.prompt("go on")
        assert server.violations == []


async def test_an_answer_that_passes_the_cap_still_completes_the_turn(tmp_path: Path) -> None:
    write_prices(tmp_path)
    async with (
        ScriptedLLM(text("answer").usage(20_000, 10)) as server,
        Harness(server, tmp_path, cap=1.5, money=QUIET) as agent,
    ):
        end = (await agent.prompt())[-1]
        assert isinstance(end, TurnComplete)
        assert (end.reason, end.final_response) == ("completed", "answer")


async def test_a_summary_is_not_bought_at_the_cap_either(tmp_path: Path) -> None:
    write_prices(tmp_path)
    script = [text("word " * 3000).usage(20_000, 10) for _ in range(4)]
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path) as agent:
        for _ in script:
            await agent.prompt()
        agent.agent.session.budget.cap_usd = 1.5
        agent.submit(Compact(instructions="keep the numbers"))
        told = await agent.until(lambda event: isinstance(event, Notice) and "Stopped" in event.text)
        assert "$8.00 of the cap of $1.50" in told.text
        assert len(server.requests) == 4


async def test_the_cap_is_raised_and_lifted_while_a_session_runs(tmp_path: Path) -> None:
    def capped(usd: float | None) -> Callable[[Any], bool]:
        return lambda event: isinstance(event, ContextUsage) and event.cap_usd == usd

    async with ScriptedLLM(text("on"), repeat_last=True) as server, Harness(server, tmp_path, cap=1.5) as agent:
        agent.submit(SetCap(cap_usd=4.0))
        await agent.until(capped(4.0))
        assert agent.agent.session.budget.left_usd == 4.0
        agent.submit(SetCap(cap_usd=0.0))
        await agent.until(capped(0.0))
        assert agent.agent.session.budget.exhausted
        agent.submit(SetCap())
        await agent.until(capped(None))
        assert not agent.agent.session.budget.exhausted


async def test_a_model_is_not_tried_at_the_cap_and_a_free_one_is(tmp_path: Path) -> None:
    write_prices(tmp_path, "vllm/scripted", "vllm/dear")
    async with (
        ScriptedLLM(text("a").usage(20_000, 10), text("pong")) as server,
        Harness(server, tmp_path, cap=1.5) as agent,
    ):
        await agent.prompt()
        agent.submit(SetModel(model="vllm/dear"))
        told = await agent.until(lambda event: isinstance(event, ErrorEvent))
        assert "cap" in told.error
        assert (len(server.requests), agent.agent.session.model) == (1, "vllm/scripted")
        agent.submit(SetModel(model="vllm/free"))
        await agent.until(lambda event: isinstance(event, LLMCall) and event.kind == "probe")
        assert agent.agent.session.model == "vllm/free"


async def test_an_interrupted_reply_is_paid_for_as_far_as_it_came(tmp_path: Path) -> None:
    write_prices(tmp_path)
    script = (text("one two three four", pieces=2).stall_after(1),)
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path) as agent:
        agent.submit(UserInput(text="go"))
        await agent.until(lambda event: isinstance(event, AssistantChunk))
        agent.submit(Interrupt())
        await agent.ended()
        bill = agent.last(LLMCall)
        assert (bill.cost_state, bill.finish_reason) == ("estimated", "broken_off")
        assert bill.prompt_tokens > 100
        assert bill.completion_tokens >= 1
        assert totals(agent).estimated_usd == pytest.approx((bill.prompt_tokens + bill.completion_tokens) * 1e-4)


async def test_every_broken_attempt_of_a_call_is_on_the_bill(tmp_path: Path) -> None:
    write_prices(tmp_path)
    cut = text("half of it", pieces=2).cut_after(chunks=1)
    async with ScriptedLLM(cut, text("whole")) as server, Harness(server, tmp_path) as agent:
        end = (await agent.prompt())[-1]
        assert isinstance(end, TurnComplete)
        assert [event.finish_reason for event in agent.all(LLMCall)] == ["broken_off", "stop"]
        assert end.cost_usd == pytest.approx(sum(event.cost_usd or 0 for event in agent.all(LLMCall)), abs=1e-6)
        assert end.iterations == 1


async def test_a_price_nobody_knows_is_told_once_for_each_model_and_the_turn_goes_on(tmp_path: Path) -> None:
    async with ScriptedLLM(text("a"), text("b"), text("c")) as server, hosted(server, tmp_path, cap=5.0) as agent:
        ends = [(await agent.prompt())[-1] for _ in range(3)]
        assert [end.reason for end in ends if isinstance(end, TurnComplete)] == ["completed"] * 3
        (told,) = warnings(agent)
        assert "org/unheard-of" in told
        assert "$5.00" in told
        assert "models.json" in told
        usage = agent.last(ContextUsage)
        assert (usage.unpriced_calls, usage.cost_usd) == (3, 0.0)
        assert agent.last(TurnComplete).unpriced_calls == 1
        assert {event.cost_state for event in agent.all(LLMCall)} == {"unknown"}


async def test_a_cost_that_the_provider_tells_is_measured(tmp_path: Path) -> None:
    async with ScriptedLLM(text("a").usage(10, 5, cost=0.25)) as server, hosted(server, tmp_path) as agent:
        await agent.prompt()
        assert totals(agent) == Totals(measured_usd=0.25)
        assert agent.last(ContextUsage).estimated_usd == 0.0


@pytest.mark.parametrize("told", [0.0, -1.0, float("inf"), float("nan"), "free"])
async def test_a_cost_that_cannot_be_one_is_unknown(tmp_path: Path, told: object) -> None:
    async with (
        ScriptedLLM(text("a").usage(10, 5, cost=told)) as server,
        hosted(server, tmp_path) as agent,
    ):
        assert isinstance((await agent.prompt())[-1], TurnComplete)
        assert totals(agent) == Totals(unknown=1)


async def test_notices_come_as_spending_passes_five_and_ten_dollars(tmp_path: Path) -> None:
    write_prices(tmp_path)
    script = [text("x").usage(30_000, 0) for _ in range(4)]
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path, cap=100.0) as agent:
        for _ in script:
            await agent.prompt()
        sums = [told for told in warnings(agent) if "This session has cost" in told]
        assert [told.split("$")[1].split()[0] for told in sums] == ["6.00", "12.00"]


async def test_fast_spending_is_told_while_there_is_still_something_left(tmp_path: Path) -> None:
    write_prices(tmp_path)
    async with (
        ScriptedLLM(text("x").usage(3000, 0), text("y").usage(3000, 0)) as server,
        Harness(server, tmp_path, cap=1.0, money=MoneySettings(velocity_share=0.5)) as agent,
    ):
        await agent.prompt()
        assert warnings(agent) == []
        await agent.prompt()
        (told,) = warnings(agent)
        assert "last 10 minutes cost $0.60" in told


# -------------------------------------------------------------------------------------------------------- jobs


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"cost": 1.5}, Totals(measured_usd=1.5)),
        ({"cost": 0.0}, Totals()),
        ({}, Totals(estimated_usd=4.0)),
        ({"ok": False}, Totals()),
        ({"ok": False, "cost": 1.5}, Totals(measured_usd=1.5)),
        ({"crash": True}, Totals()),
        ({"crash": True, "job": "job-1"}, Totals(estimated_usd=4.0)),
        ({"worst": None, "cost": 2.0}, Totals(measured_usd=2.0)),
        ({"worst": None}, Totals(unknown=1)),
        ({"worst": 0.0, "cost": 0.0}, Totals()),
    ],
)
async def test_what_a_job_leaves_on_the_bill(tmp_path: Path, arguments: dict[str, Any], expected: Totals) -> None:
    async with (
        ScriptedLLM(tools(rent(**arguments)), text("ok")) as server,
        Harness(server, tmp_path, tools=[rental()]) as agent,
    ):
        await agent.prompt()
        assert totals(agent) == expected
        assert agent.last(TurnComplete).cost_usd == expected.spent_usd
        assert agent.last(ContextUsage).promised_usd == 0.0


async def test_an_interrupted_job_stays_on_the_bill_at_its_worst_case(tmp_path: Path) -> None:
    async with (
        ScriptedLLM(tools(rent(hang=True, job="job-1")), text("ok")) as server,
        Harness(server, tmp_path, tools=[rental()]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        await agent.until(lambda event: isinstance(event, Expense) and event.ref == "job-1")
        assert agent.last(ContextUsage).promised_usd == 4.0
        agent.submit(Interrupt())
        await agent.ended()
        assert totals(agent) == Totals(estimated_usd=4.0)


async def test_a_job_that_runs_on_is_corrected_by_the_call_that_learns_what_it_has_cost(tmp_path: Path) -> None:
    script = (tools(rent(job="job-1")), tools(rent(worst=0.0, job="job-1", cost=0.75)), text("ok"))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path, tools=[rental()]) as agent:
        await agent.prompt()
        assert totals(agent) == Totals(measured_usd=0.75)


async def test_a_job_of_another_session_is_not_put_on_this_ones_bill(tmp_path: Path) -> None:
    async with (
        ScriptedLLM(tools(rent(worst=0.0, job="strange", cost=3.0)), text("ok")) as server,
        Harness(server, tmp_path, tools=[rental()]) as agent,
    ):
        await agent.prompt()
        assert totals(agent) == Totals()


async def test_the_measured_cost_of_an_edited_job_is_booked(tmp_path: Path) -> None:
    async with (
        ScriptedLLM(tools(call("rent", {"cost": 1.0}, id="c1")), text("ok")) as server,
        Harness(server, tmp_path, mode="guarded", tools=[rental()]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        await agent.approval()
        agent.decide(ApprovalDecision(tool_call_id="c1", approved=True, edited_arguments={"cost": 2.0}))
        await agent.ended()
        assert totals(agent) == Totals(measured_usd=2.0)


# ------------------------------------------------------------------------------------------------------ resuming


async def test_a_resumed_session_knows_what_it_has_spent_on_models_and_jobs(tmp_path: Path) -> None:
    write_prices(tmp_path)
    script = (tools(rent(cost=1.5), rent(), rent(worst=None)).usage(1000, 0), text("ok").usage(2000, 0))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path, tools=[rental()], money=QUIET) as agent:
        await agent.prompt()
        live, path = agent.agent.session.budget.ledger, agent.wired.session_log.path
    assert path is not None
    saved = restore(path)
    assert saved.ledger.entries == live.entries
    assert saved.ledger.totals == Totals(measured_usd=1.5, estimated_usd=4.3, unknown=1)
    settings = Settings(model_name="vllm/scripted", mode="yolo", max_cost_usd=5.0)
    async with (
        ScriptedLLM(text("never")) as server,
        assembled(server, tmp_path, settings, {"LOCAL_LLM_BASE_URL": server.url}, saved) as agent,
    ):
        end = (await agent.prompt())[-1]
        assert isinstance(end, TurnComplete)
        assert (end.reason, end.cost_usd, server.requests) == ("cost_limit", 0.0, [])
        assert not [told for told in warnings(agent) if "has cost" in told]


async def test_a_call_id_that_comes_again_after_resuming_is_an_expense_of_its_own(tmp_path: Path) -> None:
    script = (tools(call("rent", {"cost": 1.0}, id="call_0")), text("ok"))
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path, tools=[rental()]) as agent:
        await agent.prompt()
        path = agent.wired.session_log.path
    assert path is not None
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path, tools=[rental()]) as agent:
        agent.agent.session.budget.ledger = restore(path).ledger
        await agent.prompt()
        assert totals(agent) == Totals(measured_usd=2.0)


async def test_a_job_that_ran_when_the_program_was_killed_counts_at_its_worst_case(tmp_path: Path) -> None:
    async with (
        ScriptedLLM(tools(rent(hang=True)), text("ok")) as server,
        Harness(server, tmp_path, tools=[rental()]) as agent,
    ):
        agent.submit(UserInput(text="go"))
        await agent.until(lambda event: isinstance(event, ToolStateChange) and event.state == "running")
        path = agent.wired.session_log.path
        assert path is not None
        copy = tmp_path / "killed.jsonl"
        copy.write_bytes(path.read_bytes())
    assert restore(copy).ledger.totals == Totals(estimated_usd=4.0)


async def test_a_ledger_made_of_the_events_equals_the_sessions_own(tmp_path: Path) -> None:
    write_prices(tmp_path)
    script = (
        tools(rent(cost=0.5), rent(ok=False), rent(job="j")),
        text("half", pieces=2).cut_after(chunks=1),
        text("ok"),
    )
    async with ScriptedLLM(*script) as server, Harness(server, tmp_path, tools=[rental()]) as agent:
        await agent.prompt()
        read = Ledger()
        for event in agent.events:
            read.take(event)
        assert read.entries == agent.agent.session.budget.ledger.entries
        assert read.totals.spent_usd > 4.5

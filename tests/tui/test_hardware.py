from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.approvals.effects import Compute
from ml_intern.core.protocol import ApprovalItem, ApprovalRequired, Processing
from tests.support.llm_script import call, text, tools
from tests.support.llm_server import ScriptedLLM
from tests.tui.playback import PlayedAgent, played_app
from tests.tui.price_list import price_list
from tests.tui.stage import Stage, on_stage, real_app
from tests.tui.test_approvals import answered, job

TRAINING = """\
model = AutoModelForCausalLM.from_pretrained("Qwen/Qwen3-8B")
args = SFTConfig(max_length=1024, per_device_train_batch_size=2, gradient_checkpointing=True)
trainer = SFTTrainer(model, args=args, peft_config=LoraConfig(r=32))
"""
ARGUMENTS = {"flavor": "hardware_flavor", "timeout": "timeout", "namespace": "namespace"}
A10G = Compute("a10g-small", "1× A10G 24 GB", 1.0, 7200.0, arguments=ARGUMENTS)


def rented(call_id: str = "job", compute: Compute = A10G, **changes: Any) -> ApprovalItem:
    arguments = {"operation": "run", "script": TRAINING, "hardware_flavor": "a10g-small", "timeout": "2h"}
    return job(call_id, arguments=arguments, compute=compute, allowance="jobs up to $2.00", **changes)


@asynccontextmanager
async def at_hand(directory: Path, size: tuple[int, int] = (100, 40), **today: float) -> AsyncIterator[Stage]:
    app, _ = played_app(directory, jobs=price_list(**today))
    async with on_stage(app, size) as stage:
        await stage.sees("Ask for machine-learning work", "claude-opus")
        await stage.enter("/hardware")
        await stage.sees("a10g-small", "1× A10G 24 GB", "$1.00/h")
        yield stage


@asynccontextmanager
async def asked(
    directory: Path, *items: ApprovalItem, size: tuple[int, int] = (100, 40), cap_usd: float = 10.0
) -> AsyncIterator[tuple[Stage, PlayedAgent]]:
    app, agents = played_app(directory, jobs=price_list())
    async with on_stage(app, size) as stage:
        await stage.sees("Ask for machine-learning work", "claude-opus")
        agents[0].events.play(
            Processing(), ApprovalRequired(tools=items, count=len(items), spent_usd=1.42, cap_usd=cap_usd)
        )
        await stage.sees("why asked")
        yield stage, agents[0]


async def test_hardware_is_listed_with_price_and_todays_price_replaces_the_bundled_one(tmp_path: Path) -> None:
    async with at_hand(tmp_path, a100_large=3.25) as stage:
        await stage.sees("Type a model's name or size above")
        await stage.until(lambda: "$3.25/h" in stage.row("a100-large "), "today's price")
        assert "4× L4 24 GB" in stage.row("l4x4")
        assert "2 vCPU, 16 GB" in stage.row("cpu-basic")


async def test_a_model_typed_by_name_is_told_to_fit_or_not_in_words(tmp_path: Path) -> None:
    async with at_hand(tmp_path) as stage:
        await stage.type("Qwen/Qwen3-8B")
        await stage.sees("about 22.5 GB to train on one GPU", "estimate")
        assert "✗ too small" in stage.row("t4-small")
        assert "~ tight" in stage.row("a10g-small")
        assert "✓ fits" in stage.row("a100-large")
        assert "– no GPU" in stage.row("cpu-basic")
        assert "22.5 of 24 GB each" in stage.row("a10g-small")


async def test_a_model_can_be_named_with_the_command(tmp_path: Path) -> None:
    app, _ = played_app(tmp_path, jobs=price_list())
    async with on_stage(app, (100, 40)) as stage:
        await stage.sees("Ask for machine-learning work", "claude-opus")
        await stage.enter("/hardware Qwen/Qwen3-0.6B")
        await stage.sees("model Qwen/Qwen3-0.6B", "✓ fits")


async def test_a_name_typed_as_fast_as_it_is_pasted_is_taken_whole(tmp_path: Path) -> None:
    async with at_hand(tmp_path) as stage:
        await stage.type("Qwen/Qwen3-8B")
        await stage.sees("model Qwen/Qwen3-8B", "22.5 GB")


async def test_the_estimate_follows_every_field_and_shows_its_formula(tmp_path: Path) -> None:
    async with at_hand(tmp_path) as stage:
        await stage.type("8B")
        await stage.sees("~ tight")
        await stage.press("tab", "right")  # LoRA becomes QLoRA
        await stage.sees("QLoRA", "about 9.8 GB")
        await stage.press("?")
        await stage.sees("memory for training", "8B × 0.55 B", "10 % + 1 GB", "adapters sit on all linear layers")
        await stage.sees("an estimate from the size alone")
        await stage.press("escape")
        await stage.sees("flavor", "hardware")


async def test_what_makes_no_estimate_says_why(tmp_path: Path) -> None:
    async with at_hand(tmp_path) as stage:
        await stage.type("gpt2")
        await stage.sees("tells no size")
        assert "fits" not in stage.screen
        await stage.press("ctrl+u")
        await stage.type("0B")
        await stage.sees("more than zero")
        assert "fits" not in stage.screen


async def test_a_flavor_chosen_without_a_request_goes_into_the_prompt(tmp_path: Path) -> None:
    async with at_hand(tmp_path) as stage:
        await stage.press("down", "enter")
        await stage.sees("› cpu-upgrade")


async def test_names_prices_verdicts_and_keys_are_seen_at_every_size(tmp_path: Path) -> None:
    async with at_hand(tmp_path, (160, 50)) as stage:
        await stage.type("8B")
        for size in ((60, 20), (80, 24), (160, 50)):
            await stage.resize(*size)
            await stage.sees("✗ too small", "$0.40/h", "t4-small", "↵ put into the prompt", "22.5 GB")


async def test_a_request_shows_hardware_price_time_and_where_it_leads(tmp_path: Path) -> None:
    async with asked(tmp_path, rented()) as (stage, _):
        await stage.sees("Run a job on Hugging Face")
        await stage.sees("a10g-small · 1× A10G 24 GB · $1.00/h × 2 h = at most $2.00")
        await stage.sees("spent $1.42 · this may bring it to $3.42 of $10.00")
        await stage.sees("h/5 hardware and time", "s/6 allow in this session: jobs up to $2.00")


async def test_hardware_time_and_namespace_are_changed_and_sent_with_the_approval(tmp_path: Path) -> None:
    async with asked(tmp_path, rented()) as (stage, agent):
        await stage.press("h")
        await stage.sees("Qwen/Qwen3-8B", "LoRA", "1024", "~ tight")  # read from the script
        assert "● a10g-small" in stage.screen
        await stage.press(*["tab"] * 8)
        await stage.type("90m")
        await stage.press("tab")
        await stage.type("acme")
        await stage.press("down")
        await stage.sees("a10g-large · $1.50/h × 1 h 30 min = at most $2.25")
        await stage.press("enter")
        await stage.sees("a10g-large · 1× A10G 24 GB · $1.50/h × 1 h 30 min = at most $2.25 · paid by acme")
        await stage.sees("you changed it; asked for was a10g-small, for 2 h, at most $2.00")
        await stage.sees("bring it to $3.67 of $10.00", "hf_jobs ≤ $2.25")
        assert not agent.operations
        await stage.press("a")
        (decision,) = await answered(stage, agent)
        assert decision.edited_arguments == {
            "hardware_flavor": "a10g-large",
            "timeout": "90m",
            "namespace": "acme",
        }
        assert decision.edited_usd == pytest.approx(2.25)


async def test_a_wish_that_changes_nothing_is_none(tmp_path: Path) -> None:
    async with asked(tmp_path, rented()) as (stage, agent):
        await stage.press("h", "enter")
        await stage.sees("why asked")
        assert "you changed it" not in stage.screen
        await stage.press("a")
        (decision,) = await answered(stage, agent)
        assert (decision.edited_arguments, decision.edited_usd) == ({}, None)


async def test_a_time_that_is_none_is_not_accepted(tmp_path: Path) -> None:
    async with asked(tmp_path, rented()) as (stage, _):
        await stage.press("h", *["tab"] * 8)
        await stage.type("x")
        await stage.press("enter")
        await stage.sees("'x' is no time. Write 90m, 2h or 1h30m.")


async def test_a_change_over_the_cap_says_so_before_it_is_approved(tmp_path: Path) -> None:
    async with asked(tmp_path, rented(), cap_usd=5.0) as (stage, _):
        await stage.press("h", *["pagedown"] * 3, "enter")
        await stage.sees("h200x8", "over the cap")


async def test_script_and_hardware_can_both_be_changed(tmp_path: Path) -> None:
    async with asked(tmp_path, rented()) as (stage, agent):
        await stage.press("e", "ctrl+home", "x", "ctrl+s", "h", "down", "enter")
        await stage.sees("you changed it", "+ xmodel")
        await stage.press("a")
        (decision,) = await answered(stage, agent)
        assert decision.edited_arguments == {"script": "x" + TRAINING, "hardware_flavor": "a10g-large"}


async def test_the_hardware_line_says_what_is_known(tmp_path: Path) -> None:
    by_the_hour = replace(A10G, seconds=None)
    known: list[tuple[Compute, float | None, str]] = [
        (
            replace(A10G, flavor="local", hardware="this machine", usd_per_hour=0.0),
            0.0,
            "this machine · nothing is rented",
        ),
        (
            replace(A10G, flavor="x9", hardware="", usd_per_hour=None),
            None,
            "price unknown, which counts as over every cap",
        ),
        (by_the_hour, 1.0, "24 GB · $1.00/h, reserved hour by hour"),
        (by_the_hour, 1.0, "an hour of it may bring it to $2.42"),
        (A10G, 0.0, "$1.00/h × 2 h = at most $2.00"),  # a schedule: each of its runs
        (replace(A10G, namespace="acme"), 2.0, "at most $2.00 · paid by acme"),
    ]
    note = "$1.00/h, reserved hour by hour; ends after 30 min without use"
    items = [
        rented(f"job-{number}", compute=compute, estimated_cost_usd=usd, cost_note=note)
        for number, (compute, usd, _) in enumerate(known)
    ]
    async with asked(tmp_path, *items) as (stage, _):
        for number, (_, _, shown) in enumerate(known, 1):
            await stage.sees(f"{number} of 6", shown)
            await stage.press("right")


async def test_without_arguments_for_it_hardware_cannot_be_changed(tmp_path: Path) -> None:
    async with asked(tmp_path, rented(compute=replace(A10G, arguments={}))) as (stage, _):
        assert "h hardware" not in stage.screen
        await stage.press("h")
        await stage.sees("why asked")


async def test_the_model_reads_what_was_changed_and_the_changed_call_is_what_runs(tmp_path: Path) -> None:
    job_call = call("hf_jobs", {"operation": "run", "script": "print('it ran')", "timeout": "2h"})
    with ScriptedLLM(tools(job_call), text("finished")) as server:
        async with on_stage(real_app(server, tmp_path), size=(120, 40)) as stage:
            await stage.sees("vllm/scripted")
            await stage.enter("go")
            await stage.sees("Run a job on this machine", "nothing is rented · at most 2 h")
            await stage.press("h")
            await stage.sees("local")
            await stage.press(*["tab"] * 8)
            await stage.type("5m")
            await stage.press("enter")
            await stage.sees("nothing is rented · at most 5 min", "you changed it; asked for was local, for 2 h")
            await stage.press("a")
            await stage.sees("finished", timeout=20.0)
    result = server.requests[1].messages[-1]["content"]
    assert result.startswith('[The user edited timeout ("5m", was "2h") before approving')
    assert "it ran" in result

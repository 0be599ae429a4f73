from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_intern.core.fit import FitError, Workload, adapter_params, estimate, fit, parse_params, size_text
from ml_intern.core.jobs import Flavor


def gpu(accelerator: str, vram_gb: int) -> Flavor:
    return Flavor("x", "x", accelerator=accelerator, vram_gb=vram_gb)


A10G, A100, L4X4 = gpu("1x A10G", 24), gpu("1x A100", 80), gpu("4x L4", 96)


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("8B", 8e9),
        ("1.7b", 1.7e9),
        ("135M", 135e6),
        (" 70 000 000 000".replace(" ", ""), 70e9),
        ("7_000_000_000", 7e9),
        ("8e9", 8e9),
        ("Qwen/Qwen3-8B", 8e9),
        ("meta-llama/Llama-3.2-1B-Instruct", 1e9),
        ("Qwen/Qwen3-30B-A3B", 30e9),
        ("mistralai/Mixtral-8x7B-v0.1", 56e9),
        ("HuggingFaceTB/SmolLM2-360M", 360e6),
        ("Qwen2.5-0.5B", 0.5e9),
    ],
)
def test_the_size_is_read_from_numbers_and_names(text: str, params: float) -> None:
    assert parse_params(text) == pytest.approx(params)


@pytest.mark.parametrize("text", ["", "gpt2", "8", "Llama-3.1", "A3B", "8bit", "v2b-model"])
def test_what_tells_no_size_says_how_to_write_one(text: str) -> None:
    with pytest.raises(FitError, match="for example 8B"):
        parse_params(text)


@pytest.mark.parametrize("params", [8e9, 1.7e9, 135e6, 4000.0])
def test_sizes_are_told_the_way_they_are_read(params: float) -> None:
    assert parse_params(size_text(params)) == pytest.approx(params)


def test_full_training_with_adamw_takes_sixteen_bytes_a_parameter() -> None:
    states = [part for part in estimate(Workload(8e9, "full")).parts if part.shared]
    assert sum(part.gb for part in states) == pytest.approx(128.0)
    eight_bit = [part for part in estimate(Workload(8e9, "full", optimizer="adamw-8bit")).parts if part.shared]
    assert sum(part.gb for part in eight_bit) == pytest.approx(80.0)
    full_precision = [part for part in estimate(Workload(8e9, "full", dtype="fp32")).parts if part.shared]
    assert sum(part.gb for part in full_precision) == pytest.approx(128.0)


def test_adapters_of_rank_16_on_an_8b_model_have_42_million_parameters() -> None:
    assert adapter_params(Workload(8e9, rank=16)) == pytest.approx(42e6, rel=0.01)


@pytest.mark.parametrize(
    ("work", "flavor", "verdict"),
    [
        (Workload(8e9, "full"), A100, "too small"),
        (Workload(8e9, "lora"), A10G, "tight"),
        (Workload(8e9, "lora"), A100, "fits"),
        (Workload(8e9, "qlora"), A10G, "fits"),
        (Workload(1.7e9, "full"), A100, "fits"),
        (Workload(70e9, "inference"), A100, "too small"),
        (Workload(30e9, "inference"), L4X4, "fits"),
        (Workload(8e9, "inference"), gpu("1x T4", 16), "too small"),
        (Workload(1e9, "inference"), gpu("2x A100", 0), "unknown"),
        (Workload(1e9, "inference"), Flavor("cpu-basic", "x", cpu=2, ram="16 GB"), "no GPU"),
    ],
)
def test_verdicts_are_those_of_experience(work: Workload, flavor: Flavor, verdict: str) -> None:
    assert fit(estimate(work), flavor).verdict == verdict


sizes = st.floats(50e6, 500e9)
works = st.builds(
    Workload,
    sizes,
    st.sampled_from(["full", "lora", "qlora", "inference"]),
    st.sampled_from(["bf16", "fp16", "fp32"]),
    st.sampled_from(["adamw", "adamw-8bit"]),
    st.integers(1, 256),
    st.integers(1, 131_072),
    st.integers(1, 64),
    st.booleans(),
)


@given(works)
def test_more_work_never_needs_less_memory_and_more_gpus_never_more(work: Workload) -> None:
    needs = estimate(work).gb_on()
    assert needs > 1.0
    assert estimate(replace(work, batch=work.batch + 1)).gb_on() >= needs
    assert estimate(replace(work, sequence=work.sequence + 1)).gb_on() >= needs
    assert estimate(replace(work, rank=work.rank + 1)).gb_on() >= needs
    assert estimate(replace(work, checkpointing=False)).gb_on() >= estimate(replace(work, checkpointing=True)).gb_on()
    assert estimate(work).gb_on(4) <= needs


@given(works)
def test_formulas_and_assumptions_are_told(work: Workload) -> None:
    told = estimate(work)
    assert all(part.formula and part.gb > 0 for part in told.parts)
    assert any("Several GPUs" in sentence for sentence in told.assumptions)


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"sequence": -1}, {"rank": 0}, {"params": 0.0}])
def test_nothing_at_all_is_no_workload(wrong: dict[str, float]) -> None:
    with pytest.raises(FitError, match="more than zero"):
        estimate(replace(Workload(8e9), **wrong))  # type: ignore[arg-type]  # of one kind each

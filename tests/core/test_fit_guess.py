from __future__ import annotations

import pytest

from ml_intern.core.fit import Workload
from ml_intern.core.fit_guess import guess


def test_a_training_script_is_read_for_model_method_and_figures() -> None:
    script = """
    model = load("Qwen/Qwen3-8B", load_in_4bit=True)
    args = SFTConfig(max_length=1024, per_device_train_batch_size=2, gradient_checkpointing=False, optim="adamw_8bit")
    SFTTrainer(model, peft_config=LoraConfig(task_type="x", r=64)).train()
    """
    assert guess(script) == (
        "Qwen/Qwen3-8B",
        Workload(8e9, "qlora", optimizer="adamw-8bit", rank=64, sequence=1024, batch=2, checkpointing=False),
    )


@pytest.mark.parametrize(
    ("script", "method"),
    [
        ('pipeline(model="acme/small-1B")', "inference"),
        ('Trainer(model="acme/small-1B")', "full"),
        ('get("acme/small-1B"); LoraConfig(r=8)', "lora"),
    ],
)
def test_the_method_follows_from_what_is_called(script: str, method: str) -> None:
    found = guess(script)
    assert found is not None
    assert found[1].method == method


@pytest.mark.parametrize("script", ["", "print(1)", 'load_dataset("trl-lib/Capybara")', 'x = "gpt2"'])
def test_a_script_that_names_no_sized_model_tells_nothing(script: str) -> None:
    assert guess(script) is None


def test_a_figure_of_zero_is_corrected() -> None:
    found = guess('"a/b-1B"; max_length=0; per_device_train_batch_size=0')
    assert found is not None
    assert (found[1].sequence, found[1].batch) == (1, 1)

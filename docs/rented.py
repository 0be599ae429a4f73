"""Pictures of what costs money: the real agent, a scripted model with a price, and the stand-in Hub to rent from."""

from __future__ import annotations

import json
import os
from pathlib import Path

from docs.drawing import keep
from tests.support.hub import StandInHub
from tests.support.hub.server import TOKEN, Person
from tests.support.llm_script import Step, call, text, tools
from tests.support.llm_server import ScriptedLLM
from tests.tui.stage import Stage, on_stage, real_app

MODEL = "vllm/qwen3-coder"
PRICES = {"models": {MODEL: {"context_window": 131_072, "input_usd": 1.0, "output_usd": 4.0}}}
REMINDERS = 8
"""More often than the agent reminds the model that its plan has open items."""
PROMPT = "Fine-tune SmolLM2 on my notes. A small run first, then the learning rate that works better."

SFT = '''\
# /// script
# dependencies = ["trl==0.24.0", "trackio"]
# ///
"""Fine-tunes SmolLM2 on ada/notes and pushes the result."""

from datasets import load_dataset
from trl import SFTConfig, SFTTrainer

train = load_dataset("ada/notes", split="train")
config = SFTConfig(
    output_dir="smollm2-notes",
    learning_rate=2e-5,
    num_train_epochs=2,
    per_device_train_batch_size=8,
    bf16=True,
    logging_steps=10,
    report_to="trackio",
    push_to_hub=True,
    hub_model_id="ada/smollm2-notes",
)
trainer = SFTTrainer(model="HuggingFaceTB/SmolLM2-360M", args=config, train_dataset=train)
trainer.train()
trainer.push_to_hub()
'''

SHORT = """\
import time

RATE = {rate}
for step in range(1, 601):
    print({{"loss": round(2.3 * (1 - RATE * 900) ** (step / 20) + 0.4, 4), "step": step}}, flush=True)
    time.sleep(0.2)
"""


def job(name: str, script: str, **more: object) -> dict[str, object]:
    """A call that rents a machine."""
    arguments = {"operation": "run", "name": name, "script": script, "hardware_flavor": "a10g-small", **more}
    return call("hf_jobs", arguments)


def plan(current: int) -> dict[str, object]:
    """The plan, at one of its steps."""
    steps = ("Check the notes and the base model", "Fine-tune with two learning rates", "Train the better one longer")
    states = ("completed", "in_progress", "pending")
    todos = [
        {"id": str(n), "content": content, "status": states[(n >= current) + (n > current)]}
        for n, content in enumerate(steps)
    ]
    return call("plan_tool", {"todos": todos})


def replies() -> tuple[Step, ...]:
    """What the model says: one large job, which is turned down, then two small ones and a repository."""
    small = [job(f"lr {rate}", SHORT.format(rate=rate), timeout="1h", detach=True) for rate in ("2e-5", "1e-4")]
    repo = call("hf_repo_git", {"operation": "create_repo", "repo_id": "ada/smollm2-notes", "private": False})
    large = job("sft smollm2-notes", SFT, timeout="3h", secrets=["HF_TOKEN"])
    return (
        tools(plan(1), large, content="The notes are clean: 4,212 chats. I fine-tune the 360M model on them."),
        tools(*small, repo, content="A small run first, then: one hour each, to see which learning rate is better."),
        text("Both runs are on their way."),
        *[text("The rest of the plan waits for their losses: I look at them when they are done.")] * REMINDERS,
    )


async def rented() -> None:
    """The approval of a paid job, other hardware, the list of several decisions, what was spent, and all sessions."""
    home = Path(os.environ["HOME"])
    (home / "home" / "config").mkdir(parents=True, exist_ok=True)
    (home / "home" / "config" / "models.json").write_text(json.dumps(PRICES))
    with StandInHub(home / "hub", tokens={TOKEN: Person("ada")}) as hub, ScriptedLLM(*replies()) as model:
        env = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(home / "hf")}
        app = real_app(model, home, env=env, model_name=MODEL, max_cost_usd=10.0)
        async with on_stage(app, (150, 40)) as stage:
            await stage.sees("qwen3-coder")
            await stage.enter(PROMPT)
            await decide(stage)


async def decide(stage: Stage) -> None:
    """Turns the large job down, decides on the small ones, and looks at the money."""
    await shown(stage, "approval", "Run a job on Hugging Face")
    await stage.resize(60, 24)
    await shown(stage, "approval-narrow", "why asked")
    await stage.resize(150, 40)
    await stage.press("h")
    await shown(stage, "hardware", "t4-small")
    await stage.press("escape", "n")
    await stage.enter("a small run first")
    await stage.sees("1 of 3", timeout=30.0)
    await stage.pilot.pause(2.0)  # who has just typed is not taken at their first key
    await stage.press("a", "a", "r")
    await shown(stage, "batch", "your decisions")
    await stage.press("enter")
    await stage.sees("when they are done", timeout=60.0)
    await stage.press("f4")
    await shown(stage, "spend", "running now")
    await stage.press("escape", "f2")
    await stage.sees("this directory (1)", timeout=30.0)
    await stage.press("a")
    await shown(stage, "sessions", "tools", "data.csv")


async def shown(stage: Stage, name: str, *texts: str) -> None:
    """Waits until these texts are to be seen and nothing moves, and keeps the picture."""
    await stage.sees(*texts, timeout=30.0)
    await stage.pilot.pause(1.0)
    keep(stage.app, name)

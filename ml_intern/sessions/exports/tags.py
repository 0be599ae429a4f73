"""What kind of session it was, as tags: model, length, cost, tools, how it ended, what it was for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ml_intern.sessions.conversation import Conversation
from ml_intern.sessions.summary import milliseconds, string, strings_in, whole

_FAMILIES = ("opus", "sonnet", "haiku", "kimi", "gpt", "deepseek", "qwen", "llama", "glm", "minimax", "gemini")
_SERVERS = re.compile(r"(?:ollama|llamacpp|vllm|lm_studio)/")
"""Where a model is served, which says nothing about what it is."""
_OOM = re.compile(r"\bOOM\b|\bOOMKilled\b|out of memory|OutOfMemoryError", re.IGNORECASE)
_TRAINING = re.compile(
    r"\bTrainer\(|\b\w+Trainer\(|TrainingArguments|\.backward\(|optimizer\.step\(|\.fit\(|\baccelerate launch\b|"
    r"\btorchrun\b|\bdef train\w*\(|\blearning_rate\b",
    re.IGNORECASE,
)
_INFERENCE = re.compile(r"\.generate\(|\bpipeline\(|\bvllm\b|InferenceClient|\.predict\(", re.IGNORECASE)
_DATA = re.compile(r"load_dataset\(|\.push_to_hub\(|\bDataset\.from_|\bpandas\b|read_csv\(|\.map\(", re.IGNORECASE)
_GPUS = ("h200", "h100", "a100", "l40s", "a10g", "l4", "t4")
_DONE = {"COMPLETED": "succeeded", "SUCCEEDED": "succeeded", "SUCCESS": "succeeded"}
_FAILED = {"ERROR", "FAILED", "TIMEOUT", "CANCELED", "CANCELLED"}
_RESEARCH = frozenset(
    {
        *("research", "explore_hf_docs", "fetch_hf_docs", "find_hf_api", "hf_papers", "hf_inspect_dataset", "read"),
        *("hub_repo_details", "hub_search", "web_search", "web_fetch", "plan_tool", "notify", "ask_user"),
        *("github_find_examples", "github_list_repos", "github_read_file"),
    }
)
_LONG_LIVED_MS = 1_800_000


def tags_of(conversation: Conversation) -> list[str]:
    """All tags, sorted, each once. `model`, `turns`, `cost`, `outcome` and `feedback` are always among them."""
    events = conversation.events
    calls = [(string(event.get("tool")), _arguments(event)) for event in _of(events, "tool_call")]
    states = _of(events, "tool_state_change")
    refused = {string(event.get("tool_call_id")) for event in states if event.get("state") == "rejected"}
    ran = [event for event in _of(events, "tool_call") if string(event.get("tool_call_id")) not in refused]
    tags = {
        f"model:{_family(conversation.summary.model)}",
        f"turns:{_length(len([entry for entry in conversation.kept if entry.message.is_prompt]))}",
        f"cost:{_cost(conversation)}",
        f"feedback:{_feedback(conversation)}",
        *(f"tool:{name}" for name, _ in calls if name),
        *_outcomes(conversation),
        *_jobs(events, [_arguments(event) for event in ran if event.get("tool") == "hf_jobs"]),
        *_sandboxes(conversation, [event for event in ran if event.get("tool") == "sandbox_create"]),
    }
    if task := _task(calls):
        tags.add(f"task:{task}")
    return sorted(tags)


def _of(events: Iterable[dict[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    return (event for event in events if event.get("type") == kind)


def _arguments(event: dict[str, Any]) -> dict[str, Any]:
    value = event.get("arguments")
    return value if isinstance(value, dict) else {}


def _family(model: str) -> str:
    name = _SERVERS.sub("", model.lower())
    return next((family for family in _FAMILIES if family in name), "other")


def _length(turns: int) -> str:
    return "short" if turns < 5 else "medium" if turns <= 20 else "long"


def _cost(conversation: Conversation) -> str:
    """`unknown` where no call had a price: it would look cheap and is not known to be."""
    prices = [event.get("cost_usd") for event in _of(conversation.events, "llm_call")]
    if prices and all(price is None for price in prices) and not conversation.summary.cost_usd:
        return "unknown"
    cost = conversation.summary.cost_usd
    return "low" if cost < 0.10 else "med" if cost < 1 else "high"


def _outcomes(conversation: Conversation) -> Iterator[str]:
    """How it ended; what had an error on the way is no example of how it is done, even if it came to an end."""
    words = {"completed": "completed", "error": "errored", "interrupted": "interrupted", "limit": "limited"}
    if any(event.get("ends_turn", True) for event in _of(conversation.events, "error")):
        words["completed"] = "errored"
    ended = any(event.get("type") in {"turn_complete", "error", "interrupted"} for event in conversation.events)
    yield f"outcome:{words.get(conversation.summary.status, 'ongoing') if ended else 'ongoing'}"
    if any(event.get("kind") == "repetition" for event in _of(conversation.events, "error")):
        yield "outcome:doom_loop"
    ends = [event.get("reason") for event in _of(conversation.events, "turn_complete")]
    if "context_limit" in ends or any(event.get("type") == "compacted" for event in conversation.events):
        yield "outcome:context_exceeded"


def _feedback(conversation: Conversation) -> str:
    """What a person thinks of the answers that still stand."""
    standing = {entry.message.content for entry in conversation.kept if entry.message.role == "assistant"}
    answers = {
        whole(event.get("seq"))
        for event in _of(conversation.events, "assistant_message")
        if string(event.get("content")) in standing
    }
    last: dict[int, str] = {}
    for event in _of(conversation.events, "feedback"):
        last[whole(event.get("message_seq"))] = string(event.get("rating"))
    ratings = {rating for seq, rating in last.items() if seq in answers} & {"up", "down"}
    return "mixed" if len(ratings) > 1 else next(iter(ratings), "none")


# ------------------------------------------------------------------------------------------------------- compute


def _jobs(events: Iterable[dict[str, Any]], calls: list[dict[str, Any]]) -> Iterator[str]:
    started = [arguments for arguments in calls if string(arguments.get("operation")) in {"run", "uv", ""}]
    if not started:
        return
    yield "hf_job:submitted"
    if len(started) > 1:
        yield "hf_job:multi"
    outputs = [event for event in _of(events, "tool_output") if event.get("tool") == "hf_jobs"]
    told = [*outputs, *_of(events, "tool_state_change")]  # a job can end long after the call that began it
    for stage in {card["stage"] for event in told for card in _cards(event)}:
        if stage in _DONE or stage in _FAILED:
            yield f"hf_job:{_DONE.get(stage, 'failed')}"
    if any(_OOM.search(string(event.get("output"))) for event in outputs):
        yield "hf_job:oom"
    if any("push_to_hub" in text for arguments in started for text in strings_in(arguments)):
        yield "hf_job:push_to_hub"
    yield from _gpus(started)


def _cards(event: dict[str, Any]) -> Iterator[dict[str, str]]:
    blocks = event.get("display")
    for block in blocks if isinstance(blocks, list) else ():
        if isinstance(block, dict) and block.get("type") == "job":
            yield {"stage": string(block.get("stage")).upper()}


def _gpus(calls: Iterable[dict[str, Any]]) -> Iterator[str]:
    flavors = [string(arguments.get("hardware_flavor") or arguments.get("flavor")).lower() for arguments in calls]
    kinds = {next((gpu for gpu in _GPUS if gpu in flavor), "none") for flavor in flavors}
    yield from (f"gpu:{kind}" for kind in (kinds - {"none"} or kinds))
    if any(re.search(r"x[248]\b", flavor) for flavor in flavors):
        yield "gpu:multi"


def _sandboxes(conversation: Conversation, made: list[dict[str, Any]]) -> Iterator[str]:
    if not made:
        return
    yield "sandbox:created"
    for event in made:
        hardware = string(_arguments(event).get("hardware") or _arguments(event).get("flavor")) or "cpu"
        yield "sandbox:cpu" if hardware.startswith("cpu") else "sandbox:gpu"
    lived = milliseconds(conversation.summary.ended) - milliseconds(made[0].get("time"))
    if lived > _LONG_LIVED_MS:
        yield "sandbox:long_lived"


# ---------------------------------------------------------------------------------------------------------- task


def _task(calls: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """What it was for, going by the programs that were run or written."""
    calls = list(calls)
    programs = [
        text
        for name, arguments in calls
        if name in {"hf_jobs", "bash", "write", "edit"}
        for text in strings_in(arguments)
    ]
    for task, pattern in (("training", _TRAINING), ("inference", _INFERENCE), ("data_prep", _DATA)):
        if any(pattern.search(text) for text in programs):
            return task
    return "research_only" if calls and all(name in _RESEARCH for name, _ in calls) else ""

"""Advice about Python files that were just written: does it parse, and will what it trains be kept."""

from __future__ import annotations

import ast
import warnings
from pathlib import PurePath

_TRAINING_ARGUMENTS = frozenset(
    {
        "TrainingArguments", "Seq2SeqTrainingArguments", "SFTConfig", "DPOConfig", "GRPOConfig", "KTOConfig",
        "ORPOConfig", "CPOConfig", "PPOConfig", "RLOOConfig", "RewardConfig",
    }
)  # fmt: skip
_MAX_CHARS = 500_000


def advice(path: PurePath, text: str) -> list[str]:
    """What the author of a Python file should know, one sentence each; empty for other files and for nothing to say."""
    if path.suffix != ".py" or len(text) > _MAX_CHARS:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in somebody's string is no concern of ours
            tree = ast.parse(text)
    except SyntaxError as error:
        return [f"it does not parse: {error.msg} at line {error.lineno}. Mend that line before you run it."]
    except (ValueError, RecursionError, MemoryError) as error:
        return [f"it does not parse: {error}."]
    return _about_training(tree)


def _about_training(tree: ast.Module) -> list[str]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    if any(_name(call.func) in {"push_to_hub", "upload_folder", "upload_large_folder"} for call in calls):
        return []
    found = []
    for call in calls:
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        if (name := _name(call.func)) not in _TRAINING_ARGUMENTS or None in keywords:
            continue
        where = f"{name} at line {call.lineno}"
        pushes = keywords.get("push_to_hub")
        if pushes is None:
            found.append(f"{where} has no push_to_hub: on rented hardware the model is lost when the job ends.")
        if "hub_model_id" not in keywords and not (isinstance(pushes, ast.Constant) and pushes.value is False):
            found.append(f"{where} has no hub_model_id: say which repository the model goes to.")
    return found


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""

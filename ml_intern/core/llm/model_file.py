"""`models.json`: suggested models, and facts on models that hold over those of any catalogue.

The bundled file has the suggestions. A file of the same form in the user's configuration directory adds to it:

    {"models": {"vllm/my-model": {"context_window": 32768, "input_usd": 0, "output_usd": 0}}}

Prices are dollars per million tokens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_intern.core.llm.prices import ModelInfo, info_from_record
from ml_intern.core.small_file import read_small_file


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A model worth offering.

    Attributes:
        id: Model id.
        label: Its name for people.
        key: The variable it needs.
    """

    id: str
    label: str
    key: str


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What a file says; `warnings` are sentences about what in it cannot be used."""

    suggested: tuple[Suggestion, ...] = ()
    models: Mapping[str, ModelInfo] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def read_model_file(path: Path) -> ModelFile:
    """Reads a file; one that does not exist says nothing, one that is broken draws a warning."""
    try:
        data = json.loads(read_small_file(path))
    except FileNotFoundError:
        return ModelFile()
    except OSError as error:
        return ModelFile(warnings=(f"{path} is ignored: {(error.strerror or str(error)).lower()}.",))
    except ValueError as error:
        return ModelFile(warnings=(f"{path} is ignored: {error}.",))
    if not isinstance(data, dict) or not isinstance(data.get("models", {}), dict):
        return ModelFile(warnings=(f'{path} is ignored: it must be an object with a "models" object.',))
    models: dict[str, ModelInfo] = {}
    warnings: list[str] = []
    for name, record in data.get("models", {}).items():
        try:
            models[name] = info_from_record(name, record, path.name)
        except (ValueError, TypeError, AttributeError) as error:
            warnings.append(f"{path}: what it says about {name} is ignored: {error}.")
    return ModelFile(_suggestions(data.get("suggested")), models, tuple(warnings))


def _suggestions(records: Any) -> tuple[Suggestion, ...]:
    return tuple(
        Suggestion(str(record["id"]), str(record.get("label") or record["id"]), str(record.get("key", "")))
        for record in (records if isinstance(records, list) else ())
        if isinstance(record, dict) and "id" in record
    )

"""The keys of the configuration by name: which one was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ml_intern.core.settings import Settings


def nearest_key(keys: list[str]) -> str:
    """The known key that is most like an unknown one, dotted: at the same place, or of that very name elsewhere.

    Args:
        keys: The unknown key, behind the keys that lead to it.
    """
    *above, unknown = keys
    known = list(_section(above).model_fields)
    close = difflib.get_close_matches(unknown, known, n=1)
    elsewhere = next((path for path in _paths(Settings) if path[-1] == unknown), None)
    if not close and elsewhere is not None:
        return ".".join(elsewhere)
    close = close or difflib.get_close_matches(unknown, known, n=1, cutoff=0.0)
    return ".".join([*above, *close]) if close else ""


def _paths(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        section = _model_of(field)
        if section is None:
            yield (*above, name)
        else:
            yield from _paths(section, (*above, name))


def _section(keys: list[str]) -> type[BaseModel]:
    """The settings model that the keys lead to."""
    model: type[BaseModel] = Settings
    for key in keys:
        field = model.model_fields.get(key)
        model = (_model_of(field) if field else None) or model
    return model


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    kinds = [field.annotation, *get_args(field.annotation)]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)

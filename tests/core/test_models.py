from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from pydantic import BaseModel, ValidationError

import ml_intern
from ml_intern.core import protocol
from ml_intern.core.settings import Settings

BUILT = """
from ml_intern.core import protocol
print(protocol.UserMessage.__pydantic_complete__, protocol.UserInput.__pydantic_complete__)
protocol.prepare()
print(protocol.UserMessage.__pydantic_complete__, protocol.ToolOutput.__pydantic_complete__)
print(protocol.OPERATION.pydantic_complete, protocol.EVENT.pydantic_complete)
"""


def every_model(base: type[BaseModel] = BaseModel) -> Iterator[type[BaseModel]]:
    for model in base.__subclasses__():
        if model.__module__.startswith("ml_intern."):
            yield model
        yield from every_model(model)


def test_models_are_built_when_they_are_needed() -> None:
    done = subprocess.run([sys.executable, "-c", BUILT], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "True", "True", "True", "False"]


def test_every_model_can_be_built() -> None:
    for module in pkgutil.walk_packages(ml_intern.__path__, "ml_intern."):
        if module.name.split(".")[1] in {"core", "tools", "services"} and not module.name.endswith(".runner"):
            importlib.import_module(module.name)
    models = list(every_model())
    assert len(models) > 100
    for model in models:
        model.model_rebuild()
        assert model.__pydantic_complete__, model
    protocol.EVENT.rebuild()
    protocol.OPERATION.rebuild()


@pytest.mark.parametrize(
    ("values", "words"),
    [({"mode": "wild"}, "mode"), ({"llm": {"max_attempts": 0}}, "llm.max_attempts"), ({"colour": 1}, "colour")],
)
def test_what_does_not_fit_is_named_by_its_place(values: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(values)
    (problem,) = caught.value.errors()
    assert ".".join(map(str, problem["loc"])) == words

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ml_intern.core.display import PlanBlock
from ml_intern.core.plan import Plan
from ml_intern.core.protocol import PlanUpdate
from ml_intern.tools.plan import create_plan_tool
from tests.support.tools import Bench

PLAN = create_plan_tool()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench.at(tmp_path)


def todo(name: str, status: str = "pending", content: str = "") -> dict[str, Any]:
    return {"id": name, "content": content or f"step {name}", "status": status}


async def test_the_plan_keeps_its_order_and_is_announced(bench: Bench) -> None:
    steps = [todo("b", "pending"), todo("a", "completed"), todo("c", "in_progress")]

    result = await bench.run(PLAN, todos=steps)

    assert result.text == "[ ] step b\n[x] step a\n[~] step c\n1/3 completed"
    (event,) = bench.emitted
    assert isinstance(event, PlanUpdate)
    assert [item.id for item in event.plan] == ["b", "a", "c"]
    assert bench.state.get(Plan).items == event.plan
    assert result.display == (
        PlanBlock(items=(("step b", "pending"), ("step a", "completed"), ("step c", "in_progress"))),
    )


async def test_each_call_replaces_the_plan_and_an_empty_one_clears_it(bench: Bench) -> None:
    await bench.run(PLAN, todos=[todo("a"), todo("b")])
    await bench.run(PLAN, todos=[todo("c")])
    assert [item.id for item in bench.state.get(Plan).items] == ["c"]

    result = await bench.run(PLAN, todos=[])

    assert bench.state.get(Plan).items == ()
    assert bench.emitted[-1].plan == ()
    assert result.text == "The plan is empty."


@pytest.mark.parametrize(
    ("todos", "complaint"),
    [
        ([todo("a", "doing")], "status"),
        ([todo("a"), todo("a")], "used more than once: a"),
        ([{"id": "a", "content": "x"}], "status"),
        ([todo("a", content="  ")], "content"),
        ([todo("a") | {"priority": 1}], "priority"),
        ("write tests", "todos"),
    ],
)
async def test_a_plan_that_is_wrong_leaves_the_old_one(bench: Bench, todos: Any, complaint: str) -> None:
    await bench.run(PLAN, todos=[todo("old")])

    with pytest.raises(ValueError, match=complaint):
        await bench.run(PLAN, todos=todos)

    assert [item.id for item in bench.state.get(Plan).items] == ["old"]
    assert len(bench.emitted) == 1


async def test_numbers_as_ids_are_taken_and_contents_are_one_line(bench: Bench) -> None:
    await bench.run(PLAN, todos=[{"id": 1, "content": " train\n\tthe\x1b[31m model ", "status": "pending"}])

    (item,) = bench.state.get(Plan).items
    assert (item.id, item.content) == ("1", "train the [31m model")


async def test_several_steps_in_progress_are_taken_with_a_note(bench: Bench) -> None:
    result = await bench.run(PLAN, todos=[todo("a", "in_progress"), todo("b", "in_progress")])

    assert result.ok
    assert "2 steps are in progress" in result.text
    assert len(bench.state.get(Plan).items) == 2


def test_it_is_never_asked_about() -> None:
    assert PLAN.assess is None

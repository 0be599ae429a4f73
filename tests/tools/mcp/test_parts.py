from __future__ import annotations

from typing import Any

from ml_intern.core.tools.router import ToolRouter
from ml_intern.core.tools.spec import ToolSpec
from ml_intern.tools.mcp.call_log import CallLog
from ml_intern.tools.mcp.faults import explain
from ml_intern.tools.mcp.listing import ToolNames
from tests.support.harness import tool


def named(*names: str) -> list[ToolSpec]:
    return [tool(name, lambda *_: "") for name in names]


def wire_names(router: ToolRouter) -> list[str]:
    return [item["function"]["name"] for item in router.wire()]


def test_replacing_tools_touches_no_others_and_the_wire_stays_one_object_until_then() -> None:
    router = ToolRouter(named("bash", "a__x", "a__y"))
    before = router.wire()
    assert router.wire() is before
    router.replace(["a__x", "a__y"], named("a__y", "a__z", "bash"))
    assert router.names == ("bash", "a__y", "a__z")
    assert wire_names(router) == ["bash", "a__y", "a__z"]
    assert router.wire()[0] is before[0]
    router.replace(["a__y", "a__z"], [])
    assert wire_names(router) == ["bash"]


def test_a_name_once_given_is_kept_whatever_comes_later() -> None:
    names = ToolNames(["bash"])
    first, second = names.name("a", "b__c"), names.name("a__b", "c")
    assert first == "a__b__c"
    assert second != first
    assert second.startswith("a__b__c_")
    assert (names.name("a__b", "c"), names.name("a", "b__c")) == (second, first)
    again = ToolNames(["bash"])
    assert again.name("x" * 80, "y") == names.name("x" * 80, "y")
    assert len(names.name("x" * 80, "y")) == 64


async def test_progress_that_comes_too_quickly_is_thinned_out_but_its_end_is_shown() -> None:
    lines: list[str] = []
    call = CallLog(lines.append)
    for done in range(1000):
        await call.progress(done, 999, None)
    assert lines[0] == "0 of 999"
    assert lines[-1] == "999 of 999"
    assert len(lines) < 100


def test_a_flood_of_messages_is_shown_in_part() -> None:
    lines: list[str] = []
    call = CallLog(lines.append)
    for number in range(1000):
        call.message("info", f"{number}\x1b[2J" + "x" * 5000)
    assert len(lines) == 300
    assert lines[-1] == "Further messages of this call are in the log file."
    assert all(len(line) <= 1000 and "\x1b" not in line for line in lines)


def test_an_error_is_told_by_its_cause() -> None:
    inner: Any = ExceptionGroup("group", [ExceptionGroup("inner", [ValueError("the reason.")])])
    assert explain(inner) == "the reason"
    assert explain(FileNotFoundError(2, "No such file or directory", "/x")) == "no such file or directory: /x"
    assert explain(RuntimeError()) == "RuntimeError"

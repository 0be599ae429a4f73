from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from ml_intern.core import settings_schema
from ml_intern.core.settings import Settings
from ml_intern.core.settings_schema import Setting, all_settings, setting_groups


def leaves(model: type[BaseModel], prefix: str = "") -> list[str]:
    found: list[str] = []
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found += leaves(kind, f"{prefix}{name}.")
        else:
            found.append(prefix + name)
    return found


def setting(key: str) -> Setting:
    return next(each for each in all_settings() if each.key == key)


def test_every_setting_of_the_model_is_there_once_with_a_name_and_a_description() -> None:
    assert sorted(each.key for each in all_settings()) == sorted(leaves(Settings))
    bare = [each.key for each in all_settings() if len(each.description) < 12 or each.description[-1] not in ".!"]
    assert bare == []
    assert all(each.name and "_" not in each.name for each in all_settings())
    assert all(group.description for group in setting_groups())
    for group in setting_groups():
        assert len({each.name for each in group.settings}) == len(group.settings), group.name


def test_names_in_plain_words_belong_to_settings_that_exist() -> None:
    assert set(settings_schema._NAMES) - set(leaves(Settings)) == set()


def test_kinds_bounds_and_choices_come_from_the_model() -> None:
    assert setting("ui.bell").kind == "switch"
    assert setting("mode").choices == ("guarded", "ask", "plan", "yolo")
    assert setting("research.effort").choices[-1] == ""
    assert setting("mcpServers").kind == setting("messaging.destinations").kind == "elsewhere"
    assert (setting("tools.parallel").kind, setting("tools.parallel").bounds) == ("number", "at least 1, at most 64")
    assert setting("context.compact_at").bounds == "more than 0.1, less than 1"
    assert (setting("llm.context_window").optional, setting("llm.context_window").whole) == (True, True)
    assert (setting("web.timeout_s").unit, setting("max_cost_usd").unit) == ("s", "$")
    assert setting("approvals.allow").kind == "list"
    assert setting("messaging.auto_event_types").choices == ("approval_required", "error", "turn_complete")

from __future__ import annotations

from typing import Any

import pytest

from ml_intern.tools.datasets.features import Column, kind_of
from ml_intern.tools.datasets.verdicts import Verdict, verdicts

STRING = {"dtype": "string", "_type": "Value"}
CHAT = [{"role": STRING, "content": STRING}]


def fit(method: str, rows: list[dict[str, Any]] | None = None, **features: Any) -> bool | None:
    known = [Column(name, kind_of(feature), feature) for name, feature in features.items()]
    return next(verdict.fits for verdict in verdicts(known, rows or []) if verdict.method == method)


def test_each_way_of_training_has_its_columns() -> None:
    label = {"_type": "ClassLabel", "names": ["a", "b"]}
    number = {"_type": "Value", "dtype": "int64"}
    assert fit("SFT", messages=CHAT) is True
    assert fit("SFT", conversations=[{"from": STRING, "value": STRING}]) is None
    assert fit("SFT", prompt=STRING, completion=STRING) is True
    assert fit("SFT", prompt=STRING, completion=CHAT) is None
    assert fit("SFT", instruction=STRING, output=STRING) is None
    assert fit("SFT", tokens=[number]) is False
    assert fit("DPO", prompt=STRING, chosen=STRING, rejected=STRING) is True
    assert fit("DPO", chosen=CHAT, rejected=CHAT) is True
    assert fit("DPO", prompt=STRING, chosen=STRING) is False
    assert fit("GRPO", prompt=CHAT) is True
    assert fit("GRPO", question=STRING) is None
    assert fit("classification", text=STRING, label=label) is True
    assert fit("classification", text=STRING, label=number) is None
    assert fit("classification", label=label) is False


def test_rows_correct_what_types_promise() -> None:
    talk = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}
    alone = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": ""}]}
    assert fit("SFT", [talk, talk], messages=CHAT) is True
    assert fit("SFT", [alone, alone], messages=CHAT) is False
    assert fit("SFT", [{"messages": {"role": ["user"], "content": ["hi"]}}], messages=CHAT) is None
    same, other = {"chosen": "a", "rejected": "a"}, {"chosen": "a", "rejected": "b"}
    assert fit("DPO", [same, other], chosen=STRING, rejected=STRING) is True
    assert fit("DPO", [same, same], chosen=STRING, rejected=STRING) is False
    known = [Column(name, "string", STRING) for name in ("chosen", "rejected")]
    reason = next(verdict.reason for verdict in verdicts(known, [same, other]) if verdict.method == "DPO")
    assert reason.endswith("; but chosen equals rejected in 1 of 2 rows that were looked at")


def test_statistics_tell_classes_that_have_no_type() -> None:
    known = [Column(name, "string", STRING) for name in ("review", "mood")]

    def judged(**counts: int) -> Verdict:
        seen = {"mood": {"column_type": "string_label", "column_statistics": {"frequencies": counts}}}
        return next(verdict for verdict in verdicts(known, [], seen) if verdict.method == "classification")

    assert (judged(good=5, bad=3).fits, judged(good=5, bad=3).reason) == (None, "mood is string: make it a class label")
    assert judged(good=5).fits is False


def test_columns_that_are_empty_in_all_rows_do_not_fit() -> None:
    assert fit("SFT", [{"text": ""}, {"text": None}], text=STRING) is False
    assert fit("SFT", [{"text": ""}, {"text": "x"}], text=STRING) is True


@pytest.mark.parametrize(("value", "fits"), [(0, True), (1, True), (-1, False), (None, False)])
def test_the_class_0_is_a_class_and_none_is_none(value: int | None, fits: bool) -> None:
    classes = {"_type": "ClassLabel", "names": ["neg", "pos"]}
    rows = [{"text": "x", "star-label": value, "is": None}]  # a column may be named like a word of the reason
    assert fit("classification", rows, text=STRING, **{"is": STRING, "star-label": classes}) is fits

from __future__ import annotations

import csv
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_intern.core.ledger import Totals
from ml_intern.core.protocol import EventBase, Expense, LLMCall, SessionMeta
from ml_intern.core.redact import Redactor
from ml_intern.sessions.index import SessionIndex
from ml_intern.sessions.spend import CSV_COLUMNS, SpendBooks, SpendRow
from ml_intern.sessions.store import SessionStore
from tests.sessions.support import prompt, record


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def index(tmp_path: Path) -> SessionIndex:
    return SessionIndex(tmp_path / "sessions")


def call(usd: float | None, model: str = "anthropic/claude", kind: str = "main", state: str = "estimated") -> LLMCall:
    figures = {"prompt_tokens": 1, "completion_tokens": 1, "cached_tokens": 0, "latency_ms": 1}
    return LLMCall.model_validate({"model": model, "kind": kind, "cost_usd": usd, "cost_state": state, **figures})


def job(ref: str, usd: float | None, state: str = "promised", kind: str = "job") -> Expense:
    return Expense.model_validate({"kind": kind, "what": "hf_jobs", "ref": ref, "cost_usd": usd, "state": state})


def write(index: SessionIndex, name: str, *events: EventBase) -> Path:
    return record(index.path.parent, name, *prompt(f"Train {name}"), *events)


def by_key(rows: list[SpendRow]) -> dict[str, Totals]:
    return {row.key: row.sums for row in rows}


def test_nothing_was_spent_where_there_are_no_sessions(index: SessionIndex) -> None:
    books = SpendBooks(index)
    assert books.total() == Totals()
    assert (books.days(), books.sessions(), books.models(), books.rented()) == ([], [], [], [])


def test_sums_are_kept_apart_by_how_sure_they_are(index: SessionIndex) -> None:
    write(
        index,
        "one",
        call(0.25),
        call(0.5, state="measured"),
        call(None),
        call(None),
        job("j1", 2.0),
        job("j2", None),
        job("j3", 3.0, "measured"),
    )
    index.refresh()
    books = SpendBooks(index)
    assert books.total() == Totals(measured_usd=3.5, estimated_usd=0.25, promised_usd=2.0, unknown=3)
    assert books.total().spent_usd == 3.75
    assert by_key(books.sessions()) == {"one": books.total()}


def test_the_last_word_on_a_job_counts_and_a_promise_taken_back_is_gone(index: SessionIndex) -> None:
    write(
        index,
        "one",
        job("call-1", 2.0),
        job("66f1", 2.0),
        job("call-1", 0.0, "released"),
        job("66f1", 0.7, "measured"),
        job("66f2", 5.0),
        job("66f2", 0.0, "released"),
    )
    index.refresh()
    (row,) = SpendBooks(index).rented()
    assert (row.key, row.label, row.note, row.sums) == ("66f1", "job 66f1", "Train one", Totals(measured_usd=0.7))


def test_what_is_reserved_for_a_sandbox_belongs_to_it(index: SessionIndex) -> None:
    write(index, "one", job("box", 0.3, "measured", "sandbox"), job("box (reserved)", 0.1, "promised", "sandbox"))
    index.refresh()
    (row,) = SpendBooks(index).rented()
    assert (row.key, row.sums) == ("box", Totals(measured_usd=0.3, promised_usd=0.1))


def test_a_log_that_grew_adds_to_what_was_known(index: SessionIndex) -> None:
    write(index, "one", call(0.25), job("66f1", 2.0))
    index.refresh()
    write(index, "one", call(0.25), job("66f1", 0.5, "measured"))
    index.refresh()
    books = SpendBooks(index)
    assert books.total() == Totals(measured_usd=0.5, estimated_usd=0.5)
    (model,) = books.models()
    assert (model.key, model.note) == ("anthropic/claude", "2 calls: main")


def test_a_session_that_is_gone_takes_its_spending_along(index: SessionIndex) -> None:
    path = write(index, "one", call(0.25), job("66f1", 2.0))
    write(index, "two", call(0.5))
    index.refresh()
    path.unlink()
    index.refresh()
    assert SpendBooks(index).total() == Totals(estimated_usd=0.5)


def test_a_copy_does_not_pay_again_for_what_its_original_has_paid(index: SessionIndex) -> None:
    path = write(index, "one", call(0.25), job("66f1", 2.0, "measured"))
    copy = SessionStore(index.path.parent, Redactor()).fork(path)
    index.refresh()
    books = SpendBooks(index)
    assert by_key(books.sessions()) == {"one": Totals(measured_usd=2.0, estimated_usd=0.25)}
    record(index.path.parent, copy.stem, call(1.0))
    index.refresh()
    assert by_key(books.sessions())[copy.stem] == Totals(estimated_usd=1.0)


def test_a_renamed_session_keeps_its_spending(index: SessionIndex) -> None:
    write(index, "one", call(0.25), SessionMeta(title="Mine"))
    index.refresh()
    assert [(row.label, row.sums) for row in SpendBooks(index).sessions()] == [("Mine", Totals(estimated_usd=0.25))]


def test_days_are_those_of_this_machine(index: SessionIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(index, "one", call(0.25))
    path.write_text(re.sub(r'"time":"[^"]*"', '"time":"2026-03-04T23:50:00.000Z"', path.read_text()))
    index.refresh()
    books = SpendBooks(index)
    assert [row.key for row in books.days()] == ["2026-03-04"]
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    assert [row.key for row in books.days()] == ["2026-03-05"]


def test_models_are_told_with_the_kinds_of_their_calls_dearest_first(index: SessionIndex) -> None:
    write(
        index, "one", call(0.1, "a/small", "research"), call(0.1, "a/small"), call(3.0, "a/large"), call(0.0, "free/x")
    )
    index.refresh()
    assert [(row.key, row.note) for row in SpendBooks(index).models()] == [
        ("a/large", "1 call: main"),
        ("a/small", "2 calls: main, research"),
    ]


def test_csv_holds_every_entry_and_no_formula(index: SessionIndex) -> None:
    write(index, "one", call(0.25), job("=cmd()", 2.0), SessionMeta(title='=HYPERLINK("x"), "y"'))
    index.refresh()
    head, *rows = list(csv.reader(SpendBooks(index).csv().splitlines()))
    assert tuple(head) == CSV_COLUMNS
    assert [row[1:] for row in rows] == [
        ["one", '\'=HYPERLINK("x"), "y"', "job", "hf_jobs", "'=cmd()", "0.000000", "0.000000", "2.000000", "0"],
        ["one", '\'=HYPERLINK("x"), "y"', "main", "anthropic/claude", "", "0.000000", "0.250000", "0.000000", "0"],
    ]


def test_an_index_of_an_earlier_version_is_made_anew(index: SessionIndex) -> None:
    write(index, "one", call(0.25))
    with sqlite3.connect(index.path) as db:
        db.execute("PRAGMA user_version = 1")
    db.close()
    assert index.refresh() >= 0
    assert SpendBooks(index).total() == Totals(estimated_usd=0.25)
    assert index.path.stat().st_mode & 0o777 == 0o600

from __future__ import annotations

import io
import threading
import time

from ml_intern.tui.widgets.job_log import JobLog, level_ink
from ml_intern.tui.widgets.line_store import MAX_LINE_CHARS, LineStore
from tests.tui.widgets.support import Host, seen, text_of, until

LONG = 200_000


def numbered(count: int, start: int = 0) -> list[str]:
    return [f"line {number} of the log" for number in range(start, start + count)]


def filled(count: int) -> LineStore:
    store = LineStore()
    store.append(numbered(count))
    return store


# --------------------------------------------------------------------------------------------------------- store


def test_lines_come_back_as_they_went_in() -> None:
    store = LineStore()
    store.append(["one", "", "zwei äöü 語 🙂"])
    store.append(["four"])
    assert len(store) == 4
    assert store.read(0, 10) == ["one", "", "zwei äöü 語 🙂", "four"]
    assert store.read(1, 3) == ["", "zwei äöü 語 🙂"]
    assert store.read(4, 9) == []


def test_nothing_that_a_terminal_acts_on_is_kept() -> None:
    store = LineStore()
    store.append(
        ["\x1b[2J\x1b]0;title\x07a\x00b\r\x1b[31mred\x1b[0m", "lone \ud800 surrogate", "two\nlines", "y" * 10_000]
    )
    one, two, three, four = store.read(0, 4)
    assert one == "red"
    assert two == "lone \ufffd surrogate"
    assert three == "two lines"
    assert four == "y" * MAX_LINE_CHARS + "… (6,000 more characters)"


def test_a_store_that_grows_too_large_drops_its_older_half_and_keeps_its_numbers() -> None:
    store = LineStore(max_bytes=10_000)
    for start in range(0, 2_000, 100):
        store.append(numbered(100, start))
    assert len(store) == 2_000
    assert 0 < store.first < 2_000
    assert store.read(1_999, 2_000) == ["line 1999 of the log"]
    assert store.read(store.first, store.first + 1) == [f"line {store.first} of the log"]
    assert store.read(0, store.first) == []
    assert store.search("line 19")[-1] == 1_999
    assert store.search("LINE 19") == []
    written = io.BytesIO()
    store.write_to(written)
    assert written.getvalue().decode().splitlines() == numbered(2_000 - store.first, store.first)


def test_a_store_may_be_searched_while_it_grows_and_be_closed_at_any_time() -> None:
    store = filled(50_000)
    found: list[list[int]] = []
    thread = threading.Thread(target=lambda: found.append(store.search("line 49")))
    thread.start()
    for start in range(50_000, 60_000, 100):
        store.append(numbered(100, start))
    thread.join()
    assert found[0][0] == 49
    store.close()
    store.append(["late"])
    assert store.read(0, 1) == []


def test_a_search_can_be_stopped() -> None:
    assert filled(50_000).search("line", stopped=lambda: True) == []


# ------------------------------------------------------------------------------------------------------ the widget


def test_levels_have_inks() -> None:
    bad = (
        "ERROR: no",
        "2026 CRITICAL x",
        "Traceback (most recent call last):",
        "ValueError: x",
        "torch.OutOfMemoryError: x",
    )
    assert {level_ink(text) for text in bad} == {"error"}
    assert {level_ink(text) for text in ("WARNING: x", "UserWarning: x", "[WARN] x")} == {"warning"}
    assert {level_ink(text) for text in ("DEBUG x", '  File "x.py", line 3, in f')} == {"faint"}
    assert {level_ink(text) for text in ("{'loss': 1.0}", "0 errors so far", "warned nobody")} == {""}


async def test_a_log_follows_until_the_reader_scrolls_up_and_again_when_told() -> None:
    store, log = filled(500), JobLog()
    async with Host(log).run_test(size=(60, 12)) as pilot:
        log.show_store(store)
        log.focus()
        await until(pilot, lambda: seen(log)[-1] == "line 499 of the log")
        store.append(numbered(10, 500))
        log.grow()
        await until(pilot, lambda: seen(log)[-1] == "line 509 of the log")
        await pilot.press("pageup")
        await until(pilot, lambda: "line 509 of the log" not in text_of(log))
        top = seen(log)[0]
        store.append(numbered(1_000, 510))
        log.grow()
        await pilot.pause()
        assert seen(log)[0] == top
        await pilot.press("f")
        await until(pilot, lambda: seen(log)[-1] == "line 1509 of the log")


async def test_finds_are_shown_one_after_the_other() -> None:
    store, log = filled(LONG), JobLog()
    async with Host(log).run_test(size=(60, 12)) as pilot:
        log.show_store(store)
        await until(pilot, lambda: seen(log)[-1] == f"line {LONG - 1} of the log")
        numbers = store.search("line 1234")
        log.show_finds("line 1234", numbers)
        await until(pilot, lambda: "line 123499 of the log" in text_of(log))
        assert log.found == (len(numbers), 111)
        log.next_find(1)
        await until(pilot, lambda: "line 1234 of the log" in text_of(log))
        assert log.found == (1, 111)
        log.next_find(-2)
        await until(pilot, lambda: "line 123498 of the log" in text_of(log))
        assert not log.following


async def cost_of_keys(size: int) -> float:
    log = JobLog()
    async with Host(log).run_test(size=(80, 30)) as pilot:
        log.show_store(filled(size))
        log.focus()
        await until(pilot, lambda: bool(seen(log)[-1]))
        began = time.process_time()
        for _ in range(20):
            await pilot.press("pageup")
        return time.process_time() - began


async def test_a_key_costs_the_same_in_a_long_log_as_in_a_short_one() -> None:
    assert await cost_of_keys(LONG) < 2 * await cost_of_keys(1_000) + 0.1


async def test_a_log_that_lost_its_beginning_goes_on() -> None:
    store, log = LineStore(max_bytes=4_000), JobLog()
    async with Host(log).run_test(size=(60, 8)) as pilot:
        log.show_store(store)
        for start in range(0, 1_000, 50):
            store.append(numbered(50, start))
            log.grow()
        await until(pilot, lambda: seen(log)[-1] == "line 999 of the log")
        log.action_scroll_home()
        await until(pilot, lambda: seen(log)[0] == f"line {store.first} of the log")

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.app import MeasurementError, percentile, turn_overheads
from benchmarks.endpoint import Endpoint, Exchange
from benchmarks.headless import measure_headless, measure_imports
from benchmarks.keyed import Figure, KeyedApp, Span, Watch
from benchmarks.procfs import cpu_seconds, kill_tree, memory_mb, queued_seconds, tree
from benchmarks.report import Results, notes, table
from benchmarks.subjects import OURS, PEERS_VARIABLE, Subject, find_subjects
from benchmarks.terminal import Terminal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

ENV = {"PATH": os.environ["PATH"], "TERM": "xterm-256color"}

RAW_KEYS = "import os, sys, tty; tty.setraw(0); write = lambda data: os.write(1, data); "


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", RAW_KEYS + code]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as endpoint:
        yield endpoint


# -------------------------------------------------------------------------------------------------- the terminal


def test_a_program_sees_a_terminal_of_120_by_40_that_is_its_own(tmp_path: Path) -> None:
    with Terminal(shell("stty size < /dev/tty; cat"), ENV, tmp_path) as terminal:
        assert terminal.wait_for(lambda text: "40 120" in text, 5.0)


def test_what_is_typed_shows_only_when_the_program_paints_it(tmp_path: Path) -> None:
    code = "write(b'go'); key = os.read(0, 1); write(b'[%s]' % key.upper()); os.read(0, 1)"
    with Terminal(python(code), ENV, tmp_path) as terminal:
        assert terminal.wait_for(lambda text: "go" in text, 5.0)
        pressed = terminal.send("x")
        shown = terminal.wait_for(lambda text: "[X]" in text, 5.0)
        assert shown is not None
        assert terminal.started < pressed < shown < time.monotonic()
        assert "x" not in terminal.screen.text


def test_what_was_written_can_be_waited_for_without_a_screen(tmp_path: Path) -> None:
    code = "write(b'go'); key = os.read(0, 1); write(b'\\x1b[2J%s' % key.upper()); os.read(0, 1)"
    with Terminal(python(code), ENV, tmp_path) as terminal:
        assert b"go" in terminal.skip(0.5)
        pressed = terminal.send("x")
        shown = terminal.wait_for_bytes(lambda data: b"\x1b[2JX" in data, 5.0)
        assert shown is not None
        assert pressed < shown < time.monotonic()
        assert terminal.wait_for_bytes(lambda data: b"X" in data, 0.05) is None


def test_the_time_is_that_of_the_read_however_late_the_screen_is_worked_out(tmp_path: Path) -> None:
    with Terminal(shell("echo first; read line; echo second"), ENV, tmp_path) as terminal:
        assert terminal.wait_for(lambda text: "first" in text, 5.0)
        pressed = terminal.send("\n")
        while terminal.painted < len("first\r\nsecond\r\n"):
            assert time.monotonic() < pressed + 5
        arrived = time.monotonic()
        shown = terminal.wait_for(lambda text: "second" in text, 5.0)
        assert shown is not None
        assert pressed < shown <= arrived


def test_questions_to_the_terminal_are_answered_in_their_order_even_when_split(tmp_path: Path) -> None:
    code = (
        "write(b'\\x1b[?2026$p\\x1b[?9999'); os.read(0, 11); write(b'$p\\x1b[c'); answer = b''\n"
        "while not answer.endswith(b'c'): answer += os.read(0, 99)\n"
        "write(repr(answer).encode()); os.read(0, 1)"
    )
    with Terminal(python(code), ENV, tmp_path) as terminal:
        assert terminal.wait_for(lambda text: r"b'\x1b[?9999;0$y\x1b[?62;22c'" in text, 5.0), terminal.screen.text


def test_sequences_that_change_no_text_leave_no_trace(tmp_path: Path) -> None:
    painted = r"\033[>4;1m\033[4:3;38;2;1;2;3mbold\033[m\033]0;a title\007\033Pq#1\033\\\033[=1u\033[>q\033[3;5Hhere"
    with Terminal(shell(f"printf '{painted}'; cat"), ENV, tmp_path) as terminal:
        assert terminal.wait_for(lambda text: "here" in text, 5.0)
        assert terminal.screen.text.rstrip() == "bold\n\n    here"


def test_waiting_ends_with_the_program(tmp_path: Path) -> None:
    with Terminal(shell("echo done"), ENV, tmp_path) as terminal:
        began = time.monotonic()
        assert terminal.wait_for(lambda text: "never" in text, 30.0) is None
        assert "done" in terminal.screen.text
        assert time.monotonic() - began < 10


def test_closing_ends_the_whole_tree(tmp_path: Path) -> None:
    with Terminal(shell("sleep 60 & echo child $!; wait"), ENV, tmp_path) as terminal:
        assert terminal.wait_for(lambda text: "child" in text, 5.0)
        child = int(terminal.screen.text.split()[1])
        assert child in tree(terminal.pid)
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child}").exists() and b"Z" not in Path(f"/proc/{child}/stat").read_bytes():
        assert time.monotonic() < deadline


# ------------------------------------------------------------------------------------------------------ processes


def test_cpu_holds_what_children_used_that_have_ended() -> None:
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {burn!r}]); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert 0.15 <= cpu_seconds(process.pid) < 2
        process.kill()


def test_time_of_one_process_is_told_finer_than_the_clock_ticks() -> None:
    code = "print(flush=True); input(); sum(range(300_000)); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        before = Watch(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()
        assert 0.5 < before.span.cpu_ms < 500
        process.kill()


def test_a_key_counts_until_the_screen_shows_what_comes_of_it(tmp_path: Path) -> None:
    code = "write(b'up'); key = os.read(0, 9); import time; time.sleep(0.1); write(b'<%s>' % key); os.read(0, 1)"
    with KeyedApp(tmp_path, tmp_path, python(code)) as app:
        app.see("up")
        span = app.press("ab", lambda lines: "<ab>" in lines[0], "what was pressed")
        assert 100 <= span.wall_ms < 5_000
        assert span.cpu_ms < span.wall_ms
        with pytest.raises(MeasurementError, match="a wonder does not show"):
            app.press("", lambda lines: "wonder" in lines[0], "a wonder", 0.01)
    assert (
        Figure("a key", [Span(1.0, 0.5), Span(3.0, 0.5)], 50, p95=True).line()
        == "| a key | 2 | 2.0 | 3.0 | 0.50 | 0.50 | p95 ≤ 50 |"
    )


def test_a_process_waits_for_a_cpu_only_when_it_could_run() -> None:
    pin = "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])"
    burn = f"import os, time\n{pin}\nprint(flush=True)\nwhile time.process_time() < 5: pass"
    with ExitStack() as stack:
        command = [sys.executable, "-S", "-c", burn]
        both = [stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE)) for _ in range(2)]
        for process in both:
            assert process.stdout is not None
            process.stdout.readline()
        time.sleep(0.5)
        waited = [queued_seconds(process.pid) for process in both]
        for process in both:
            process.kill()
    assert sum(waited) > 0.2


def test_memory_grows_by_what_a_process_takes() -> None:
    code = "print(flush=True); input(); taken = b'x' * 50_000_000; print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        before = memory_mb(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()
        assert 45 < memory_mb(process.pid) - before < 60
        process.kill()


def test_a_process_that_is_gone_costs_nothing() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert cpu_seconds(process.pid) == 0
    assert queued_seconds(process.pid) == 0
    assert memory_mb(process.pid) == 0
    kill_tree(process.pid)


# ------------------------------------------------------------------------------------------- endpoint and headless


def test_the_floor_works_through_a_chain_of_tool_turns(endpoint: Endpoint, tmp_path: Path) -> None:
    _, _, floor, *_ = find_subjects(endpoint.url, tmp_path)
    figures = measure_headless(floor, endpoint)
    assert figures["headless_first_request_ms"] > 0
    assert 0 < figures["headless_turn_ms"] <= figures["headless_turn_p95_ms"] < 1000
    assert figures["headless_end_ms"] > 0


def test_a_program_that_asks_nothing_is_told_of_in_its_own_words(endpoint: Endpoint, tmp_path: Path) -> None:
    subject = Subject(
        "silent", tmp_path / "project", ENV, headless=tuple(shell("echo no model for {prompt} >&2; exit 2"))
    )
    subject.cwd.mkdir()
    with pytest.raises(MeasurementError, match=r"exit code 2 after 0 requests: no model for bench \w+ tools 50"):
        measure_headless(subject, endpoint)


def test_importing_takes_its_time(tmp_path: Path) -> None:
    slow = "import time\nend = time.monotonic() + 0.2\nwhile time.monotonic() < end: pass"
    subject = Subject("slow", tmp_path, ENV, imports=(sys.executable, "-S", "-c", slow))
    assert 200 <= measure_imports(subject)["first_frame_ms"] < 2000


def test_peers_come_from_the_environment_as_app_headless_or_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(PEERS_VARIABLE, "/opt/one -c 'u=\"{url}/v1\"'\none exec {prompt} --at {cwd}\n\ntwo {prompt}")
    *_, one, two = find_subjects("http://localhost:1", tmp_path)
    assert one.app == ("/opt/one", "-c", 'u="http://localhost:1/v1"')
    assert one.prompted("do it") == ["one", "exec", "do it", "--at", str(one.cwd)]
    assert (two.name, two.app, two.prompted("go")) == ("two", (), ["two", "go"])


# ------------------------------------------------------------------------------------------------------ arithmetic


def exchange(received: float, ended: float) -> Exchange:
    return Exchange(received, 100, received, ended)


def test_the_overhead_of_a_turn_lies_between_a_reply_and_the_next_request() -> None:
    exchanges = [exchange(0.0, 1.0), exchange(1.5, 2.0), exchange(2.1, 3.0)]
    figures = turn_overheads(exchanges, 2)
    assert figures["turn_first_fifth_ms"] == pytest.approx(500)
    assert figures["turn_last_fifth_ms"] == pytest.approx(100)
    assert figures["turn_ms"] == pytest.approx(300)
    with pytest.raises(MeasurementError, match="only 2 of 3 tool turns"):
        turn_overheads(exchanges, 3)


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 10), (0.95, 19), (1.0, 20)])
def test_a_percentile_is_a_value_that_was_measured(share: float, value: float) -> None:
    assert percentile(list(range(20, 0, -1)), share) == value


def test_ratios_compare_within_a_round(tmp_path: Path) -> None:
    subjects = [Subject(name, tmp_path, {}) for name in (OURS, "floor", "idle peer")]
    rounds = [
        {OURS: {"headless_turn_ms": 20.0, "key_ms": 3.0}, "floor": {"headless_turn_ms": 10.0}},
        {OURS: {"headless_turn_ms": 90.0}, "floor": {"headless_turn_ms": 30.0}},
        {OURS: {"headless_turn_ms": 400.0}, "floor": {}},
    ]
    results = Results(subjects, rounds, ["floor, headless, round 3: it broke"], [0.5])
    assert table(results).splitlines() == [
        "| measure | ml-intern | floor | ratio |",
        "| --- | ---: | ---: | ---: |",
        "| key shows, median ms | 3.00 |  |  |",
        "| headless: tool turn, median ms | 90.0 (20.0–400) | 20.0 | 2.50 |",
    ]
    assert "floor, headless, round 3: it broke" in notes(results, 2)

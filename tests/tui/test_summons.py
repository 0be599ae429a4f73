from __future__ import annotations

import pytest

from ml_intern.core.redact import Redactor
from ml_intern.tui.attention import News
from ml_intern.tui.summons import AWAY_S, GAP_S, Dialect, Notices, Summons, dialect, notice_sequence

APPROVAL = News("needs your approval", "hf_jobs: paid compute", waits=True)
DONE = News("done after 2 m", "the loss fell")


class Terminal:
    def __init__(self) -> None:
        self.app_focus = True
        self.rings = 0
        self.written: list[str] = []
        self.time = 0.0
        self.summons = Summons(self, {"TERM": "xterm-kitty"}, lambda: self.time)

    def bell(self) -> None:
        self.rings += 1

    def write_sequence(self, sequence: str) -> None:
        self.written.append(sequence)

    def call(self, news: News, notices: Notices = "away", bell: bool = True) -> None:
        self.summons.call(news, bell=bell, notices=notices)


def test_who_looks_is_rung_for_what_waits_and_for_nothing_else() -> None:
    terminal = Terminal()
    terminal.call(APPROVAL)
    assert terminal.rings == 1
    terminal.time = 2 * GAP_S
    terminal.call(DONE)
    assert (terminal.rings, terminal.written) == (1, [])


@pytest.mark.parametrize("why", ["another window has the focus", "no key for long"])
def test_who_is_away_gets_a_notice(why: str) -> None:
    terminal = Terminal()
    if "focus" in why:
        terminal.app_focus = False
    else:
        terminal.time = AWAY_S + 1
    terminal.call(DONE)
    assert terminal.rings == 1
    assert "done after 2 m" in terminal.written[0]
    terminal.app_focus = True
    terminal.summons.heard()
    terminal.time += 2 * GAP_S
    terminal.call(DONE)
    assert len(terminal.written) == 1


def test_calls_close_together_are_one_unless_something_waits() -> None:
    terminal = Terminal()
    terminal.app_focus = False
    terminal.call(DONE)
    terminal.call(News("the turn failed"))
    assert len(terminal.written) == 1
    terminal.call(APPROVAL)
    terminal.call(APPROVAL)
    assert [part.count("needs your approval") for part in terminal.written] == [0, 1]


def test_both_can_be_switched_off_apart() -> None:
    terminal = Terminal()
    terminal.app_focus = False
    terminal.call(APPROVAL, notices="off")
    assert (terminal.rings, terminal.written) == (1, [])
    terminal.time = 2 * GAP_S
    terminal.call(APPROVAL, bell=False)
    assert (terminal.rings, len(terminal.written)) == (1, 1)


@pytest.mark.parametrize(
    ("env", "by"),
    [
        ({"TERM": "xterm-kitty"}, "osc99"),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7600"}, "osc777"),
        ({"TERM": "foot"}, "osc777"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "osc9"),
        ({"TERM": "screen-256color", "TMUX": "/t"}, "osc9"),
        ({"TERM": "linux"}, ""),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, ""),
    ],
)
def test_each_terminal_is_asked_in_its_own_way(env: dict[str, str], by: Dialect) -> None:
    assert dialect(env) == by


@pytest.mark.parametrize("by", ["osc9", "osc99", "osc777"])
def test_a_notice_cannot_be_left_by_what_it_says(by: Dialect) -> None:
    sequence = notice_sequence("ml-intern \x1b\\title;x", "4;1\x07\x1b]0;owned\x1b\\\x9c\n\u202e", by)
    assert sequence.count("\x07") == sequence.count("\x9c") == sequence.count("\n") == 0
    assert sequence.count("\x1b") == 2 * sequence.count("\x1b]")  # each begins once and ends once
    assert sequence.endswith("\x1b\\")


def test_what_is_told_passes_the_redactor_and_the_multiplexer() -> None:
    terminal = Terminal()
    summons = Summons(terminal, {"TERM": "tmux-256color", "TMUX": "/t"}, lambda: 0.0)
    terminal.app_focus = False
    summons.call(News("failed", "with hf_x"), bell=False, notices="away", redact=lambda text: text.replace("hf_x", "…"))
    assert terminal.written == ["\x1bPtmux;\x1b\x1b]9;ml-intern failed: with …\x1b\x1b\\\x1b\\"]


def test_a_secret_that_only_a_colour_or_an_unseen_character_splits_is_in_no_notice() -> None:
    terminal = Terminal()
    summons = Summons(terminal, {"TERM": "xterm"}, lambda: 0.0)
    terminal.app_focus = False
    token = "hf_abcdefghijklm\x1b[0mnopqrst\u200buvwxyz123456"
    summons.call(News("failed", f"with {token}"), bell=False, notices="away", redact=Redactor().text)
    assert terminal.written == ["\x1b]9;ml-intern failed: with [REDACTED_HF_TOKEN]\x1b\\"]

"""Calling a person to the terminal: its bell, and a notice on the desktop for those who look elsewhere.

There are three escape sequences for notices, and no terminal takes all of them. Who is asked by which is settled by the
environment; what a terminal does not know it passes over.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from ml_intern.core.plain_text import plain
from ml_intern.tui.attention import News
from ml_intern.tui.clipboard import passed_on

Notices = Literal["off", "away", "always"]
Dialect = Literal["osc9", "osc99", "osc777", ""]

AWAY_S = 60.0
"""Without a key for so long, a person counts as away: not every terminal tells that it lost the focus."""
GAP_S = 5.0
"""So soon after a call, only what waits for an answer calls again."""
_SILENT = frozenset({"dumb", "linux"})


class Caller(Protocol):
    """Who has the terminal."""

    @property
    def app_focus(self) -> bool:
        """Whether the terminal has the focus, as far as it tells."""

    def bell(self) -> None:
        """Rings."""

    def write_sequence(self, sequence: str) -> None:
        """Writes a control sequence to the terminal."""


class Summons:
    """Calls, when nobody is there to see it.

    Args:
        caller: Who has the terminal.
        env: Environment variables that tell which terminal it is.
        clock: Seconds that only go forward.
    """

    def __init__(
        self, caller: Caller, env: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._caller = caller
        self._env = env
        self._clock = clock
        self._heard_at = clock()
        self._called_at = -GAP_S
        self._last: News | None = None

    def heard(self) -> None:
        """The person has pressed a key or moved the mouse."""
        self._heard_at = self._clock()

    @property
    def away(self) -> bool:
        """Whether the person seems to look elsewhere."""
        return not self._caller.app_focus or self._clock() - self._heard_at > AWAY_S

    def call(self, news: News, *, bell: bool, notices: Notices, redact: Callable[[str], str] = str) -> None:
        """Tells a person.

        Args:
            news: What there is to tell.
            bell: Whether the bell may ring.
            notices: When a notice is wanted.
            redact: Takes secrets out of a text.
        """
        now, away = self._clock(), self.away
        if now - self._called_at < GAP_S and (not news.waits or news == self._last):
            return
        if bell and (news.waits or away):
            self._caller.bell()
        elif not away and notices != "always":
            return
        self._called_at, self._last = now, news
        if notices == "always" or (notices == "away" and away):
            sequence = notice_sequence(
                f"ml-intern {news.title}", redact(_printable(plain(news.text))), dialect(self._env)
            )
            if sequence:
                self._caller.write_sequence(passed_on(sequence, self._env))


def dialect(env: Mapping[str, str]) -> Dialect:
    """How this terminal is asked for a notice; empty when it cannot show any."""
    term, program = env.get("TERM", ""), env.get("TERM_PROGRAM", "")
    if term in _SILENT or program == "Apple_Terminal":
        return ""
    if "kitty" in term or env.get("KITTY_WINDOW_ID"):
        return "osc99"
    if env.get("VTE_VERSION") or term.startswith(("foot", "rxvt")):
        return "osc777"
    return "osc9"  # iTerm2, WezTerm, Ghostty, and most of those that cannot be told from afar


def notice_sequence(title: str, text: str, by: Dialect) -> str:
    """What makes a terminal show a notice; empty where it cannot."""
    title, text = _printable(title), _printable(text)
    match by:
        case "osc9":  # the text never begins with a digit: `9;4` is another command
            return f"\x1b]9;{title}{': ' if text else ''}{text}\x1b\\"
        case "osc777":
            return f"\x1b]777;notify;{title.replace(';', ',')};{text}\x1b\\"
        case "osc99":
            more = f"\x1b]99;i=ml-intern:d=1:p=body;{text}\x1b\\" if text else ""
            return f"\x1b]99;i=ml-intern:d={0 if text else 1};{title}\x1b\\{more}"
        case _:
            return ""


def _printable(text: str) -> str:
    return "".join(char for char in text if char.isprintable())

"""How the sessions screen, its filter and its search carry many sessions, and what an event of a session costs.

Logs are made first; then the app is started on a terminal of 120 by 40 without an index, and again with one. What is
pressed counts until what comes of it has been painted.

    python -m benchmarks.sessions [--sessions 20000] [--rounds 5] [--parts rebuild screen index events] [--at DIR]
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.events import event_figures
from benchmarks.keyed import F2, HEADINGS, Figure, KeyedApp, Shown, Span, Watch
from benchmarks.made_logs import RARE, MadeLogs, label
from ml_intern.sessions.index import SessionIndex
from ml_intern.tui.screens.sessions import MOST_FOUND
from ml_intern.tui.screens.sessions_shelf import Shelf, entries_of

PARTS = ("rebuild", "screen", "index", "events")
PROJECTS = 20
REBUILD_S = 900.0
PAUSES_S = (0.08, 0.2)
"""How long a person takes from key to key."""
WORDS = ("learning", "the", "lea", "train", "los", RARE, "loss step", '"learning rate"', f"{RARE} learning")
"""Common ones, beginnings of common ones, a rare one, several."""
TYPED = ("the", "lea", "los", "tra", RARE[:3], "loss the", f"{RARE} the")
"""Of these the last letter finds other sessions than what stands before it."""
FILTERED = 6
AGAIN = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes sessions, measures, and prints a table. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sessions", description=__doc__.partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=20_000, metavar="N", help="how many (default 20000)")
    parser.add_argument("--kilobytes", type=int, default=100, metavar="KB", help="size of each (default 100)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="starts of the app (default 5)")
    parser.add_argument("--events", type=int, default=100_000, metavar="N", help="of a long session (default 100000)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--at", type=Path, metavar="DIR", help="keep the logs there, or use those of an earlier run")
    choice = parser.parse_args(arguments)
    with ExitStack() as stack:
        own = choice.at is None
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-"))) if own else choice.at
        bench = SessionsBench(place.absolute(), choice.sessions, choice.rounds)
        if set(choice.parts) & {"rebuild", "screen", "index"}:
            size = bench.make(choice.kilobytes)
            print(f"{choice.sessions:,} sessions, {size / 1e6:,.0f} MB of logs\n")
        print(HEADINGS)
        for part in PARTS:
            if part in choice.parts:
                figures = event_figures(place, choice.events) if part == "events" else getattr(bench, part)()
                for figure in figures:
                    print(figure.line(), flush=True)
    return 0


class SessionsBench:
    """Measures over the sessions of one directory.

    Args:
        place: What belongs to the app goes here.
        count: How many sessions there are.
        rounds: How often the app is started.
    """

    def __init__(self, place: Path, count: int, rounds: int) -> None:
        self._home, self._cwd = place / "home", place / "project"
        self._logs = self._home / "sessions"
        self._count, self._rounds = count, rounds
        self._chance = random.Random(1)

    def make(self, kilobytes: int) -> int:
        """Writes the logs, unless they are there. Returns their size in bytes."""
        self._cwd.mkdir(parents=True, exist_ok=True)
        if not any(self._logs.glob("*/*/*.jsonl")):
            others = [f"/data/project-{number}" for number in range(1, PROJECTS)]
            return MadeLogs(self._logs, [str(self._cwd), *others], self._count, kilobytes).write()
        return sum(path.stat().st_size for path in self._logs.glob("*/*/*.jsonl"))

    # ------------------------------------------------------------------------------------------------ in the terminal

    def rebuild(self) -> Iterator[Figure]:
        """The first start after the index was lost: the screen can be used, and fills."""
        (self._logs / "index.sqlite").unlink(missing_ok=True)
        with KeyedApp(self._home, self._cwd) as app:
            app.see("vllm/bench")
            opened = app.press(F2, _shows(label(self._newest)), "the newest session")
            yield Figure("no index: F2 to the first rows", [opened])
            watch = Watch(app.pid)
            app.press("a", lambda lines: "to go" in "".join(lines), "progress")
            app.rest()
            app.press("/", lambda lines: "to the list" in lines[-1], "the filter")
            yield Figure(
                "no index: a key in the filter, meanwhile", list(self._typed(app, "%" + "xkqvjw" * 4)), 50, p95=True
            )
            app.press("\x1b", lambda lines: f"all ({self._count:,})" in lines[0], "all sessions", REBUILD_S)
            yield Figure("no index: until all sessions are there", [watch.span])
            app.idle()

    def _typed(self, app: KeyedApp, text: str) -> Iterator[Span]:
        """Types a text that fits no session, and takes it back."""
        for at in range(1, len(text) + 1):
            typed = text[:at]
            yield app.press(typed[-1], _shows(f"Nothing fits '{typed}'"), f"nothing for {typed}")
            self._breathe(app)
        app.press("\x7f" * len(text), lambda lines: "/ filters" in lines[0], "an empty filter")

    def screen(self) -> Iterator[Figure]:
        """Keys of the sessions screen, each until it is painted."""
        SessionIndex(self._logs).refresh()
        first: list[Span] = []
        again: list[Span] = []
        filtered: list[Span] = []
        found: list[Span] = []
        for _ in range(self._rounds):
            with KeyedApp(self._home, self._cwd) as app:
                app.see("vllm/bench")
                app.idle()
                first.append(self._open(app))
                for _ in range(AGAIN):
                    app.idle()
                    app.press("\x1b", lambda lines: "sessions  ⌕" not in lines[0], "the conversation")
                    app.rest()
                    again.append(self._open(app))
                app.idle()
                app.press("a", lambda lines: label(self._count - 1) in lines[2], "all sessions")
                app.press("/", lambda _lines: True, "")
                app.rest()
                filtered += self._filter(app)
                found += self._search(app)
        yield Figure("F2 to the first rows, first time", first, 150)
        yield Figure("F2 to the first rows, again", again, 150)
        yield Figure("a key in the filter", filtered, 50, p95=True)
        yield Figure("the last letter of words to what was said and run", found, 100)

    @property
    def _newest(self) -> int:
        """Number of the newest session of the directory that the app works in."""
        return (self._count - 1) // PROJECTS * PROJECTS

    def _open(self, app: KeyedApp) -> Span:
        return app.press(F2, lambda lines: label(self._newest) in lines[2], "the newest session")

    def _filter(self, app: KeyedApp) -> Iterator[Span]:
        """Types names of sessions letter by letter; the first row tells when the list has followed."""
        for number in self._chance.sample(range(self._count), FILTERED):
            word = label(number)
            for at in range(1, len(word) + 1):
                typed = word[:at]
                wanted = label(next(n for n in range(self._count - 1, -1, -1) if typed in label(n)))
                yield app.press(typed[-1], _lists(typed, wanted), f"{typed}: {wanted}")
                self._breathe(app)
            self._erase(app, word)

    def _search(self, app: KeyedApp) -> Iterator[Span]:
        """The last letter of some words; how many sessions are listed then tells that the full text has answered."""
        index, shelf = SessionIndex(self._logs), Shelf()
        shelf.put(entries_of(index.list()))
        for words in TYPED:
            before, after = (
                len(shelf.select(None, text, {hit.id for hit in index.hits(text, limit=MOST_FOUND)}))
                for text in (words[:-1], words)
            )
            assert before != after
            app.press(words[:-1], _lists(words[:-1], "", before), words[:-1])
            app.rest()
            yield app.press(words[-1], _lists(words, "", after), words)
            app.rest()
            self._erase(app, words)

    def _erase(self, app: KeyedApp, text: str) -> None:
        app.press("\x7f" * len(text), lambda lines: "/ filters" in lines[0], "an empty filter")
        app.rest()

    def _breathe(self, app: KeyedApp) -> None:
        app.terminal.watch(self._chance.uniform(*PAUSES_S))

    # ------------------------------------------------------------------------------------------------ without a screen

    def index(self) -> Iterator[Figure]:
        """The index alone, in this process."""
        index = SessionIndex(self._logs)
        index.refresh()
        yield Figure("index: a look at all logs, none changed", _times(index.refresh))
        yield Figure("index: the first 200 sessions of a directory", _times(lambda: index.list(self._cwd, limit=200)))
        yield Figure("index: all sessions", _times(index.list))
        for words in WORDS:
            everywhere, here = (
                partial(index.hits, words, directory=directory, limit=200) for directory in (None, self._cwd)
            )
            yield Figure(f"index: {words}", _times(everywhere), 100)
            yield Figure(f"index: {words}, in one directory", _times(here), 100)


def _shows(text: str) -> Shown:
    return lambda lines: any(text in line for line in lines)


def _lists(typed: str, first: str, count: int | None = None) -> Shown:
    """What is typed is in the filter, and the list begins with this session and has so many."""
    counted = "" if count is None else f"({count:,} of "
    return lambda lines: typed in lines[0] and counted in lines[0] and first in lines[2]


def _times(work: Callable[[], object], runs: int = 7) -> list[Span]:
    spans = []
    for _ in range(runs):
        watch = Watch()
        work()
        spans.append(watch.span)
    return spans


if __name__ == "__main__":
    sys.exit(main())

"""Two to five runs side by side: overlaid curves, final figures, and what they were told differently."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.timer import Timer

from ml_intern.core.metrics import Curve
from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.screens import jobs_text as words
from ml_intern.tui.screens.jobs_board import JobsBoard
from ml_intern.tui.screens.jobs_feed import JobFeed
from ml_intern.tui.widgets.backdrop import Backdrop
from ml_intern.tui.widgets.charts import Charts
from ml_intern.tui.widgets.detail import LineView
from ml_intern.tui.widgets.display import BLANK_PIECE, LinesPiece, title_piece
from ml_intern.tui.widgets.key_bar import KeyBar
from ml_intern.tui.widgets.line import Part
from ml_intern.tui.widgets.lines import Line, Run
from ml_intern.tui.widgets.painted import PartsLine
from ml_intern.tui.widgets.pieces import Piece
from ml_intern.tui.widgets.tables import Cell, table_lines
from ml_intern.tui.widgets.text import clock_span, fit, money, one_line

PAINT_S = 0.3
KEYS = [
    ("{chart.before} {chart.after}", "curves"),
    ("{chart.log}", "log scale"),
    ("{move}", "scroll"),
    ("{compare.all}", "all or only differences"),
    ("{back}", "back"),
]
VALUE_CELLS = 40
LETTERS = "ABCDE"


class CompareScreen(Backdrop[None]):
    """Compares jobs. Reads the logs of all of them; running ones go on growing.

    Args:
        board: What is known of jobs.
        keys: Which ones.
    """

    AUTO_FOCUS = "#compare-tables"
    HELP = (
        "The marked jobs, each with a letter. {chart.before} and {chart.after} change the curve, {chart.log} its "
        "scale, {compare.all} shows what they have in common too, {move} scroll the tables, {back} goes back."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "back"),
        bind("leave", "back"),
        bind("jobs.compare", "back"),
        bind("chart.after", "chart(1)"),
        bind("chart.before", "chart(-1)"),
        bind("chart.log", "log_scale"),
        bind("compare.all", "all"),
    ]

    def __init__(self, board: JobsBoard, keys: Sequence[str]) -> None:
        super().__init__()
        self._board = board
        self._keys = keys
        self._feeds: list[JobFeed] = []
        self._everything = False
        self._painting: Timer | None = None
        self._shown: tuple[object, ...] = ()
        self._grew_before = board.changed

    def compose(self) -> ComposeResult:
        """Head, curves, tables, keys."""
        yield PartsLine(id="compare-head")
        yield Charts(letters=True, id="compare-charts")
        yield LineView(id="compare-tables")
        yield KeyBar(KEYS, id="compare-keys")

    def on_mount(self) -> None:
        """Begins to read all of them."""
        self._charts = self.query_one(Charts)
        self._tables = self.query_one(LineView)
        title = Part(f"compare {len(self._keys)} jobs", "$accent bold")
        self.query_one("#compare-head", PartsLine).parts = ((title,), ())
        self._board.changed = self._grew
        self._feeds = [feed for key in self._keys if (feed := self._board.feed(key)) is not None]
        for feed in self._feeds:
            feed.start()
        self._paint()

    def on_unmount(self) -> None:
        """The screen below hears of changes again."""
        self._board.changed = self._grew_before

    def _grew(self) -> None:
        if self._painting is None:
            self._painting = self.set_timer(PAINT_S, self._paint)

    # ----------------------------------------------------------------------------------------------------- showing

    def _paint(self) -> None:
        self._painting = None
        self._charts.show_named(overlaid(self._feeds))
        shown = (self._everything, *((feed.info.stage, feed.metrics.version, feed.complete) for feed in self._feeds))
        if shown != self._shown:
            self._shown = shown
            place = self._tables.scroll_y
            self._tables.show_pieces(self._pieces())
            self._tables.set_scroll(None, place)

    def _pieces(self) -> list[Piece]:
        facts = [self._facts(feed) for feed in self._feeds]
        figures = [
            {name: f"{value:.5g}" for name, value in feed.metrics.final_values().items()} for feed in self._feeds
        ]
        configs = [config_of(feed, self._feeds[0]) for feed in self._feeds]
        heading = [f"{LETTERS[at]} {words.title_of(feed.info)}" for at, feed in enumerate(self._feeds)]
        differing = configs if self._everything else different(configs)
        nothing = "nothing that is known here" if not self._everything else "nothing is known here"
        return [
            *_table("runs", heading, facts),
            BLANK_PIECE,
            *_table("figures at the end", heading, figures, "no figures were found in the logs"),
            BLANK_PIECE,
            *_table("told differently" if not self._everything else "told", heading, differing, nothing),
        ]

    def _facts(self, feed: JobFeed) -> dict[str, str]:
        info, board = feed.info, self._board
        now, flavor = board.clock(), board.flavor_of(info)
        ran = words.elapsed_s(info, now)
        cost = words.cost_usd(info, flavor, now)
        return {
            "job": info.ref.id,
            "stage": info.stage if feed.complete or info.active else f"{info.stage} (reading …)",
            "hardware": info.flavor,
            "ran": clock_span(ran) if ran is not None else "–",
            "cost": "free" if cost == 0 and info.backend == "local" else money(cost),
            "trouble": feed.metrics.warning,
        }

    # -------------------------------------------------------------------------------------------------------- keys

    def action_back(self) -> None:
        """Back to the jobs."""
        self.dismiss(None)

    def action_chart(self, step: int) -> None:
        """Another curve."""
        self._charts.step(step)

    def action_log_scale(self) -> None:
        """A logarithmic axis, or a plain one."""
        self._charts.toggle_log()

    def action_all(self) -> None:
        """Everything, or only what differs."""
        self._everything = not self._everything
        self._paint()


def overlaid(feeds: Sequence[JobFeed]) -> dict[str, list[tuple[str, Curve]]]:
    """The charts of several runs, the same figure of all in one."""
    found: dict[str, list[tuple[str, Curve]]] = {}
    for at, feed in enumerate(feeds):
        title = fit(words.title_of(feed.info), 24)
        for name, curves in feed.metrics.charts().items():
            found.setdefault(name, []).append((f"{LETTERS[at]} {title}", curves[0]))
    return found


def config_of(feed: JobFeed, first: JobFeed) -> dict[str, str]:
    """What a job was told, flat and as text. Scripts are told by how they differ from that of the first job."""
    config: dict[str, str] = {"hardware_flavor": feed.info.flavor, "command": feed.info.command}
    if feed.info.timeout_s is not None:
        config["timeout"] = clock_span(feed.info.timeout_s)
    for name, value in feed.arguments.items():
        if name in {"operation", "detach", "name", "hardware_flavor", "flavor", "hardware", "timeout"}:
            continue
        if name == "script":
            config["script"] = _script_text(str(value), str(first.arguments.get("script", "")), same=feed is first)
        elif isinstance(value, dict):
            config.update({f"{name}.{key}": _plain(item) for key, item in value.items()})
        else:
            config[name] = _plain(value)
    config.update({f"run.{name}": value for name, value in feed.config.items()})
    return {name: value for name, value in config.items() if value}


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _script_text(script: str, first: str, *, same: bool) -> str:
    lines = script.splitlines()
    if len(lines) < 2:
        return script
    if same or script == first:
        return f"{len(lines)} lines" + ("" if same else ", as the first")
    old = first.splitlines()
    removed = added = 0
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(a=old, b=lines, autojunk=True).get_opcodes():
        if tag != "equal":
            removed, added = removed + i2 - i1, added + j2 - j1
    changed = [line.strip() for line in lines if line.strip() and line not in set(old)]
    return f"+{added} −{removed} lines: {'; '.join(changed[:3])}"


def different(configs: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """The entries in which they are not all the same."""
    names = dict.fromkeys(name for config in configs for name in config)
    kept = [name for name in names if len({config.get(name, "") for config in configs}) > 1]
    return [{name: config[name] for name in kept if name in config} for config in configs]


def _table(title: str, heading: Sequence[str], columns: Sequence[Mapping[str, str]], nothing: str = "") -> list[Piece]:
    """A table with a column for each run."""
    names = list(dict.fromkeys(name for column in columns for name, value in column.items() if value))

    def make(width: int) -> list[Line]:
        if not names:
            return [Line((Run(nothing, "muted"),))]
        share = max(8, (width - 18) // len(heading) - 2)
        head: list[Cell] = [[Run("")], *[[Run(fit(name, share), "strong")] for name in heading]]
        rows: list[list[Cell]] = [head]
        for name in names:
            values = [fit(one_line(column.get(name, "–"), 300), max(VALUE_CELLS, share)) for column in columns]
            rows.append([[Run(fit(name, 28), "muted")], *[[Run(value)] for value in values]])
        return table_lines(rows, (), width)

    plain = "\n".join(f"{name} {' '.join(column.get(name, '') for column in columns)}" for name in names)
    return [title_piece(title), LinesPiece(make, plain, len(names) + 2)]

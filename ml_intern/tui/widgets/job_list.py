"""Jobs as a list with a cursor: a row each where there is width, two where there is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Unpack

from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.reactive import var

from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.widgets.lines import Line, Run, spread
from ml_intern.tui.widgets.pieces import JumpRow, Names
from ml_intern.tui.widgets.reader import Reader
from ml_intern.tui.widgets.text import cells, fit, one_line, pad

STAGES = {
    "SCHEDULING": ("○", "muted"),
    "RUNNING": ("▸", "accent"),
    "COMPLETED": ("✓", "success"),
    "ERROR": ("✗", "error"),
    "CANCELED": ("⊘", "muted"),
    "DELETED": ("⊘", "muted"),
}
GAP = "  "
TITLE_CELLS = 18
"""A title gets at least this before anything else is shown beside it."""


@dataclass(frozen=True, slots=True)
class JobRow:
    """What a list shows of a job.

    Attributes:
        key: Names it.
        short_id: Its id, shortened for people.
        title: What it is called.
        flavor: Hardware.
        stage: Where it stands, in capitals.
        time: How long it has run.
        limit: How long it may run.
        cost: What it has cost.
        most: What it may cost.
        spark: The course of its loss.
        value: The newest loss.
        load: How busy it is, in a few words.
        warning: What is wrong with it.
        marked: It is chosen for a comparison.
    """

    key: str
    title: str
    stage: str
    short_id: str = ""
    flavor: str = ""
    time: str = ""
    limit: str = ""
    cost: str = ""
    most: str = ""
    spark: str = ""
    value: str = ""
    load: str = ""
    warning: str = ""
    marked: bool = False

    @property
    def mark(self) -> Run:
        """The sign of its stage."""
        glyph, ink = STAGES.get(self.stage, ("○", "muted"))
        return Run(f"{glyph} ", ink)


_Column = tuple[str, str]  # name of what is shown, ink

_FULL: tuple[_Column, ...] = (
    ("short_id", "faint"),
    ("title", "strong"),
    ("flavor", "muted"),
    ("stage", "stage"),
    ("time_of_limit", ""),
    ("cost_of_most", ""),
    ("trend", "series1"),
)
_LEVELS: tuple[tuple[_Column, ...], ...] = (
    _FULL,
    tuple(column for column in _FULL if column[0] != "trend"),
    tuple(column for column in _FULL if column[0] not in ("trend", "short_id")),
    (("title", "strong"), ("flavor", "muted"), ("stage", "stage"), ("time", ""), ("cost", "")),
    (("title", "strong"), ("stage", "stage"), ("time", ""), ("cost", "")),
    (("title", "strong"), ("stage", "stage")),
)
"""What is shown, the more the wider the list is."""


def _text(row: JobRow, column: str) -> str:
    match column:
        case "time_of_limit":
            return f"{row.time} of {row.limit}" if row.time and row.limit else row.time
        case "cost_of_most":
            return f"{row.cost} of {row.most}" if row.cost and row.most else row.cost
        case "trend":
            return row.warning or row.spark
        case name:
            return one_line(str(getattr(row, name)))


class Layout:
    """Widths of the columns for a width of the list.

    Args:
        rows: All rows.
        width: Cells there are.
    """

    def __init__(self, rows: Sequence[JobRow], width: int) -> None:
        for self.columns in _LEVELS:
            self._widths = {
                name: max((cells(_text(row, name)) for row in rows), default=0)
                for name, _ in self.columns
                if name != "title"
            }
            used = sum(size + len(GAP) for size in self._widths.values() if size)
            room = width - 4 - used
            if room >= TITLE_CELLS:
                break
        longest = max((cells(one_line(row.title)) for row in rows), default=0)
        self._widths["title"] = max(4, min(room, max(longest, 24)))

    def line(self, row: JobRow, width: int) -> Line:
        """A row."""
        runs = [Run("● " if row.marked else "  ", "accent"), row.mark]
        used = 4
        for name, ink in self.columns:
            size = self._widths[name]
            if not size:
                continue
            text = fit(_text(row, name), size if name != "trend" else min(size, max(0, width - used)))
            style = row.mark.ink if ink == "stage" else "warning" if name == "trend" and row.warning else ink
            runs.append(Run(pad(text, size) + GAP, style))
            used += size + len(GAP)
        return Line(tuple(runs))


class JobPiece:
    """A job in the list."""

    def __init__(self, row: JobRow, owner: JobList) -> None:
        self.row = row
        self._owner = owner

    @property
    def plain(self) -> str:
        """Title and id."""
        return f"{self.row.title} {self.row.key}"

    def estimate(self, _width: int) -> int:
        """One row, or two."""
        return 2 if self._owner.tall else 1

    def render(self, width: int) -> list[Line]:
        """Its row, or two of them."""
        if not self._owner.tall:
            return [self._owner.layout_for(width).line(self.row, width)]
        row = self.row
        stage = Run(row.stage, row.mark.ink)
        title = fit(one_line(row.title), width - 2 - cells(row.stage) - 2)
        facts = [_text(row, "time_of_limit"), row.cost, row.value, row.load]
        said = GAP.join(fact for fact in facts if fact)
        trend = row.warning or row.spark
        room = width - 2 - cells(said) - len(GAP)
        ink = "warning" if row.warning else "series1"
        second = [Run("  "), Run(said, "muted")] + ([Run(GAP + fit(trend, room), ink)] if trend and room > 3 else [])
        return [spread([row.mark, Run(title, "strong")], [stage], width), Line(tuple(second))]


class JobList(Reader[JobPiece]):
    """Shows jobs in the order given.

    Args:
        tall: Two rows for each job, for a narrow pane.
    """

    DEFAULT_CSS = ""
    HELP = "The list of jobs. {list.up} and {list.down} choose one, {list.open} opens it."
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("list.up", "cursor(-1)"),
        bind("list.down", "cursor(1)"),
        bind("list.first", "cursor(-1000000)"),
        bind("list.last", "cursor(1000000)"),
        bind("list.page_up", "cursor(-10)"),
        bind("list.page_down", "cursor(10)"),
        bind("list.open", "open"),
    ]

    cursor: var[str] = var("")
    """Key of the job under the cursor; empty while there is none."""

    class Moved(Message):
        """Another job is under the cursor."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Opened(Message):
        """The person wants to see all of a job."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self, *, tall: bool = False, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self.tall = tall
        self._layout: tuple[int, Layout] | None = None

    def show_rows(self, rows: Sequence[JobRow]) -> None:
        """Shows these jobs; those that look as before are not drawn again, unless a column changed its width."""
        before = self.pieces
        self._layout = None
        same = [piece.row.key for piece in before] == [row.key for row in rows]
        if not same:
            self.cut(0)
            for row in rows:
                self.add(JobPiece(row, self))
        else:
            for slot, row in zip(self._slots, rows, strict=True):
                slot.piece.row = row
                self.rerender(slot.serial)
        if rows and self._index() is None:
            self.cursor = rows[0].key
        elif not rows:
            self.cursor = ""

    def layout_for(self, width: int) -> Layout:
        """The columns at a width."""
        if self._layout is None or self._layout[0] != width:
            self._layout = width, Layout([piece.row for piece in self.pieces], width)
        return self._layout[1]

    def _index(self) -> int | None:
        return next((at for at, slot in enumerate(self._slots) if slot.piece.row.key == self.cursor), None)

    def choose(self, key: str) -> None:
        """Puts the cursor on a job, and the job into view."""
        self.cursor = key
        if (at := self._index()) is not None:
            self._show_index(at)

    def dress(self, row: Line, serial: int, number: int) -> Line:
        """The job under the cursor stands out; in a pane only while that has the focus."""
        if number or self.piece(serial).row.key != self.cursor or (self.tall and not self.has_focus):
            return row
        runs = tuple(Run(text, f"{ink} cursor".strip(), link) for text, ink, link in row.runs)
        return row._replace(runs=runs, fill="cursor")

    def watch_cursor(self, key: str) -> None:
        """Repaints and tells of it."""
        self.settle_soon()
        self.post_message(self.Moved(key))

    def on_focus(self) -> None:
        """The cursor appears."""
        self.settle_soon()

    def on_blur(self) -> None:
        """The cursor steps back."""
        self.settle_soon()

    def action_cursor(self, step: int) -> None:
        """Moves the cursor."""
        if not self._slots:
            return
        here = self._index()
        at = min(max(0, (here if here is not None else 0) + step), len(self._slots) - 1)
        self.cursor = self._slots[at].piece.row.key
        self._show_index(at)

    def _show_index(self, at: int) -> None:
        top, height = round(self.scroll_y), self.view.height
        first = self._heights.before(at)
        last = first + self._heights[at]
        if first < top:
            self.scroll_to(y=first, animate=False)
        elif last > top + height:
            self.scroll_to(y=last - height, animate=False)

    def action_open(self) -> None:
        """Asks for the detail of the job under the cursor."""
        if self.cursor:
            self.post_message(self.Opened(self.cursor))

    def jump_rows(self) -> list[JumpRow]:
        """The jobs in view; jumping to one opens it."""
        return [(y, partial(self._jump, self.piece(serial).row.key)) for y, serial in self.heads()]

    def _jump(self, key: str) -> None:
        if any(slot.piece.row.key == key for slot in self._slots):
            self.focus()
            self.cursor = key
            self.action_open()

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor; on the job under it, it asks for the detail."""
        row = self.row_at(event.y)
        if row is None or event.chain > 1 or self.text_selection is not None:
            return
        key = self.piece(row.serial).row.key
        if key == self.cursor:
            self.post_message(self.Opened(key))
        else:
            self.cursor = key

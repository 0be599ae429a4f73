"""A data set to look at with one's own eyes: what it is and fits, its columns with histograms, its rows and cells."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from ml_intern.tui import messages
from ml_intern.tui.keys.keymap import bind, bind_number
from ml_intern.tui.modals.base import Dialog
from ml_intern.tui.screens.tool_detail import ToolDetailScreen
from ml_intern.tui.widgets.cell_table import CellTable
from ml_intern.tui.widgets.dataset_text import (
    about_pieces,
    badges,
    cell_pieces,
    column_line,
    column_pieces,
    column_widths,
    facts_lines,
    headline,
)
from ml_intern.tui.widgets.detail import LineView
from ml_intern.tui.widgets.display import BLANK_PIECE, LinesPiece, text_pieces, title_piece
from ml_intern.tui.widgets.frame import entitle
from ml_intern.tui.widgets.key_bar import Hint, KeyBar
from ml_intern.tui.widgets.lines import Line, Run, line, wrap
from ml_intern.tui.widgets.painted import Painted
from ml_intern.tui.widgets.row_list import RowList
from ml_intern.tui.widgets.tabs import PaneTabs
from ml_intern.tui.widgets.text import one_line

if TYPE_CHECKING:
    from ml_intern.core.display import DatasetBlock
    from ml_intern.tui.widgets.tool_model import ToolEntry

VIEWS = {"columns": "#dataset-columns", "rows": "#dataset-rows", "about": "#dataset-about"}
ROOMY_LINES = 26
"""From so many lines on, the chosen column or cell is shown below the list."""
HEAD_LINES = 4

Load = Callable[[Callable[[str], None]], Awaitable["DatasetBlock"]]
"""Looks into a data set, telling what it does; raises `core.previews.PreviewError`."""


class DatasetScreen(Dialog[None]):
    """Shows a data set over the panes.

    Args:
        name: What was asked for.
        block: The data set, where it is known already.
        load: Looks into it, where it is not.
        entry: The tool call it comes from.
    """

    HELP = (
        "A data set: 1 its columns with types, missing values and histograms, 2 its rows, 3 what it is and fits. "
        "{list.up} and {list.down} choose, in the rows {dataset.column_before} and {dataset.column_after} change the "
        "column. {list.open} shows a column or a cell as a whole, {dataset.copy} copies a cell, {dataset.browse} "
        "opens the data set in a browser, {dataset.call} shows the tool call it comes from."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("back", "back"),
        bind("leave", "cancel"),
        bind("dataset.view_after", "turn(1)"),
        bind("dataset.view_before", "turn(-1)"),
        *(bind_number(number, f"show_view('{name}')") for number, name in enumerate(VIEWS, 1)),
        bind("dataset.copy", "copy"),
        bind("dataset.browse", "browse"),
        bind("dataset.call", "call"),
        bind("dataset.load", "load"),
    ]

    def __init__(
        self,
        name: str,
        block: DatasetBlock | None = None,
        *,
        load: Load | None = None,
        entry: ToolEntry | None = None,
    ) -> None:
        super().__init__()
        self._asked = name
        self._block = block
        self._load = load
        self._entry = entry
        self._told: list[str] = []
        self._widths = (0, 0)
        self._view = "columns"

    def compose(self) -> ComposeResult:
        """What it is, the views and their tabs, what is chosen, the keys."""
        with Vertical(id="dataset", classes="dialog"):
            yield Painted(id="dataset-head", fits=True)
            yield PaneTabs(tuple(VIEWS), id="dataset-tabs")
            yield Painted(id="dataset-heading", fits=True)
            yield RowList(id="dataset-columns")
            yield CellTable(id="dataset-rows")
            yield LineView(id="dataset-about")
            yield LineView(id="dataset-chosen")
            yield KeyBar(id="dataset-keys")

    def on_mount(self) -> None:
        """Shows what there is, or has it looked into."""
        self._tabs = self.query_one(PaneTabs)
        self._columns = self.query_one("#dataset-columns", RowList)
        self._rows = self.query_one(CellTable)
        self._about = self.query_one("#dataset-about", LineView)
        self._chosen = self.query_one("#dataset-chosen", LineView)
        entitle(self.query_one("#dataset"), f"data set · {one_line(self._asked, 200)}")
        if self._block is None:
            self.action_load()
        else:
            self._show(self._block)

    # ------------------------------------------------------------------------------------------------- looking into

    def action_load(self) -> None:
        """Has the data set looked into, for the first time or once more."""
        if self._block is not None or self._load is None:
            return
        self._told.clear()
        self._tell("looking into it …")
        self.run_worker(self._look(self._load), name="looking into a data set", exclusive=True, exit_on_error=False)

    async def _look(self, load: Load) -> None:
        from ml_intern.core.previews import PreviewError

        try:
            block = await load(self._tell)
        except PreviewError as error:
            self._fail(str(error))
        else:
            self._show(block)

    def _tell(self, text: str) -> None:
        """Shows what is being done, in the place of what will be there."""
        self._told.append(text)
        self._set_view("about")
        self._about.show_pieces([LinesPiece(partial(_said, said), said) for said in self._told])
        self.set_class(True, "-waiting")
        self._show_keys()

    def _fail(self, why: str) -> None:
        self._about.show_pieces([LinesPiece(lambda width: wrap([Run(why, "error")], width), why)])
        self.set_class(True, "-failed")
        self._show_keys()

    def _show(self, block: DatasetBlock) -> None:
        self._block = block
        self._widths = column_widths(block.columns)
        self.remove_class("-waiting", "-failed")
        entitle(self.query_one("#dataset"), f"data set · {headline(block)}")
        self.query_one("#dataset-head", Painted).paint(self._head)
        self._columns.show_rows(len(block.columns), self._draw_column, 0)
        numeric = [column.kind.startswith(("int", "uint", "float")) for column in block.columns]
        self._rows.show_cells([column.name for column in block.columns], numeric, block.rows)
        self._columns.styles.max_height, self._rows.styles.max_height = len(block.columns), len(block.rows)
        self._about.show_pieces(about_pieces(block))
        self._tabs.note("columns", str(len(block.columns)))
        self._tabs.note("rows", str(len(block.rows)))
        self._set_view("columns" if block.columns else "about")

    def _head(self, width: int, _height: int) -> list[Line]:
        block = self._block
        if block is None:
            return []
        return [*facts_lines(block, width), *badges(block.fits, width)][:HEAD_LINES]

    def _draw_column(self, number: int, width: int) -> Line:
        columns = self._block.columns if self._block is not None else ()
        return column_line(columns[number], self._widths, width) if columns else Line()

    # ------------------------------------------------------------------------------------------------- the views

    @on(PaneTabs.Chosen)
    def _click_tab(self, event: PaneTabs.Chosen) -> None:
        event.stop()
        self.action_show_view(event.name)

    def action_show_view(self, name: str) -> None:
        """Shows columns, rows, or what it is."""
        if self._block is not None:
            self._set_view(name)

    def action_turn(self, step: int) -> None:
        """Shows the next view."""
        names = list(VIEWS)
        self.action_show_view(names[(names.index(self._view) + step) % len(names)])

    def _set_view(self, name: str) -> None:
        self._view = self._tabs.active = name
        self.remove_class("-whole")
        for view, place in VIEWS.items():
            self.query_one(place).display = view == name
        self.query_one(VIEWS[name]).focus()
        self._show_chosen()

    @on(RowList.Moved)
    def _follow(self, event: RowList.Moved) -> None:
        event.stop()
        if self._block is not None:
            self._show_chosen()

    def on_resize(self) -> None:
        """Columns are laid out for the present width."""
        self.call_after_refresh(self._show_chosen)

    def _show_chosen(self) -> None:
        """The column or cell under the cursor, below the list or in its place."""
        whole = self.has_class("-whole")
        block = self._block
        self._chosen.display = (
            block is not None and self._view != "about" and (whole or self.size.height >= ROOMY_LINES)
        )
        self._chosen.can_focus = whole
        heading = self.query_one("#dataset-heading", Painted)
        heading.display = self._view == "rows" and not whole
        self._show_keys()
        if block is None or self._view == "about":
            return
        if self._view == "columns":
            pieces = column_pieces(block.columns[self._columns.cursor]) if block.columns else []
        elif block.rows:
            heading.paint(lambda _width, _height: [self._rows.heading()])
            column = block.columns[self._rows.column]
            where = f"row {self._rows.cursor + 1} of {len(block.rows)} · {one_line(column.kind, 60)}"
            pieces = [title_piece(column.name, where), BLANK_PIECE, *cell_pieces(self._rows.cell)]
        else:
            pieces = list(text_pieces("No rows can be shown; see what is missing in the third view."))
        self._chosen.show_pieces(pieces)

    @on(RowList.Opened)
    def _open(self, event: RowList.Opened) -> None:
        event.stop()
        self.action_whole()

    def action_whole(self) -> None:
        """Shows the column or cell in place of the list."""
        if self._block is None or self._view == "about" or self.has_class("-whole"):
            return
        self.add_class("-whole")
        self.query_one(VIEWS[self._view]).display = False
        self._show_chosen()
        self._chosen.focus()

    def action_back(self) -> None:
        """From the whole to the list, and from there out."""
        if self.has_class("-whole"):
            self._set_view(self._view)
        else:
            self.dismiss(None)

    # ------------------------------------------------------------------------------------------- what is done with it

    def action_copy(self) -> None:
        """A cell to the clipboard, or the data set's name."""
        if self._block is None:
            return
        if self._view == "rows" and self._rows.cell is not None:
            self.app.post_message(messages.CopyText(self._rows.cell, "the cell"))
        else:
            self.app.post_message(messages.CopyText(self._block.name, "the name"))

    def action_browse(self) -> None:
        """The data set in a browser."""
        if self._block is not None and self._block.url.startswith(("https://", "http://")):
            self.app.open_url(self._block.url)

    def action_call(self) -> None:
        """The tool call it comes from, in full."""
        if self._entry is not None:
            self.app.push_screen(ToolDetailScreen(self._entry))

    def _show_keys(self) -> None:
        rows = self._view == "rows"
        choose, copy, scroll = ("{list.up}{list.down}", "choose"), ("{dataset.copy}", "copy"), ("{move}", "scroll")
        keys: list[Hint] = []
        if self.has_class("-failed"):
            keys = [("{dataset.load}", "try again")]
        elif self.has_class("-whole"):
            keys = [scroll, copy] if rows else [scroll]
        elif self._block is not None:
            keys = [("1 2 3", "views"), scroll if self._view == "about" else choose]
            keys += [("{dataset.column_before}{dataset.column_after}", "column")] if rows else []
            keys += [("{list.open}", "whole cell"), copy] if rows else []
            keys += [("{list.open}", "whole")] if self._view == "columns" else []
            keys += [("{dataset.browse}", "browser")] if self._block.url else []
            keys += [("{dataset.call}", "tool call")] if self._entry is not None else []
        self.query_one(KeyBar).show([*keys, ("{back}", "back")])


def _said(text: str, _width: int) -> list[Line]:
    return [line(one_line(text, 400), "muted")]

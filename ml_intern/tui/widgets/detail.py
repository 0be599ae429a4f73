"""Viewers for long texts: any number of lines, of which only the visible ones are looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Unpack

from textual.binding import BindingType

from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.widgets.diff import DiffPiece, Layout
from ml_intern.tui.widgets.display import BLANK_PIECE, display_pieces, text_pieces
from ml_intern.tui.widgets.pieces import Names, Piece
from ml_intern.tui.widgets.searchable import Searchable

if TYPE_CHECKING:
    from ml_intern.core.display import DisplayBlock


class LineView(Searchable[Piece]):
    """Shows a text or display blocks, to be scrolled and searched.

    Args:
        text: The text or its lines.
        language: Syntax to highlight.
        line_numbers: Whether lines are numbered.
    """

    DEFAULT_CSS = ""
    HELP = "A text to be read. {move} {page} scroll, {first} and {last} go to its ends."
    BINDINGS: ClassVar[list[BindingType]] = [bind("diff.layout", "lay_out")]

    def __init__(
        self,
        text: str | Sequence[str] = "",
        language: str = "",
        *,
        line_numbers: bool = False,
        **names: Unpack[Names],
    ) -> None:
        super().__init__(**names)
        if text:
            self.show_text(text, language, line_numbers=line_numbers)

    def show_text(self, text: str | Sequence[str], language: str = "", *, line_numbers: bool = False) -> None:
        """Shows a text from its beginning."""
        self.show_pieces(text_pieces(text, language, numbers=line_numbers))

    def show_blocks(self, blocks: Iterable[DisplayBlock], *, line_numbers: bool = False, exact: bool = False) -> None:
        """Shows display blocks, one below the other; see `display_pieces`."""
        pieces: list[Piece] = []
        for block in blocks:
            pieces += [BLANK_PIECE] if pieces else []
            pieces += display_pieces(block, numbers=line_numbers, exact=exact)
        self.show_pieces(pieces)

    def show_pieces(self, pieces: Iterable[Piece]) -> None:
        """Shows whatever can be rendered as lines."""
        self.end_search()
        self.cut(0)
        for piece in pieces:
            self.add(piece)
        self.following = False
        self.set_scroll(None, 0)

    @property
    def text(self) -> str:
        """All of it, as it is shown."""
        return "\n".join(slot.piece.plain for slot in self._slots)

    # ---------------------------------------------------------------------------------------------- differences

    @property
    def has_differences(self) -> bool:
        """Whether there are differences that can be laid out in another way."""
        return any(isinstance(slot.piece, DiffPiece) for slot in self._slots)

    def action_lay_out(self) -> None:
        """Shows differences side by side where they stand one below the other, and the other way round."""
        width = self.view.width
        for slot in self._slots:
            if isinstance(slot.piece, DiffPiece):
                layout: Layout = "unified" if slot.piece.is_split(width) else "split"
                self.replace(slot.serial, replace(slot.piece, layout=layout))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without differences the key is left to others."""
        return self.has_differences if action == "lay_out" else super().check_action(action, parameters)

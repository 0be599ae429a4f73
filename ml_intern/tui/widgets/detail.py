"""Viewers for long texts: any number of lines, of which only the visible ones are looked at."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Unpack

from textual.binding import BindingType

from ml_intern.tui.keys.keymap import bind
from ml_intern.tui.widgets.code import language_of
from ml_intern.tui.widgets.display import BLANK_PIECE, LinesPiece, display_pieces, text_pieces, title_piece
from ml_intern.tui.widgets.lines import Line, Run, spread, wrap
from ml_intern.tui.widgets.pieces import Names, Piece
from ml_intern.tui.widgets.searchable import Searchable
from ml_intern.tui.widgets.text import clean_code, clean_output, count, duration, one_line
from ml_intern.tui.widgets.tool_model import GLYPHS, ORIGIN_MARK, STATE_INKS, Remark, ToolEntry, origin_text

if TYPE_CHECKING:
    from ml_intern.core.display import DisplayBlock

Section = Literal["input", "transcript", "output"]

_LANGUAGES = {"command": "bash", "script": "python"}
LONG_VALUE = 60
"""A text argument that is longer, or has several lines, is shown for itself."""


class LineView(Searchable[Piece]):
    """Shows a text or display blocks, to be scrolled and searched.

    Args:
        text: The text or its lines.
        language: Syntax to highlight.
        line_numbers: Whether lines are numbered.
    """

    DEFAULT_CSS = ""
    HELP = "A text to be read. {move} {page} scroll, {first} and {last} go to its ends."

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


class ToolDetail(LineView):
    """All of one tool call: what it was called with, and what came of it."""

    DEFAULT_CSS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        *(bind(f"detail.{name}", f"section('{name}')") for name in ("input", "transcript", "output")),
    ]

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self._sections: dict[Section, int] = {}

    def show_entry(self, entry: ToolEntry, now: float | None = None) -> None:
        """Shows a call.

        Args:
            entry: The call.
            now: The present by the clock of the list it is in, for the time of a call that runs.
        """
        head: list[Piece] = [LinesPiece(lambda width: [_headline(entry, now, width)], entry.tool)]
        head += [*_origin_pieces(entry), BLANK_PIECE]
        given: list[Piece] = [_section("input"), *argument_pieces(entry.tool, entry.arguments), BLANK_PIECE]
        between = [_section("transcript"), *_transcript_pieces(entry.nested)] if entry.nested else []
        result: list[Piece] = [_section("output"), *_result_pieces(entry)]
        self.show_pieces([*head, *given, *between, *result])
        first = self._slots[0].serial + len(head)
        self._sections = {"input": first, "output": first + len(given) + len(between)}
        if between:
            self._sections["transcript"] = first + len(given)

    def show_section(self, section: Section) -> None:
        """Scrolls to the input or the output."""
        if section in self._sections:
            self.show(self._sections[section])

    def action_section(self, section: Section) -> None:
        """The keys of the sections."""
        self.show_section(section)


def _origin_pieces(entry: ToolEntry) -> list[Piece]:
    """Where words of a call come from, below its headline."""
    text = origin_text(entry.origin)
    return [LinesPiece(lambda width: wrap([Run(f"{ORIGIN_MARK} {text}", "warning")], width), text)] if text else []


def _section(name: str) -> LinesPiece:
    return LinesPiece(
        lambda width: [Line((Run(name, "accent"), Run(" " + "─" * max(0, width - len(name) - 1), "rule")))]
    )


def _headline(entry: ToolEntry, now: float | None, width: int) -> Line:
    took = entry.seconds if now is None else entry.elapsed(now)
    aside = "  ".join([one_line(entry.state), *([duration(took)] if took is not None else [])])
    mark = Run(GLYPHS.get(entry.state, "▸") + " ", STATE_INKS.get(entry.state, "accent"))
    return spread([mark, Run(one_line(entry.tool), "strong")], [Run(aside, "muted")], width)


def argument_pieces(tool: str, arguments: Mapping[str, Any]) -> list[Piece]:
    """Arguments of a call: short ones as JSON, texts each for itself and highlighted.

    Args:
        tool: The tool.
        arguments: Its arguments, whole.
    """
    short: dict[str, Any] = {}
    long: dict[str, str] = {}
    for key, value in arguments.items():
        if isinstance(value, str) and ("\n" in value or len(value) > LONG_VALUE):
            long[key] = value
        else:
            short[key] = value
    pieces: list[Piece] = []
    if short:
        pieces += text_pieces(json.dumps(short, indent=2, ensure_ascii=False, default=str), "json", safe=clean_code)
    for key, value in long.items():
        pieces += [BLANK_PIECE] if pieces else []
        language = _language(tool, key, arguments)
        pieces.append(title_piece(key, count(value.count("\n") + 1, "line")))
        pieces += text_pieces(value, language, numbers=True, safe=clean_code)
    return pieces or [LinesPiece(lambda _width: [Line((Run("no arguments", "muted"),))])]


def _language(tool: str, key: str, arguments: Mapping[str, Any]) -> str:
    """The syntax of a text argument."""
    if tool in ("write", "edit") and key != "path":
        return language_of(str(arguments.get("path", "")))
    return _LANGUAGES.get(key, "")


def _transcript_pieces(parts: Sequence[ToolEntry | Remark]) -> list[Piece]:
    """What a sub-agent did: its words, its calls, what came of each."""
    pieces: list[Piece] = []
    for part in parts:
        if isinstance(part, Remark):
            pieces += [*text_pieces(f"! {part.text}" if part.notice else part.text), BLANK_PIECE]
            continue
        head = LinesPiece(partial(_nested_headline, part), part.tool)
        pieces += [
            head,
            *_origin_pieces(part),
            *argument_pieces(part.tool, part.arguments),
            *_result_pieces(part),
            BLANK_PIECE,
        ]
    return pieces


def _nested_headline(entry: ToolEntry, width: int) -> list[Line]:
    return [_headline(entry, None, width)]


def _result_pieces(entry: ToolEntry) -> list[Piece]:
    pieces: list[Piece] = []
    for block in entry.display:
        pieces += [*display_pieces(block), BLANK_PIECE]
    text = entry.output if entry.ended else entry.live_output
    if text and not any(_says_the_same(block, text) for block in entry.display):
        pieces += text_pieces(text, safe=clean_output)
    return pieces or [
        LinesPiece(lambda _width: [Line((Run("nothing yet" if not entry.ended else "no output", "muted"),))])
    ]


def _says_the_same(block: DisplayBlock, output: str) -> bool:
    """Whether a block already shows the whole output."""
    return block.type == "text" and block.text.strip() == output.strip()

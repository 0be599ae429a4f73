"""A tool call as pieces of text: what it was called with, what a sub-agent did for it, what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ml_intern.tui.widgets.code import language_of
from ml_intern.tui.widgets.display import BLANK_PIECE, LinesPiece, display_pieces, text_pieces, title_piece
from ml_intern.tui.widgets.lines import Line, Run, spread, wrap
from ml_intern.tui.widgets.pieces import Piece
from ml_intern.tui.widgets.text import clean_code, clean_output, count, duration, one_line
from ml_intern.tui.widgets.tool_model import GLYPHS, ORIGIN_MARK, Remark, ToolEntry, ink_of, origin_text

if TYPE_CHECKING:
    from ml_intern.core.display import DisplayBlock

_LANGUAGES = {"command": "bash", "script": "python"}
LONG_VALUE = 60
"""A text argument that is longer, or has several lines, is shown for itself."""


def origin_pieces(entry: ToolEntry) -> list[Piece]:
    """Where words of a call come from, below its headline."""
    text = origin_text(entry.origin)
    return [LinesPiece(lambda width: wrap([Run(f"{ORIGIN_MARK} {text}", "warning")], width), text)] if text else []


def section_piece(name: str) -> LinesPiece:
    """A rule with the name of what is below it."""
    return LinesPiece(
        lambda width: [Line((Run(name, "accent"), Run(" " + "─" * max(0, width - len(name) - 1), "rule")))]
    )


def headline(entry: ToolEntry, now: float | None, width: int) -> Line:
    """State, tool and time of a call, on a line."""
    took = entry.seconds if now is None else entry.elapsed(now)
    aside = "  ".join([one_line(entry.state), *([duration(took)] if took is not None else [])])
    mark = Run(GLYPHS.get(entry.state, "▸") + " ", ink_of(entry))
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
        pieces.append(title_piece(key, count(value.count("\n") + (not value.endswith("\n")), "line")))
        pieces += text_pieces(value, language, numbers=True, safe=clean_code)
    return pieces or [LinesPiece(lambda _width: [Line((Run("no arguments", "muted"),))])]


def _language(tool: str, key: str, arguments: Mapping[str, Any]) -> str:
    """The syntax of a text argument."""
    if tool in ("write", "edit") and key != "path":
        return language_of(str(arguments.get("path", "")))
    return _LANGUAGES.get(key, "")


def transcript_pieces(parts: Sequence[ToolEntry | Remark]) -> list[Piece]:
    """What a sub-agent did: its words, its calls, what came of each."""
    pieces: list[Piece] = []
    for part in parts:
        if isinstance(part, Remark):
            pieces += [*text_pieces(f"! {part.text}" if part.notice else part.text), BLANK_PIECE]
            continue
        head = LinesPiece(partial(_nested_headline, part), part.tool)
        pieces += [
            head,
            *origin_pieces(part),
            *argument_pieces(part.tool, part.arguments),
            *result_pieces(part),
            BLANK_PIECE,
        ]
    return pieces


def _nested_headline(entry: ToolEntry, width: int) -> list[Line]:
    return [headline(entry, None, width)]


def result_pieces(entry: ToolEntry) -> list[Piece]:
    """What came of a call so far: what the tool shows, and its output where that does not say the same."""
    pieces: list[Piece] = []
    for block in entry.display:
        pieces += [*display_pieces(block), BLANK_PIECE]
    text = entry.output if entry.ended else entry.live_output
    if text and not any(_says_the_same(block, text) for block in entry.display):
        pieces += text_pieces(text, safe=clean_output)
    return pieces or [
        LinesPiece(lambda _width: [Line((Run("nothing yet" if not entry.ended else "no output", "muted"),))])
    ]


def log_pieces(entry: ToolEntry) -> list[Piece]:
    """What is kept of the live output."""
    return [*text_pieces(entry.live_output, safe=clean_output)]


def has_log(entry: ToolEntry) -> bool:
    """Whether the live output tells something that the result does not."""
    said = entry.live_output.strip()
    return bool(said) and (not entry.ended or said[-200:] not in entry.output)


def _says_the_same(block: DisplayBlock, output: str) -> bool:
    """Whether a block already shows the whole output."""
    return block.type == "text" and block.text.strip() == output.strip()
